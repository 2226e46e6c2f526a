"""JSON as it is written: where each value stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from adapters.documents.paths import Name, Place, Step
from adapters.documents.tree import MOST_DEEP, Entry, Node, Wrong
from adapters.documents.values import Value, floating, integer

KINDS: Final = frozenset({"text", "int", "float", "bool", "null", "map", "list"})
_scan: Final[Callable[[str, int, bool], tuple[str, int]]] = json.decoder.scanstring  # type: ignore[attr-defined]
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: Final = {"true": Value("bool", "true"), "false": Value("bool", "false"), "null": Value("null", None)}


def parse(text: str, wrong: Wrong) -> Node | None:
    """The document; None where there is not even a value in it."""
    reading = _Reading(text, wrong)
    start = reading.blank(0)
    if start == len(text):
        return None
    node = reading.value(start, 0)
    end = reading.blank(node.end)
    if end < len(text):
        raise wrong(end, "something stands behind the end of the JSON value", "leave one value in the file")
    return node


def scalar(value: Value, _old: str = "", _column: int = 0) -> str:
    """A value as JSON."""
    if value.kind == "text":
        return json.dumps(value.text, ensure_ascii=False)
    return {"map": "{}", "list": "[]", "null": "null"}.get(value.kind) or str(value.text)


def name(step: Step) -> str:
    """A name as JSON, and its colon."""
    assert isinstance(step, Name)
    return f"{json.dumps(step.name, ensure_ascii=False)}: "


class _Reading:
    def __init__(self, text: str, wrong: Wrong) -> None:
        self.text, self.wrong = text, wrong

    def blank(self, at: int) -> int:
        found = _BLANK.match(self.text, at)
        return found.end() if found else at

    def value(self, at: int, depth: int) -> Node:
        if depth > MOST_DEEP:
            raise self.wrong(at, f"it is more than {MOST_DEEP} deep", "make it flatter")
        sign = self.text[at : at + 1]
        if sign == "{":
            return self._mapping(at, depth)
        if sign == "[":
            return self._list(at, depth)
        if sign == '"':
            text, end = self._string(at)
            return Node(at, end, Value("text", text))
        for word, value in _WORDS.items():
            if self.text.startswith(word, at):
                return Node(at, at + len(word), value)
        number = _NUMBER.match(self.text, at)
        if number is None:
            what = f"{self.text[at]!r} begins no JSON value" if sign else "the JSON value ends too early"
            raise self.wrong(
                at, what, "correct the JSON (names and texts in double quotes, no comments, no comma before the end)"
            )
        read = floating if number[1] or number[2] else integer
        return Node(at, number.end(), read(number[0]) if number[0] != "-0" else Value("float", "-0.0"))

    def _string(self, at: int) -> tuple[str, int]:
        try:
            text, end = _scan(self.text, at + 1, True)
        except json.JSONDecodeError as error:
            raise self.wrong(error.pos, f"a text is wrong: {error.msg}", "correct the JSON") from None
        if any("\ud800" <= each <= "\udfff" for each in text):
            raise self.wrong(at, "a text has half a character (a lone surrogate)", "correct the text")
        return text, end

    def _mapping(self, at: int, depth: int) -> Node:
        node = Node(at, at)
        here = self.blank(at + 1)
        while self.text[here : here + 1] != "}" or node.entries:
            if self.text[here : here + 1] != '"':
                raise self.wrong(
                    here, "a name in double quotes should stand here", "correct the JSON (no comma before a })"
                )
            word, end = self._string(here)
            colon = self.blank(end)
            if self.text[colon : colon + 1] != ":":
                raise self.wrong(colon, "a colon should stand here", "correct the JSON")
            if Name(word) in node.entries:
                raise self.wrong(here, f"the name {word!r} stands twice in one mapping", "remove one of the two")
            below = self.value(self.blank(colon + 1), depth + 1)
            node.entries[Name(word)] = Entry(here, colon + 1, below)
            here = self.blank(below.end)
            if self.text[here : here + 1] == "}":
                break
            here = self._comma(here)
        node.end = here + 1
        return node

    def _list(self, at: int, depth: int) -> Node:
        node = Node(at, at, is_list=True)
        here = self.blank(at + 1)
        while self.text[here : here + 1] != "]" or node.entries:
            below = self.value(here, depth + 1)
            node.entries[Place(len(node.entries))] = Entry(here, here, below)
            here = self.blank(below.end)
            if self.text[here : here + 1] == "]":
                break
            here = self._comma(here)
        node.end = here + 1
        return node

    def _comma(self, at: int) -> int:
        if self.text[at : at + 1] != ",":
            raise self.wrong(at, "a comma or the end of the mapping or list should stand here", "correct the JSON")
        return self.blank(at + 1)
