"""Rows that differ, named by `plan` and `verify`: all of them, on standard output or in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import click

from adapters import private
from flows.cli.members import noted
from flows.cli.options import shows_all
from flows.cli.row_formats import FOR_PROGRAMS, FORMATS, SOME, copy_rows, print_json_with_rows
from flows.results.shares import counted
from transforms.vocabulary import SpecError


def rows_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--rows, --limit and --format."""
    for option in (
        click.option(
            "--format",
            "form",
            type=click.Choice(FORMATS),
            help="How --rows names them: text, unless given.",
        ),
        click.option("--limit", type=click.IntRange(min=1), help="Name so many rows at most."),
        click.option(
            "--rows", is_flag=True, help="Name every row that differs: key, and the columns with both values."
        ),
    ):
        command = option(command)
    return command


@dataclass
class NamedRows:
    """What of a plan's rows is wanted. `take` writes them down while the plan is there, `show` shows them beside the report."""

    rows: bool
    limit: int | None
    form: str | None
    as_json: bool
    output: Path | None = None
    _spools: dict[str, IO[str]] = field(default_factory=dict)  # by their name in JSON
    _count: int = 0
    _of_source: int = 0  # rows that JSON names apart
    _stack: ExitStack = field(default_factory=ExitStack)
    _words: Mapping[tuple[str, str], str] = field(default_factory=dict)  # what keys of samples stand for

    @property
    def wanted(self) -> bool:
        return bool(self.rows or self.limit or self.form or self.output)

    @property
    def alone(self) -> bool:
        """Whether standard output has nothing but the rows, for a program."""
        return self.wanted and not self.as_json and self.output is None and self.form in FOR_PROGRAMS

    def take(self, plan: Any, back: Any = None) -> None:
        """Write the rows of a plan, and those of the source's that lies beside it, into the file that was named, else into
        temporary ones."""
        from flows.cli.differences import rows_of_both, words_of_samples, write_rows

        if not self.rows and not self.as_json:
            self._words = words_of_samples(plan)
        if not self.wanted and not self.as_json:
            return
        most = self.limit if self.wanted else SOME
        form: Any = "json" if self.as_json and self.output is None else self.form or "text"
        if self.output is None:
            if self.as_json and back is not None:  # one object tells of both, each in its place
                self._count = write_rows(rows_of_both(plan, None, most), form, self._spool("rows"))
                self._of_source = write_rows(rows_of_both(back, None, most), form, self._spool("back_rows"))
            else:
                self._count = write_rows(rows_of_both(plan, back, most), form, self._spool("rows"))
            return
        try:
            private.make_file(self.output)  # rows are in it
            with self.output.open("w", encoding="utf-8", newline="") as file:
                self._count = write_rows(rows_of_both(plan, back, most), form, file)
        except OSError as error:
            raise SpecError(f"{self.output} cannot be written: {error.strerror}.", fix="name another file.") from error

    def _spool(self, name: str) -> IO[str]:
        file = TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 - `show` closes it
        self._spools[name] = self._stack.enter_context(file)
        return self._spools[name]

    def show(self, outcome: Any, also: Mapping[str, Any] | None = None) -> None:
        """The report with the rows: one JSON object, which has `also` more in it, or text; or the rows alone."""
        from flows.cli.terminal.report import show_report

        noted(outcome)
        with self._stack:
            if self.as_json:
                self._show_json(outcome, also or {})
                return
            if not self.alone:
                show_report(outcome.report, samples=True, rows=self.wanted, every=shows_all(), words=self._words)
            if not self.wanted:
                return
            if self.output is None:
                if not self.alone:
                    click.echo()
                copy_rows(self._spools["rows"], self.form or "text")
            left = outcome.report.total.changes + outcome.report.back_changes - self._count
            more = f", {left:,} more were left off by --limit" if left > 0 else ""
            where = f" in {self.output}" if self.output else ""
            click.echo(f"{counted(self._count, 'row')} named{where}{more}.", err=self.alone)

    def _show_json(self, outcome: Any, also: Mapping[str, Any]) -> None:
        told = outcome.report.as_dict() | {"message": outcome.message} | also
        told["rows_left_off"] = max(outcome.report.total.changes - self._count, 0)
        if "back_rows" in self._spools:
            told["back_rows_left_off"] = max(outcome.report.back_changes - self._of_source, 0)
        print_json_with_rows(told, self._spools)
