"""What a plan or a run warns of: a code and facts for machines, beside the text for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

NoticeCode = Literal[
    "no_foreign_key", "unwritable", "hidden_rows", "untried", "key_circle", "drift", "drift_unknown",
    "rows_stay", "null_keys", "double_keys", "changed_values", "unstable_column", "source_read_whole", "unmapped_keys",
    "followed_whole",
    "no_index", "cursor_without_index", "cursor_nulls", "cursor_not_there", "cursor_overlap_alone",
    "failed_check", "unchecked", "refused_rows", "stand_in_stays", "not_reconciled", "orphans", "own_ancestors",
    "no_evidence", "no_data_docs", "table_not_dropped", "cut_off_version", "cut_off_run", "base_lost",
    "new_columns", "new_key", "resolution_outdated",
    "projections_in_turn", "writes_source", "hook_failed", "not_taken", "deletes_withheld", "untyped",
]  # fmt: skip

NOTICES: Final[Mapping[NoticeCode, str]] = {
    "no_foreign_key": "a table that is there lacks a foreign key of `create:`, and its engine cannot add one",
    "unwritable": "a table can be compared and not be written",
    "hidden_rows": "row-level security may hide rows, which `rls: accept` takes for not there",
    "untried": "what a table refuses is known only when its rows are written",
    "key_circle": "foreign keys of two tables go in a circle",
    "drift": "a schema is not as the latest run left it",
    "drift_unknown": "whether schemas have drifted is not known",
    "rows_stay": "rows that the source does not have stay, since others refer to them",
    "null_keys": "rows of the target with a null in the key are left as they are",
    "double_keys": "rows of the target share their key, and are compared with nothing",
    "changed_values": "values differ from the source's because the spec says so",
    "unstable_column": "the target made something else of what was written, or rows do not stay as the latest run wrote them",
    "source_read_whole": "the source could not be asked for keys, and was read whole",
    "unmapped_keys": "rows changed of which no key can be made",
    "followed_whole": "each batch of following compares tables whole that go both ways and whose rows have another key on each side",
    "no_index": "no index leads to the rows below those of a tree, and the engine goes through their table",
    "cursor_without_index": "no index leads to the rows that are new by a cursor, and the engine goes through their table",
    "cursor_nulls": "rows without a value of their cursor are read by every run",
    "cursor_not_there": "the cursor of the defaults is none of a table's, of which every run reads all rows",
    "cursor_overlap_alone": "the source does not say who is writing: only the overlap brings rows that come to light late",
    "failed_check": "a rule that is not critical failed at a checkpoint",
    "unchecked": "something was not looked at in a checkpoint",
    "refused_rows": "the target refused rows while they were written",
    "stand_in_stays": "a row holds a value that stands in for another, and cannot have its former value back",
    "not_reconciled": "the totals of both sides differ",
    "orphans": "rows of the target refer to rows that are not there",
    "own_ancestors": "rows lead back to themselves by a lookup into their own table",
    "no_evidence": "the evidence of the run could not be kept",
    "no_data_docs": "Great Expectations' pages could not be made",
    "table_not_dropped": "an undo left a table, since it holds rows of others",
    "cut_off_version": "an undo takes back a version that was cut off",
    "cut_off_run": "a run that was cut off has been brought to its end",
    "base_lost": "what both sides of a two-way table agreed on last is lost, and they meet anew",
    "new_columns": "columns are new in the mapping of a two-way table, and its sides meet in them",
    "new_key": "what both sides of a two-way table agreed on last is known by another key now",
    "resolution_outdated": "what was decided about a row in conflict was for another state of it, and is not applied",
    "projections_in_turn": "several tables are made of one of the source, and a run brings them together one after the other",
    "writes_source": "a run writes the source too, and what it needs there",
    "hook_failed": "a hook that comes after a run, or the rows of a table, failed",
    "not_taken": '`tables: "*"` leaves tables or columns of the source where they are',
    "deletes_withheld": "rows of the source have keys that cannot be read, and nothing is deleted of what they may be",
    "untyped": "from a plan of an earlier version, which kept the text alone",
}
"""Every code and what it means."""


@dataclass(frozen=True, slots=True)
class Notice:
    """`text` is what people read, whole. `table` is the spec's name of the table that it is about, where it is about one.

    `facts` are small, and of JSON's own types. What a plan of an earlier version warns of is `untyped`.
    """

    code: NoticeCode
    text: str
    table: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash((self.code, self.text, self.table, json.dumps(self.facts, sort_keys=True)))
