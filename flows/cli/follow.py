"""The command that makes the triggers by which sides are followed, and takes them away."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from flows.cli.members import each_member
from flows.cli.options import common, must_agree, print_json, spec_argument, yes_option
from flows.cli.sync import sync
from flows.results.shares import counted
from flows.results.visible import echo
from transforms.vocabulary import SIDES

if TYPE_CHECKING:
    from flows.follow.triggers import SideStatus, Statements
    from flows.spec.model import Spec
    from transforms.vocabulary import SideName


@click.command()
@click.argument("action", type=click.Choice(["install", "uninstall", "status"]))
@spec_argument
@click.option("--side", type=click.Choice(SIDES), help="This side alone, however the spec follows it.")
@yes_option
@common
@each_member
def follow(
    action: Literal["install", "uninstall", "status"], spec: Path, side: SideName | None, yes: bool, as_json: bool
) -> int:
    """Make the triggers by which `sync` follows a side, take them away, or say what is there.

    The statements are shown before they run. With install they are those that are missing; uninstall takes away all that the
    migration has there, a replication slot too, which would keep PostgreSQL's log for ever. Elsewhere than on a terminal nothing is asked.
    """
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    if action == "status":
        return _status(loaded, side, as_json=as_json)
    return _changed(loaded, action, side, yes=yes, as_json=as_json)


def _changed(
    spec: Spec, action: Literal["install", "uninstall"], side: SideName | None, *, yes: bool, as_json: bool
) -> int:
    from flows.follow.triggers import to_install, to_uninstall

    installs = action == "install"
    with (to_install if installs else to_uninstall)(spec, side) as triggers:
        planned = triggers.installing() if installs else triggers.uninstalling()
        if planned and not as_json:
            _show(planned)
            if not yes and sys.stdin.isatty():
                must_agree("Run these statements?")
        triggers.execute(planned)
    if as_json:
        print_json({"migration": spec.name, "action": action, "sides": [each.as_dict() for each in planned]})
    elif not planned:
        echo("All triggers are there." if installs else "There is nothing to take away.")
    else:
        count = sum(len(each.statements) for each in planned)
        echo(
            f"{counted(count, 'statement')} run. Follow with: syncline sync"
            if installs
            else f"{counted(count, 'statement')} run."
        )
    return 0


def _show(planned: list[Statements]) -> None:
    for each in planned:
        echo(f"On the {each.side}, {each.url}:\n")
        echo("\n".join(f"{statement};" for statement in each.statements) + "\n")


def _status(spec: Spec, side: SideName | None, *, as_json: bool) -> int:
    from flows.follow.triggers import status

    sides, ways = status(spec, side)
    if as_json:
        told = [each.as_dict() for each in sides]
        possible = [{"side": w.side, "way": w.way, "rights": w.rights, "writers": w.writers} for w in ways]
        print_json({"migration": spec.name, "sides": told, "ways": possible})
        return 0
    for each in sides:
        _show_side(each)
    echo("Changes can be followed:\n" + "\n".join(f"  {each}." for each in ways))
    return 0


def _show_side(side: SideStatus) -> None:
    from flows.cli.terminal.rows import show_rows

    kept = f"; it keeps {side.kept:,} bytes of log for that" if side.kept is not None else ""
    installed = {True: "installed", False: "missing", None: ""}
    lines = [(each.table, ", ".join(each.columns), installed[each.installed]) for each in side.tables]
    echo(f"The {side.side}, {side.url}, by {side.way}{kept}.")
    show_rows("Watched", ("table", "columns", "triggers"), lines, empty="")


COMMANDS = (sync, follow)
