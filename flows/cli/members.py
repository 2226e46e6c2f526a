"""Commands that go over all clients or targets of a spec, one after the other or several at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from io import StringIO
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from adapters import interrupts
from flows.cli.options import described, print_json
from flows.cli.terminal.rows import show_rows
from flows.results.visible import echo, visible
from transforms.vocabulary import PlanError, SpecError, SynclineError

if TYPE_CHECKING:
    from flows.results.differing import Differing
    from flows.results.outcome import Outcome
    from flows.results.summary import Ended, Summary
    from flows.session.members import Chosen

_seen: ContextVar[list[Outcome] | None] = ContextVar("seen", default=None)
_apart: ContextVar[list[Differing] | None] = ContextVar("apart", default=None)


def noted(outcome: Outcome) -> None:
    """Let the summary of all clients or targets know of what is shown."""
    if (seen := _seen.get()) is not None:
        seen.append(outcome)


def note_differing(apart: Differing | None) -> None:
    """Let the summary of all clients or targets know whether one differs."""
    if apart is not None and (seen := _apart.get()) is not None:
        seen.append(apart)


def member_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--client and --target."""
    for word in ("target", "client"):
        command = click.option(
            f"--{word}", f"{word}s", multiple=True, metavar="NAME", help=f"Only this {word}, of several; repeatable."
        )(command)
    return command


def nobody_there(word: str) -> SynclineError:
    """The error where all clients or targets are away."""
    return SynclineError(
        f"No {word} is there: nothing was done.", fix="look at their URLs, and at what keeps them away."
    )


def each_member(command: Callable[..., int]) -> Callable[..., int]:
    """--client, --target and --workers, and the command of each. One that fails keeps no other from its turn; the worst exit status
    is that of all."""

    @click.option(
        "--workers", type=click.IntRange(min=1), default=1, metavar="N",
        help="Of several clients or targets so many at once.",
    )  # fmt: skip
    @member_options
    @wraps(command)
    def wrapped(
        *, spec: Path, clients: tuple[str, ...], targets: tuple[str, ...], workers: int, as_json: bool, **options: Any
    ) -> int:
        from flows.session.members import chosen

        some = chosen(spec, clients, targets)
        if some is None:
            if workers > 1:
                fix = "leave it out: the spec says the workers of one run, in defaults.runner."
                raise SpecError("--workers is for several clients or targets.", fix=fix, where=str(spec))
            return command(spec=spec, as_json=as_json, **options)
        if options.get("output") is not None and len(some.names) > 1:
            raise SpecError(f"--output is of one {some.word} alone.", fix=f"give one --{some.word}, or leave it out.")
        if workers > 1 and not as_json and sys.stdin.isatty() and not options.get("yes", True):
            raise SpecError("Several at once ask nobody.", fix="give --yes, or leave --workers out.")
        return _Going(some, lambda own: command(spec=own, as_json=as_json, **options), as_json, workers).go()

    return wrapped


class _Apart:
    """A stream of which each thread that asks for it has one of its own; what others write goes where it went."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual
        self.own: ContextVar[StringIO | None] = ContextVar("own", default=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own.get() or self._usual, name)


class _Going:
    """A command on its way over clients or targets."""

    def __init__(self, some: Chosen, command: Callable[[Path], int], as_json: bool, workers: int) -> None:
        self.some, self.command, self.as_json, self.workers = some, command, as_json, workers
        self.told: dict[str, Any] = {}
        self.out, self.err = _Apart(sys.stdout), _Apart(sys.stderr)
        self.context = click.get_current_context()

    def go(self) -> int:
        from flows.results.summary import Summary
        from flows.session.members import each_of

        with redirect_stdout(self.out), redirect_stderr(self.err):
            ended = {each.name: each for each in each_of(self.some, self._one, self.workers)}
        if all(each.away for each in ended.values()):
            raise nobody_there(self.some.word)
        name = str(self.context.info_name)
        summary = Summary(self.some.migration, name, self.some.word, tuple(ended[each] for each in self.some.names))
        page = self._page(summary)
        if self.as_json:
            key = self.some.family.kind.key
            told = {each: self.told[each] for each in self.some.names}
            print_json({key: told, "summary": {**summary.as_dict(), "page": page}})
        else:
            _show(summary, page)
        return summary.status

    def _page(self, summary: Summary) -> str | None:
        """The page of all, where rows were looked at."""
        if not any(each.counts is not None for each in summary.each):
            return None
        from flows.evidence.summary_page import put_summary
        from flows.plan.request import new_run_id

        store, at = self.some.store, datetime.now(UTC)
        try:
            return None if store is None else str(put_summary(summary, at, new_run_id(at), store))
        except PlanError as error:
            echo(f"warning: {error}", err=True)
            return None

    def _one(self, name: str) -> Ended:
        """The command of one. With several at once what it says is said in one piece, once it is through."""
        out, err = StringIO(), StringIO()
        whole = self.workers > 1
        with ExitStack() as stack:
            stack.enter_context(self.context.scope(cleanup=False) if whole else nullcontext())
            if whole or self.as_json:
                stack.enter_context(_into(self.out, out))
            if whole:
                stack.enter_context(_into(self.err, err))
            if not self.as_json:
                click.secho(f"{name}\n{'=' * len(name)}", bold=True)
            ended = self._ended(name)
        said = out.getvalue()
        if self.as_json:
            self.told.setdefault(name, json.loads(said) if said.strip() else None)
        elif whole:
            sys.stdout.write(said)
        if whole:
            sys.stderr.write(err.getvalue())
        return ended

    def _ended(self, name: str) -> Ended:
        from flows.results.summary import Ended
        from flows.session.members import away

        began, seen, apart = perf_counter(), list[Any](), list[Any]()
        token, other = _seen.set(seen), _apart.set(apart)
        try:
            if why := away(self.some, name):
                return self._away(name, why)
            status = self.command(self.some.own(name))
            if not self.as_json:
                echo("")
        except (click.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            interrupts.check()
            if self.context.params.get("debug") and not isinstance(error, SynclineError):
                raise
            shown = described(error)
            self.told[name] = shown
            echo(f"error: {name}: {shown['error']}", err=True)
            return Ended(name, 1, shown["error"], seconds=perf_counter() - began)
        finally:
            _seen.reset(token)
            _apart.reset(other)
        seconds = perf_counter() - began
        if not seen:
            return Ended(name, status, seconds=seconds, differing=apart[-1] if apart else None)
        last = seen[-1]
        return Ended(
            name, status, last.message, counts=last.report.total, version=last.report.version, seconds=seconds,
            page=last.report.page,
        )  # fmt: skip

    def _away(self, name: str, why: str) -> Ended:
        from flows.results.summary import Ended

        self.told[name] = {"away": why}
        back = ", and catches up when it is back" if self.some.come_and_go else ""
        echo(f"{name} is away{back}: {why}", err=True)
        return Ended(name, self.some.status_of(0, away=True), why, away=True)


@contextmanager
def _into(stream: _Apart, own: StringIO) -> Iterator[None]:
    """What this thread writes to a stream goes to its own one inside."""
    token = stream.own.set(own)
    try:
        yield
    finally:
        stream.own.reset(token)


def _show(summary: Summary, page: str | None) -> None:
    """All of them in a table, and in a line."""
    counted = [each for each in summary.each if each.counts is not None]
    if counted:
        columns = (summary.word, "end", "insert", "update", "delete", "quarantined", "seconds")
        rows = [(each.name, each.how, *_counts(each), f"{each.seconds:.1f}") for each in summary.each]
        show_rows(f"All {summary.word}s", columns, rows, empty="")
        echo("")
    if any(each.differing is not None for each in summary.each):
        for each in summary.each:
            if each.differing is None or each.differing.total:
                echo(visible(f"{each.name} {each.differing.text if each.differing else 'was not compared'}."))
    if page is not None:
        echo(f"Page: {page}\n")
    echo(visible(summary.line))


def _counts(each: Ended) -> tuple[int | None, ...]:
    if each.counts is None:
        return (None,) * 4
    return (each.counts.insert, each.counts.update, each.counts.delete, each.counts.quarantined)
