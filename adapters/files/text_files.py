"""Files of text: read in UTF-8, and what is known of their lines."""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from adapters.duckdb.snapshot import Session
from adapters.files.formats import Format
from adapters.files.lines import chunks, ending, odd_ending
from adapters.files.listing import File, Files
from adapters.files.torn import Lines, Settling
from transforms.vocabulary import DataError, SpecError, SynclineError

LONGEST_ROW: Final = 32 * 1024 * 1024  # bytes
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PACKED: Final = (".gz", ".zst", ".bz2")
_UNDECODED: Final = "syncline-undecoded"
"""How what is no text in its encoding is passed on."""


class TextFiles:
    """The files of a table, in UTF-8 where they are written otherwise: then as copies in a folder of temporary files."""

    def __init__(self, session: Session, table: Files, folder: str) -> None:
        self._session, self._table, self._folder = session, table, folder
        self._copies: dict[str, str] = {}
        self.format, self.names = Format(), list[str]()

    def forget(self) -> None:
        """Begin anew with what queries meet that is no row."""
        for each in ("reject_errors", "reject_scans"):
            self._session.execute(f"DROP TABLE IF EXISTS {each}")

    def torn(self) -> bool:
        """See `staged.Texts`."""
        return bool(self._session.rows("SELECT count(*) AS n FROM reject_errors")[0]["n"])

    def settle(self, staged: str, file: File, number: int, partitions: list[str]) -> None:
        """See `staged.Texts`."""
        path = self._path(file, self.format)
        with self._opened(file, path) as opened:
            Settling(self._session, staged, file, number).settle(opened, self.lines(file), partitions)

    def lines(self, file: File) -> Lines:
        """How lines of a file are counted."""
        raise NotImplementedError

    @contextmanager
    def alike(self, quote: str) -> Iterator[None]:
        """DataError with the line where reading comes to nothing because lines of a file end in unlike ways."""
        try:
            yield
        except SynclineError as error:
            if isinstance(error, DataError | SpecError):
                raise
            for file in self._table.files:
                with self._opened(file, self._path(file, self.format)) as opened:
                    line = odd_ending(opened, quote.encode())
                if line is not None:
                    raise DataError(
                        f"{file.path}, line {line}, ends otherwise than line 1 (CRLF, LF or CR): which breaks end a row is not clear.",
                        fix="make all line ends alike, as dos2unix does.",
                    ) from error
            raise

    def _ending(self, file: File) -> str:
        with self._opened(file, self._path(file, self.format)) as opened:
            return ending(opened).decode()

    def _opened(self, file: File, path: str) -> Any:
        if path in self._copies.values():
            return Path(path).open("rb")
        return self._table.address.system.open(file.path, "rb", compression="infer")

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
        """What is nothing in the encoding is nothing in UTF-8 either, so that its row is set aside."""
        with (
            self._table.address.system.open(file.path, "rb", compression="infer") as opened,
            tempfile.NamedTemporaryFile(dir=self._folder, suffix=".csv", delete=False) as copy,
        ):
            decoder = codecs.getincrementaldecoder(encoding)(_UNDECODED)
            for chunk in chunks(opened):
                copy.write(decoder.decode(chunk, final=not chunk).encode("utf-8", _UNDECODED))
            return copy.name


def _marked(error: UnicodeError) -> tuple[str | bytes, int]:
    """What cannot be decoded is a lone surrogate, and that a byte which is in no UTF-8."""
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    if isinstance(error, UnicodeEncodeError):
        return b"\xff" * (error.end - error.start), error.end
    raise error


codecs.register_error(_UNDECODED, _marked)
