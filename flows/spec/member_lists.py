"""Where the clients or targets of a spec are said: a list, a folder, a glob of files, or a query."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, model_validator

from flows.spec.columns import Strict
from flows.spec.document import read_document
from flows.spec.filled import Value
from flows.spec.problems import Invalid, explain
from flows.spec.urls import SecretRef, Url, UrlField, folder_of, resolve_url
from transforms.vocabulary import INVALID, ConnectionFailed, Relation, SpecError, SynclineError, message_of

NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"
SIGNS: Final = "letters, digits, _ . and -"
MOST: Final = 10_000  # members of a spec
RESERVED: Final = ("name", "url")
_FILES: Final = {".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb"}
_SPECS: Final = (".yaml", ".yml")
_PART: Final = re.compile(r"\{([A-Za-z_]\w*)\}")


def _value(value: Any) -> Any:
    if not isinstance(value, Value) or (isinstance(value, float) and not math.isfinite(value)):
        raise Invalid("must be text, a number, true or false", fix="leave out what has no value")
    return value


VariableValue = Annotated[Any, BeforeValidator(_value, json_schema_input_type=Value)]
Variables = dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], VariableValue]


class Settings(Strict):
    """What a client or target has of its own: the URL of its database, or variables, or both."""

    url: UrlField | None = Field(
        default=None,
        description="Its database, in the place of source.url or target.url.",
        examples=["sqlite:///graz.db"],
    )
    variables: Variables = Field(
        default={},
        description="What ${client.NAME} or ${target.NAME} in the spec is for it, and ${NAME}, before the environment.",
        examples=[{"region": "south"}],
    )

    @model_validator(mode="after")
    def _own(self) -> Settings:
        if self.url is None and not self.variables:
            raise Invalid("says nothing of its own.", fix="give it a `url:`, or `variables:` that its URL is made of")
        for name in RESERVED:
            if name in self.variables:
                raise Invalid(f"has a variable {name}, which has a meaning.", "variables", fix="call it otherwise")
        return self


class Member(Settings):
    """One of several databases of one side."""

    name: str = Field(pattern=NAME, description=f"What it is called: {SIGNS}.", examples=["graz"])


class Folder(Strict):
    """A folder with a file for each, named after it: a database (.db, .sqlite, .duckdb), or .yaml with its settings."""

    folder: Path = Field(description="A relative one starts from the spec's folder.", examples=["shops"])

    @model_validator(mode="after")
    def _there(self, info: ValidationInfo) -> Folder:
        place = folder_of(info) / self.folder
        if not place.is_dir():
            raise Invalid("is no folder.", "folder", fix="correct the path, or make it")
        return self


class Glob(Strict):
    """SQLite and DuckDB files, each named after its file."""

    glob: str = Field(
        min_length=1,
        description="Such as shops/*.db, or shops/{region}/{name}.db: what is in braces stands for any text, and is a variable.",
        examples=["shops/{region}/{name}.db"],
    )


class Query(Strict):
    """A query that answers with a row for each: its name, its url if the spec does not say it all, and variables."""

    query: str = Field(
        min_length=1,
        description="In the dialect of the database that is asked. A column `name`.",
        examples=["SELECT name, url FROM shops"],
    )
    url: UrlField | None = Field(
        default=None,
        description="Where it is asked: the side of which there is one, if not given.",
        examples=["${CENTRE}"],
    )


Members = list[Member] | Folder | Glob | Query
"""`clients` or `targets` of a spec."""


class Own(NamedTuple):
    """What a client or target has of its own: its settings, its URL as it may be shown, the variables that are written in the spec,
    which are `${NAME}` too, and what of the environment, or of a database, is in all that and is not to be shown."""

    settings: Settings
    url: Any
    written: Mapping[str, str]
    hidden: Mapping[str, str]


def written(settings: Settings, url: Any, hidden: Mapping[str, str]) -> Own:
    """Of one that is said in a file."""
    return Own(settings, url, {name: str(value) for name, value in settings.variables.items()}, hidden)


def in_folder(place: Path, environ: Mapping[str, str], word: str) -> Iterator[tuple[str, Own]]:
    """One for each file of a folder, by name."""
    for each in sorted(place.iterdir()):
        if each.name.startswith(".") or each.suffix not in (*_FILES, *_SPECS):
            continue
        _check_name(each.stem, word, str(each))
        if each.suffix in _FILES:
            yield each.stem, _of_file(each, place, {})
            continue
        document = read_document(each, environ)
        try:
            settings = Settings.model_validate(document.data, context={"folder": place})
        except ValidationError as error:
            raise explain(error, document, Settings) from None
        yield each.stem, written(settings, document.raw.get("url"), document.variables)


def of_glob(pattern: str, place: Path, where: str, word: str) -> Iterator[tuple[str, Own]]:
    """One for each file that a pattern finds, by path. Errors: SpecError where it finds none."""
    parts = _PART.findall(pattern)
    if len(set(parts)) != len(parts):
        raise SpecError(f"{pattern} names a part twice.", fix="give each a name of its own.", where=where)
    named = re.compile(_captures(pattern))
    base = Path(pattern).anchor
    found = Path(base).glob(_PART.sub("*", pattern)[len(base) :]) if base else place.glob(_PART.sub("*", pattern))
    count = 0
    for each in sorted(found):
        text = each.as_posix() if base else each.relative_to(place).as_posix()
        match = named.fullmatch(text)
        if match is None or not each.is_file():
            continue
        if each.suffix not in _FILES:
            known = ", ".join(_FILES)
            raise SpecError(f"{each} is no database by its name.", fix=f"name files that end in {known}.", where=where)
        variables = match.groupdict()
        name = variables.pop("name", each.stem)
        _check_name(name, word, f"{where}: {each}")
        count += 1
        yield name, _of_file(each, place, variables)
    if not count:
        raise SpecError(
            f"{pattern} finds no file.", fix=f"correct the pattern; it starts from {place.absolute()}.", where=where
        )


def _captures(pattern: str) -> str:
    """The pattern as a regular expression that names its parts: wildcards are any text within a folder, ** any folders."""
    made = ""
    for text in re.split(r"(\{[A-Za-z_]\w*\}|\*\*/|\*|\?|\[[^]]+\])", Path(pattern).as_posix()):
        if part := _PART.fullmatch(text):
            made += f"(?P<{part[1]}>[^/]*)"
        else:
            wild = {"*": "[^/]*", "**/": "(?:.*/)?", "?": "[^/]"}.get(text)
            made += wild or (text.replace("[!", "[^", 1) if re.fullmatch(r"\[[^]]+\]", text) else re.escape(text))
    return made


def _of_file(file: Path, place: Path, variables: Mapping[str, str]) -> Own:
    inside = file.relative_to(place).as_posix() if file.is_relative_to(place) else file.as_posix()
    url = f"{_FILES[file.suffix]}:///{inside}"
    return Own(Settings(url=Url(url, place), variables=dict(variables)), url, {}, {})


def of_query(said: Query, beside: Url | SecretRef | None, where: str, word: str) -> Iterator[tuple[str, Own]]:
    """One for each row that a query answers with, in its order. `beside`: the URL that is asked where the spec names none for it.

    Errors: SpecError for a query that fails, for names that are none, and for values that no variable has; ConnectionFailed.
    """
    url = said.url or beside
    if url is None:
        raise SpecError("the query is asked nowhere.", fix="give it a `url:`.", where=where)
    rows = _asked(resolve_url(url), said.query, where)
    for number, row in enumerate(rows, 1):
        at = f"{where}: row {number} of the query"
        if not isinstance(name := row.get("name"), str | int) or isinstance(name, bool) or name == "":
            what = "has no name." if "name" in row else "has no column name."
            raise SpecError(f"it {what}", fix="let it answer with a column `name` without nulls.", where=at)
        _check_name(str(name), word, at)
        own = {key: _plain(value) for key, value in row.items() if key not in RESERVED and value is not None}
        address = row.get("url")
        if address is None and not own:
            raise SpecError(f"{name} has nothing of its own.", fix="let the query answer with url, or more.", where=at)
        try:
            given = {} if address is None else {"url": address}
            settings = Settings.model_validate({**given, "variables": own}, context={"folder": url.folder})
        except ValidationError as error:  # its own text shows values, which may be secret
            parts = sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)})
            what = f"{name}: {', '.join(parts)} cannot be used."
            raise SpecError(
                what, fix="answer with a url like sqlite:///file.db, and with text, numbers, true or false.", where=at
            ) from None
        hidden = {f"{word}.{key}": str(value) for key, value in own.items()}
        if address is not None:
            hidden[f"{word}.url"] = str(address)
        yield str(name), Own(settings, None if address is None else f"${{{word}.url}}", {}, hidden)


def _asked(url: str, query: str, where: str) -> list[dict[str, Any]]:
    """The rows of a query. Memory: MOST rows."""
    from adapters.registry import open_source

    source = open_source(url)
    rows: list[dict[str, Any]] = []
    try:
        names = source.describe_query(query).names
        with source.snapshot() as snapshot:
            for batch in snapshot.scan(Relation(query=query), names):
                odd = INVALID in batch.schema.names and batch.column(INVALID).null_count < batch.num_rows
                rows += [{}] if odd else batch.select(list(names)).to_pylist()
                if odd or len(rows) > MOST:
                    break
    except ConnectionFailed:
        raise
    except SynclineError as error:
        raise SpecError(
            f"the query fails: {message_of(error)}", fix="correct it, or its `url:`.", where=where
        ) from error
    finally:
        source.close()
    if {} in rows:
        raise SpecError("the query has values that cannot be read.", fix="cast them in the query.", where=where)
    if len(rows) > MOST:
        raise SpecError(f"the query has more than {MOST:,} rows.", fix="let it find fewer.", where=where)
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return value if isinstance(value, Value | bytes) else str(value)


def _check_name(name: str, word: str, where: str) -> None:
    if not re.fullmatch(NAME, name):
        raise SpecError(f"{name!r} is no name of a {word}.", fix=f"use {SIGNS}.", where=where)
