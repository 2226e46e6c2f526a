"""Tables of a spec, and the policies that they share or override."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from flows.spec.columns import Column, Strict
from flows.spec.conflict import Conflict, Direction, Initial, OnSource
from flows.spec.create import Create
from flows.spec.cursor import Cursor
from flows.spec.hooks import Hooks
from flows.spec.origins import Origin, Part
from flows.spec.policies import Checkpoint, DeletePolicy, QuarantineLimit, Window
from flows.spec.problems import Fault, Invalid, meant
from flows.spec.suites import Suite
from transforms.vocabulary import Relation, TableName


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_one_or_more)]
REST = "*"
"""The column that stands for every source column beside those that are named."""


class IdentityKey(Strict):
    """A key for tables that both sides number by themselves: which row is which is kept in a map."""

    map: Names = Field(
        min_length=1, description="The columns of the target's key, which the target numbers itself.", examples=[["id"]]
    )
    source: Names | None = Field(
        default=None,
        min_length=1,
        description="The columns of the source's key; its primary key if not given.",
        examples=[["number"]],
    )
    match: Names = Field(
        default_factory=list,
        description="Mapped columns by which rows find each other that are on both sides before they are in the map.",
        examples=[["email"]],
    )

    def spelled(self, own: Callable[[str], str], read: Callable[[str], str]) -> IdentityKey:
        """The same with the columns of both sides as their catalogs spell them."""
        source = None if self.source is None else [read(each) for each in self.source]
        spelt = {"map": [own(each) for each in self.map], "match": [own(each) for each in self.match]}
        return self.model_copy(update={**spelt, "source": source})


class Table(Strict):
    """A target table, and how its rows are made from the source's."""

    from_: Origin = Field(
        alias="from",
        description="A source table, {query: …}, or a list of several, each with columns of its own.",
        examples=["customers", {"query": "SELECT * FROM customers WHERE id > 0"}, ["person", "company"]],
    )
    target: str | None = Field(
        default=None,
        min_length=1,
        description="The target table, where its name here is another one.",
        examples=["sales.customer"],
    )
    key: Names | None = Field(
        default=None,
        description="The columns by which rows are matched; the primary key if not given.",
        examples=[["customer_id"]],
    )
    identity: IdentityKey | None = Field(default=None, description="What `key: {map: …}` says.")
    where: str | None = Field(
        default=None, min_length=1, description="Which source rows, in the source's dialect.", examples=["deleted = 0"]
    )
    columns: dict[str, Column] | None = Field(
        default=None,
        min_length=1,
        description="Target columns; every source column under its own name if not given. The column * stands for those "
        'that are not named: `"*": "*"`, or `"*": {except: [internal_note]}`.',
        examples=[{"customer_id": "id", "name": "name"}],
    )
    owns: str | None = Field(
        default=None,
        min_length=1,
        description="Which target rows are this table's, in the target's dialect; the others are left alone.",
        examples=["region = 'EU'"],
    )
    create: Create | None = Field(
        default=None,
        description="What the target table is made like, if it is not there.",
        examples=[{"unique": [["email"]]}],
    )
    ignore: Names = Field(
        default_factory=list, description="Columns that are written but never compared.", examples=[["updated_at"]]
    )
    filled: Names = Field(
        default_factory=list,
        description="Columns that are not mapped, take no nulls, and that a trigger of the target fills.",
        examples=[["created_by"]],
    )
    expect: Suite = Field(
        default_factory=list,
        description="Checks on the rows about to be written, or a file of them.",
        examples=[[{"type": "expect_column_values_to_not_be_null", "column": "name"}]],
    )
    loaded: Suite = Field(
        default_factory=list,
        description="Checks on the target after the load, or a file of them.",
        examples=[[{"type": "expect_table_row_count_to_be_between", "min_value": "$loaded"}]],
    )
    checkpoint: Checkpoint | None = Field(
        default=None, description="Overrides defaults.checkpoint, setting by setting."
    )
    delete: DeletePolicy | None = Field(
        default=None,
        description="Overrides defaults.delete, setting by setting.",
        examples=["ignore", {"policy": "soft", "column": "deleted_at"}],
    )
    quarantine: QuarantineLimit | None = Field(
        default=None, description="Overrides defaults.quarantine, setting by setting."
    )
    window: Window | None = Field(default=None, description="Overrides defaults.window.")
    seal: bool | None = Field(default=None, description="Overrides defaults.seal.")
    on_invalid: Literal["quarantine", "fail"] | None = Field(default=None, description="Overrides defaults.on_invalid.")
    history: Literal["full", "keys", "off"] | None = Field(default=None, description="Overrides defaults.history.")
    cursor: Cursor | None = Field(default=None, description="Overrides defaults.cursor.", examples=["id", "off"])
    direction: Direction | None = Field(default=None, description="Overrides the migration's direction.")
    initial: Initial | None = Field(default=None, description="Overrides the migration's initial.")
    conflict: Conflict | None = Field(
        default=None,
        description="Overrides the migration's conflict, setting by setting.",
        examples=[{"resolve": "newer_wins", "clock": "updated_at"}],
    )
    before: Hooks = Field(
        default=[],
        description="What happens before the first row is written, where its rows change.",
        examples=[[{"target": "ALTER TABLE customer DISABLE TRIGGER audit"}]],
    )
    after: Hooks = Field(
        default=[],
        description="What happens once all rows are in, where its rows change.",
        examples=[[{"target": "ANALYZE customer"}]],
    )
    on_source: dict[str, OnSource] = Field(
        default={},
        description="With two_way: source columns that the mapping does not show, in rows born on the target.",
        examples=[{"created_by": {"const": "sync"}}],
    )

    @model_validator(mode="before")
    @classmethod
    def _mapped_key(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "identity" in value:
            raise Invalid("is not a known key.", "identity", fix="write `key: {map: …}`")
        if not isinstance(key := value.get("key"), dict):
            return value
        if "map" not in key:
            raise Invalid("says not which columns of the target are the key.", "key", fix="add `map: [id]`")
        return {**value, "key": key["map"], "identity": key}

    @model_validator(mode="after")
    def _consistent(self) -> Table:
        # which engine it is, and whether it takes names in any case, is not known yet: `misnamed` looks once more
        if whole := Invalid.of_all(self._every_problem(str.casefold)):
            raise whole
        return self

    @property
    def parts(self) -> tuple[Table, ...]:
        """The table as it is made of each of its sources; of one alone the table itself."""
        return tuple(map(self._of, self.from_.parts)) or (self,)

    def _of(self, part: Part) -> Table:
        both = [each for each in (self.where, part.where) if each is not None]
        columns = None if self.columns is part.columns is None else {**(self.columns or {}), **(part.columns or {})}
        changed = {
            "from_": Origin(table=part.table, query=part.query),
            "where": " AND ".join(f"({each}\n)" for each in both) if len(both) > 1 else (*both, None)[0],
            "columns": columns,
        }
        return self.model_copy(update=changed)

    def with_parts(self, made: Sequence[Table]) -> Table:
        """The table with other parts: what `parts` gave, changed since. What they share is in each of them then."""
        if not self.from_.parts:
            return made[0]
        parts = tuple(
            each.model_copy(update={"table": new.from_.table, "query": new.from_.query, "columns": new.columns})
            for each, new in zip(self.from_.parts, made, strict=True)
        )
        return made[0].model_copy(
            update={"from_": self.from_.model_copy(update={"parts": parts}), "where": self.where, "columns": None}
        )

    def misnamed(self) -> Iterator[Invalid]:
        """What does not fit, once names have the spelling of their catalogs."""
        return self._every_problem(str)

    def _every_problem(self, alike: Callable[[str], str]) -> Iterator[Invalid]:
        known: set[Fault] = set()  # what is wrong with all parts is said once
        for number, table in enumerate(self.parts):
            for problem in table._problems(alike):
                if self.from_.parts and problem.faults[0].path[:1] == ("columns",):
                    column = problem.faults[0].path[1]
                    if column in (self.from_.parts[number].columns or {}):
                        problem = problem.under("from", number)
                if problem.faults[0] not in known:
                    known.update(problem.faults)
                    yield problem

    def _problems(self, alike: Callable[[str], str]) -> Iterator[Invalid]:
        """`alike`: what two names have in common that may be one."""
        key = self.key or []
        listed = {*map(alike, self.columns or {})}
        if self.key is not None and not key:
            yield Invalid("is empty.", "key", fix="name the columns by which rows are matched")
        for place, names in (("key", key), ("ignore", self.ignore)):
            for position, name in enumerate(names):
                if name in names[:position]:
                    yield Invalid("names a column twice", place, position)
                elif place == "key" and self.identity is not None:
                    continue
                elif place == "key" and self.columns is not None and not {alike(name), REST} & listed:
                    yield Invalid(f"is not among the columns. {meant(name, self.columns)}", place, position)
        for name, each in (self.columns or {}).items():
            if name == REST and each.except_ is None and each != Column.model_validate(REST):
                yield Invalid('takes "*" or {except: […]}: the rest goes under its own names', "columns", name)
            elif name != REST and each.except_ is not None:
                yield Invalid(f'is for the column "{REST}" alone.', "columns", name, "except", fix="remove it")
            if each.tolerance is not None and name in key:
                yield Invalid("is for columns beside the key, which is compared exactly", "columns", name, "tolerance")
        named = None if self.columns and REST in self.columns else self.columns
        for problem in self.create.problems(named, alike) if self.create else ():
            yield problem.under("create")
        for position, name in enumerate(self.ignore):
            if name in key:
                yield Invalid("is part of the key, which is always compared", "ignore", position)
        for place in ("source", "match") if self.identity else ():
            names = getattr(self.identity, place) or []
            for position, name in enumerate(names):
                if name in names[:position]:
                    yield Invalid("names a column twice", "key", place, position)
                elif place == "match" and name in key:
                    yield Invalid(
                        "is part of the key, which the sides have each for themselves", "key", place, position
                    )
        for position, name in enumerate(key):
            column = (self.columns or {}).get(name)
            if column is not None and column.generate and self.identity is None:
                yield Invalid("is generated, and rows are matched by what the source has", "key", position)


def table_name(text: str, schema: str | None = None) -> TableName:
    """`orders`, `sales.orders`, or `"odd.name"` with the quotes that keep a dot in a name.

    ValueError where the text is no name.
    """
    parts = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in table_parts(text)]
    if len(parts) > 2 or not all(parts):
        raise ValueError(f"{text!r} is not table or schema.table")
    return TableName(parts[-1], parts[0] if len(parts) == 2 else schema)


def table_parts(text: str) -> list[str]:
    """What stands between the dots of a name, with its quotes. ValueError where a quote does not end."""
    parts: list[str] = []
    rest = text.strip()
    while True:
        if rest.startswith('"'):
            end = 1
            while (end := rest.find('"', end)) >= 0 and rest[end : end + 2] == '""':
                end += 2
            if end < 0:
                raise ValueError(f"{text!r} has a quote that does not end")
            part, rest = rest[: end + 1], rest[end + 1 :]
            if rest and not rest.startswith("."):
                raise ValueError(f"{text!r} goes on after a closing quote")
        else:
            part, dot, tail = rest.partition(".")
            rest = dot + tail
        parts.append(part)
        if not rest:
            return parts
        rest = rest[1:]


def quoted_name(table: TableName) -> str:
    """The text that `table_name` reads as this table; in quotes only where it has to be."""

    def part(name: str) -> str:
        plain = name == name.strip() and "." not in name and not name.startswith('"')
        return name if plain else '"' + name.replace('"', '""') + '"'

    return ".".join(part(each) for each in (table.schema, table.name) if each is not None)


def relation(table: Table, schema: str | None = None) -> Relation:
    """What is read for a table of one source; `schema` is the source's default."""
    if table.from_.query is not None:
        return Relation(query=table.from_.query, where=table.where)
    return Relation(table=table_name(str(table.from_.table), schema), where=table.where)
