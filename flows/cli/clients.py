"""Commands that go over all clients of a spec, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import Any, Final

import click

from flows.cli.options import described, print_json
from flows.results.shares import counted
from flows.results.visible import echo
from transforms.vocabulary import SpecError, SynclineError

WORST: Final = (1, 3, 4, 5, 2, 0)
"""Exit statuses, worst first."""
MEANT: Final = {
    0: "done", 1: "failed", 2: "with changes pending", 3: "held by a checkpoint", 4: "above the limit of quarantine",
    5: "with open conflicts",
}  # fmt: skip


def each_client(command: Callable[..., int]) -> Callable[..., int]:
    """--client, and the command of each of them. One that fails keeps no other from its turn; the worst exit status is that of all."""

    @click.option(
        "--client",
        "clients",
        multiple=True,
        metavar="NAME",
        help="Only this client of the spec, of several; repeatable.",
    )
    @wraps(command)
    def wrapped(*, spec: Path, clients: tuple[str, ...], as_json: bool, **options: Any) -> int:
        from flows.session.clients import chosen

        names = chosen(spec, clients)
        if not names:
            return command(spec=spec, as_json=as_json, **options)
        if options.get("output") is not None and len(names) > 1:
            raise SpecError("--output is of one client alone.", fix="give one --client, or leave --output out.")
        found = list(_of_each(spec, names, lambda own: command(spec=own, as_json=as_json, **options), as_json=as_json))
        if as_json:
            print_json({"clients": {name: told for name, told, _ in found}})
        else:
            echo(_in_short(found))
        return min((status for _, _, status in found), key=WORST.index)

    return wrapped


def _in_short(found: list[tuple[str, Any, int]]) -> str:
    """How many clients ended how, in a line."""
    away = [name for name, told, _ in found if told is not None and "away" in told]
    statuses = [status for name, _, status in found if name not in away]
    parts = [f"{statuses.count(status)} {MEANT[status]}" for status in reversed(WORST) if status in statuses]
    parts += [f"{len(away)} away ({', '.join(away)})"] if away else []
    return f"{counted(len(found), 'client')}: {', '.join(parts)}."


def _of_each(
    spec: Path, names: tuple[str, ...], command: Callable[[Path], int], *, as_json: bool
) -> Iterator[tuple[str, Any, int]]:
    """Of each client its name, what the command said of it as JSON, and the exit status. All away is an error."""
    from flows.session.clients import present

    here = 0
    for each in present(spec, names):
        if not as_json:
            click.secho(f"{each.name}\n{'=' * len(each.name)}", bold=True)
        if each.away:
            echo(f"{each.name} is away, and catches up when it is back: {each.away}", err=True)
            yield each.name, {"away": each.away}, 0
            continue
        here += 1
        said = StringIO()
        try:
            if as_json:
                with redirect_stdout(said):
                    status = command(each.spec)
            else:
                status = command(each.spec)
                echo("")
        except SynclineError as error:
            shown = described(error)
            echo(f"error: {each.name}: {shown['error']}", err=True)
            yield each.name, shown, 1
            continue
        yield each.name, json.loads(said.getvalue()) if as_json else None, status
    if not here:
        raise SynclineError(
            "No client is there: nothing was done.", fix="look at their URLs, and at what keeps them away."
        )
