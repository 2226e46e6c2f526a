"""Names of new tables and columns: what an engine would cut short, refuse, or take for another name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from adapters.capabilities import Fold, Names
from transforms.vocabulary import SpecError, TableName, TableShape

_BASIC_PLANE: Final = "\uffff"


def check_names(shape: TableShape, names: Names) -> None:
    """SpecError for a name that the engine would not keep as it is, or for two columns that it takes for one."""
    for what, name in ((f"table {shape.name}", shape.name.name), *((f"column {each}", each) for each in shape.names)):
        if why := _unfit(name, names):
            own = "with `target:`" if what.startswith("table") else "under `columns:`"
            raise SpecError(f"{shape.name}: {what} {why}.", fix=f"give it another name {own}.")
    known: dict[str, str] = {}
    for name in shape.names:
        other = known.setdefault(folded(name, names.columns), name)
        if other != name:
            raise SpecError(
                f"{shape.name}: {names.engine} takes columns {other} and {name} for one.",
                fix=("give one of them another name under `columns:`."),
            )


def taken_for_one(tables: Iterable[TableName], names: Names) -> tuple[TableName, TableName] | None:
    """Two different names that the engine takes for one table, if any."""
    known: dict[tuple[str | None, str], TableName] = {}
    for table in tables:
        other = known.setdefault((table.schema, folded(table.name, names.tables)), table)
        if other != table:
            return other, table
    return None


def _unfit(name: str, names: Names) -> str:
    if not name:
        return "has no name at all"
    if names.most_bytes and (size := len(name.encode())) > names.most_bytes:
        return f"has a name of {size} bytes, and {names.title} keeps {names.most_bytes}"
    if names.most_characters and len(name) > names.most_characters:
        return f"has a name of {len(name)} characters, and {names.title} takes {names.most_characters}"
    if names.plain and (name.endswith(" ") or max(name, default="") > _BASIC_PLANE):
        return f"has a name that {names.title} refuses, for a blank at its end or a character of four bytes"
    return ""


def fitting(name: str, names: Names) -> str:
    """The name, or the nearest one that the engine keeps as it is. Not looked at: whether another has it already."""
    if names.plain:
        name = "".join("_" if each > _BASIC_PLANE else each for each in name).rstrip(" ")
    return cut(name or "unnamed", names)


def cut(name: str, names: Names, less: int = 0) -> str:
    """The beginning of a name that the engine keeps, with `less` bytes or characters for what is to follow."""
    if names.most_bytes:
        return name.encode()[: names.most_bytes - less].decode(errors="ignore")
    return name[: names.most_characters - less] if names.most_characters else name


def folded(name: str, fold: Fold) -> str:
    """What two names have in common that an engine takes for one."""
    if fold == "ascii":
        return "".join(each.lower() if each.isascii() else each for each in name)
    return "".join(each.lower()[0] for each in name) if fold == "unicode" else name
