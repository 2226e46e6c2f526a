"""Whole migrations drawn at random: tables, rows, an edit of the source, and what is asked for in between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import strategies as st
from law_types import KINDS, Kind
from scenario import Engine

NUMBER = "n"
"""A column of every table that no fault is ever in: it numbers the rows, also those that are quarantined."""

Made = Literal["by Syncline", "alike", "by hand"]
"""How the target's tables come to be: by Syncline, with the source's types, or with other types that may be narrower."""

ODD_NAMES = (
    "select", "Order By", "naïve", 'say "hi"', "it's", "a.b", "a:b", ":x", "100%", "%s", "x?", "日本", "{x}", "$1", "--", "a;b", "back\\slash",
    "tab\there", "é", "UPPER", "source", "key", "op", "before", "window", "rowid", "oid", "ctid", "_", "1", "n1", "syncline", "null", "value",
    "x" * 60, "#", "/", "[b]", "`", "before_n", "k",
)  # fmt: skip
ODD_TABLES = ("Order", "with blank", "日本", "100%", "a:b", "x?", "table", "%s", "UPPER", "a;b", 'say "hi"', "sql")

# What a target's table made by hand may have for values of a family; the first ones hold the most.
OTHERS: dict[Engine, dict[str, tuple[str, ...]]] = {
    "postgresql": {
        "number": ("numeric", "bigint", "integer", "smallint", "numeric(10,2)", "numeric(38,10)", "double precision"),
        "float": ("double precision", "real"), "boolean": ("boolean",), "bytes": ("bytea",), "date": ("date",), "uuid": ("uuid",),
        "text": ("text", "varchar(10)", "varchar(3)", "char(5)", "public.citext"), "padded": ("text", "char(5)", "varchar(3)"),
        "timestamp": ("timestamp", "timestamp(3)", "timestamp(0)"), "instant": ("timestamptz", "timestamptz(0)"),
        "time": ("time", "time(0)"), "interval": ("interval",), "json": ("jsonb", "json"),
    },
    "duckdb": {
        "number": ("BIGINT", "HUGEINT", "UTINYINT", "SMALLINT", "DECIMAL(10,2)", "DECIMAL(38,10)", "UBIGINT", "DOUBLE"),
        "float": ("DOUBLE", "FLOAT"), "boolean": ("BOOLEAN",), "bytes": ("BLOB",), "date": ("DATE",), "uuid": ("UUID",),
        "text": ("VARCHAR", "ENUM('', 'a', 'NULL', 'sad')"), "padded": ("VARCHAR",),
        "timestamp": ("TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_S"), "instant": ("TIMESTAMP WITH TIME ZONE",),
        "time": ("TIME",), "interval": ("INTERVAL",), "json": ("JSON",),
    },
    "sqlite": {
        "number": ("DECIMAL_TEXT", "INTEGER", "DECIMAL(10,2)", "DECIMAL_TEXT(38,10)", "REAL", "NUMERIC"),
        "float": ("REAL",), "boolean": ("BOOLEAN",), "bytes": ("BLOB",), "date": ("DATE",), "uuid": ("UUID",),
        "text": ("TEXT", "VARCHAR(5)", "CHAR(3)", ""), "padded": ("TEXT", "CHAR(5)"),
        "timestamp": ("TIMESTAMP", "DATETIME"), "instant": ("TIMESTAMPTZ",),
        "time": ("TIME",), "interval": ("INTERVAL",), "json": ("JSON_TEXT", "JSON"),
    },
    "mysql": {
        "number": ("decimal(65,10)", "bigint", "bigint unsigned", "int", "tinyint", "mediumint unsigned", "decimal(10,2)", "double", "year"),
        "float": ("double", "float"), "boolean": ("tinyint(1)",), "bytes": ("blob", "varbinary(5)"), "date": ("date",), "uuid": ("uuid",),
        "text": ("longtext", "tinytext", "varchar(10)", "char(5)", "varchar(20) CHARACTER SET latin1", "varchar(200)"),
        "padded": ("varchar(10)", "char(5)"), "timestamp": ("datetime(6)", "datetime(3)", "datetime"),
        "instant": ("timestamp(6)", "timestamp"), "time": ("time(6)", "time"), "interval": ("time(6)", "time(3)"), "json": ("json", "longtext"),
    },
}  # fmt: skip
NO_KEYS = ("longtext", "tinytext", "blob")
"""Types that MariaDB takes no key over, unless a length is said."""


ASKED = (("mysql", "DECIMAL(38,38)"),)
"""Targets and types of sources for which no column is made unless a cast is given."""


@dataclass(frozen=True)
class Column:
    """A column of the source; `target` is its type in a target's table that is made by hand."""

    name: str
    kind: Kind
    nullable: bool
    target: str


@dataclass(frozen=True)
class Cell:
    """An expression in the source's SQL; `broken` where it is no value of its column's type."""

    sql: str
    broken: bool = False

    def __repr__(self) -> str:
        return f"!{self.sql}" if self.broken else self.sql


NULL = Cell("NULL")
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table, its first rows, and its rows after the edit; each row by its number. `keyed`: the source holds the key."""

    name: str
    key: int  # so many columns, from the left
    keyed: bool
    columns: tuple[Column, ...]
    rows: dict[int, Row]
    edited: dict[int, Row]

    @property
    def keys(self) -> tuple[Column, ...]:
        return self.columns[: self.key]


@dataclass(frozen=True)
class Case:
    """A migration. `between` are the positions of two rows whose keys are the ends of a range."""

    tables: tuple[Table, ...]
    made: Made
    window: int
    between: tuple[int, int]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """A failing example as it is looked at: tables, rows and their edit, without the strategies of the types."""
        lines = [f"made {self.made}, windows of {self.window} rows, between {self.between}"]
        for table in self.tables:
            lines.append(f"{table.name!r}, {'keyed' if table.keyed else 'without a key'} by {table.key} columns")
            lines += [
                f"    {each.name!r} {each.kind.native}{'' if each.nullable else ' not null'} (by hand {each.target})"
                for each in table.columns
            ]
            for what, rows in (("rows", table.rows), ("edited", table.edited)):
                lines += [f"  {what} {number}: {', '.join(map(repr, cells))}" for number, cells in rows.items()]
        printer.text("\n".join(lines))


@st.composite
def cases(draw: st.DrawFn, pair: tuple[Engine, Engine]) -> Case:
    """A migration between the two engines."""
    source, target = pair
    made: list[Made] = ["by Syncline", "by Syncline", "by hand"]
    chosen = draw(st.sampled_from([*made, "alike"] if source == target else made))
    names = draw(st.lists(st.sampled_from(["t", "u", *ODD_TABLES]), min_size=1, max_size=2, unique_by=str.casefold))
    tables = tuple(draw(_tables(pair, name)) for name in names)
    window = draw(st.sampled_from([1, 2, 7, 100_000]))
    return Case(tables, chosen, window, (draw(st.integers(0, 30)), draw(st.integers(0, 30))))


@st.composite
def _tables(draw: st.DrawFn, pair: tuple[Engine, Engine], name: str) -> Table:
    kinds = [each for each in KINDS[pair[0]] if (pair[1], each.native) not in ASKED]
    # MySQL takes no primary key over 3072 bytes, and a key of all types is no use anywhere
    usable = [kind for kind in kinds if kind.key and (pair[1], kind.family) != ("duckdb", "interval")]
    keys = draw(st.lists(st.sampled_from(usable), min_size=1, max_size=2))
    others = draw(st.lists(st.sampled_from(kinds), max_size=6))
    count = len(keys) + len(others)
    names = draw(st.lists(_names(pair), min_size=count, max_size=count, unique_by=str.casefold))
    keyed = draw(st.sampled_from([True, True, True, False]))
    columns = tuple(
        Column(
            each,
            kind,
            not (keyed and place < len(keys)) and draw(st.booleans()),
            draw(st.sampled_from(_others(pair[1], kind, key=place < len(keys)))),
        )
        for place, (each, kind) in enumerate(zip(names, [*keys, *others], strict=True))
    )
    broken = draw(st.sampled_from([False, False, True]))
    if keyed and len(keys) == 1 and keys[0].native == "INTEGER":  # the rowid: SQLite itself refuses anything else
        columns = (replace(columns[0], kind=replace(keys[0], broken=())), *columns[1:])
    row = st.tuples(*(_cells(column, broken=broken) for column in columns))
    first = draw(st.lists(row, max_size=30))
    rows = dict(enumerate(first))
    return Table(name, len(keys), keyed, columns, rows, draw(_edits(rows, row, columns, broken=broken)))


def _others(engine: Engine, kind: Kind, *, key: bool) -> list[str]:
    return [each for each in OTHERS[engine][kind.family] if not key or each not in NO_KEYS]


def _names(pair: tuple[Engine, Engine]) -> st.SearchStrategy[str]:
    plain = st.sampled_from([f"c{number}" for number in range(12)])
    odd = [name for name in ODD_NAMES if "postgresql" not in pair or name != "ctid"]
    return st.one_of(plain, plain, st.sampled_from(odd))


def _cells(column: Column, *, broken: bool) -> st.SearchStrategy[Cell]:
    cells = column.kind.values.map(Cell)
    if column.nullable:
        cells = st.one_of(cells, cells, cells, st.just(NULL))
    if broken and column.kind.broken:
        wrong = st.sampled_from([Cell(each, True) for each in column.kind.broken])
        cells = st.one_of(*[cells] * 7, wrong)
    return cells


@st.composite
def _edits(
    draw: st.DrawFn, rows: dict[int, Row], row: st.SearchStrategy[Row], columns: tuple[Column, ...], *, broken: bool
) -> dict[int, Row]:
    """Some rows go, some get another value in one column, some are new; sometimes nothing is left."""
    edited: dict[int, Row] = {}
    if draw(st.sampled_from([False] * 9 + [True])):
        return edited
    for number, cells in rows.items():
        fate = draw(st.sampled_from(["stays", "stays", "stays", "changes", "goes"]))
        if fate == "changes":
            place = draw(st.integers(0, len(columns) - 1))
            changed = draw(_cells(columns[place], broken=broken))
            edited[number] = (*cells[:place], changed, *cells[place + 1 :])
        elif fate == "stays":
            edited[number] = cells
    return edited | dict(enumerate(draw(st.lists(row, max_size=5)), 100))
