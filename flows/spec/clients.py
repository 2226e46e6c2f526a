"""Clients: many sources of one target. A spec of several is named with one of them behind it, such as `crm.yaml@vienna`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, model_validator

from flows.spec.columns import Strict
from flows.spec.document import Document, read_document
from flows.spec.problems import Invalid, explain, meant
from flows.spec.urls import Url, UrlField, folder_of
from transforms.vocabulary import SpecError

NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"
KEY: Final = "clients"
_FILES: Final = {".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb"}
_SPECS: Final = (".yaml", ".yml")

Variables = dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str]


class Settings(Strict):
    """What a client has of its own: the URL of its database, or variables that the spec's `${NAME}` stand for, or both."""

    url: UrlField | None = Field(default=None, description="Its database, in the place of source.url.")
    variables: Variables = Field(default={}, description="What ${NAME} in the spec is for it; before the environment.")

    @model_validator(mode="after")
    def _own(self) -> Settings:
        if self.url is None and not self.variables:
            raise Invalid(
                "says nothing of its own.", fix="give it a `url:`, or `variables:` that source.url is made of"
            )
        return self


class Client(Settings):
    """One of several sources of a target."""

    name: str = Field(pattern=NAME, description="What it is called: letters, digits, _ . and -.")


class Folder(Strict):
    """A folder with a file for each client, named after it: a database (.db, .sqlite, .duckdb), or .yaml with its settings."""

    folder: Path = Field(description="A relative one starts from the spec's folder.")

    @model_validator(mode="after")
    def _there(self, info: ValidationInfo) -> Folder:
        place = folder_of(info) / self.folder
        if not place.is_dir():
            raise Invalid("is no folder.", "folder", fix="correct the path, or make it")
        return self


Clients = list[Client] | Folder
"""`clients` of a spec."""


class Listed(Strict):
    """The part of a spec that is about its clients, where they are listed."""

    clients: list[Client]


class InFolder(Strict):
    """The part of a spec that is about its clients, where a folder has them."""

    clients: Folder


def of_client(path: Path) -> tuple[Path, str | None]:
    """The file of a spec, and the client that is named behind it, if any."""
    if "@" not in path.name or path.exists():
        return path, None
    file, _, client = path.name.rpartition("@")
    return path.with_name(file), client


def with_client(file: Path, client: str) -> Path:
    """How a spec is named for one of its clients."""
    return file.with_name(f"{file.name}@{client}")


def clients_of(path: Path, environ: Mapping[str, str]) -> dict[str, Settings]:
    """The clients of a spec, by name and in its order; none where it has none, or where one of them is named already.

    Errors: SpecError for what is wrong with them.
    """
    file, client = of_client(path)
    return {} if client is not None else _clients_in(file, environ)


def document_of(path: Path, environ: Mapping[str, str]) -> tuple[Document, str | None]:
    """The document of a spec as one client has it, and the client.

    Errors: as of `read_document`, and SpecError where the spec has several clients and none is named, or it has no such client.
    """
    file, client = of_client(path)
    known = _clients_in(file, environ)
    if client is None:
        if known:
            first = with_client(file, next(iter(known)))
            what = f"it is about several clients ({', '.join(known)}), and none is named."
            fix = (
                f"name one, such as {first}; `plan`, `run`, `verify` and `check` go over all of them, or take --client."
            )
            raise SpecError(what, fix=fix, where=str(file))
        return read_document(file, environ), None
    if not known:
        raise SpecError(f"it has no `clients:`, and {client} is asked for.", fix=f"name it {file}.", where=str(file))
    if client not in known:
        raise SpecError(f"it has no client {client}. {meant(client, known)}", where=str(file))
    own = known[client]
    read = read_document(file, {**environ, **own.variables})
    raw, data = ({key: value for key, value in each.items() if key != KEY} for each in (read.raw, read.data))
    if own.url is not None:
        written = own.url.value if isinstance(own.url, Url) else {"secret": own.url.block}
        for each, url in ((raw, written), (data, own.url)):
            source = each.get("source", {})
            each["source"] = {**source, "url": url} if isinstance(source, dict) else source
    return replace(read, raw=raw, data=data), client


def _clients_in(file: Path, environ: Mapping[str, str]) -> dict[str, Settings]:
    document = read_document(file, environ, only=KEY)
    if KEY not in document.data:
        return {}
    model = InFolder if isinstance(document.data[KEY], dict) else Listed
    try:
        said = model.model_validate(document.data, context={"folder": file.absolute().parent}).clients
    except ValidationError as error:
        raise explain(error, document, model) from None
    where = document.where(KEY)
    listed = [(each.name, each) for each in said] if isinstance(said, list) else list(_in_folder(said, file, environ))
    if not listed:
        raise SpecError("clients has none.", fix="name one, or leave `clients:` out.", where=where)
    found: dict[str, Settings] = {}
    for name, each in listed:
        if name in found:
            raise SpecError(f"clients has two of the name {name}.", fix="give each a name of its own.", where=where)
        same = [
            other
            for other, settings in found.items()
            if (settings.url, settings.variables) == (each.url, each.variables)
        ]
        if same:
            what = f"clients: {same[0]} and {name} are one and the same database."
            raise SpecError(what, fix="give each a database of its own.", where=where)
        found[name] = each
    return found


def _in_folder(said: Folder, file: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, Settings]]:
    """A client for each file of a folder, by name."""
    place = file.absolute().parent / said.folder
    for each in sorted(place.iterdir()):
        if each.name.startswith(".") or each.suffix not in (*_FILES, *_SPECS):
            continue
        if not re.fullmatch(NAME, each.stem):
            raise SpecError(
                f"{each.stem!r} is no name of a client.", fix="use letters, digits, _ . and -.", where=str(each)
            )
        if each.suffix in _FILES:
            yield each.stem, Settings(url=Url(f"{_FILES[each.suffix]}:///{each.name}", place))
            continue
        document = read_document(each, environ)
        try:
            yield each.stem, _SETTINGS.validate_python(document.data, context={"folder": place})
        except ValidationError as error:
            raise explain(error, document, Settings) from None


_SETTINGS: Final[TypeAdapter[Settings]] = TypeAdapter(Settings)


def family(migration: str) -> str:
    """What the migrations of all clients of a spec have in common: its own name."""
    return migration.partition("@")[0]
