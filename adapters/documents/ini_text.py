"""INI as Python's configparser reads it, without interpolation, but that names keep their case. Entries may stand before sections."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from adapters.documents.flat import Line, Lines
from adapters.documents.paths import Name, Path
from adapters.documents.tree import Wrong
from adapters.documents.values import Value

SIGN: Final = " = "
_SECTION: Final = re.compile(r"\[([^\]\n]+)\][ \t]*(?:[#;].*)?")
_ENTRY: Final = re.compile(r"(?P<name>[^=:\s\[#;][^=:\n]*?)[ \t]*(?:(?P<sign>[=:])[ \t]*(?P<value>.*?))?[ \t]*$")
_NAME: Final = re.compile(r"[^=:\s\[\]#;](?:[^=:\n\r\[\]]*[^=:\s\[\]])?")


def parse(text: str, wrong: Wrong) -> Lines:
    """The entries of a document."""
    found = Lines(sections={(): 0})
    section: Path = ()
    seen: set[str] = set()
    at = 0
    last: Path | None = None
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        body = line.rstrip("\r\n")
        end = at + len(line)
        if not body.strip() or body.lstrip()[:1] in "#;":
            if not body.strip():
                last = None
        elif body[:1].isspace() and last is not None:
            known, stop = found.entries[last], at + len(body.rstrip())
            lines = (each.strip() for each in text[known.start : stop].split("\n"))
            whole = "\n".join(each for each in lines if each[:1] not in ("#", ";"))
            found.entries[last] = replace(known, value=Value("text", whole), end=stop, ends=end)
            found.sections[section] = end
        elif heading := _SECTION.fullmatch(body.strip()):
            if heading[1] in seen:
                raise wrong(at, f"the section [{heading[1]}] stands twice", "put its entries together")
            seen.add(heading[1])
            if len(found.sections) == 1 and not found.entries:
                found.sections[()] = at  # what stands in no section goes before the first
            section, last = (Name(heading[1]),), None
            found.sections[section] = end
        else:
            last = _entry(found, body, section, at, end, wrong)
        at = end
    return found


def _entry(found: Lines, body: str, section: Path, at: int, end: int, wrong: Wrong) -> Path | None:
    lead = len(body) - len(body.lstrip())
    entry = _ENTRY.match(body.strip())
    if entry is None:
        raise wrong(at, "this is neither a section, nor an entry, nor a comment", "write it as name = value")
    path: Path = (*section, Name(entry["name"]))
    if path in found.entries:
        raise wrong(at, f"the name {entry['name']!r} stands twice in one section", "remove one of the two")
    if entry["sign"] is None:
        start = at + len(body.rstrip())
        found.entries[path] = Line(path, Value("null", None), start, start, start, at, end)
    else:
        start = at + lead + entry.start("value")
        named, stop = at + lead + entry.end("name"), start + len(entry["value"])
        found.entries[path] = Line(path, Value("text", entry["value"]), named, start, stop, at, end)
    found.sections[section] = end
    return path if entry["sign"] is not None else None


def refusal(path: Path, value: Value) -> str | None:
    """Why INI has no such entry."""
    if not 1 <= len(path) <= 2 or not all(isinstance(step, Name) and step.kind == "text" for step in path):
        return "INI has sections and names, and nothing deeper"
    if len(path) == 2 and not re.fullmatch(r"[^\]\n\r]*[^\]\s]", path[0].name if isinstance(path[0], Name) else ""):
        return "INI has no such section"
    name = path[-1]
    if not isinstance(name, Name) or not _NAME.fullmatch(name.name):
        return "INI has no such name"
    lines = (value.text or "").split("\n")
    if any(each != each.strip() or "\r" in each for each in lines):
        return "INI has no blanks at the beginning or end of a line"
    if any(not each or each[0] in "#;" for each in lines[1:]):
        return "INI has no empty lines and comments in a text"
    return None


def value_text(value: Value, old: str) -> str:
    """A value as INI."""
    return "" if value.text is None else value.text.replace("\n", "\n    ")


def entry_text(name: Name, value: Value) -> str:
    """A line for an entry, without its end."""
    return name.name if value.text is None else f"{name.name} = {value_text(value, '')}".rstrip(" ")
