"""A document as the rows of a table, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from adapters.documents.files import DocumentFile, Text
from adapters.documents.formats import Format
from adapters.documents.options import Address
from adapters.documents.paths import Path, parsed, spelled
from adapters.documents.tree import BadDocument, Rows, Wrong, settled
from adapters.documents.values import EMPTY, Value
from adapters.documents.vault import SEAL, Vault
from transforms.vocabulary import Marker, RowRefused


@dataclass(frozen=True, slots=True)
class Part:
    """The values of a part of a document, as its table has them, and the whole that they are of."""

    text: Text
    whole: Rows
    own: Rows
    defaults: Rows = field(default_factory=dict)

    @property
    def rows(self) -> Rows:
        """The part's own values, and what it leaves to its defaults."""
        if not self.defaults:
            return self.own
        above = {spelled(path[:depth]) for path, _ in self.own.values() for depth in range(len(path))}
        left = {
            text: row
            for text, row in self.defaults.items()
            if text not in above and not any(spelled(row[0][:depth]) in self.own for depth in range(len(row[0]) + 1))
        }
        return {**self.own, **left}


@dataclass(frozen=True, slots=True)
class Ready:
    """The bytes of a document that is to be written, and how values were written that it no longer holds."""

    data: bytes
    written: Mapping[tuple[str, Value], str]


class DocumentTable:
    """The table of one document."""

    def __init__(self, file: DocumentFile, format_: Format, address: Address) -> None:
        self.file, self.format, self._address, self._options = file, format_, address, address.documents
        options = self._options
        self._vault = Vault(options.vault) if options.vault is not None and options.secret else None

    @property
    def create(self) -> str:
        """The columns of the table, in SQLite's SQL."""
        kind = ", kind TEXT NOT NULL DEFAULT 'text'" if self.format.typed else ""
        return f"(path TEXT NOT NULL PRIMARY KEY, value TEXT{kind})"

    def read(self) -> Part:
        """What is there now. BadDocument for what is no document of its format."""
        text = self.file.read()
        if text.there and not text.text.strip() and self.format.title == "JSON":
            raise BadDocument("it is empty, and JSON is not.", fix="write {} in it.", where=f"{self.file.path}:1")
        whole = self.format.parse(text.text, self._wrong(text.text), self._options.keyed)
        at, defaults = self._address.at, self._address.defaults
        return Part(text, whole, _below(whole, at), {} if defaults is None else _below(whole, defaults))

    def _wrong(self, text: str) -> Wrong:
        return Wrong(str(self.file.path), text)

    def arrow(self, part: Part) -> pa.Table:
        """The rows of the table, what is secret sealed."""
        rows = part.rows
        columns = {"path": pa.array(list(rows), pa.string())}
        columns["value"] = pa.array([self._shown(path, value) for path, (_, value) in rows.items()], pa.string())
        if self.format.typed:
            columns["kind"] = pa.array([value.kind for _, value in rows.values()], pa.string())
        return pa.table(columns)

    def _shown(self, path: str, value: Value) -> str | None:
        if value.text is None or self._vault is None or not self._options.hides(path):
            return value.text
        return self._vault.sealed(value.text)

    def value(self, path: str, text: str | None, kind: str | None) -> Value:
        """The value that a row says. RowRefused where it is a seal that stands for nothing here, or where one should be."""
        kind = kind if kind is not None else ("null" if text is None and not self.format.typed else "text")
        hidden = self._vault is not None and self._options.hides(path)
        if text is not None and hidden and kind not in EMPTY:
            known = self._vault.opened(text) if self._vault is not None and text.startswith(SEAL) else None
            if known is None:
                raise RowRefused(
                    f"{path} is secret here, and what is to be written is not.",
                    fix="name the path that it comes from under `documents: secret:`, too.",
                )
            return Value(kind, known)
        if text is not None and not hidden and text.startswith(SEAL) and self._vault is not None:
            raise RowRefused(
                f"{path} is not secret here, and what is to be written is.",
                fix="name the path under `documents: secret:`.",
            )
        return Value(kind, text)

    def refusal(self, path: str, text: str | None, kind: str | None) -> str | None:
        """Why the document cannot have a row, by itself; None where it can."""
        try:
            value = self.value(path, text, kind)
        except RowRefused as error:
            return str(error)
        return self.format.refusal(
            spelled((*self._address.at, *(parsed(path) or ()))) if parsed(path) is not None else path, value
        )

    def ready(self, part: Part, found: pa.Table) -> Ready | None:
        """The document that has these rows; None where it is as it was. RowRefused where there is none."""
        rows = settled(self._rows(found))
        if rows == part.rows:
            return None
        spellings = self.file.spellings()
        wrong, lists = self._wrong(part.text.text), self._options.keyed
        try:
            whole = settled(self._whole(part, rows))
            text, replaced = self.format.changed(part.text.text, whole, wrong, lists, spellings)
        except BadDocument as error:
            raise RowRefused(error.what, error.what, fix=error.fix, where=error.where) from error
        told = {
            key: each for key, each in replaced.items() if not self._is_secret(key[0]) and spellings.get(key) != each
        }
        return Ready(part.text.encoded(text), told)

    def write(self, part: Part, ready: Ready | None, marker: Marker | None) -> None:
        """Replace the document, its marker with it."""
        if ready is not None:
            self.file.replace(part.text, ready.data, marker, ready.written)
        elif marker is not None:
            self.file.mark(marker)

    def _is_secret(self, path: str) -> bool:
        own = parsed(path) or ()
        return self._options.hides(path) or any(self._options.hides(spelled(own[depth:])) for depth in range(len(own)))

    def _rows(self, found: pa.Table) -> Rows:
        kinds = found["kind"].to_pylist() if self.format.typed else [None] * found.num_rows
        rows: Rows = {}
        for path, text, kind in zip(found["path"].to_pylist(), found["value"].to_pylist(), kinds, strict=True):
            why = self.refusal(path, text, kind)
            if why is not None:
                raise RowRefused(
                    f"{self.file.path} cannot have {path}: {why}.", why, fix="correct the row or the mapping."
                )
            rows[path] = (parsed(path) or (), self.value(path, text, kind))
        return rows

    def _whole(self, part: Part, rows: Rows) -> Rows:
        """The whole document with other rows in its part."""
        at = self._address.at
        for path in part.rows:
            if path in part.defaults and path not in rows:
                raise RowRefused(
                    f"{path} has a default in {spelled(self._address.defaults or ())}: it cannot be taken away from "
                    f"{spelled(at) or 'the document'} alone.",
                    fix="give it another value, or take the default away.",
                )
        own = {path: row for path, row in rows.items() if self._is_own(part, path, row[1])}
        kept = {path: row for path, row in part.whole.items() if row[0][: len(at)] != at}
        return {**kept, **{spelled((*at, *path)): ((*at, *path), value) for path, value in own.values()}}

    def _is_own(self, part: Part, path: str, value: Value) -> bool:
        """Whether a value is written, or is that of the defaults."""
        default = part.defaults.get(path)
        if default is None or default[1] != value:
            return True
        return path in part.own and part.own[path][1] == value

    def mark_of(self, part: Part) -> str:
        """A text that names the state of the document."""
        return hashlib.sha256(part.text.data).hexdigest()[:16] if part.text.there else "no file yet"


def _below(rows: Rows, at: Path) -> Rows:
    if not at:
        return rows
    depth = len(at)
    return {
        spelled(path[depth:]): (path[depth:], value)
        for path, value in rows.values()
        if path[:depth] == at and not (len(path) == depth and value.kind == "map")
    }
