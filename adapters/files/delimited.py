"""CSV files as rows: each text is read as it stands, and typed exactly."""

from __future__ import annotations

import codecs
import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.formats import Format
from adapters.files.listing import File, Files
from adapters.files.rows import Rows, distinct_names
from adapters.files.staged import place, stage
from adapters.files.texts import SAMPLE_ROWS, profiled
from transforms.vocabulary import DataError, SpecError

CHUNK_BYTES: Final = 4 * 1024 * 1024
LONGEST_ROW: Final = 32 * 1024 * 1024  # bytes
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PACKED: Final = (".gz", ".zst", ".bz2")
_TORN: Final[Mapping[str, tuple[str, str]]] = {
    "UNQUOTED VALUE": ("has a quote that is not closed, or text behind one that is", "close the quote, and double those inside"),
    "MISSING COLUMNS": ("has fewer fields than the header", "add what is missing, or quote line breaks inside a value"),
    "TOO MANY COLUMNS": ("has more fields than the header", "quote values that hold the delimiter"),
    "INVALID ENCODING": (
        "is not valid in the file's encoding (a file in two encodings, or another one than declared)",
        "declare the encoding (`encoding: cp1252`), or convert the file to UTF-8 as a whole",
    ),
    "LINE SIZE OVER MAXIMUM": ("is too long: a quote before it may not be closed", "close the quote"),
}  # fmt: skip


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


class Reading:
    """The files of a table, in UTF-8 where they are written otherwise: then as copies in a folder of temporary files."""

    def __init__(self, session: Session, table: Files, folder: str) -> None:
        self._session, self._table, self._folder = session, table, folder
        self._copies: dict[str, str] = {}
        self.format, self.names = Format(), list[str]()

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
        for each in ("reject_errors", "reject_scans"):
            self._session.execute(f"DROP TABLE IF EXISTS {each}")
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

    def check(self, file: File) -> None:
        """See `staged.Texts`: a row that is torn, with its line."""
        asked = "SELECT error_type AS kind, line, line_byte_position AS start FROM reject_errors ORDER BY 3 LIMIT 1"
        if torn := self._session.rows(asked):
            what, fix = _TORN.get(str(torn[0]["kind"]), ("cannot be read", "correct it"))
            line = self._line(file, self._path(file, self.format), torn[0])
            raise DataError(f"{file.path}, line {line}, {what}.", fix=f"{fix}.")

    def _counted(self, file: File, path: str, scan: str, head: int) -> tuple[str, str]:
        """What rows are counted in, lines where no empty ones come between, and SQL of how many more lines a row goes over."""
        breaks = self._breaks(self.names)
        found = self._session.rows(f"SELECT count(*) AS n, sum({breaks}) AS breaks FROM {scan}")[0]  # noqa: S608
        more = int(found["breaks"] or 0)
        with self._opened(file, path) as opened:
            lines = sum(chunk.count(b"\n") for chunk in _chunks(opened))
        in_lines = 0 <= found["n"] + head + more - lines <= 1
        return ("line" if in_lines else "row", breaks if in_lines and more else "0")

    def _breaks(self, names: Sequence[str]) -> str:
        """SQL of how many line breaks the values of a row hold."""
        return " + ".join(
            f"coalesce(length({quoted(each)}) - length(replace({quoted(each)}, chr(10), '')), 0)" for each in names
        )

    def _opened(self, file: File, path: str) -> Any:
        if path in self._copies.values():
            return Path(path).open("rb")
        return self._table.address.system.open(file.path, "rb", compression="infer")

    def _line(self, file: File, path: str, torn: Mapping[str, Any]) -> int:
        """The line at a byte of a file; the row where that is not known."""
        if torn["start"] is None:
            return int(torn["line"])
        with self._opened(file, path) as opened:
            left, lines = int(torn["start"]), 1
            while left > 0 and (chunk := opened.read(min(left, CHUNK_BYTES))):
                left, lines = left - len(chunk), lines + chunk.count(b"\n")
            return lines

    def _encoding(self, file: File) -> str:
        with self._table.address.system.open(file.path, "rb", compression="infer") as opened:
            begins = opened.read(4)
        return next((name for mark, name in _MARKS if begins.startswith(mark)), "utf-8")

    def _path(self, file: File, format: Format) -> str:
        """The file as DuckDB takes it. DataError for one that is empty, or not in its encoding."""
        if not file.stamp.size and not isinstance(format.header, tuple):
            raise DataError(
                f"{file.path} is empty: it has not even a header.",
                fix="write the header, name the columns (`header: [a, b]`), or take the file away.",
            )
        plain = codecs.lookup(format.encoding or "utf-8").name == "utf-8"
        if plain and (not self._table.address.remote or not file.path.endswith(_PACKED)):
            return self._table.address.as_read(file.path)
        if file.path not in self._copies:
            self._copies[file.path] = self._copy(file, format.encoding or "utf-8")
        return self._copies[file.path]

    def _copy(self, file: File, encoding: str) -> str:
        lines = 1
        with (
            self._table.address.system.open(file.path, "rb", compression="infer") as opened,
            tempfile.NamedTemporaryFile(dir=self._folder, suffix=".csv", delete=False) as copy,
        ):
            decoder = codecs.getincrementaldecoder(encoding)()
            for chunk in _chunks(opened):
                try:
                    text = decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    at = lines + error.object[: error.start].decode(encoding, "replace").count("\n")
                    what, fix = _TORN["INVALID ENCODING"]
                    raise DataError(f"{file.path}, line {at}, {what}: {encoding}.", fix=f"{fix}.") from error
                lines += text.count("\n")
                copy.write(text.encode())
            return copy.name

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


def _chunks(opened: Any) -> Iterator[bytes]:
    """The bytes of a file, the last of them empty."""
    while chunk := opened.read(CHUNK_BYTES):
        yield chunk
    yield b""
