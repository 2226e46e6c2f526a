"""What helps against each reason and each warning, in general; `check` words it for the column and for what was found in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from transforms.vocabulary.notices import NoticeCode
from transforms.vocabulary.reasons import Code

_MEND: Final = "mend the row at its source"
_ZONE: Final = "choose `earliest` or `latest` in the cast"
_UNIQUE: Final = "mend or merge the rows, choose a key that tells them apart, or leave some out with `where:`"

AGAINST: Final[Mapping[Code, str]] = {
    "wrong_type": f"{_MEND}, or read it by a query that converts it: `from: {{query: …}}`",
    "undecodable": f"{_MEND}, or read it by a query that converts it: `from: {{query: …}}`",
    "torn_row": "mend the line in the file: quote values that hold delimiters, quotes or line breaks, or declare the file's `encoding`",
    "no_date": "say what such dates become: `zero_date: null`, or a date",
    "beyond_timestamps": f"{_MEND}, or read it by a query that makes a text or null of it",
    "inexact": "cast to a type that holds the value, or round in an `expr`, where that is meant",
    "not_boolean": "translate the values with `map:`, or make the column a number",
    "not_number": "translate the words with `map:` and `default: keep`, or convert in an `expr`",
    "not_uuid": f"{_MEND}, or make the column a text",
    "not_interval": f"{_MEND}, or convert in an `expr`",
    "not_time_of_day": "make the column an interval, or such values null in an `expr`",
    "has_date": "cast to a timestamp, or take the time alone in an `expr`",
    "wrong_format": f"correct `format:` in the cast, or {_MEND}",
    "repeated_time": f"{_ZONE}: `ambiguous: earliest`",
    "skipped_time": f"{_ZONE}: `nonexistent: latest`",
    "beyond_local_times": f"{_MEND}, or make such values null in an `expr`",
    "null": "fill it with `expr: coalesce(…)`, let the column take nulls, or leave the rows out with `where:`",
    "nan": "make it null in an `expr` with `isnan`, or let the column be one that takes NaN",
    "out_of_range": "widen the column, or map such values in an `expr`",
    "too_fine": "widen the column to more digits, or cut the fraction off with `date_trunc` in an `expr`",
    "too_long": "widen the column, or shorten the text with `left` in an `expr`",
    "too_many_bytes": "widen the column, or shorten the value in an `expr`",
    "nul_character": "leave them out with `nul: strip`",
    "foreign_characters": "give the column a character set that holds them (utf8mb4), or replace them in an `expr`",
    "unknown_label": "add the label to the enum in the target, or translate with `map:`",
    "too_many_digits": "widen the column, or round in an `expr`, where that is meant",
    "not_kept": f"{_MEND}, or make the column a text",
    "null_key": "choose a key that every row has, or leave the rows out with `where:`",
    "unlisted_value": "add the value to `map:`, or say what becomes of others with `default:`",
    "merged_keys": _MEND,
    "expression_failed": "make the `expr` take such values, with `try_cast` or `TRY(…)`",
    "no_match": "add the missing row to the table that is looked into, or go without it: `missing: null`",
    "parent_quarantined": "mend the row that it refers to: this one comes along with the next run",
    "breaks_rule": f"{_MEND}, or correct the rule",
    "dates_replaced": "nothing, where it is meant",
    "nul_stripped": "nothing, where it is meant",
    "no_inverse": "say how it goes back with `inverse:`, or decide for a side (`conflicts resolve`)",
    "inverse_differs": "correct `inverse:`, or decide for a side (`conflicts resolve`)",
    "identity_ambiguous": "match by columns that tell rows apart, or say which belong together: `identity import`",
    "identity_unknown": "fill the column, or say which rows belong together: `identity import`",
    "duplicate_key": _UNIQUE,
    "colliding_key": _UNIQUE,
    "double_key": "mend the rows of the target, where nothing keeps the key unique",
    "taken_key": "widen `owns:`, or give the row another key",
    "not_owned": "correct `owns:`, or leave such rows out with `where:`",
    "breaks_check": f"{_MEND}, or change the check in the target",
    "no_partition": "add a partition that takes it, or leave the row out with `where:`",
    "no_parent": "bring the row that it refers to: add its table to the spec, or mend the reference",
    "partly_null": "make all of its columns null, or none",
    "refused": "the text has what the engine says: mend the row, or change the target",
    "refused_on_write": "the text has what the engine says: mend the row, or change the target; the next run tries again",
    "changed_by_target": "look at the triggers and rules of the target; a column that they fill goes under `ignore:`",
    "changed_meanwhile": "nothing: the next run looks at the row again",
    "referred": "bring or remove the rows that refer to it first, or let them go along: `delete: {children: plan}`",
    "untyped": "the text says it",
}
"""Of every code."""

_NOTHING: Final = "nothing"
_INDEX: Final = "add an index that begins with the column that is named"

ON_WARNING: Final[Mapping[NoticeCode, str]] = {
    "no_foreign_key": "make the table anew, or do without the key",
    "unwritable": "give it what the text names, or take the table out of the spec",
    "hidden_rows": "connect as a user who sees all rows",
    "untried": "do what the text says, or look at quarantine after the run",
    "key_circle": "make one of the keys deferrable, or let its column take nulls",
    "drift": "correct the spec, or take the schema as it is: `drift --accept`",
    "drift_unknown": "run once: from then on it is known",
    "rows_stay": "remove what refers to them, or say what becomes of it: `delete: {children: …}`",
    "null_keys": "fill the key, or choose another one",
    "double_keys": "remove the doubles, and make the key unique",
    "changed_values": "nothing, where it is meant",
    "unstable_column": "map it to what the target makes of it, or put it under `ignore:`",
    "source_read_whole": "map the key from plain columns, where tables are large",
    "unmapped_keys": "mend the rows; a full run sets them aside with the reason",
    "followed_whole": "gather longer (`follow: {every: …}`), where tables are large",
    "no_index": _INDEX,
    "cursor_without_index": _INDEX,
    "cursor_nulls": "fill the cursor's column",
    "cursor_not_there": "give the table a `cursor:` of its own, or `off`",
    "cursor_overlap_alone": "choose an `overlap:` longer than the longest transaction",
    "failed_check": "look at the rule in the report",
    "unchecked": "the text says what; raise `checkpoint: {max_rows: …}` where that is the limit",
    "refused_rows": "look at quarantine: each row has the engine's reason",
    "stand_in_stays": "give the row the value that it should have",
    "not_reconciled": "run `verify --rows`: it names the rows",
    "orphans": "bring the missing rows, or remove those that refer to them",
    "own_ancestors": "mend the row that refers to itself, where that is not meant",
    "no_evidence": "make the store writable, and free space on its disk",
    "no_data_docs": "the text says why; the report of the run is there all the same",
    "table_not_dropped": "drop it by hand, when the rows of others are no longer needed",
    "cut_off_version": _NOTHING,
    "cut_off_run": _NOTHING,
    "base_lost": "look at what is open: rows that both sides had alike are met as such",
    "new_columns": "look at what is open in these columns",
    "new_key": _NOTHING,
    "resolution_outdated": "decide again",
    "projections_in_turn": _NOTHING,
    "writes_source": "grant what the text names",
    "deletes_withheld": "mend the lines that are in quarantine, and run again: the run deletes then what is to be deleted",
    "hook_failed": "look at what it printed or answered, in the text, and mend the command, address or SQL",
    "not_taken": "create or add it in the target, write an entry for it, or name it in `except`",
    "untyped": "the text says it",
}
"""Of every code of a warning."""
