"""CSV files as rows: each text is read as it stands, and typed exactly."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.formats import Format
from adapters.files.listing import File, Files
from adapters.files.rows import Rows, distinct_names
from adapters.files.staged import place, stage
from adapters.files.text_files import LONGEST_ROW, TextFiles, chunks
from adapters.files.texts import SAMPLE_ROWS, profiled
from transforms.vocabulary import DataError, SpecError


def rows(session: Session, table: Files, format: Format, folder: str) -> Rows:
    """Stage the files; see `declared` for what is not declared, and `stage`. Errors: DataError for a file that is torn, with its
    line, and for one with other columns than the first."""
    reading = Reading(session, table, folder)
    names, known = reading.known(format)
    reading.format = known
    return stage(session, table, names, known, reading)


def declared(session: Session, table: Files, format: Format, folder: str) -> tuple[list[str], Format]:
    """The columns of a table, and its format with all that the files say of it."""
    return Reading(session, table, folder).known(format)


class Reading(TextFiles):
    """The files of a table of CSV."""

    def known(self, format: Format) -> tuple[list[str], Format]:
        first = self._table.files[0]
        known = replace(format, encoding=format.encoding or self._encoding(first))
        known = self._sniffed(first, known)
        names = self._names(first, known)
        distinct_names([*names, *(key for key, _ in first.partitions)], first.path, ", line 1,")
        for file in self._table.files[1:]:
            if (others := self._names(file, known)) != names:
                raise DataError(
                    f"Files of one table have unlike columns: {', '.join(names)} in {first.path} and {', '.join(others)} in {file.path}.",
                    fix="write them alike, or name each kind by a glob or folder of its own.",
                )
        if unknown := [each for each in known.types if each not in names]:
            raise SpecError(
                f"{first.path} has no column {unknown[0]!r}; it has {', '.join(names)}.", fix="correct `types`."
            )
        return names, self._profiled(first, names, known)

    def _profiled(self, file: File, names: Sequence[str], format: Format) -> Format:
        sample = "syncline sample"
        self.format, self.names = format, list(names)
        if format.types.keys() >= set(names):
            return format
        scanned = f"SELECT * FROM {self.sql(file)} LIMIT {SAMPLE_ROWS}"  # noqa: S608
        self._session.execute(f"CREATE OR REPLACE TABLE {quoted(sample)} AS {scanned}")
        self.check(file)
        found = profiled(self._session, quoted(sample), names, format)
        self._session.execute(f"DROP TABLE {quoted(sample)}")
        return found

    def sql(self, file: File, *, placed: bool = False) -> str:
        """See `staged.Texts`."""
        path, names = self._path(file, self.format), self.names
        scan = self._scan(path, names, self.format)
        self.forget()
        if not placed:
            return scan
        head = 1 if self.format.header is True else 0
        called, breaks = self._counted(file, path, scan, head)
        number, more = quoted("syncline:number"), quoted("syncline:breaks")
        before = f"sum({more}) OVER (ORDER BY {number} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        listed = ", ".join(map(quoted, names))
        numbered = f"(SELECT {listed}, row_number() OVER () AS {number}, {breaks} AS {more} FROM {scan})"  # noqa: S608
        at = place(f"CAST({number} + {head} + coalesce({before}, 0) AS BIGINT)", file, called)
        return f"(SELECT {listed}, {at} FROM {numbered})"  # noqa: S608

    def _counted(self, file: File, path: str, scan: str, head: int) -> tuple[str, str]:
        """What rows are counted in, lines where no empty ones come between, and SQL of how many more lines a row goes over."""
        breaks = self._breaks(self.names)
        found = self._session.rows(f"SELECT count(*) AS n, sum({breaks}) AS breaks FROM {scan}")[0]  # noqa: S608
        more = int(found["breaks"] or 0)
        with self._opened(file, path) as opened:
            lines = sum(chunk.count(b"\n") for chunk in chunks(opened))
        in_lines = 0 <= found["n"] + head + more - lines <= 1
        return ("line" if in_lines else "row", breaks if in_lines and more else "0")

    def _breaks(self, names: Sequence[str]) -> str:
        """SQL of how many line breaks the values of a row hold."""
        return " + ".join(
            f"coalesce(length({quoted(each)}) - length(replace({quoted(each)}, chr(10), '')), 0)" for each in names
        )

    def _sniffed(self, file: File, format: Format) -> Format:
        """The delimiter and whether there is a header, where they are not declared."""
        header: Any = format.header
        if format.delimiter is None:
            format = replace(format, delimiter=self._delimiter(file, format))
        return replace(format, header=True if header is None else header)

    def _delimiter(self, file: File, format: Format) -> str:
        """That which cuts the first line into most fields."""
        known = {each: len(self._first(file, replace(format, delimiter=each))) for each in (",", ";", "\t", "|")}
        return max(known, key=lambda each: known[each])

    def _names(self, file: File, format: Format) -> list[str]:
        if isinstance(format.header, tuple):
            return list(format.header)
        first = self._first(file, format)
        if format.header is False:
            return [f"column{number}" for number in range(1, len(first) + 1)]
        return [each if each else f"column{number}" for number, each in enumerate(first, 1)]

    def _first(self, file: File, format: Format) -> list[str]:
        """The fields of the first line."""
        path = self._path(file, format)
        options: dict[str, Any] = {"delimiter": format.delimiter or ",", "quotechar": format.quote}
        if format.escape not in (None, format.quote):
            options |= {"escapechar": format.escape, "doublequote": False}
        with self._opened(file, path) as opened:
            texts = io.TextIOWrapper(opened, encoding="utf-8-sig", errors="replace", newline="")
            try:
                return next(csv.reader(texts, **options), [])
            except csv.Error as error:
                raise DataError(f"{file.path}, line 1, cannot be read: {error}.", fix="close its quotes.") from error

    def _scan(self, path: str, names: Sequence[str], format: Format) -> str:
        columns = ", ".join(f"{literal(each)}: 'VARCHAR'" for each in names)
        options = self._options(format)
        strict = "auto_detect = false, strict_mode = true, store_rejects = true, rejects_limit = 1"
        return f"read_csv({literal(path)}, {options}, {strict}, columns = {{{columns}}})"

    def _options(self, format: Format) -> str:
        nulls = ", ".join(map(literal, format.nulls))
        return (
            f"delim = {literal(format.delimiter or ',')}, quote = {literal(format.quote)}, "
            f"escape = {literal(format.escape or format.quote)}, header = {str(format.header is True).lower()}, "
            f"all_varchar = true, nullstr = [{nulls}], allow_quoted_nulls = false, max_line_size = {LONGEST_ROW}"
        )
