"""TOML, changed by tomlkit, which keeps what it does not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import tomlkit
from tomlkit import items
from tomlkit.exceptions import ParseError, TOMLKitError

from adapters.documents.paths import Item, Name, Path, Place, Step, spelled
from adapters.documents.splice import Spellings
from adapters.documents.tree import BadDocument, Branch, Keyed, Rows, Tree, Wrong, rows_from, tree_of
from adapters.documents.values import Value, floating, integer, moment

KINDS: Final = frozenset({"text", "int", "float", "bool", "date", "time", "datetime", "map", "list"})
_LEAST, _MOST = -(2**63), 2**63 - 1


def parse(text: str, wrong: Wrong, lists: Keyed) -> Rows:
    """The values of a document."""
    return rows_from(_values(_document(text, wrong), (), lists, wrong))


def _document(text: str, wrong: Wrong) -> Any:
    try:
        return tomlkit.parse(text)
    except ParseError as error:
        raise _line(wrong, error.line, str(error)) from None
    except TOMLKitError as error:
        raise _line(wrong, _line_of(text), str(error)) from None


def _line_of(text: str) -> int:
    """The first line up to which the document is wrong, where the parser does not say it."""
    lines = text.split("\n")
    for number in range(1, len(lines) + 1):
        try:
            tomlkit.parse("\n".join(lines[:number]))
        except ParseError:
            continue  # it may go on in the next line
        except TOMLKitError:
            return number
    return 1


def _line(wrong: Wrong, line: int, what: str) -> BadDocument:
    at = sum(len(each) + 1 for each in wrong.text.split("\n")[: line - 1])
    return wrong(min(at, len(wrong.text)), f"this is no TOML: {what}", "correct the TOML")


def _values(item: Any, path: Path, lists: Keyed, wrong: Wrong) -> Iterator[tuple[Path, Value]]:
    if isinstance(item, Mapping):
        own = path[-1].by if path and isinstance(path[-1], Item) else None
        within: list[tuple[Step, Any]] = [(Name(str(name)), below) for name, below in item.items() if name != own]
    elif isinstance(item, list):
        within = list(zip(_steps(item, path, lists, wrong), item, strict=True))
    else:
        yield path, _value(item)
        return
    if not within and path:
        yield path, Value("list" if isinstance(item, list) else "map", None)
    for step, below in within:
        yield from _values(below, (*path, step), lists, wrong)


def _steps(item: list[Any], path: Path, lists: Keyed, wrong: Wrong) -> list[Step]:
    """What the items of a list are called."""
    by = lists.of(path)
    if by is None:
        return [Place(at) for at in range(len(item))]
    found: list[Step] = []
    for each in item:
        if not isinstance(each, Mapping) or by not in each or isinstance(each[by], list | Mapping):
            raise wrong(0, f"an item of {spelled(path)} has no {by}, by which the list goes", "give it one")
        step = Item(by, _value(each[by]))
        if step in found:
            raise wrong(0, f"two items of {spelled(path)} have the {by} of {spelled((step,))}", "give each its own")
        found.append(step)
    return found


def _value(item: Any) -> Value:
    if isinstance(item, bool | items.Bool):
        return Value("bool", "true" if item else "false")
    raw = item.as_string()
    if isinstance(item, items.Integer):
        return integer(raw)
    if isinstance(item, items.Float):
        return floating(raw)
    if isinstance(item, items.String):
        return Value("text", str(item))
    return moment(raw)


def refusal(value: Value) -> str | None:
    """Why TOML has no such value."""
    if value.kind == "int" and not _LEAST <= int(value.text or "0") <= _MOST:
        return "TOML has whole numbers of 64 bits"
    return None


def changed(
    text: str, rows: Rows, wrong: Wrong, lists: Keyed, spellings: Spellings
) -> tuple[str, dict[tuple[str, Value], str]]:
    """The document that holds `rows`, and how values were written that it no longer holds."""
    document = _document(text, wrong)
    wanted = tree_of(rows)
    change = _Change(lists, wrong, spellings)
    if isinstance(wanted, Value) or (wanted is not None and wanted.is_list):
        raise BadDocument("a TOML document is a mapping.", fix="give its paths a name in front.")
    change.mapping(document, wanted or Branch(False), ())
    return tomlkit.dumps(document), change.replaced


class _Change:
    def __init__(self, lists: Keyed, wrong: Wrong, spellings: Spellings) -> None:
        self.lists, self.wrong, self.spellings = lists, wrong, spellings
        self.replaced: dict[tuple[str, Value], str] = {}

    def mapping(self, container: Any, wanted: Branch, path: Path) -> None:
        names = {Name(str(name)): name for name in container}
        for gone in [each for each in names if each not in wanted.within]:
            container.remove(names[gone])
        for step, tree in wanted.within.items():
            assert isinstance(step, Name)
            if step not in names:
                container[step.name] = self.fresh(tree, (*path, step), inline=isinstance(container, items.InlineTable))
            elif (new := self.turned(container[names[step]], tree, (*path, step))) is not None:
                container[names[step]] = new

    def turned(self, item: Any, wanted: Tree, path: Path) -> Any:
        """What takes an item's place; None where it was changed in itself, or stays."""
        if isinstance(item, Mapping) and isinstance(wanted, Branch) and not wanted.is_list:
            self.mapping(item, wanted, path)
            return None
        if isinstance(item, list) and isinstance(wanted, Branch) and wanted.is_list:
            self.list(item, wanted, path)
            return None
        if not isinstance(item, Mapping | list):
            old = _value(item)
            if old == wanted:
                return None
            self.replaced[spelled(path), old] = (
                "true" if item is True else "false" if item is False else item.as_string()
            )
        return self.fresh(wanted, path, inline=True)

    def list(self, item: Any, wanted: Branch, path: Path) -> None:
        steps = _steps(item, path, self.lists, self.wrong)
        for at in reversed(range(len(steps))):
            if steps[at] not in wanted.within:
                del item[at]
                del steps[at]
        for at, step in enumerate(steps):
            if (new := self.turned(item[at], wanted.within[step], (*path, step))) is not None:
                item[at] = new
        for step, tree in wanted.within.items():
            if step not in steps:
                item.append(self.fresh(tree, (*path, step), inline=not isinstance(item, items.AoT)))

    def fresh(self, tree: Tree, path: Path, *, inline: bool) -> Any:
        if isinstance(tree, Value):
            known = self.spellings.get((spelled(path), tree))
            return tomlkit.value(known) if known is not None else _item(tree)
        if tree.is_list:
            array = tomlkit.array()
            for step, below in tree.within.items():
                array.append(self.fresh(below, (*path, step), inline=True))
            return array
        table: Any = tomlkit.inline_table() if inline else tomlkit.table()
        for own, below in tree.within.items():
            assert isinstance(own, Name)
            table[own.name] = self.fresh(below, (*path, own), inline=inline)
        return table


def _item(value: Value) -> Any:
    return tomlkit.string(value.text or "") if value.kind == "text" else tomlkit.value(value.text or "")
