"""JSON nested deeper than Python's parser goes: one short text for each value."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

SHORT: Final = 200  # characters
_PART: Final = re.compile(r'\s*([][{},:]|"(?:[^"\\]|\\.)*"|[^][{},:"\s]+)', re.DOTALL)
_ENDS: Final = {"[": "]", "{": "}"}


@dataclass(slots=True)
class _Open:
    """A list or object that is being read: its parts so far, and the key that waits for its value."""

    begin: str
    items: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    name: str | None = None

    def take(self, part: str) -> None:
        if self.begin == "[":
            self.items.append(part)
        elif self.name is None:
            self.name = part
        else:
            self.named[self.name], self.name = part, None  # of a key that comes twice the last value counts

    def closed(self) -> str:
        parts = self.items or [f"{name}:{part}" for name, part in sorted(self.named.items())]
        whole = f"{self.begin}{','.join(parts)}{_ENDS[self.begin]}"
        # a digest in the place of what is long: or each level would copy all levels below it
        return whole if len(whole) <= SHORT else f"#{hashlib.sha256(whole.encode()).hexdigest()}"


def one_text(text: str) -> str:
    """A text that two JSON texts share exactly where their values are equal: a spelling of it, or its digest.

    Errors: ValueError and ArithmeticError for what is no JSON; not everything that is none is noticed.
    """
    outermost = _Open("[")
    under_way = [outermost]
    for part in _PART.findall(text):
        if part in _ENDS:
            under_way.append(_Open(part))
        elif part in _ENDS.values():
            done = under_way.pop()
            if not under_way or _ENDS[done.begin] != part:
                raise ValueError("brackets do not close")
            under_way[-1].take(done.closed())
        elif part not in ",:":
            under_way[-1].take(_scalar(part))
    if under_way != [outermost] or len(outermost.items) != 1:
        raise ValueError("brackets do not close")
    return outermost.items[0]


def _scalar(part: str) -> str:
    if part[0] == '"':
        return json.dumps(json.loads(part, strict=False))
    if part in ("true", "false", "null"):
        return part
    sign, digits, exponent = Decimal(part).as_tuple()
    if not isinstance(exponent, int):  # NaN
        return part
    whole = "".join(map(str, digits)).lstrip("0")
    short = whole.rstrip("0")
    return f"{'-' * sign}{short}e{exponent + len(whole) - len(short)}" if short else "0"
