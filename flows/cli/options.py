"""What all commands share: --json, --debug, errors in one line, exit statuses, and the options of scope."""

from __future__ import annotations

import errno
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from adapters import interrupts
from flows.results import silence
from flows.results.visible import echo, in_json

EXIT_STATUSES = """\b
Exit statuses:
  0  done            3  a checkpoint failed, nothing of that window was written
  1  error           4  quarantine above its limit
  2  changes pending 5  conflicts left open
                     6  a hook that comes after failed
  130, 143  interrupted or terminated; run it again and it goes on
"""


EVERYTHING: Final = "all"
"""Where a command keeps whether `--all` was given, among what click knows of the call."""
PROGRESS: Final = "progress"
"""Where a command keeps what `--progress` says, among what click knows of the call."""


class Commands(click.Group):
    """A wrong command line ends with 1: 2 says that rows differ, and a script must not mix them up."""

    def main(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        if args is None:  # of this process, by another door than `flows.entry`
            from flows import entry

            entry.main()
        try:
            done = super().main(args, *rest, **{**options, "standalone_mode": False})
            sys.exit(done if isinstance(done, int) else 0)
        except click.ClickException as error:
            what = error.format_message()
            if "--json" in (sys.argv[1:] if args is None else args):
                said = {"error": f"{what} (--help shows how)", "kind": type(error).__name__, "code": "usage"}
                print_json({**said, "what": what, "fix": "--help shows how.", "where": ""})
            echo(f"error: {what} (--help shows how)", err=True)
            sys.exit(1)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _interrupts_ended():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _interrupts_ended():
            return super().invoke(ctx)


@contextmanager
def _interrupts_ended() -> Iterator[None]:
    """An interrupt ends the command here: click would print a blank line, and hide it behind an Abort."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(interrupts.farewell())
    except click.Abort:
        if interrupts.received() is None:
            raise
        sys.exit(interrupts.farewell())


def common(command: Callable[..., int]) -> Callable[..., None]:
    """--json, --debug, errors in one line, and the exit status."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on standard output.")
    @click.option(
        "--progress",
        type=click.Choice(["bars", "lines", "json", "none"]),
        expose_value=False,
        callback=lambda context, _, value: context.meta.__setitem__(PROGRESS, value),
        help="How far it is, on standard error: bars (on a terminal), lines (elsewhere), JSON on lines of its own, or nothing.",
    )
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @wraps(command)
    def wrapped(*args: Any, as_json: bool, debug: bool, **options: Any) -> None:
        name = click.get_current_context().info_name or "syncline"
        try:
            with silence.watching(f"{name}: at work", quiet=progress_asked(as_json=as_json) == "none"):
                status = command(*args, as_json=as_json, **options)
        except KeyboardInterrupt:
            status = _interrupted(as_json)
        except Exception as error:
            status = 1
            if interrupts.received() is not None:  # DuckDB makes an error of its own of Ctrl-C
                status = _interrupted(as_json)
            elif isinstance(error, click.Abort):
                echo("error: not applied.", err=True)
            elif debug:
                raise
            else:
                shown = described(error)
                if as_json:
                    print_json(shown)
                echo(f"error: {shown['error']}", err=True)
        sys.exit(status)

    return wrapped


def must_agree(question: str) -> None:
    """Ask a person; click.Abort where the answer is no."""
    with silence.held():
        click.confirm(question, abort=True)


def progress_asked(*, as_json: bool) -> str:
    """How far a command is: by what `--progress` says, else bars on a terminal, lines elsewhere, and nothing beside JSON."""
    context = click.get_current_context(silent=True)
    asked = context.meta.get(PROGRESS) if context is not None else None
    return str(asked or ("bars" if sys.stderr.isatty() else "none" if as_json else "lines"))


def described(error: Exception) -> dict[str, Any]:
    """An error as JSON: `error` is what is said to people, in one line, with the way out; the rest is for programs."""
    from transforms.vocabulary import SynclineError, TransientError, message_of

    kind = {"kind": type(error).__name__}
    if isinstance(error, SynclineError):
        fix = "run it again when the server is there; windows that are in stay in."
        fix = error.fix or (fix if isinstance(error, TransientError) else "")
        return {"error": message_of(error, fix), **kind, **error.as_dict(), "fix": fix}
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = f"The disk is full{f': nothing can be written to {error.filename}' if error.filename else ''}."
        fix = "free space, then run it again: what is in stays in."
        return {"error": f"{what} Fix: {fix}", **kind, "code": "disk_full", "what": what, "fix": fix, "where": ""}
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        what, fix = f"{where}{error.strerror}.", "see to what the operating system says, then run it again."
        return {"error": f"{what} Fix: {fix}", **kind, "code": "system", "what": what, "fix": fix, "where": ""}
    what = f"{type(error).__name__}: {message_of(error)} (unexpected; --debug shows where)"
    return {"error": what, **kind, "code": "unexpected", "what": what, "fix": "", "where": ""}


def _interrupted(as_json: bool) -> int:
    if as_json:
        what = interrupts.last_words()
        print_json({"error": what, "kind": "Interrupted", "code": "interrupted", "what": what, "fix": "", "where": ""})
    return interrupts.farewell()


class Duration(click.ParamType[float]):
    """A time such as 60s, 5m, 12h, 30d or 2w, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(\d+)([smhdw])", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time. Write 60s, 5m, 12h, 30d or 2w.", param, ctx)
        return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[found[2]]


spec_argument = click.argument("spec", type=click.Path(path_type=Path))
direct_option = click.option(
    "--direct", is_flag=True, help="Run in this process alone: no Prefect run, nothing in its UI."
)
allow_deletes_option = click.option(
    "--allow-deletes", is_flag=True, help="Delete whatever share of a table the other side does not have any more."
)
full_option = click.option("--full", is_flag=True, help="Read all rows, whatever cursors say: deletes are found, too.")
afresh_option = click.option("--afresh", is_flag=True, help="Read sealed windows, too (see `seal` in the spec).")
yes_option = click.option("--yes", is_flag=True, help="Ask nothing.")
wait_option = click.option(
    "--wait",
    type=Duration(),
    default=0,
    metavar="TIME",
    help="Wait so long for another run of the migration, such as 60s.",
)


def all_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--all, which `shows_all` answers."""
    return click.option(
        "--all", is_flag=True, expose_value=False, help="Show tables without changes, too, and the details of all.",
        callback=lambda context, _, value: context.meta.__setitem__(EVERYTHING, value),
    )(command)  # fmt: skip


def shows_all() -> bool:
    """Whether the command that runs was asked for all tables."""
    context = click.get_current_context(silent=True)
    return bool(context is not None and context.meta.get(EVERYTHING))


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--full and --afresh."""
    return full_option(afresh_option(command))


def scope(command: Callable[..., Any]) -> Callable[..., Any]:
    """--table and --range."""
    command = click.option(
        "--range",
        "ranges",
        multiple=True,
        metavar="T.COL:FROM..TO",
        help="Only rows in this half-open range; repeatable.",
    )(command)
    return click.option(
        "--table", "tables", multiple=True, metavar="T", help="Only this table of the spec; repeatable."
    )(command)


def trees_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--tree and --with-parents."""
    command = click.option(
        "--with-parents",
        is_flag=True,
        help="Bring along what rows of trees refer to and the target does not have; else it is an error.",
    )(command)
    return tree_option(command)


tree_option = click.option(
    "--tree",
    "trees",
    multiple=True,
    metavar="T:KEY",
    help='Only this row and all that hangs below it, on both sides, such as customer:42 or line:["a",7]; repeatable.',
)
data_docs_option = click.option(
    "--data-docs",
    is_flag=True,
    help="Make Great Expectations' own pages of the checkpoints too, beside the report. They load styles and a logo "
    "from the web, and hold values that were observed, so that they are not made unless asked for.",
)


def print_json(value: Any) -> None:
    """One object on standard output."""
    silence.over()
    click.echo(in_json(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


def check_one_folder() -> None:
    """Another project's `adapters` in the same environment would shadow ours, and fail in odd ways later."""
    import adapters
    import flows
    import transforms

    folders = {Path(str(package.__file__)).parent.parent for package in (adapters, flows, transforms)}
    if len(folders) > 1:
        listed = ", ".join(sorted(map(str, folders)))
        echo(
            f"error: flows, adapters and transforms come from different places ({listed}). "
            f"Fix: install syncline in an environment of its own.",
            err=True,
        )
        sys.exit(1)
