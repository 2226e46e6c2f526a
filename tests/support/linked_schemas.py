"""Random schemas of tables that foreign keys and unique columns link, and random states that keep every one of their constraints.

What a state holds is worked out here alone; the engines say whether it keeps the constraints when it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from hypothesis import strategies as st
from scenario import Engine, Scenario, Side

Row = tuple[int | str | None, ...]
State = Mapping[str, Mapping[int, Row]]
"""Of each table, by number, the rows as they stand in it: id, label, mark, then a value for each link."""

LABELS: Final = ("a", "b", "c")
MARKS: Final = ("red", "blue", "green", "grey", "pink", "teal")
DEFERRED: Final = ("", "DEFERRABLE INITIALLY IMMEDIATE", "DEFERRABLE INITIALLY DEFERRED")


@dataclass(frozen=True)
class Link:
    """A foreign key to the number of a row of `parent`."""

    column: str
    parent: str
    required: bool
    waits: str = ""
    action: str = "NO ACTION"

    @property
    def strict(self) -> bool:
        """A row cannot be there for a moment without what it refers to. A key that waits does not wait with what it does by itself."""
        return self.required and (not self.waits or self.action != "NO ACTION")


@dataclass(frozen=True)
class Linked:
    """A table: its number, a label, and a `mark` that no two rows share, which may be null or not."""

    name: str
    links: tuple[Link, ...]
    marked: bool

    def create(self, later: frozenset[str]) -> str:
        """The statement that makes it, without the keys of the columns in `later`."""
        columns = ["id integer PRIMARY KEY", "label varchar(9)", f"mark varchar(9){' NOT NULL' if self.marked else ''}"]
        columns += [f"{each.column} integer{' NOT NULL' if each.required else ''}" for each in self.links]
        keys = [self.key(each) for each in self.links if each.column not in later]
        return f"CREATE TABLE {self.name} ({', '.join([*columns, 'UNIQUE (mark)', *keys])})"

    def key(self, link: Link) -> str:
        action = f"ON DELETE {link.action}" if link.action != "NO ACTION" else ""
        return f"FOREIGN KEY ({link.column}) REFERENCES {link.parent} (id) {action} {link.waits}".rstrip()


@dataclass(frozen=True)
class LinkedSchema:
    """`rooted`: some keys that can neither be null nor wait go in a circle. Each table has a row 0 then, which is there before the
    keys and stays, and by such keys rows refer to rows of lower numbers, so that an order of rows exists."""

    engine: Engine
    tables: tuple[Linked, ...]
    rooted: bool = False

    def root(self, table: Linked) -> Row:
        return (0, "a", "root", *(0 for _ in table.links))

    def shop(self, target: Side, folder: Path, **rest: Any) -> Scenario:
        """A migration of its own from a SQLite source without keys: into the target, or of an embedded one into a file of its own."""
        made = Path(mkdtemp(dir=folder))
        file = target.engine in ("sqlite", "duckdb")
        shop = Scenario(
            made,
            Side("sqlite", str(made / "legacy.db")),
            Side(target.engine, str(made / "core.db")) if file else target,
        )
        self.make(shop.target)
        shop.source.execute(*self.bare())
        shop.write({table.name: {"from": table.name} for table in self.tables}, **rest)
        return shop

    def fill(self, source: Side, state: State) -> None:
        """Bring a source to a state."""
        for table in self.tables:
            source.execute(f"DELETE FROM {table.name}")
            source.insert(table.name, list(state[table.name].values()))

    def there(self, target: Side) -> State:
        """What a target holds."""
        return {table.name: {row[0]: row for row in target.rows(table.name)} for table in self.tables}

    def make(self, target: Side) -> None:
        """Make the tables of the target, in place of those that are there."""
        if self.engine == "postgresql":
            target.execute(f"DROP SCHEMA {target.schema} CASCADE", f"CREATE SCHEMA {target.schema}")
        elif self.engine == "mysql":
            names = [f"DROP TABLE {name}" for name in target.tables()]
            target.execute("SET foreign_key_checks = 0", *names, "SET foreign_key_checks = 1")
        target.forget()
        target.execute(*self.statements())

    def statements(self) -> Iterator[str]:
        seen: set[str] = set()
        late: list[str] = []
        for table in self.tables:
            seen.add(table.name)
            later = frozenset(each.column for each in table.links if each.parent not in seen)
            if self.engine == "sqlite":  # a key to a table that comes is taken as it is
                later = frozenset()
            yield table.create(later)
            late += [f"ALTER TABLE {table.name} ADD {table.key(x)}" for x in table.links if x.column in later]
        if self.rooted:
            yield from ("BEGIN", "PRAGMA defer_foreign_keys = ON") if self.engine == "sqlite" else ()
            for table in self.tables:
                yield f"INSERT INTO {table.name} VALUES ({', '.join(repr(value) for value in self.root(table))})"
            yield from (
                ["SET CONSTRAINTS ALL IMMEDIATE"] if self.engine == "postgresql" else ()
            )  # no key is made behind those that wait
        yield from late

    def bare(self) -> list[str]:
        """The statements that make the same tables without keys, for a source."""
        plain = [replace(each, links=(), marked=False) for each in self.tables]
        made = []
        for whole, each in zip(self.tables, plain, strict=True):
            links = "".join(f", {link.column} integer" for link in whole.links)
            made.append(f"CREATE TABLE {each.name} (id integer PRIMARY KEY, label varchar(9), mark varchar(9){links})")
        return made


@st.composite
def schemas(draw: st.DrawFn, engine: Engine) -> LinkedSchema:
    """Three to five tables. Every circle of keys, self-references aside, has one that may be null, or waits; or the schema is rooted."""
    names = [f"t{i}" for i in range(draw(st.integers(3, 5)))]
    strict: dict[str, set[str]] = {name: set() for name in names}
    tables = []
    ring = names[
        : draw(st.sampled_from((0, 0, 2, 3)))
    ]  # tables whose keys go in a circle, and can neither be null nor wait
    rooted = bool(ring)
    for name in names:
        links: list[Link] = []
        if name in ring:
            action = draw(st.sampled_from(("NO ACTION", "CASCADE")))
            links.append(Link("ring", ring[(ring.index(name) + 1) % len(ring)], True, "", action))
        for number, parent in enumerate(draw(st.lists(st.sampled_from(names), max_size=2))):
            waits = draw(st.sampled_from(DEFERRED)) if engine == "postgresql" else ""
            action = draw(st.sampled_from(("NO ACTION", "CASCADE", "SET NULL")))
            link = Link(f"l{number}", parent, draw(st.booleans()), waits, action)
            if link.strict and parent != name:
                strict[name].add(parent)
                if not rooted and _circular(strict):
                    strict[name].discard(parent)
                    link = replace(link, required=False)
            if link.required and action == "SET NULL":
                link = replace(link, action="NO ACTION")
            links.append(link)
        tables.append(Linked(name, tuple(links), draw(st.booleans())))
    return LinkedSchema(engine, tuple(tables), rooted)


def _circular(graph: Mapping[str, set[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return False


@st.composite
def states(draw: st.DrawFn, schema: LinkedSchema) -> State:
    """Up to five rows a table, that keep every key and no mark twice."""
    numbers = {each.name: set(draw(st.sets(st.integers(1, 6), max_size=5))) for each in schema.tables}
    emptied = True
    while emptied:
        emptied = False
        for table in schema.tables:
            if (
                numbers[table.name]
                and not schema.rooted
                and any(each.required and not numbers[each.parent] for each in table.links)
            ):
                numbers[table.name].clear()
                emptied = True
    state: dict[str, dict[int, Row]] = {}
    for table in schema.tables:
        rows: dict[int, Row] = {0: schema.root(table)} if schema.rooted else {}
        marks = draw(st.permutations(MARKS))
        for number in sorted(numbers[table.name]):
            mark = marks[len(rows) - schema.rooted] if table.marked or draw(st.integers(0, 3)) else None
            values = [draw(st.sampled_from(_choices(schema, table, x, number, numbers[x.parent]))) for x in table.links]
            rows[number] = (number, draw(st.sampled_from(LABELS)), mark, *values)
        state[table.name] = rows
    return state


def _choices(schema: LinkedSchema, table: Linked, link: Link, number: int, parents: set[int]) -> list[int | None]:
    """What a row of a number may refer to."""
    if not schema.rooted:
        return [*([] if link.required else [None]), *sorted(parents)]
    ordered = link.strict or link.parent == table.name
    return [*([] if link.required else [None]), 0, *sorted(each for each in parents if each < number or not ordered)]
