"""What a plan or a run warns of: a code and facts for machines, beside the text for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

NoticeCode = Literal[
    "no_foreign_key", "unwritable", "hidden_rows", "untried", "key_circle", "drift", "drift_unknown",
    "rows_stay", "null_keys", "double_keys", "changed_values", "unstable_column", "source_read_whole",
    "failed_check", "unchecked", "refused_rows", "not_reconciled", "orphans",
    "no_evidence", "no_data_docs", "table_not_dropped", "cut_off_version", "cut_off_run", "untyped",
]  # fmt: skip
NOTICE_CODES: Final[tuple[NoticeCode, ...]] = get_args(NoticeCode)


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
