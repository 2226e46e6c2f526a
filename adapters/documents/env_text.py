"""`.env` files as python-dotenv reads them, without expanding variables: `${HOME}` is a text like others."""

from __future__ import annotations

import re
from typing import Final

from adapters.documents.flat import Line, Lines
from adapters.documents.paths import Name, Path
from adapters.documents.tree import Wrong
from adapters.documents.values import Value

SIGN: Final = "="
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_HEAD: Final = re.compile(rf"[ \t]*(?:export[ \t]+)?(?P<name>{_NAME.pattern})[ \t]*(?P<sign>=)?[ \t]*")
_SINGLE: Final = re.compile(r"'((?:\\'|[^'])*)'")
_DOUBLE: Final = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_BARE: Final = re.compile(r"[^\r\n]*")
_REST: Final = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r?\n|$)")
_SAFE: Final = re.compile(r"[\w./:@%+,=~?&{}()*!^|<>;$-]*", re.ASCII)
_ESCAPES: Final = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "f": "\f",
    "v": "\v",
    "b": "\b",
    "a": "\a",
    "\\": "\\",
    '"': '"',
    "'": "'",
}


def parse(text: str, wrong: Wrong) -> Lines:
    """The entries of a document."""
    found = Lines(sections={(): len(text)})
    at = 0
    while at < len(text):
        line = text.find("\n", at)
        stop = len(text) if line < 0 else line + 1
        if not text[at:stop].strip() or text[at:stop].lstrip().startswith("#"):
            at = stop
            continue
        entry = _entry(text, at, wrong)
        if entry.path in found.entries:
            raise wrong(at, f"the name {entry.path[-1]} stands twice", "remove one of the two")
        found.entries[entry.path] = entry
        at = entry.ends
    return found


def _entry(text: str, at: int, wrong: Wrong) -> Line:
    head = _HEAD.match(text, at)
    if head is None:
        raise wrong(at, "this is neither an entry nor a comment", "write it as NAME=value")
    path: Path = (Name(head["name"]),)
    start = head.end()
    if head["sign"] is None:
        value, stop = Value("null", None), head.end("name")
        start = stop
    else:
        read, start, stop = _text(text, head.end("sign"), start, wrong)
        value = Value("text", read)
    rest = _REST.match(text, stop)
    if rest is None:
        raise wrong(stop, "something stands behind the value", "put the value in double quotes")
    return Line(path, value, head.end("name"), start, stop, at, rest.end())


def _text(text: str, after: int, start: int, wrong: Wrong) -> tuple[str, int, int]:
    """A value behind its sign, and where it begins and ends."""
    sign = text[start : start + 1]
    if sign in ("'", '"'):
        quoted = (_SINGLE if sign == "'" else _DOUBLE).match(text, start)
        if quoted is None:
            raise wrong(start, "a quote is never closed", "close it")
        if sign == "'":
            return re.sub(r"\\(['\\])", r"\1", quoted[1]), start, quoted.end()
        return (
            re.sub(r"\\(.)", lambda each: _ESCAPES.get(each[1], each[0]), quoted[1], flags=re.DOTALL),
            start,
            quoted.end(),
        )
    bare = _BARE.match(text, after)
    body = re.split(r"\s+#", bare[0] if bare else "", maxsplit=1)[0].rstrip()
    return (body.strip(), start, after + len(body)) if body.strip() else ("", after, after)


def refusal(path: Path, value: Value) -> str | None:
    """Why a .env file has no such entry."""
    name = path[0] if len(path) == 1 else None
    if not isinstance(name, Name) or name.kind != "text" or not _NAME.fullmatch(name.name):
        return "names of .env files have letters, digits and _ (and perhaps dots and dashes), and nothing is deeper"
    return "no text of an environment has a NUL character" if "\0" in (value.text or "") else None


def value_text(value: Value, old: str) -> str:
    """A value as .env files have it, in the quotes of the one that it replaces, where it can be."""
    if value.text is None:
        return ""
    if old[:1] == "'" and not re.search(r"['\\\r\n]", value.text):
        return f"'{value.text}'"
    if old[:1] != '"' and _SAFE.fullmatch(value.text):
        return value.text
    back = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
    return '"' + "".join(back.get(each, each) for each in value.text) + '"'


def entry_text(name: Name, value: Value) -> str:
    """A line for an entry, without its end."""
    return name.name if value.text is None else f"{name.name}={value_text(value, '')}"
