"""Documents of lines: names and texts, perhaps in sections (INI, .env). All of their values are texts, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.documents.paths import Name, Path, spelled
from adapters.documents.splice import Edit, Spellings
from adapters.documents.tree import Rows
from adapters.documents.values import Value


@dataclass(frozen=True, slots=True)
class Line:
    """An entry: its value, where its name ends, the characters of its value, where it begins and where its last line ends."""

    path: Path
    value: Value
    named: int
    start: int
    end: int
    begins: int
    ends: int


@dataclass(slots=True)
class Lines:
    """The entries of a document in their order, and where new ones of each section go."""

    entries: dict[Path, Line] = field(default_factory=dict)
    sections: dict[Path, int] = field(default_factory=dict)


def rows_of(lines: Lines) -> Rows:
    """The values of a document."""
    return {spelled(path): (path, entry.value) for path, entry in lines.entries.items()}


def changed(
    text: str, lines: Lines, rows: Rows, spellings: Spellings, sign: str,
    value_text: Callable[[Value, str], str], entry_text: Callable[[Name, Value], str],
) -> tuple[str, dict[tuple[str, Value], str]]:  # fmt: skip
    """The document that holds `rows`, and how values were written that it no longer holds."""
    wanted = dict(rows.values())
    edits: list[Edit] = []
    replaced: dict[tuple[str, Value], str] = {}
    for path, line in lines.entries.items():
        value = wanted.get(path)
        if value is None:
            edits.append(Edit(line.begins, line.ends, ""))
        elif value != line.value:
            key = spelled(path)
            replaced[key, line.value] = text[line.named : line.end]
            between = text[line.named : line.start] or sign
            usual = "" if value.text is None else between + value_text(value, text[line.start : line.end])
            edits.append(
                Edit(line.named, line.end, spellings.get((key, value), usual.rstrip(" ") if not value.text else usual))
            )
    new: dict[Path, list[str]] = {}
    for path, value in wanted.items():
        if path not in lines.entries:
            name = path[-1]
            assert isinstance(name, Name)
            new.setdefault(path[:-1], []).append(entry_text(name, value) + "\n")
    tail = ""
    for section, written in new.items():
        if section in lines.sections:
            at = lines.sections[section]
            gap = "" if at == 0 or text[at - 1] == "\n" else "\n"
            edits.append(Edit(at, at, gap + "".join(written)))
        else:
            (name,) = section
            assert isinstance(name, Name)
            tail += ("\n" if text or tail else "") + f"[{name.name}]\n" + "".join(written)
    for edit in sorted(edits, key=lambda each: (each.start, each.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    if tail:
        text += "" if not text or text.endswith("\n") else "\n"
    return (text + tail).removeprefix("\n") if tail else text, replaced
