"""Rows of text files that cannot be taken apart, and the lines of those that stay beside the others for what they hold.

DuckDB numbers rows, not lines. Lines are counted up to each row: a row is as many as its values have line breaks, and one. What rows
of the file cannot be taken apart, and which lines are empty, is known by bytes, and put in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.lines import Numbers, Survey, survey
from adapters.files.listing import File
from transforms.vocabulary import DataError

AT: Final = "syncline:at"
"""How many lines of whole rows come before a row."""
SPAN: Final = "syncline:span"
"""How many lines it has; in both, empty lines between rows do not count."""
FILE: Final = "syncline:file"
PLACE: Final = "syncline:place"
HOW: Final = "syncline:how"
"""In what way it is torn, as reasons say it; null where it is whole."""
TEXT: Final = "syncline:text"
WAITS: Final = "syncline:waits"
"""Whether a row is to be told its PLACE."""
MOST_SHOWN: Final = 200  # characters of what cannot be read

_HOW: Final = {
    "UNQUOTED VALUE": "quote",
    "MISSING COLUMNS": "fields_missing",
    "TOO MANY COLUMNS": "fields_extra",
    "INVALID ENCODING": "encoding",
}
_ENDLESS: Final = "endless"  # a quote that goes on for longer than DuckDB tells of
_MOST_TOLD: Final = 10_000  # characters that DuckDB tells of a row
_TORN: Final = quoted("syncline torn")
_EMPTY: Final = quoted("syncline empty")
_VIEW: Final = "syncline view"


@dataclass(frozen=True, slots=True)
class Lines:
    """What rows are counted in: what ends a line, whether empty ones between rows are rows, and how many come before the first row;
    None where rows do not have to come to all lines of the file."""

    end: str
    counts_empty: bool
    head: int | None

    def more(self, name: str) -> str:
        """SQL of how many more lines a row goes over for a value."""
        own = quoted(name)
        inner = f"string_split({own}, {literal(self.end)})[2:-2]"
        kept = inner if self.counts_empty else f"list_filter({inner}, lambda each: each NOT IN ('', chr(13)))"
        return f"CASE WHEN contains({own}, {literal(self.end)}) THEN 1 + len({kept}) ELSE 0 END"

    def more_in(self, text: str) -> int:
        """The same of a text."""
        parts = text.split(self.end)
        inner = [each for each in parts[1:-1] if self.counts_empty or each not in ("", "\r")]
        return min(len(parts) - 1, 1) + len(inner)


class Settling:
    """Puts what is known of the rows of a file by lines into its staged table: rows that are torn, and places."""

    def __init__(self, session: Session, staged: str, file: File, number: int) -> None:
        self._session, self._staged, self._file, self._number = session, quoted(staged), file, number

    def settle(self, opened: Any, lines: Lines, partitions: list[str]) -> None:
        """In: the staged rows of the file, with AT and SPAN. Errors: DataError where a quote goes on until the file ends."""
        torn = self._rejects(lines)
        found = self._surveyed(opened, torn, lines)
        if _ENDLESS in torn["how"].to_pylist():
            raise self._endless(int(found.lines[torn["how"].to_pylist().index(_ENDLESS)]))
        if lines.head is not None:
            self._accounted(found, torn, lines.head)
        self._keep(found, torn)
        self._insert(partitions)
        self._place()

    def _rejects(self, lines: Lines) -> pa.Table:
        """What DuckDB took for no row: its first byte, its lines, how it is torn and its text, as they come in the file."""
        endless = (
            f"WHEN error_type LIKE '%OVER MAXIMUM%' OR error_type = 'UNQUOTED VALUE' AND length(csv_line) >= {_MOST_TOLD} "
            f"THEN {literal(_ENDLESS)}"
        )
        how = " ".join(f"WHEN error_type = {literal(each)} THEN {literal(told)}" for each, told in _HOW.items())
        mark = literal(lines.end)
        text = f"rtrim(ltrim(csv_line, {mark} || chr(13) || chr(10)), {mark} || chr(13) || chr(10))"
        parts = f"string_split({text}, {mark})"
        spanned = parts if lines.counts_empty else f"list_filter({parts}, lambda each: each NOT IN ('', chr(13)))"
        start = f"line_byte_position - 1 + length(csv_line) - length(ltrim(csv_line, {mark} || chr(13) || chr(10)))"
        query = (
            f"SELECT start, any_value(lines) AS lines, arg_min(how, met) AS how, any_value(text) AS text FROM "  # noqa: S608
            f"(SELECT {start} AS start, len({spanned}) AS lines, CASE {endless} {how} ELSE 'quote' END AS how, "
            f"left({text}, {MOST_SHOWN}) AS text, (byte_position, error_type) AS met "
            "FROM reject_errors WHERE line_byte_position IS NOT NULL) GROUP BY start ORDER BY start"
        )
        return self._session.ask(query)

    def _surveyed(self, opened: Any, torn: pa.Table, lines: Lines) -> Survey:
        self._session.execute(f"CREATE OR REPLACE TEMP TABLE {_EMPTY} (before BIGINT, empty BIGINT)")

        def empty(some: pa.Table) -> None:
            self._put(some, f"INSERT INTO {_EMPTY} SELECT before, max(empty) FROM {quoted(_VIEW)} GROUP BY before")  # noqa: S608

        return survey(opened, _numbers(torn, "start"), lines.end.encode(), None if lines.counts_empty else empty)

    def _accounted(self, found: Survey, torn: pa.Table, head: int) -> None:
        """Each line of the file is in a row."""
        of = f"FROM {self._staged} WHERE {quoted(FILE)} = {self._number}"
        known = self._session.rows(f"SELECT max({quoted(AT)} + {quoted(SPAN)}) AS lines {of}")[0]["lines"]
        if (lines := (known or head) + int(_numbers(torn, "lines").sum())) != found.total:
            raise self._endless(self._line(lines))

    def _endless(self, line: int) -> DataError:
        what = "has a quote that is not closed, or text behind one that is, and many lines behind it are no rows"
        return DataError(f"{self._file.path}, line {line}, {what}.", fix="close the quote, and double those inside.")

    def _line(self, before: int) -> int:
        """The line behind that many that count."""
        empty = self._session.rows(f"SELECT max(empty) AS n FROM {_EMPTY} WHERE before <= {before}")[0]["n"]  # noqa: S608
        return before + 1 + int(empty or 0)

    def _keep(self, found: Survey, torn: pa.Table) -> None:
        """The torn rows with their lines; `whole` lines of whole rows come before each, `torn` of torn ones to its end."""
        lines = _numbers(torn, "lines")
        upto = np.cumsum(lines)
        told = torn.append_column("line", pa.array(found.lines)).append_column("upto", pa.array(upto))
        told = told.append_column("whole", pa.array(found.before - (upto - lines)))
        self._put(told, f"CREATE OR REPLACE TEMP TABLE {_TORN} AS FROM {quoted(_VIEW)}")

    def _insert(self, partitions: list[str]) -> None:
        last = "CASE WHEN lines > 1 THEN 's ' || line || ' to ' || (line + lines - 1) ELSE ' ' || line END"
        place = f"'line' || {last} || {literal(f' of {self._file.path}')}"
        listed = [f"{place} AS {quoted(PLACE)}", f"how AS {quoted(HOW)}", f"text AS {quoted(TEXT)}", *partitions]
        self._session.execute(
            f"INSERT INTO {self._staged} BY NAME SELECT {', '.join(listed)} FROM {_TORN} ORDER BY line"  # noqa: S608
        )

    def _place(self) -> None:
        torn = f"(SELECT whole, max(upto) AS upto FROM {_TORN} GROUP BY whole)"  # noqa: S608
        empty = f"(SELECT before, max(empty) AS empty FROM {_EMPTY} GROUP BY before)"  # noqa: S608
        waiting = f"{quoted(FILE)} = {self._number} AND {quoted(WAITS)}"
        rows = f"(SELECT rowid AS row, {quoted(AT)} AS own FROM {self._staged} WHERE {waiting})"  # noqa: S608
        counted = f"(SELECT row, own + coalesce(upto, 0) AS own FROM {rows} ASOF LEFT JOIN {torn} ON own >= whole)"  # noqa: S608
        placed = (
            f"(SELECT row, own + 1 + coalesce(empty, 0) AS line FROM {counted} ASOF LEFT JOIN {empty} ON own >= before)"  # noqa: S608
        )
        self._session.execute(
            f"UPDATE {self._staged} SET {quoted(PLACE)} = 'line ' || line || {literal(f' of {self._file.path}')} "  # noqa: S608
            f"FROM {placed} AS placed WHERE {self._staged}.rowid = placed.row"
        )

    def _put(self, rows: pa.Table, statement: str) -> None:
        self._session.register(_VIEW, rows)
        try:
            self._session.execute(statement)
        finally:
            self._session.unregister(_VIEW)


def _numbers(rows: pa.Table, name: str) -> Numbers:
    return np.asarray(rows[name].to_numpy(), dtype=np.int64)
