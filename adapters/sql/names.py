"""Names of new tables and columns: what an engine would cut short, refuse, or take for another name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from transforms.vocabulary import SpecError, TableName, TableShape

POSTGRES_BYTES: Final = 63  # what is longer PostgreSQL cuts, and goes on
MYSQL_CHARACTERS: Final = 64
_BASIC_PLANE: Final = "\uffff"


def check_names(shape: TableShape, engine: str) -> None:
    """SpecError for a name that the engine would not keep as it is, or for two columns that it takes for one."""
    for what, name in ((f"table {shape.name}", shape.name.name), *((f"column {each}", each) for each in shape.names)):
        if why := _unfit(name, engine):
            own = "with `target:`" if what.startswith("table") else "under `columns:`"
            raise SpecError(f"{shape.name}: {what} {why}. Fix: give it another name {own}.")
    known: dict[str, str] = {}
    for name in shape.names:
        other = known.setdefault(folded(name, engine), name)
        if other != name:
            raise SpecError(
                f"{shape.name}: {engine} takes columns {other} and {name} for one. Fix: give one of them another name under `columns:`."
            )


def taken_for_one(tables: Iterable[TableName], engine: str) -> tuple[TableName, TableName] | None:
    """Two different names that the engine takes for one table, if any. What a MySQL server takes it to be is its setting."""
    known: dict[tuple[str | None, str], TableName] = {}
    for table in tables:
        name = folded(table.name, engine) if engine != "mysql" else table.name
        other = known.setdefault((table.schema, name), table)
        if other != table:
            return other, table
    return None


def _unfit(name: str, engine: str) -> str:
    if not name:
        return "has no name at all"
    if engine == "postgresql" and (size := len(name.encode())) > POSTGRES_BYTES:
        return f"has a name of {size} bytes, and PostgreSQL keeps {POSTGRES_BYTES}"
    if engine == "mysql" and len(name) > MYSQL_CHARACTERS:
        return f"has a name of {len(name)} characters, and MySQL takes {MYSQL_CHARACTERS}"
    if engine == "mysql" and (name.endswith(" ") or max(name, default="") > _BASIC_PLANE):
        return "has a name that MySQL refuses, for a blank at its end or a character of four bytes"
    return ""


def fitting(name: str, engine: str) -> str:
    """The name, or the nearest one that the engine keeps as it is. Not looked at: whether another has it already."""
    if engine == "mysql":
        name = "".join("_" if each > _BASIC_PLANE else each for each in name).rstrip(" ")
    return cut(name or "unnamed", engine)


def cut(name: str, engine: str, less: int = 0) -> str:
    """The beginning of a name that the engine keeps, with `less` bytes or characters for what is to follow."""
    if engine == "postgresql":
        return name.encode()[: POSTGRES_BYTES - less].decode(errors="ignore")
    return name[: MYSQL_CHARACTERS - less] if engine == "mysql" else name


def folded(name: str, engine: str) -> str:
    """What two names have in common that an engine takes for one."""
    if engine in ("sqlite", "duckdb"):
        return "".join(each.lower() if each.isascii() else each for each in name)
    return "".join(each.lower()[0] for each in name) if engine == "mysql" else name
