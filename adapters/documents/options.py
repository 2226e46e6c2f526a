"""What a spec says of documents, and what a URL says of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from adapters.documents import paths
from adapters.documents.tree import Keyed
from transforms.vocabulary import SpecError

DECLARED: Final = "declared"
SCHEMES: Final = ("yaml", "json", "toml", "ini", "env")


@dataclass(frozen=True, slots=True)
class Documents:
    """`lists`: patterns of paths of lists, and the key that their items go by. `secret`: patterns of paths whose values are never
    shown: what is read of them is what stands for them in the file `vault`. In a pattern * is any characters.
    """

    lists: Mapping[str, str] = field(default_factory=dict)
    secret: tuple[str, ...] = ()
    vault: Path | None = None

    @classmethod
    def declared(cls, text: str) -> Documents:
        """Out of what a spec adds to a URL: JSON with the names of the fields."""
        told = json.loads(text)
        vault = told.get("vault")
        return cls(told.get("lists") or {}, tuple(told.get("secret") or ()), Path(vault) if vault else None)

    @property
    def keyed(self) -> Keyed:
        return Keyed(self.lists)

    def hides(self, path: str) -> bool:
        """Whether a value is secret: it is named, or is below what is named."""
        known = [pattern.replace("[", "[[]") for pattern in self.secret]
        return any(fnmatchcase(path, f"{each}{below}") for each in known for below in ("", ".*", "[[]*"))


@dataclass(frozen=True, slots=True)
class Address:
    """A URL such as yaml:///folder/app.yaml?at=services.web&defaults=common: a file or a folder, the part of the document whose
    values its table has, and the part that has those which are not there.
    """

    scheme: str
    file: Path
    at: paths.Path = ()
    defaults: paths.Path | None = None
    documents: Documents = field(default_factory=Documents)


def address(url: str) -> Address:
    """The parts of a URL. SpecError for one that names no file, or that has other options."""
    scheme, _, rest = url.partition("://")
    name, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    declared = options.pop(DECLARED, None)
    if not name.startswith("/") or len(name) < 2 or set(options) - {"at", "defaults"}:
        raise SpecError(
            f"{shown(url)} does not name a document.",
            fix=f"write {scheme}:///relative/file or {scheme}:////absolute/file; ?at= and &defaults= name parts of it.",
        )
    parts = {key: paths.parsed(text) for key, text in options.items()}
    for key, path in parts.items():
        if path is None:
            raise SpecError(f"{options[key]!r} spells no path.", fix="see docs/documents.md, Paths.")
    return Address(
        scheme.lower(),
        Path(unquote(name[1:])),
        parts.get("at") or (),
        parts.get("defaults"),
        Documents.declared(declared) if declared else Documents(),
    )


def shown(url: str) -> str:
    """The URL without what the spec has added to it."""
    head, _, query = url.partition("?")
    kept = [each for each in query.split("&") if each and not each.startswith(f"{DECLARED}=")]
    return f"{head}?{'&'.join(kept)}" if kept else head
