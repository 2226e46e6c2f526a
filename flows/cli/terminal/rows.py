"""Where output goes, and how listings look: tables on a terminal, tab-separated lines in a pipe. Light to import."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from flows.results import silence
from flows.results.visible import visible

_MOMENT: Final = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?\+00:00$")
NARROW: Final = 100  # columns of a terminal with no room for run ids


class _Console(Console):
    """Shows what control characters there are in texts, and obeys its own alone."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def console(*, error: bool = False) -> Console:
    """Standard output, or standard error; without colours or boxes in a pipe."""
    if not error:
        silence.over()
    stream = sys.stderr if error else sys.stdout
    return _Console(
        file=stream, emoji=False, highlight=False, width=None if stream.isatty() else 160, soft_wrap=not stream.isatty()
    )


def show_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """A listing, such as the history: a table on a terminal, tab-separated lines in a pipe."""
    out = console()
    if not rows:
        out.print(empty, markup=False)
        return
    if not out.is_terminal:
        out.print("\t".join(map(_cell, columns)), markup=False)
        for row in rows:
            out.print("\t".join(_cell(value) for value in row), markup=False)
        return
    shown = Table(title=Text(_cell(title)), title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(Text(_cell(column)))
    for row in rows:
        shown.add_row(*(escape(_MOMENT.sub(r"\1 \2Z", _cell(value))) for value in row))
    out.print(shown)


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else visible(" ".join(str(value).split()))
