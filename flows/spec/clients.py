"""Clients: many sources of one target. A spec of several is named with one of them behind it, such as `crm.yaml@vienna`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from flows.spec.columns import Strict
from flows.spec.document import Composed, Document, read_document
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

    def same_as(self, other: Settings) -> bool:
        """Whether both lead to one database."""
        return (self.url, self.variables) == (other.url, other.variables)


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


class Own(NamedTuple):
    """What a client has of its own: its settings, its URL as it is written, and the values of the environment that are in them."""

    settings: Settings
    url: Any
    variables: Mapping[str, str]


def clients_of(path: Path, environ: Mapping[str, str]) -> dict[str, Own]:
    """The clients of a spec, by name and in its order; none where it has none, or where one of them is named already.

    Errors: SpecError for what is wrong with them.
    """
    file, client = of_client(path)
    return {} if client is not None else _clients_in(Composed(file), environ)


def must_be_one(known: Collection[str], client: str, file: Path) -> None:
    """Errors: SpecError where a spec has no client of that name."""
    if client not in known:
        raise SpecError(f"it has no client {client}. {meant(client, known)}", where=str(file))


def document_of(path: Path, environ: Mapping[str, str]) -> tuple[Document, str | None]:
    """The document of a spec as one client has it, and the client.

    Errors: as of `read_document`, and SpecError where the spec has several clients and none is named, or it has no such client.
    """
    file, client = of_client(path)
    composed = Composed(file)
    known = _clients_in(composed, environ)
    if client is None:
        if known:
            first = with_client(file, next(iter(known)))
            what = f"it is about several clients ({', '.join(known)}), and none is named."
            fix = (
                f"name one, such as {first}; `plan`, `run`, `verify` and `check` go over all of them, or take --client."
            )
            raise SpecError(what, fix=fix, where=str(file))
        return composed.document(environ), None
    if not known:
        raise SpecError(f"it has no `clients:`, and {client} is asked for.", fix=f"name it {file}.", where=str(file))
    must_be_one(known, client, file)
    own = known[client]
    read = composed.document({**environ, **own.settings.variables})
    raw, data = ({key: value for key, value in each.items() if key != KEY} for each in (read.raw, read.data))
    if own.settings.url is not None:
        for each, url in ((raw, own.url), (data, own.settings.url)):
            source = each.get("source", {})
            each["source"] = {**source, "url": url} if isinstance(source, dict) else source
    return replace(read, raw=raw, data=data, variables={**read.variables, **own.variables}), client


def _clients_in(composed: Composed, environ: Mapping[str, str]) -> dict[str, Own]:
    document = composed.document(environ, only=KEY)
    if KEY not in document.data:
        return {}
    model = InFolder if isinstance(document.data[KEY], dict) else Listed
    try:
        said = model.model_validate(document.data, context={"folder": composed.path.absolute().parent}).clients
    except ValidationError as error:
        raise explain(error, document, model) from None
    where = document.where(KEY)
    if isinstance(said, Folder):
        listed = list(_in_folder(composed.path.absolute().parent / said.folder, environ))
    else:
        urls = [each.get("url") for each in document.raw[KEY]]
        listed = [(each.name, Own(each, url, document.variables)) for each, url in zip(said, urls, strict=True)]
    if not listed:
        raise SpecError("clients has none.", fix="name one, or leave `clients:` out.", where=where)
    found: dict[str, Own] = {}
    for name, own in listed:
        if name in found:
            raise SpecError(f"clients has two of the name {name}.", fix="give each a name of its own.", where=where)
        same = next((other for other, known in found.items() if known.settings.same_as(own.settings)), None)
        if same is not None:
            what = f"clients: {same} and {name} are one and the same database."
            raise SpecError(what, fix="give each a database of its own.", where=where)
        found[name] = own
    return found


def _in_folder(place: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, Own]]:
    """A client for each file of a folder, by name."""
    for each in sorted(place.iterdir()):
        if each.name.startswith(".") or each.suffix not in (*_FILES, *_SPECS):
            continue
        if not re.fullmatch(NAME, each.stem):
            raise SpecError(
                f"{each.stem!r} is no name of a client.", fix="use letters, digits, _ . and -.", where=str(each)
            )
        if each.suffix in _FILES:
            url = f"{_FILES[each.suffix]}:///{each.name}"
            yield each.stem, Own(Settings(url=Url(url, place)), url, {})
            continue
        document = read_document(each, environ)
        try:
            settings = Settings.model_validate(document.data, context={"folder": place})
        except ValidationError as error:
            raise explain(error, document, Settings) from None
        yield each.stem, Own(settings, document.raw.get("url"), document.variables)


def family(migration: str) -> str:
    """What the migrations of all clients of a spec have in common: its own name."""
    return migration.partition("@")[0]
