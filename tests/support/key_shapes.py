"""Shapes of foreign keys: tables, two consistent states of them, and what leads from the first to the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario import Engine

Rows = Sequence[tuple[Any, ...]]
State = Mapping[str, Rows]
FOUR: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite", "duckdb")
CIRCLES: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite")  # DuckDB adds no key to a table that is there
ACTING: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite")


@dataclass(frozen=True)
class Shape:
    """A shape of foreign keys. `tables` have columns and keys as all engines write them; `first` and `then` are what the source
    holds, by table, and `beside` what tables of the target hold that the spec does not name, before and after.

    `closing` are keys by which tables go in a circle; `deferrable` ones where they can be. `about` says what is special about it.
    """

    name: str
    about: str
    tables: Mapping[str, str]
    first: State
    then: State
    beside: Mapping[str, tuple[Rows, Rows]] = field(default_factory=dict)
    closing: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    engines: tuple[Engine, ...] = FOUR
    window: int = 1000
    deferrable: bool = False
    children: str = "refuse"

    def ddl(self, engine: Engine) -> list[str]:
        """The statements that make the tables, parents first."""
        late = " DEFERRABLE INITIALLY DEFERRED" if self.deferrable else ""
        if engine == "sqlite":  # a key may lead to a table that is yet to come
            return [
                f"CREATE TABLE {name} ({columns}{f', {self.closing[name]}{late}' if name in self.closing else ''})"
                for name, columns in self.tables.items()
            ]
        made = [f"CREATE TABLE {name} ({columns})" for name, columns in self.tables.items()]
        return made + [f"ALTER TABLE {name} ADD {key}{late}" for name, key in self.closing.items()]


NO = "no integer PRIMARY KEY"
PARENT = {"parent": f"{NO}, name varchar(20)"}
TREE = {"node": f"{NO}, up integer, name varchar(20), FOREIGN KEY (up) REFERENCES node (no)"}
CIRCLE = {
    "store": f"{NO}, manager integer",
    "staff": f"{NO}, store integer NOT NULL, FOREIGN KEY (store) REFERENCES store (no)",
}


def child(action: str = "", null: str = "") -> str:
    return f"{NO}, up integer{null}, name varchar(20), FOREIGN KEY (up) REFERENCES parent (no){action}"


SHAPES: tuple[Shape, ...] = (
    Shape(
        "plain", "a child moves to a new parent, another goes with its own",
        {**PARENT, "child": child(null=" NOT NULL")},
        {"parent": [(1, "a"), (2, "b"), (3, "c")], "child": [(1, 1, "a"), (2, 2, "b"), (3, 3, "c")]},
        {"parent": [(1, "a!"), (4, "d")], "child": [(1, 1, "a"), (3, 4, "c"), (5, 4, "e")]},
    ),
    Shape(
        "composite", "of two columns, one of which is a key of the child's own",
        {"parent": "a integer, b varchar(9), PRIMARY KEY (a, b)",
         "child": "a integer, n integer, b varchar(9), PRIMARY KEY (a, n), FOREIGN KEY (a, b) REFERENCES parent (a, b)"},
        {"parent": [(1, "x"), (1, "y"), (2, "x")], "child": [(1, 1, "x"), (1, 2, "y"), (2, 1, "x")]},
        {"parent": [(1, "x"), (2, "y")], "child": [(1, 1, "x"), (1, 2, "x"), (2, 1, "y"), (2, 2, None)]},
        keys={"parent": ["a", "b"], "child": ["a", "n"]},
    ),
    Shape(
        "nullable", "a child loses its parent and stays, one gets a parent",
        {**PARENT, "child": child()},
        {"parent": [(1, "a"), (2, "b")], "child": [(1, 1, "a"), (2, 2, "b"), (3, None, "c")]},
        {"parent": [(1, "a"), (3, "c")], "child": [(1, 1, "a"), (2, None, "b"), (3, 3, "c")]},
    ),
    Shape(
        "to itself", "a tree in one window: children before parents, branches that come, move and go",
        TREE,
        {"node": [(1, 4, "a"), (2, 1, "b"), (3, 1, "c"), (4, None, "root"), (5, 2, "d"), (6, 5, "e")]},
        {"node": [(0, 9, "new"), (1, 4, "a"), (3, 0, "c"), (4, None, "root"), (9, 4, "newer"), (2, 3, "b")]},
    ),
    Shape(
        "to itself, over windows", "the same in windows of two rows",
        TREE,
        {"node": [(1, 4, "a"), (2, 1, "b"), (3, 1, "c"), (4, None, "root"), (5, 2, "d"), (6, 5, "e")]},
        {"node": [(0, 9, "new"), (1, 4, "a"), (3, 0, "c"), (4, None, "root"), (9, 4, "newer"), (2, 3, "b")]},
        window=2,
    ),
    Shape(
        "circle", "a store and its manager, who works there; one of the keys takes nulls",
        CIRCLE,
        {"store": [(1, 11), (2, 12)], "staff": [(11, 1), (12, 2), (13, 1)]},
        {"store": [(1, 13), (3, 14)], "staff": [(11, 3), (13, 1), (14, 3)]},
        closing={"store": "FOREIGN KEY (manager) REFERENCES staff (no)"},
        engines=CIRCLES,
    ),
    Shape(
        "deferrable circle", "the same without nulls; the key from the store to its manager is deferred",
        {**CIRCLE, "store": f"{NO}, manager integer NOT NULL"},
        {"store": [(1, 11), (2, 12)], "staff": [(11, 1), (12, 2), (13, 1)]},
        {"store": [(1, 13), (3, 14)], "staff": [(11, 3), (13, 1), (14, 3)]},
        closing={"store": "FOREIGN KEY (manager) REFERENCES staff (no)"},
        engines=("postgresql", "sqlite"),
        deferrable=True,
    ),
    Shape(
        "ON DELETE CASCADE", "from a table that the spec does not name, `children: plan`",
        {**PARENT, "beside": child(" ON DELETE CASCADE", " NOT NULL")},
        {"parent": [(1, "a"), (2, "b")]},
        {"parent": [(1, "a")]},
        {"beside": ([(1, 1, "a"), (2, 2, "b")], [(1, 1, "a")])},
        engines=ACTING, children="plan",
    ),
    Shape(
        "ON DELETE SET NULL", "from a table that the spec does not name, `children: plan`",
        {**PARENT, "beside": child(" ON DELETE SET NULL")},
        {"parent": [(1, "a"), (2, "b")]},
        {"parent": [(1, "a")]},
        {"beside": ([(1, 1, "a"), (2, 2, "b")], [(1, 1, "a"), (2, None, "b")])},
        engines=ACTING, children="plan",
    ),
    Shape(
        "ON DELETE SET DEFAULT", "from a table that the spec does not name, `children: plan`",
        {**PARENT, "beside": child(" ON DELETE SET DEFAULT", " DEFAULT 1 NOT NULL")},
        {"parent": [(1, "a"), (2, "b")]},
        {"parent": [(1, "a")]},
        {"beside": ([(1, 1, "a"), (2, 2, "b")], [(1, 1, "a"), (2, 1, "b")])},
        engines=("postgresql", "sqlite"), children="plan",
    ),
    Shape(
        "no action", "from a table that the spec does not name, over two levels, `children: plan`",
        {**PARENT, "beside": child(), "below": f"{NO}, up integer, FOREIGN KEY (up) REFERENCES beside (no)"},
        {"parent": [(1, "a"), (2, "b")]},
        {"parent": [(1, "a")]},
        {"beside": ([(1, 1, "a"), (2, 2, "b")], [(1, 1, "a")]), "below": ([(1, 1), (2, 2)], [(1, 1)])},
        children="plan",
    ),
    Shape(
        "ON UPDATE CASCADE", "to a unique column that is not the key: it changes, and the source's children with it",
        {"parent": f"{NO}, code varchar(9) NOT NULL UNIQUE",
         "child": f"{NO}, code varchar(9), FOREIGN KEY (code) REFERENCES parent (code) ON UPDATE CASCADE"},
        {"parent": [(1, "a"), (2, "b")], "child": [(1, "a"), (2, "b"), (3, "b")]},
        {"parent": [(1, "a"), (2, "B2")], "child": [(1, "a"), (2, "B2"), (3, "a")]},
        engines=ACTING,
    ),
    Shape(
        "to a unique column", "that is not the key: a row that comes takes the value of one that goes, and its child",
        {"parent": f"{NO}, code varchar(9) NOT NULL UNIQUE",
         "child": f"{NO}, code varchar(9), FOREIGN KEY (code) REFERENCES parent (code)"},
        {"parent": [(1, "a"), (2, "b")], "child": [(1, "a"), (2, "b")]},
        {"parent": [(1, "a"), (3, "b"), (4, "d")], "child": [(1, "d"), (2, "b"), (3, None)]},
    ),
    Shape(
        "to a value that moves", "two rows change places in a unique column that others refer to",
        {"parent": f"{NO}, code varchar(9) NOT NULL UNIQUE",
         "child": f"{NO}, code varchar(9), FOREIGN KEY (code) REFERENCES parent (code)"},
        {"parent": [(1, "a"), (2, "b")], "child": [(1, "a"), (2, "b"), (3, "b")]},
        {"parent": [(1, "b"), (2, "a")], "child": [(1, "a"), (2, "a"), (4, "b")]},
    ),
)  # fmt: skip
