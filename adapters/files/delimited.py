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
from adapters.files.staged import stage
from adapters.files.text_files import LONGEST_ROW, TextFiles
from adapters.files.texts import SAMPLE_ROWS, profiled
from adapters.files.torn import AT, HOW, SPAN, TEXT, Lines
from transforms.vocabulary import DataError, SpecError


def rows(session: Session, table: Files, format: Format, folder: str) -> Rows:
    """Stage the files; see `declared` for what is not declared, and `stage`. Errors: DataError for a file that is torn so that
    its rows cannot be told apart, with the line, and for one with other columns than the first."""
    reading = Reading(session, table, folder)
    with reading.alike(format.quote):
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
        scanned = f"SELECT * FROM {self._rows(file, careful=True)} LIMIT {SAMPLE_ROWS}"  # noqa: S608
        self._session.execute(f"CREATE OR REPLACE TABLE {quoted(sample)} AS {scanned}")
        found = profiled(self._session, quoted(sample), names, format)
        self._session.execute(f"DROP TABLE {quoted(sample)}")
        return found

    def sql(self, file: File) -> str:
        """See `staged.Texts`."""
        return self._rows(file)

    def counted(self, file: File) -> str:
        """See `staged.Texts`."""
        lines = self.lines(file)
        more = " + ".join(lines.more(each) for each in self.names)
        before = f"sum({quoted(SPAN)}) OVER (ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        numbered = f"(SELECT *, row_number() OVER () AS number, 1 + {more} AS {quoted(SPAN)} FROM {self._rows(file, careful=True)})"  # noqa: S608
        at = f"CAST({lines.head} + coalesce({before}, 0) AS BIGINT) AS {quoted(AT)}"
        kept = ", ".join(quoted(each) for each in [*self.names, SPAN])
        return f"(SELECT {kept}, {at}, CAST(NULL AS VARCHAR) AS {quoted(HOW)}, CAST(NULL AS VARCHAR) AS {quoted(TEXT)} FROM {numbered})"  # noqa: S608

    def lines(self, file: File) -> Lines:
        lines = Lines(self._ending(file), len(self.names) == 1, 0)
        if self.format.header is not True:
            return lines
        return replace(lines, head=1 + sum(map(lines.more_in, self._first(file, self.format))))

    def _rows(self, file: File, *, careful: bool = False) -> str:
        path = self._path(file, self.format)
        self.forget()
        return self._scan(path, self.names, self.format, careful=careful)

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
            texts = io.TextIOWrapper(opened, encoding="utf-8-sig", errors="surrogateescape", newline="")
            try:
                found = next(csv.reader(texts, **options), [])
                "".join(found).encode()
            except csv.Error as error:
                raise DataError(f"{file.path}, line 1, cannot be read: {error}.", fix="close its quotes.") from error
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{file.path}, line 1, is not valid in the file's encoding.",
                    fix="declare the encoding (`encoding: cp1252`), or convert the file to UTF-8 as a whole.",
                ) from error
            return found

    def _scan(self, path: str, names: Sequence[str], format: Format, *, careful: bool) -> str:
        columns = ", ".join(f"{literal(each)}: 'VARCHAR'" for each in names)
        options = self._options(format)
        strict = "auto_detect = false, strict_mode = true, store_rejects = true"
        strict += ", parallel = false" if careful else ", rejects_limit = 1"
        return f"read_csv({literal(path)}, {options}, {strict}, columns = {{{columns}}})"

    def _options(self, format: Format) -> str:
        nulls = ", ".join(map(literal, format.nulls))
        return (
            f"delim = {literal(format.delimiter or ',')}, quote = {literal(format.quote)}, "
            f"escape = {literal(format.escape or format.quote)}, header = {str(format.header is True).lower()}, "
            f"all_varchar = true, nullstr = [{nulls}], allow_quoted_nulls = false, max_line_size = {LONGEST_ROW}"
        )
