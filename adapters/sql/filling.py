"""What a trigger's text says of the row that is being inserted: which columns it gives a value. Read, and never run: a trial row would take
numbers from sequences and start whatever the trigger calls, so that what is said here is a good guess and no proof."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|:=|[^\W\d]\w*|\S""", re.DOTALL
)
_BEGINS: Final = frozenset(("", ";", "begin", "then", "else", "loop", "set"))
"""What stands before an assignment, in small letters."""


def tokens(text: str) -> list[str]:
    """The words of SQL, without white space and comments; texts and quoted names are one word each."""
    return [each for each in _TOKEN.findall(text) if not each.startswith(("--", "/*"))]


def name_of(token: str) -> str:
    """A name as it is, out of its quotes."""
    if token[:1] in ('"', "`"):
        return token[1:-1].replace(token[0] * 2, token[0])
    return token[1:-1] if token[:1] == "[" else token


def assigned(text: str) -> Iterator[str]:
    """The columns of NEW that a BEFORE INSERT trigger assigns to (`NEW.a := …`, `SET NEW.a = …`, `INTO NEW.a`), as it writes them."""
    words = ["", *tokens(text), "", "", ""]
    listing = ""  # what a comma goes on with: SET or INTO
    for place, word in enumerate(words[:-3]):
        before, small = words[place - 1].lower() if place else "", word.lower()
        if small in ("set", "into"):
            listing = small
        elif small in _BEGINS or small in ("from", "where", "select"):
            listing = ""
        if small != "new" or words[place + 1] != ".":
            continue
        after = words[place + 3]
        into = listing == "into" and before in ("into", "strict", ",")
        begins = before in _BEGINS or (before == "," and listing == "set")
        if into or (begins and after in (":=", "=")):
            yield words[place + 2]


def inserted_instead(text: str, table: str) -> Iterator[str]:
    """The columns that a SQLite trigger writes where it inserts a row of its own into its table, and ignores the one that came."""
    words = [*tokens(text), "", "", "", ""]
    small = [word.lower() for word in words]
    ignores = any(small[place : place + 4] == ["raise", "(", "ignore", ")"] for place in range(len(small)))
    for place, word in enumerate(small[:-4]):
        if (
            ignores
            and word == "into"
            and name_of(words[place + 1]).lower() == table.lower()
            and words[place + 2] == "("
        ):
            end = words.index(")", place) if ")" in words[place:] else place
            yield from (name_of(each) for each in words[place + 3 : end] if each != ",")
