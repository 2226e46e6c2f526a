"""The spec: what the user wrote, validated once, before anything is read or written.

Relative SQLite and DuckDB files, the store and Python modules are looked for in the spec file's folder, so that a
scheduled run finds what a run by hand found. Values from the environment are never shown, kept or digested.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, model_validator

from flows.spec.columns import Cast, Column, Lookup, Strict
from flows.spec.conflict import Conflict, Direction, Initial
from flows.spec.cursor import Cursor
from flows.spec.defaults import Defaults
from flows.spec.document import Document, digest_of
from flows.spec.documents import Documents
from flows.spec.endpoint import Endpoint
from flows.spec.every import taken_apart
from flows.spec.follow import Follow
from flows.spec.functions import python_files
from flows.spec.hooks import Hooks, problems_of, without_addresses
from flows.spec.member_lists import Members
from flows.spec.members import at_once, document_of, with_member
from flows.spec.origins import Origin
from flows.spec.policies import Checkpoint, DeletePolicy, QuarantineLimit, Window
from flows.spec.problems import Invalid, explain
from flows.spec.runner import Dask, Runner, Threads
from flows.spec.state import State
from flows.spec.suites import Expectation, suite_files
from flows.spec.tables import Names, Table, relation, table_name
from flows.spec.throttle import Throttle
from flows.spec.urls import SecretRef, Url, place_of, resolve_url
from transforms.vocabulary import Relation, SideName, SpecError, TableName

__all__ = [
    "Cast",
    "Checkpoint",
    "Column",
    "Conflict",
    "Dask",
    "Defaults",
    "DeletePolicy",
    "Endpoint",
    "Expectation",
    "Lookup",
    "Origin",
    "QuarantineLimit",
    "Runner",
    "SecretRef",
    "Spec",
    "State",
    "Table",
    "Threads",
    "Url",
    "Window",
    "load_spec",
    "resolve_url",
    "table_name",
]

WORKERS = 2  # where the spec names no number


class Spec(Strict):
    """A migration: two sides, and how the tables of one become the tables of the other."""

    version: Literal[1] = Field(description="The version of this format: 1.", examples=[1])
    name: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$",
        description="The migration's name: letters, digits, _ . and -.",
        examples=["shop"],
    )
    source: Endpoint = Field(description="Where rows come from.")
    target: Endpoint = Field(description="Where rows go to.")
    state: State = Field(default={}, validate_default=True, description="Where Syncline remembers.")
    defaults: Defaults = Field(
        default=Defaults(), description="What holds for every table that does not say otherwise."
    )
    tables: dict[str, Table] = Field(
        examples=[{"customer": {"from": "customers"}}],
        description='The target tables. The table * stands for all that both sides have and that are not named: `tables: "*"`, '
        'or in it `"*": "*"` or `"*": {except: [log_*]}`.',
    )
    except_: Names = Field(
        default=[],
        alias="except",
        examples=[["audit", "tmp_*"]],
        description='With `tables: "*"`: tables of the source that stay where they are; * and ? stand for any signs.',
    )
    direction: Direction = Field(
        default="one_way", description="two_way: changes go both ways, and the source is written."
    )
    initial: Initial = Field(
        default="report",
        description="How sides meet that both hold rows and have no state that they agreed on: as conflicts are decided (policy), "
        "by one side, by the clock, or not at all: report writes nothing and says what each choice would do.",
    )
    conflict: Conflict = Field(
        default=Conflict(),
        description="Who wins where both sides changed a row.",
        examples=[{"resolve": "newer_wins", "clock": "updated_at"}],
    )
    clients: Members | None = Field(
        default=None,
        description="Many sources of the target, a migration of each.",
        examples=[[{"name": "graz", "url": "sqlite:///graz.db"}], {"folder": "shops"}],
    )
    targets: Members | None = Field(
        default=None,
        description="Many targets of the source, a migration of each.",
        examples=[{"glob": "shops/{name}.db"}],
    )
    before: Hooks = Field(
        default=[],
        description="What happens before a run, once it has the migration to itself.",
        examples=[[{"source": "UPDATE settings SET frozen = true"}]],
    )
    after: Hooks = Field(
        default=[],
        description="What happens after a run, however it ended.",
        examples=[[{"command": ["./notify.sh", "ops"], "on": ["failed"]}]],
    )
    throttle: Throttle | None = Field(
        default=None, description="How many rows a second; as many as can be, if not given.", examples=[20000]
    )
    follow: Follow = Field(default=Follow(), description="How `syncline sync` follows what changes.", examples=["log"])
    documents: Documents | None = Field(default=None, description="What holds for documents, on either side.")

    _every: bool = PrivateAttr(default=False)
    _taken: tuple[str, ...] | None = PrivateAttr(default=None)
    _member: str | None = PrivateAttr(default=None)
    _share: int = PrivateAttr(default=1)
    _document: Document = PrivateAttr()
    _digest: str = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _every_apart(cls, value: Any, info: ValidationInfo) -> Any:
        return taken_apart(value, info.context or {})

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Spec:
        self._every = bool((info.context or {}).get("every"))
        if whole := Invalid.of_all(self._problems()):
            raise whole
        return self

    def _problems(self) -> Iterator[Invalid]:
        if not self.tables and not self._every:
            yield Invalid("is empty.", "tables", fix='name tables, or write `tables: "*"` for all that both sides have')
        if self.except_ and not self._every:
            yield Invalid('is for `tables: "*"`.', "except", fix="leave it out")
        if self.defaults.delete.policy == "soft" and not self.defaults.delete.column:
            yield Invalid("is soft, which needs the flag column.", "defaults", "delete", "policy", fix="add `column:`")
        if "columns" in self.conflict.model_fields_set:
            yield Invalid(
                "are rules for columns of a table.", "conflict", "columns", fix="move them to tables.….conflict"
            )
        if self._every or any(table.conflict is None for table in self.tables.values()):
            yield from (problem.under("conflict") for problem in self.conflict.problems())
        yield from problems_of(self.before)
        names: dict[TableName, str] = {}
        for name, table in self.tables.items():
            at = ("tables", name)
            yield from (problem.under(*at) for problem in problems_of(table.before))
            if table.conflict is not None:
                yield from (problem.under(*at, "conflict") for problem in self.conflict_of(name).problems())
            wanted = self.delete_policy(name)
            if table.delete and wanted.policy == "soft" and not wanted.column:
                yield Invalid("is soft, which needs the flag column.", *at, "delete", "policy", fix="add `column:`")
            try:
                target = self.target_table(name)
                for part in table.parts:
                    relation(part)
            except ValueError as error:
                yield Invalid(f"{error}.", *at, fix='write names with dots as "a.b", in quotes')
                continue
            if target in names:
                yield Invalid(
                    f"writes {target}, and so does tables.{names[target]}.",
                    *at,
                    fix="make one of them, with `from: [{table: …, where: …}, {table: …}]` for what each takes; where they differ in "
                    "more than sources and columns, give each a spec of its own name, with `owns:`",
                )
            names[target] = name
            for column, made in ((c, each) for part in table.parts for c, each in (part.columns or {}).items()):
                itself = made.lookup is not None and made.lookup.side == "target" and made.lookup.table == name
                if itself and made.lookup and column in (made.lookup.take, *made.lookup.matched):
                    yield Invalid(
                        "is looked up by way of itself.",
                        *at,
                        "columns",
                        column,
                        "lookup",
                        fix="take and match other columns",
                    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "name", self.name
        yield "tables", list(self.tables)

    def __str__(self) -> str:
        return repr(self)

    @property
    def path(self) -> Path:
        """The spec's file, with the client or target that it is of behind it, if any: `load_spec` takes it so."""
        file = self._document.path
        return file if self._member is None else with_member(file, self._member)

    @property
    def member(self) -> str | None:
        """Which of its clients or targets the spec is of, where it has several."""
        return self._member

    @property
    def folder(self) -> Path:
        """What relative paths start from: the folder of the spec's file."""
        return self._document.path.absolute().parent

    @property
    def digest(self) -> str:
        """SHA-256 of what was written, without environment values, comments and passwords, and of Python files."""
        return self._digest

    @property
    def document(self) -> dict[str, Any]:
        """What was written, fit to be shown: `${NAME}` as it stands, passwords and addresses of webhooks hidden."""
        return without_addresses(self._document.written(()))

    def where(self, *path: Any) -> str:
        """`file:line` of `("tables", "flight", "key")` and the like, or of the nearest thing around it."""
        return self._document.where(*path)

    def line(self, *path: Any) -> int:
        """The line of it."""
        return self._document.line(*path)

    def hidden(self, text: str) -> str:
        """`text` with values of the environment put back as `${NAME}`, for messages that quote parts of the spec."""
        return self._document.hidden(text)

    def respelled(self, tables: Mapping[str, Table], moved: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Spec:
        """The spec with other names; `moved` is where what stood at a path is now. The file's lines are found under both."""
        made = self.model_copy(update={"tables": dict(tables)})
        lines = {moved(path): line for path, line in self._document.lines.items()}
        made._document = replace(self._document, lines={**lines, **self._document.lines})
        return made

    @property
    def open(self) -> bool:
        """Whether `*` stands for tables that nobody has looked for yet."""
        return self._every and self._taken is None

    @property
    def taken(self) -> tuple[str, ...]:
        """The entries that `*` stood for when both sides were looked at."""
        return self._taken or ()

    def with_taken(self, entries: Mapping[str, Table]) -> Spec:
        """The spec with what `*` stands for."""
        made = self.model_copy(update={"tables": {**self.tables, **entries}})
        made._taken = tuple(entries)
        return made

    def endpoint(self, side: SideName) -> Endpoint:
        """What the spec says of a side."""
        return self.source if side == "source" else self.target

    def target_table(self, name: str) -> TableName:
        """The target table that an entry of `tables` writes."""
        return table_name(self.tables[name].target or name, self.target.schema_name)

    def source_relation(self, name: str) -> Relation:
        """What is read for an entry of `tables` that has one source."""
        return relation(self.tables[name], self.source.schema_name)

    def parts_of(self, name: str) -> tuple[Spec, ...]:
        """The spec as each source of an entry of `tables` sees it: there, the entry has that one alone."""
        table = self.tables[name]
        return (
            tuple(self._of_part(name, number, each) for number, each in enumerate(table.parts))
            if table.from_.parts
            else (self,)
        )

    def _of_part(self, name: str, number: int, table: Table) -> Spec:
        made = self.model_copy(update={"tables": {**self.tables, name: table}})
        at, here = ("tables", name), ("tables", name, "from", number)
        own = {(*at, *path[4:]): line for path, line in self._document.lines.items() if path[:4] == here}
        lines = {**self._document.lines, **own, (*at, "from"): own.get(at, self.line(*at))}
        made._document = replace(self._document, lines=lines)
        return made

    def part_names(self, name: str) -> tuple[str, ...]:
        """What the sources of an entry of `tables` are called, each by a name of its own; of one alone nothing."""
        parts = self.tables[name].from_.parts
        named = [each.table or "query" for each in parts]
        return tuple(
            f"{text} ({named[: place + 1].count(text)})" if named.count(text) > 1 else text
            for place, text in enumerate(named)
        )

    @property
    def workers(self) -> int:
        """How many threads or workers windows run on: a share of them where other clients or targets run beside this one."""
        return max(1, (self.defaults.runner.workers or WORKERS) // self._share)

    def two_way(self, name: str) -> bool:
        """Whether changes of a table go both ways."""
        return (self.tables[name].direction or self.direction) == "two_way"

    @property
    def writes_source(self) -> bool:
        """Whether the source is written: only where a table asks for it."""
        return any(map(self.two_way, self.tables)) or (self._every and self.direction == "two_way")

    def initial_of(self, name: str) -> Initial:
        """How the sides of a table meet that have not agreed on anything yet."""
        return self.tables[name].initial or self.initial

    def conflict_of(self, name: str) -> Conflict:
        """Who wins in a table: what the migration says, overridden by the table's own settings."""
        return self.conflict.with_own(self.tables[name].conflict)

    def delete_policy(self, name: str) -> DeletePolicy:
        """The defaults, overridden by what the table says."""
        own = self.tables[name].delete
        return self.defaults.delete.model_copy(update=own.model_dump(exclude_unset=True) if own else {})

    def quarantine_limit(self, name: str) -> QuarantineLimit:
        """How much of a table may be set aside: what the defaults say of a table, overridden by its own."""
        own = self.tables[name].quarantine
        of_each = self.defaults.quarantine.model_copy(update={"max_rows": None})
        return of_each.model_copy(update=own.model_dump(exclude_unset=True) if own else {})

    def window_rows(self, name: str) -> int:
        """About how many rows a window of a table has."""
        rows = (self.tables[name].window or self.defaults.window).rows
        return rows if self.throttle is None else self.throttle.window(rows)

    def checkpoint(self, name: str) -> Checkpoint:
        """The defaults, overridden by what the table says."""
        own = self.tables[name].checkpoint
        return self.defaults.checkpoint.model_copy(update=own.model_dump(exclude_unset=True) if own else {})

    def history(self, name: str) -> Literal["full", "keys", "off"]:
        """How much is kept of what runs changed in a table."""
        return self.tables[name].history or self.defaults.history

    def cursor(self, name: str) -> Cursor | None:
        """By which column runs read what is new of a table; None where they read all of it."""
        found = self.tables[name].cursor or self.defaults.cursor
        return None if found is None or found.column is None else found

    def seal(self, name: str) -> bool:
        """Whether windows of a table are sealed."""
        own = self.tables[name].seal
        return self.defaults.seal if own is None else own

    def on_invalid(self, name: str) -> Literal["quarantine", "fail"]:
        return self.tables[name].on_invalid or self.defaults.on_invalid


def load_spec(path: Path, environ: Mapping[str, str] | None = None, *, lined: bool = True) -> Spec:
    """Read and validate a spec. That of one of several clients or targets is `spec.yaml@name`, and its migration `migration@name`.

    SpecError lists every problem, a line each, as `file:line: what. Fix.`
    `lined` false: of a file that nobody will see, so that problems are told by the keys that they lie in.
    """
    read, kind, name = document_of(path, os.environ if environ is None else environ)
    document = replace(read, lined=lined)
    folder = path.absolute().parent
    try:
        spec = Spec.model_validate(document.data, context={"folder": folder, "every": False})
    except ValidationError as error:
        # the cause holds the input, and with it secrets: it must not travel along
        raise explain(error, document, Spec) from None
    if kind is not None:
        if place_of(spec.source.url) == place_of(spec.target.url):
            what = f"the {kind.word} {name} is the {'server' if kind.side == 'source' else 'source'}'s own database."
            raise SpecError(what, fix="give it a database of its own.", where=document.where(kind.key))
        spec = spec.model_copy(update={"name": f"{spec.name}@{name}"})
        spec._member, spec._share = name, at_once()
    spec._document = document
    try:
        files = [*python_files(spec.tables.values(), folder), *suite_files(document.data, folder)]
        spec._digest = digest_of(document, files)
    except OSError as error:
        raise SpecError(
            f"{path}: {error.filename} cannot be read: {error.strerror}.", fix="give this user the right to read it."
        ) from error
    return spec
