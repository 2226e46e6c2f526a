"""Files of text: read in UTF-8, and refused with the line where they are torn."""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from adapters.duckdb.snapshot import Session
from adapters.files.formats import Format
from adapters.files.listing import File, Files
from transforms.vocabulary import DataError

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


class TextFiles:
    """The files of a table, in UTF-8 where they are written otherwise: then as copies in a folder of temporary files."""

    def __init__(self, session: Session, table: Files, folder: str) -> None:
        self._session, self._table, self._folder = session, table, folder
        self._copies: dict[str, str] = {}
        self.format, self.names = Format(), list[str]()

    def forget(self) -> None:
        """What earlier queries met that was no row."""
        for each in ("reject_errors", "reject_scans"):
            self._session.execute(f"DROP TABLE IF EXISTS {each}")

    def check(self, file: File) -> None:
        """See `staged.Texts`: a row that is torn, with its line."""
        asked = "SELECT error_type AS kind, line, line_byte_position AS start FROM reject_errors ORDER BY 3 LIMIT 1"
        if torn := self._session.rows(asked):
            what, fix = _TORN.get(str(torn[0]["kind"]), ("cannot be read", "correct it"))
            line = self._line(file, self._path(file, self.format), torn[0])
            raise DataError(f"{file.path}, line {line}, {what}.", fix=f"{fix}.")

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
            for chunk in chunks(opened):
                try:
                    text = decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    at = lines + error.object[: error.start].decode(encoding, "replace").count("\n")
                    what, fix = _TORN["INVALID ENCODING"]
                    raise DataError(f"{file.path}, line {at}, {what}: {encoding}.", fix=f"{fix}.") from error
                lines += text.count("\n")
                copy.write(text.encode())
            return copy.name


def chunks(opened: Any) -> Iterator[bytes]:
    """The bytes of a file, the last of them empty."""
    while chunk := opened.read(CHUNK_BYTES):
        yield chunk
    yield b""
