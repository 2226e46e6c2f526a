"""Changing the text of a document in the places that change, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.documents.paths import Name, Path, Step, spelled
from adapters.documents.tree import MERGE, Branch, Entry, Node, Tree
from adapters.documents.values import Value

Spellings = Mapping[tuple[str, Value], str]
"""How a value at a path was written once, where that is not how it would be written by itself."""

STEP: Final = 2  # blanks that a level is set in by, where a document does not show its own


@dataclass(frozen=True, slots=True)
class Edit:
    start: int
    end: int
    text: str


@dataclass(slots=True)
class Splice:
    """One change of a text. `scalar` and `name` write values and names; `block`: there is more than brackets.
    `overrides`: what a mapping takes from others and is to be another value is written into it; else it changes with the others."""

    text: str
    scalar: Callable[[Value, str, int], str]
    name: Callable[[Step], str]
    block: bool
    spellings: Spellings
    overrides: bool = True
    edits: list[Edit] = field(default_factory=list)
    replaced: dict[tuple[str, Value], str] = field(default_factory=dict)

    def changed(self, root: Node | None, wanted: Tree | None) -> str:
        """The text of the document that holds `wanted`."""
        if root is None:
            return self._appended_whole(wanted)
        self._turn(root, wanted if wanted is not None else Branch(False), ())
        text = self.text
        for edit in sorted(self.edits, key=lambda each: (each.start, each.end), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def _appended_whole(self, wanted: Tree | None) -> str:
        if wanted is None:
            return self.text
        gap = "" if not self.text or self.text.endswith("\n") else "\n"
        whole = self._block(wanted, 0) if self.block else self._lines(wanted, 0)
        return f"{self.text}{gap}{whole}\n" if self.block or not self.text.strip() else self.text

    def _turn(self, node: Node, wanted: Tree, path: Path, entry: Entry | None = None) -> None:
        if node.alias:  # it changes with what it repeats, or not at all
            return
        if isinstance(wanted, Value):
            if node.value != wanted:
                self._replace(node, self._value(wanted, node, path), entry)
            return
        if node.value is not None or node.is_list != wanted.is_list:
            self._replace(node, self._fresh(wanted, node, path), entry)
            return
        kept = [step for step in node.entries if step in wanted.within or step == MERGE]
        new = [
            step
            for step, tree in wanted.within.items()
            if step not in node.entries
            and not (step in node.merged and (not self.overrides or node.merged[step].holds(tree)))
        ]
        if not node.flow and node.entries and not kept:
            self._replace(node, self._fresh(wanted, node, path), entry)
            return
        for step in (each for each in kept if each != MERGE):
            self._turn(node.entries[step].node, wanted.within[step], (*path, step), node.entries[step])
        if len(kept) < len(node.entries):
            (self._leave_out_flow if node.flow else self._leave_out)(node, kept)
        if new:
            self._add(node, kept, [(step, wanted.within[step]) for step in new], path)

    def _value(self, value: Value, node: Node, path: Path) -> str:
        key = spelled(path)
        if node.value is not None:
            self.replaced[key, node.value] = self.text[node.start : node.end]
        if (known := self.spellings.get((key, value))) is not None:
            return known
        return self.scalar(value, self.text[node.start : node.end], self._inner(node))

    def _inner(self, node: Node) -> int:
        """How far a block of lines is set in that takes the place of a value."""
        start = self.text.rfind("\n", 0, node.start) + 1
        line = self.text[start : node.start]
        if node.style == "|":
            below = self.text[node.start : node.end].split("\n")[1:]
            return next((len(each) - len(each.lstrip(" ")) for each in below if each.strip()), STEP)
        return len(line) - len(line.lstrip(" -")) + STEP

    def _replace(self, node: Node, text: str, entry: Entry | None) -> None:
        start, end = node.start, node.end
        if entry is not None and self.block and (node.value is None and not node.flow):
            start = entry.after  # what is in lines below goes
            text = text if text.startswith("\n") else f" {text}"
        elif entry is not None and start == end and text:
            start = end = entry.after
            text = f" {text}"
        elif entry is not None and not text:
            start = entry.after
        self.edits.append(Edit(start, end, text))

    def _leave_out(self, node: Node, kept: Sequence[Step]) -> None:
        """Take entries in lines of their own out."""
        entries = list(node.entries.items())
        done = 0
        for step, entry in entries:
            if step in kept or entry.start < done:
                continue
            line = self.text.rfind("\n", 0, entry.start) + 1
            if self.text[line : entry.start].strip(" "):  # behind a dash: the first one that stays moves up
                done = node.entries[kept[0]].start
                self.edits.append(Edit(entry.start, done, ""))
            else:
                self.edits.append(Edit(line, self._line_end(entry.node.end), ""))

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end + 1

    def _leave_out_flow(self, node: Node, kept: Sequence[Step]) -> None:
        """Take entries in brackets out, each run of them with one of its commas."""
        entries = list(node.entries.items())
        if not kept:
            self.edits.append(Edit(node.start + 1, node.end - 1, ""))
            return
        at = 0
        while at < len(entries):
            stop = at
            while stop < len(entries) and entries[stop][0] not in kept:
                stop += 1
            if stop > at:
                if stop < len(entries):
                    self.edits.append(Edit(entries[at][1].start, entries[stop][1].start, ""))
                else:
                    self.edits.append(Edit(entries[at - 1][1].node.end, entries[-1][1].node.end, ""))
            at = max(stop, at) + 1

    def _add(self, node: Node, kept: Sequence[Step], new: Sequence[tuple[Step, Tree]], path: Path) -> None:
        if node.flow:
            self._add_flow(node, kept, new)
            return
        last = list(node.entries.values())[-1].node.end
        end = self._line_end(last)
        gap = "" if self.text[:end].endswith("\n") else "\n"
        lines = "\n".join(self._entry(step, tree, node.column) for step, tree in new)
        self.edits.append(Edit(end, end, f"{gap}{lines}\n" if not gap else f"{gap}{lines}"))

    def _add_flow(self, node: Node, kept: Sequence[Step], new: Sequence[tuple[Step, Tree]]) -> None:
        first = next(iter(node.entries.values())) if node.entries else None
        lead = self.text[node.start + 1 : first.start] if first is not None else ""
        line = self.text[self.text.rfind("\n", 0, node.start) + 1 : node.start]
        own = len(line) - len(line.lstrip(" \t"))
        spread = (
            "\n" in lead
            or (first is None and not self.block and "\n" in self.text.strip())
            or (first is None and node.start == 0)
        )
        blank = lead[lead.rfind("\n") + 1 :] if "\n" in lead else line[:own] + " " * STEP
        texts = [self._flow_entry(step, tree, blank if spread and not self.block else None) for step, tree in new]
        gap = f"\n{blank}" if spread and not self.block else " "
        joined = f",{gap}".join(texts)
        if kept:
            end = node.entries[kept[-1]].node.end
            self.edits.append(Edit(end, end, f",{gap}{joined}"))
        elif spread and not self.block:
            close = f"\n{line[:own]}"
            self.edits = [each for each in self.edits if not (node.start < each.start and each.end < node.end)]
            self.edits.append(Edit(node.start + 1, node.end - 1, f"{gap}{joined}{close}"))
        else:
            self.edits = [each for each in self.edits if not (node.start < each.start and each.end < node.end)]
            self.edits.append(Edit(node.start + 1, node.end - 1, joined))

    def _fresh(self, wanted: Branch, node: Node, path: Path) -> str:
        """A mapping or list in the place of something else."""
        if not path:
            return self._block(wanted, 0) if self.block else self._lines(wanted, 0)
        line = self.text[self.text.rfind("\n", 0, node.start) + 1 : node.start]
        if not self.block:
            return self._lines(wanted, len(line) - len(line.lstrip(" ")))
        return self._flow(wanted)

    def _entry(self, step: Step, tree: Tree, column: int) -> str:
        """An entry in lines of its own, without the end of the last."""
        head = " " * column + (self.name(step) if isinstance(step, Name) else "- ")
        if isinstance(tree, Value) or not tree.within:
            return head + (self.scalar(tree, "", 0) if isinstance(tree, Value) else ("[]" if tree.is_list else "{}"))
        if isinstance(step, Name):
            return head.rstrip() + "\n" + self._block(tree, column + STEP)
        return head + self._block(tree, column + STEP).lstrip(" ")

    def _block(self, tree: Tree, column: int) -> str:
        if isinstance(tree, Value):
            return self.scalar(tree, "", 0)
        if not tree.within:
            return "[]" if tree.is_list else "{}"
        return "\n".join(self._entry(step, below, column) for step, below in tree.within.items())

    def _flow_entry(self, step: Step, tree: Tree, blank: str | None) -> str:
        head = self.name(step) if isinstance(step, Name) else ""
        return head + (self._flow(tree) if blank is None else self._lines(tree, len(blank), blank))

    def _flow(self, tree: Tree) -> str:
        if isinstance(tree, Value):
            return self.scalar(tree, "", 0)
        within = ", ".join(self._flow_entry(step, below, None) for step, below in tree.within.items())
        return f"[{within}]" if tree.is_list else f"{{{within}}}"

    def _lines(self, tree: Tree, column: int, blank: str | None = None) -> str:
        """In brackets, a line for each entry, all set in by as much as the line that it begins in."""
        if isinstance(tree, Value) or not tree.within:
            return self._flow(tree)
        own = blank if blank is not None else " " * column
        inner = own + ("\t" if own.endswith("\t") else " " * STEP)
        lines = f",\n{inner}".join(self._flow_entry(step, below, inner) for step, below in tree.within.items())
        opened, closed = "[]" if tree.is_list else "{}"
        return f"{opened}\n{inner}{lines}\n{own}{closed}"
