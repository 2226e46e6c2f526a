"""A document as the values in it, by their paths, and where each stands in its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from adapters.documents.paths import Item, Name, Path, Place, Step, spelled
from adapters.documents.values import Value
from transforms.vocabulary import DataError

MOST_DEEP: Final = 200
MERGE: Final = Name("<<", "merge")
"""Where entries of other mappings are taken in; no path has it."""
Rows = dict[str, tuple[Path, Value]]
"""By spelled path, in the document's order."""


class BadDocument(DataError):
    """A document cannot be read, or cannot be what it was to become. `where` is its file and line."""

    code = "document"


@dataclass(slots=True)
class Branch:
    """What a mapping or a list is to hold."""

    is_list: bool
    within: dict[Step, Tree] = field(default_factory=dict)


Tree = Branch | Value


@dataclass(slots=True)
class Node:
    """A value, mapping or list in a text: characters `start` to `end` (exclusive). `flow`: it is written in brackets.

    `alias`: it only repeats what has that name; what is in it stands there. `merged` are entries that a mapping takes from others,
    as far as it has none of its own: where MERGE stands among its entries.
    """

    start: int
    end: int
    value: Value | None = None
    entries: dict[Step, Entry] = field(default_factory=dict)
    is_list: bool = False
    flow: bool = True
    column: int = 0
    style: str = ""
    alias: str = ""
    merged: dict[Step, Node] = field(default_factory=dict)

    @property
    def below(self) -> dict[Step, Node]:
        """All that is in it, in the order of the document."""
        found: dict[Step, Node] = {}
        for step, entry in self.entries.items():
            if step == MERGE:
                found |= {own: node for own, node in self.merged.items() if own not in self.entries}
            else:
                found[step] = entry.node
        return found

    def holds(self, tree: Tree) -> bool:
        """Whether it is exactly that."""
        if isinstance(tree, Value) or self.value is not None:
            return self.value == tree
        below = self.below
        same = self.is_list == tree.is_list and below.keys() == tree.within.keys()
        return same and all(node.holds(tree.within[step]) for step, node in below.items())


@dataclass(slots=True)
class Entry:
    """A name and its value, or an item. `start` is that of the name or the dash, `after` behind the colon or the dash."""

    start: int
    after: int
    node: Node


@dataclass(frozen=True, slots=True)
class Keyed:
    """Lists that go by a key: patterns of paths, in which * stands for any characters, and the key of each."""

    by: Mapping[str, str] = field(default_factory=dict)

    def of(self, path: Path) -> str | None:
        """The key by which the items of the list at `path` go; None where it is their place."""
        if not self.by:
            return None
        text = spelled(path)
        return next((by for pattern, by in self.by.items() if fnmatchcase(text, pattern.replace("[", "[[]"))), None)


def keyed(node: Node, lists: Keyed, wrong: Wrong, path: Path = ()) -> Node:
    """The same with the items of lists under their keys, which are no entries of theirs any more."""
    if node.value is not None:
        return node
    by = lists.of(path) if node.is_list else None
    within: dict[Step, Entry] = {}
    for step, entry in node.entries.items():
        own = _item(entry.node, by, wrong) if by is not None else step
        if own in within:
            raise wrong(
                entry.start, f"two items of {spelled(path)} have the {by} of {spelled((own,))}", "give each its own"
            )
        within[own] = entry
        if step != MERGE:
            entry.node = keyed(entry.node, lists, wrong, (*path, own))
    node.entries = within
    node.merged = {step: keyed(each, lists, wrong, (*path, step)) for step, each in node.merged.items()}
    return node


def _item(node: Node, by: str, wrong: Wrong) -> Item:
    found = node.below.get(Name(by))
    if node.value is not None or found is None or found.value is None:
        raise wrong(
            node.start, f"an item has no {by}, by which the list goes", "give it one, or take the list out of `lists`"
        )
    return Item(by, found.value)


class Wrong:
    """Makes errors that name a file and a line."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text

    def __call__(self, at: int, what: str, fix: str = "correct the document") -> BadDocument:
        line = self.text.count("\n", 0, at) + 1
        return BadDocument(f"{what}.", fix=f"{fix}.", where=f"{self.file}:{line}")


def repeating(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node, str]]:
    """The paths whose values only repeat others, the node that says so, and what it says."""
    if node.alias:
        yield path, node, f"*{node.alias}"
        return
    for step, entry in node.entries.items():
        if step != MERGE:
            yield from repeating(entry.node, (*path, step))
            continue
        yield from (((*path, own), entry.node, "<<") for own in node.merged)


def rows_of(node: Node | None) -> Rows:
    """The values of a document; one that is an empty mapping has none."""
    if node is None or (not node.entries and node.value is None and not node.is_list):
        return {}
    return rows_from(_values(node, ()))


def rows_from(values: Iterable[tuple[Path, Value]]) -> Rows:
    """The same by spelled path."""
    return {spelled(path): (path, value) for path, value in values}


def _values(node: Node, path: Path) -> Iterator[tuple[Path, Value]]:
    if node.value is not None:
        yield path, node.value
        return
    own = path[-1] if path else None
    there = [
        (step, below)
        for step, below in node.below.items()
        if not (isinstance(own, Item) and isinstance(step, Name) and step == Name(own.by))
    ]
    if not there:
        yield path, Value("list" if node.is_list else "map", None)
    for step, below in there:
        yield from _values(below, (*path, step))


def settled(rows: Rows) -> Rows:
    """The same without empty mappings and lists that are not empty any more."""
    above = {spelled(path[:depth]) for path, _ in rows.values() for depth in range(len(path))}
    return {text: row for text, row in rows.items() if row[1].kind not in ("map", "list") or text not in above}


def tree_of(rows: Rows) -> Tree | None:
    """What a document with these values is; None where it has none. BadDocument where no document has all of them.

    An empty mapping or list gives way to what is in it.
    """
    if not rows:
        return None
    root: Branch | None = None
    for path, value in rows.values():
        if not path:
            if len(rows) > 1 and value.kind not in ("map", "list"):
                raise _clash((), "a value")
            if len(rows) == 1:
                return value if value.kind not in ("map", "list") else Branch(value.kind == "list")
            continue
        root = root or Branch(not isinstance(path[0], Name))
        _put(root, path, value)
    _whole(root, ())
    return root


def _put(root: Branch, path: Path, value: Value) -> None:
    at = root
    for depth, step in enumerate(path):
        if at.is_list == isinstance(step, Name):
            raise _clash(path[:depth], "a mapping and a list")
        if depth == len(path) - 1:
            _end(at, path, value)
            return
        below = at.within.get(step)
        if below is None:
            at.within[step] = below = _began(step, not isinstance(path[depth + 1], Name))
        elif isinstance(below, Branch) and len(below.within) <= isinstance(step, Item):
            below.is_list = not isinstance(path[depth + 1], Name)  # it was said to be empty
        if isinstance(below, Value):
            raise _clash(path[: depth + 1], "a value and a mapping or list")
        at = below


def _end(at: Branch, path: Path, value: Value) -> None:
    """Put a value where it belongs. One that is empty leaves what is there already."""
    step, empty = path[-1], value.kind in ("map", "list")
    if step not in at.within:
        at.within[step] = _began(step, value.kind == "list") if empty else value
    elif not empty:
        raise _clash(path, "a value and a mapping or list")


def _began(step: Step, is_list: bool) -> Branch:
    return Branch(is_list, {Name(step.by): step.value} if isinstance(step, Item) and not is_list else {})


def _whole(node: Tree | None, path: Path) -> None:
    if not isinstance(node, Branch):
        return
    if node.is_list and node.within:
        places = sorted(step.at for step in node.within if isinstance(step, Place))
        if places and len(places) != len(node.within):
            raise _clash(path, "a list by place and by key")
        if places and places != list(range(len(places))):
            gap = next(at for at, place in enumerate(places) if at != place)
            raise BadDocument(
                f"{spelled(path)} would have no item {gap}, and one behind it.",
                fix="take items from the end of a list, or let it go by a key (`lists`).",
            )
        if places:
            node.within = {Place(at): node.within[Place(at)] for at in places}
    for step, below in node.within.items():
        _whole(below, (*path, step))


def _clash(path: Path, what: str) -> BadDocument:
    return BadDocument(
        f"{spelled(path) or 'the document'} would be {what} at once.",
        fix="remove one of them in the same run, or correct the mapping.",
    )
