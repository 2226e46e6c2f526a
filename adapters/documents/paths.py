"""Where a value stands in a document: steps from its root, and the one text that spells them.

    server.port              names, with dots between them
    server."a b"."x.y".""    a name that is not made of letters, digits, _ and - alone is a JSON text
    server.!8080             a name that is no text (YAML knows such): ! and the value, or ! and its JSON text
    hosts[0].name            a place in a list, from 0
    hosts[name="web"].port   the item of a list whose `name` is the text "web", where the list goes by that key
    hosts[id=7].port         the same, where it is a number, true or false

The root itself is the empty text. Law: `parsed(spelled(steps)) == steps`, and any two spellings are two places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.documents.values import Value, is_canonical, kind_of_bare

_BARE: Final = re.compile(r"[\w-]+")
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD: Final = re.compile(r"[\w+:-]+")
_INSIDE: Final = re.compile(r"[\w+.:-]+")
_PLACE: Final = re.compile(r"\[(0|[1-9][0-9]*)\]")


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a mapping; of another kind than text where `kind` says so."""

    name: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list, from 0."""

    at: int


@dataclass(frozen=True, slots=True)
class Item:
    """The item of a list whose value of `by` is `value`."""

    by: str
    value: Value


Step = Name | Place | Item
Path = tuple[Step, ...]


def spelled(path: Sequence[Step]) -> str:
    """The text of a path."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, Name):
            parts.append(("." if parts else "") + _name(step))
        elif isinstance(step, Place):
            parts.append(f"[{step.at}]")
        else:
            parts.append(f"[{_text(step.by)}={_value(step.value)}]")
    return "".join(parts)


def parsed(text: str) -> Path | None:
    """The path that a text spells; None where it is no spelling of one."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _step(text, at, first=not steps)
        if found is None:
            return None
        step, at = found
        steps.append(step)
    path = tuple(steps)
    return path if spelled(path) == text else None


def _name(step: Name) -> str:
    if step.kind == "text":
        return _text(step.name)
    return f"!{_bang(Value(step.kind, step.name))}"


def _text(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _bang(value: Value) -> str:
    text = "null" if value.text is None or value.kind == "null" else value.text
    return text if _WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _value(value: Value) -> str:
    return json.dumps(value.text, ensure_ascii=False) if value.kind == "text" else value.text or "null"


def _step(text: str, at: int, *, first: bool) -> tuple[Step, int] | None:
    if place := _PLACE.match(text, at):
        return Place(int(place[1])), place.end()
    if text[at] == "[":
        return _item(text, at + 1)
    if not first:
        if text[at] != ".":
            return None
        at += 1
    if text[at : at + 1] == "!":
        bare = _bare(text, at + 1)
        return None if bare is None else (Name(bare[0].text or "null", bare[0].kind), bare[1])
    name = _text_at(text, at)
    return None if name is None else (Name(name[0]), name[1])


def _item(text: str, at: int) -> tuple[Step, int] | None:
    by = _text_at(text, at)
    if by is None or text[by[1] : by[1] + 1] != "=":
        return None
    at = by[1] + 1
    if text[at : at + 1] == '"' and (found := _text_at(text, at)) is not None and text[found[1] : found[1] + 1] == "]":
        return Item(by[0], Value("text", found[0])), found[1] + 1
    inside = _INSIDE.match(text, at)
    bare = _known(inside[0], inside.end()) if inside else None
    if bare is None or text[bare[1] : bare[1] + 1] != "]":
        return None
    return Item(by[0], bare[0]), bare[1] + 1


def _text_at(text: str, at: int) -> tuple[str, int] | None:
    """A name at a place of a text, and where it ends."""
    if quoted := _TEXT.match(text, at):
        try:
            return str(json.loads(quoted[0])), quoted.end()
        except ValueError:
            return None
    bare = _BARE.match(text, at)
    return None if bare is None else (bare[0], bare.end())


def _bare(text: str, at: int) -> tuple[Value, int] | None:
    """A value that is no text behind a ! at a place of a text, and where it ends."""
    if quoted := _TEXT.match(text, at):
        try:
            return _known(str(json.loads(quoted[0])), quoted.end())
        except ValueError:
            return None
    plain = _WORD.match(text, at)
    return _known(plain[0], plain.end()) if plain else None


def _known(word: str, end: int) -> tuple[Value, int] | None:
    kind = kind_of_bare(word)
    value = Value(kind, None if kind == "null" else word) if kind else None
    return (value, end) if value is not None and is_canonical(value) else None
