"""Clients and targets: a spec of many databases on one side. One of them is named behind it, such as `crm.yaml@vienna`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from flows.spec.columns import Strict
from flows.spec.document import Composed, Document
from flows.spec.filled import Fill
from flows.spec.member_lists import Folder, Glob, Member, Own, Query, in_folder, of_glob, of_query, written
from flows.spec.problems import explain, meant
from flows.spec.urls import SecretRef, Url, UrlField, place_of
from transforms.vocabulary import SideName, SpecError, other_side

CLIENTS: Final = "clients"
TARGETS: Final = "targets"


class Kind(NamedTuple):
    """Many databases of a side: the key of the spec that says them, and what one of them is called."""

    key: str
    word: str
    side: SideName


KINDS: Final = (Kind(CLIENTS, "client", "source"), Kind(TARGETS, "target", "target"))


class Some(Strict):
    """The part of a spec that is about its clients or targets."""

    clients: list[Member] | None = None
    targets: list[Member] | None = None


class InFolder(Strict):
    """So, where a folder has them."""

    clients: Folder | None = None
    targets: Folder | None = None


class ByGlob(Strict):
    """So, where a pattern finds them."""

    targets: Glob | None = None
    clients: Glob | None = None


class ByQuery(Strict):
    """So, where a query names them."""

    targets: Query | None = None
    clients: Query | None = None


class _Address(Strict):
    url: UrlField


@dataclass(frozen=True, slots=True)
class Family:
    """The clients or targets of a spec, by name and in its order."""

    kind: Kind
    members: Mapping[str, Own]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)


@dataclass(frozen=True, slots=True)
class _Going:
    file: Path
    family: Family
    at_once: int


_going: ContextVar[_Going | None] = ContextVar("going", default=None)


@contextmanager
def going_over(file: Path, family: Family, at_once: int = 1) -> Iterator[None]:
    """Inside, the members of a spec are these: nobody asks for them again. So many of them are worked on `at_once`."""
    token = _going.set(_Going(file, family, at_once))
    try:
        yield
    finally:
        _going.reset(token)


def at_once() -> int:
    """How many runs of this process share its workers."""
    going = _going.get()
    return going.at_once if going is not None else 1


def of_member(path: Path) -> tuple[Path, str | None]:
    """The file of a spec, and the client or target that is named behind it, if any."""
    if "@" not in path.name or path.exists():
        return path, None
    file, _, name = path.name.rpartition("@")
    return path.with_name(file), name


def with_member(file: Path, name: str) -> Path:
    """How a spec is named for one of its clients or targets."""
    return file.with_name(f"{file.name}@{name}")


def family_of(path: Path, environ: Mapping[str, str]) -> Family | None:
    """The clients or targets of a spec; None where it has none, or where one of them is named already.

    Errors: SpecError for what is wrong with them; ConnectionFailed where a query is asked and nobody answers.
    """
    file, name = of_member(path)
    return None if name is not None else _family_in(Composed(file), environ)


def must_be_one(family: Family, name: str, file: Path) -> None:
    """Errors: SpecError where a spec has none of that name."""
    if name not in family.members:
        raise SpecError(f"it has no {family.kind.word} {name}. {meant(name, family.members)}", where=str(file))


class Read(NamedTuple):
    """The document of a spec, and which of several clients or targets it is of, if any."""

    document: Document
    kind: Kind | None = None
    name: str | None = None


def document_of(path: Path, environ: Mapping[str, str]) -> Read:
    """The document of a spec as one client or target has it.

    Errors: as of `read_document` and `family_of`, and SpecError where the spec has several and none is named, or it has no such one.
    """
    file, name = of_member(path)
    composed = Composed(file)
    family = _family_in(composed, environ)
    if family is None:
        if name is None:
            return Read(composed.document(environ))
        what = f"it has no `clients:` and no `targets:`, and {name} is asked for."
        raise SpecError(what, fix=f"name it {file}.", where=str(file))
    if name is None:
        what = f"it is about several {family.kind.key} ({_some(family.names)}), and none is named."
        first = with_member(file, family.names[0])
        fix = f"name one, such as {first}; `plan`, `run`, `verify`, `check` and others go over all, or take --{family.kind.word}."
        raise SpecError(what, fix=fix, where=str(file))
    must_be_one(family, name, file)
    own, kind = family.members[name], family.kind
    fill = Fill(kind.word, name, own.settings.variables, _engines(composed, environ, own, kind))
    read = composed.document({**environ, **own.written}, fill=fill)
    raw, data = ({key: value for key, value in each.items() if key != kind.key} for each in (read.raw, read.data))
    if own.settings.url is not None:
        for each, url in ((raw, own.url), (data, own.settings.url)):
            side = each.get(kind.side, {})
            each[kind.side] = {**side, "url": url} if isinstance(side, dict) else side
    return Read(replace(read, raw=raw, data=data, variables={**read.variables, **own.hidden}), kind, name)


def _some(names: Collection[str]) -> str:
    first = list(names)[:10]
    return ", ".join(first) + (f" and {len(names) - len(first):,} more" if len(names) > len(first) else "")


def _engines(composed: Composed, environ: Mapping[str, str], own: Own, kind: Kind) -> dict[str, str]:
    """By side the scheme of its URL, where the spec says it."""
    found: dict[str, str] = {}
    for side in ("source", "target"):
        url: Any = own.settings.url if side == kind.side and own.settings.url else composed.written(side, "url")
        text = url.value if isinstance(url, Url) else str(url)
        for name, value in {**environ, **own.written}.items() if text.startswith("${") else ():
            text = text.replace(f"${{{name}}}", value)
        scheme, named, _ = text.partition("://")
        found[side] = scheme.partition("+")[0].lower() if named else ""
    return found


def _family_in(composed: Composed, environ: Mapping[str, str]) -> Family | None:
    going = _going.get()
    if going is not None and going.file == composed.path:
        return going.family
    asked = [kind for kind in KINDS if composed.has(kind.key)]
    if not asked:
        return None
    kind = asked[0]
    document = composed.document(environ, only=kind.key)
    where = document.where(kind.key)
    if len(asked) > 1:
        what = "it has `clients:` and `targets:`, and one side of a spec has one database."
        raise SpecError(what, fix="make a spec of each.", where=composed.document(environ, only=TARGETS).where(TARGETS))
    members: dict[str, Own] = {}
    for name, own in _listed(composed, document, kind, environ):
        if twin := next((each for each in members if each.casefold() == name.casefold()), None):
            alike = "" if twin == name else f" ({twin}), which is one file on some machines"
            what = f"{kind.key} has two of the name {name}{alike}."
            raise SpecError(what, fix="give each a name of its own.", where=where)
        members[name] = own
    if not members:
        raise SpecError(f"{kind.key} has none.", fix=f"name one, or leave `{kind.key}:` out.", where=where)
    _check_apart(composed, environ, kind, members, where)
    return Family(kind, members)


def _listed(
    composed: Composed, document: Document, kind: Kind, environ: Mapping[str, str]
) -> Iterator[tuple[str, Own]]:
    said = document.data[kind.key]
    model = Some
    if isinstance(said, dict):
        model = ByGlob if "glob" in said else ByQuery if "query" in said else InFolder  # type: ignore[assignment]
    folder = composed.path.absolute().parent
    try:
        found: Any = getattr(model.model_validate(document.data, context={"folder": folder}), kind.key)
    except ValidationError as error:
        raise explain(error, document, model) from None
    where = document.where(kind.key)
    if isinstance(found, Folder):
        yield from in_folder(folder / found.folder, environ, kind.word)
    elif isinstance(found, Glob):
        yield from of_glob(found.glob, folder, where, kind.word)
    elif isinstance(found, Query):
        yield from of_query(found, _address(composed, environ, other_side(kind.side), folder), where, kind.word)
    else:
        urls = [each.get("url") for each in document.raw[kind.key]] if found else []
        for each, url in zip(found or (), urls, strict=True):
            yield each.name, written(each, url, document.variables)


def _address(
    composed: Composed, environ: Mapping[str, str], side: str, folder: Path, fill: Fill | None = None
) -> Url | SecretRef | None:
    """The URL of a side as the spec has it; None where it has none, or none that is one: that is said where the spec is read whole."""
    if not composed.has(side):
        return None
    said = composed.document(environ, only=side, fill=fill).data[side]
    try:
        return _Address.model_validate({"url": dict(said)["url"]}, context={"folder": folder}).url
    except (ValidationError, KeyError, TypeError, ValueError):
        return None


def _check_apart(
    composed: Composed, environ: Mapping[str, str], kind: Kind, members: Mapping[str, Own], where: str
) -> None:
    """Errors: SpecError where two are one database. Clients of one may differ in their variables: they show tables of their own."""
    folder = composed.path.absolute().parent
    seen: dict[Any, str] = {}
    for name, own in members.items():
        settings, known = own.settings, {**environ, **own.written}
        try:
            fill = Fill(kind.word, name, settings.variables, {})
            url = settings.url or _address(composed, known, kind.side, folder, fill)
            schema = composed.document(known, only=kind.side, fill=fill).data.get(kind.side)
        except SpecError:
            continue  # what it lacks is said of it alone, once it is its turn
        parts = [None if url is None else place_of(url), dict(schema or {}).get("schema")]
        if kind.key == CLIENTS:
            parts.append(tuple(sorted((key, str(value)) for key, value in settings.variables.items())))
        if (twin := seen.setdefault(tuple(parts), name)) != name:
            what = f"{kind.key}: {twin} and {name} are one and the same database."
            raise SpecError(what, fix="give each a database of its own.", where=where)


def family(migration: str) -> str:
    """What the migrations of all clients or targets of a spec have in common: its own name."""
    return migration.partition("@")[0]
