"""Documents on disk: read as text, replaced as a whole, and beside each a file that says which windows are in it.

The file `.NAME.syncline` beside a document is where its markers are: whoever writes the document, from whatever folder or machine,
has to see them, and a document itself has no place for them. A marker goes to disk before the document does, with the name of the
file that is to become the document: it holds once that name is gone, and only a rename takes it away.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from adapters.documents.splice import Spellings
from adapters.documents.tree import BadDocument
from adapters.documents.values import Value
from adapters.plain_files import sync_folder
from transforms.vocabulary import ChangedMeanwhile, ConnectionFailed, Marker

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Text:
    """A document as it was read: its text with line ends of \\n where all of them were \\r\\n, and its bytes."""

    text: str
    data: bytes
    there: bool = True
    bom: bool = False
    crlf: bool = False

    def encoded(self, text: str) -> bytes:
        """Another text in the same encoding."""
        lines = text.replace("\n", "\r\n") if self.crlf else text
        return (_BOM if self.bom else b"") + lines.encode()


NOTHING: Final = Text("", b"", there=False)


class DocumentFile:
    """One document. Symbolic links lead to the file that is written. `create`: one that is not there is taken for empty; the
    owner alone may read one that is made where it is `private`.
    """

    def __init__(self, path: Path, *, create: bool, private: bool = False) -> None:
        self.path = path
        self._create = create
        self._private = private

    @property
    def real(self) -> Path:
        return self.path.resolve()

    def read(self) -> Text:
        """The document now. ConnectionFailed where it is not there or cannot be opened, BadDocument where it is no UTF-8."""
        try:
            data = self.real.read_bytes()
        except FileNotFoundError:
            if self._create and self.real.parent.is_dir():
                return NOTHING
            raise ConnectionFailed(f"There is no file {self.path}.", fix="correct the path in the URL.") from None
        except OSError as error:
            raise ConnectionFailed(
                f"Cannot read {self.path}: {error.strerror}.", fix="check its permissions."
            ) from error
        body = data.removeprefix(_BOM)
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            line = body.count(b"\n", 0, error.start) + 1
            raise BadDocument("this is no UTF-8.", fix="save the file as UTF-8.", where=f"{self.path}:{line}") from None
        crlf = "\r\n" in text and text.count("\r\n") == text.count("\n")
        return Text(
            text.replace("\r\n", "\n") if crlf else text,
            data,
            bom=body is not data and len(body) < len(data),
            crlf=crlf,
        )

    @property
    def _beside(self) -> Path:
        return self.real.with_name(f".{self.real.name}.syncline")

    def unwritable(self) -> str | None:
        """Why the document cannot be written; None where nothing is known against it."""
        folder = self.real.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"its folder {folder} is read-only for this user. Fix: let the user write in it: documents are replaced as a whole."
        return None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time. What a killed one left is cleared away."""
        try:
            mode = self.real.stat().st_mode & 0o777 if self.real.exists() else 0o600
            lock = os.open(self._beside, os.O_RDWR | os.O_CREAT, mode)
        except OSError as error:
            raise ConnectionFailed(
                f"Cannot write beside {self.path}: {error.strerror}.", fix=f"let this user write in {self.real.parent}."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._clear()
            yield
        finally:
            os.close(lock)

    def _clear(self) -> None:
        for entry in self._entries():
            name = entry.get("becomes")
            if name and (left := self.real.with_name(name)).exists():
                self._note({"void": name})
                left.unlink()

    def _entries(self) -> list[dict[str, Any]]:
        """What is noted beside the document; a line that was cut off was never said."""
        found: list[dict[str, Any]] = []
        with suppress(FileNotFoundError):
            for line in self._beside.read_text("utf-8").split("\n"):
                with suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def markers(self) -> list[Marker]:
        """The windows that are in the document."""
        entries = self._entries()
        void = {entry["void"] for entry in entries if "void" in entry}
        return [
            Marker(**entry["marker"])
            for entry in entries
            if "marker" in entry and entry["becomes"] not in void and not self.real.with_name(entry["becomes"]).exists()
        ]

    def spellings(self) -> Spellings:
        """How values were written that stood there once."""
        found: dict[tuple[str, Value], str] = {}
        for entry in self._entries():
            for path, kind, text, written in entry.get("written", ()):
                found[path, Value(kind, text)] = written
        return found

    def replace(
        self, before: Text, data: bytes, marker: Marker | None, written: Mapping[tuple[str, Value], str]
    ) -> None:
        """Put other bytes in the place of those that were read, all or nothing. ChangedMeanwhile where somebody else did."""
        name = f".{self.real.name}.syncline-{secrets.token_hex(8)}"
        ready = self.real.with_name(name)
        try:
            self._write(ready, data)
            note: dict[str, Any] = {"becomes": name}
            if marker is not None:
                note["marker"] = asdict(marker)
            if written:
                note["written"] = [[path, value.kind, value.text, text] for (path, value), text in written.items()]
            self._note(note)
            self._hold(before)
            ready.replace(self.real)
        except OSError as error:
            self._give_up(ready)
            raise ConnectionFailed(
                f"Cannot write {self.path}: {error.strerror}; nothing was written.",
                fix=f"let this user write in {self.real.parent}, and free space there.",
            ) from error
        except BaseException:
            self._give_up(ready)
            raise
        sync_folder(self.real.parent)

    def _hold(self, before: Text) -> None:
        if self.read().data != before.data or self.real.exists() != before.there:
            raise ChangedMeanwhile(
                f"{self.path} was edited while it was to be written; nothing was written.", fix="plan again."
            )

    def _give_up(self, ready: Path) -> None:
        if ready.exists():
            self._note({"void": ready.name})
            ready.unlink()

    def mark(self, marker: Marker) -> None:
        """Say that a window is in, which changed nothing."""
        self._note({"becomes": f".{self.real.name}.syncline-none", "marker": asdict(marker)})

    def _write(self, path: Path, data: bytes) -> None:
        """A new file with the mode and the owner of the document."""
        known = self.real.stat() if self.real.exists() else None
        file = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if known is not None or self._private else 0o666
        )
        with os.fdopen(file, "wb") as stream:
            if known is not None:
                own = os.fstat(file)
                if (own.st_uid, own.st_gid) != (known.st_uid, known.st_gid):
                    os.fchown(file, known.st_uid, known.st_gid)
                os.fchmod(file, known.st_mode & 0o7777)
                for attribute in os.listxattr(self.real):
                    with suppress(OSError):
                        os.setxattr(file, attribute, os.getxattr(self.real, attribute))
            stream.write(data)
            stream.flush()
            os.fsync(file)

    def _note(self, entry: Mapping[str, Any]) -> None:
        file = os.open(self._beside, os.O_RDWR | os.O_APPEND)
        try:
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            size = os.fstat(file).st_size
            whole = not size or os.pread(file, 1, size - 1) == b"\n"
            os.write(file, (line if whole else f"\n{line}").encode())
            os.fsync(file)
        finally:
            os.close(file)
        sync_folder(self.real.parent)
