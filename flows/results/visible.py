"""Whatever rows, names and messages hold, made harmless for a screen: it is shown, and does nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import click

from flows.results import silence

# C0 without tab and newline, DEL and C1, which steer terminals; separators that end lines; signs that turn text round;
# halves of pairs, which no stream takes
_STEERING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|~&$])")


def visible(text: str) -> str:
    """The text with what would steer a terminal as escapes: `\\x1b`, `\\u202e`. What is visible stays as it is."""
    return _STEERING.sub(_escaped, text)


def in_json(text: str) -> str:
    """JSON that is the same value, and harmless on a screen."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def in_markdown(text: str) -> str:
    """The text in one line of Markdown, where no sign of it means anything."""
    return _MARKUP.sub(r"\\\1", visible(" ".join(text.split()))).replace("\\<", "&lt;").replace("\\&", "&amp;")


def as_code(text: str, *, cell: bool = True) -> str:
    """The text in one line as code in Markdown, in more backticks than it has in a row; as a `cell` of a table, or outside of one."""
    line = visible(" ".join(text.split()))
    line = line.replace("|", "\\|") if cell else line
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    room = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{room}{line}{room}{fence}"


def near(path: object) -> str:
    """A path as it is shortest from the working folder, where it lies in that."""
    text = str(path)
    return os.path.relpath(text) if Path(text).is_absolute() and Path(text).is_relative_to(Path.cwd()) else text


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a line for people."""
    if not err:
        silence.over()
    click.echo(visible(str(text)), err=err)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
