"""`syncline drift`: what has changed in the schemas of both sides since the latest run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from flows.cli.members import each_member
from flows.cli.options import common, print_json
from flows.results.visible import echo


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--accept", "accepted", is_flag=True, help="Take the schemas as they are now; the next run goes on.")
@common
@each_member
def drift(spec: Path, accepted: bool, as_json: bool) -> int:
    """Show what has changed in the schemas of both sides since the latest run of the spec. No row is read."""
    from flows.proof.drift import accept, looked
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    shapes, found = looked(loaded)
    if accepted:
        accept(loaded, shapes, datetime.now(UTC))
    if as_json:
        print_json({**found.as_dict(), "accepted": accepted})
    else:
        for line in found.lines(accepted=accepted):
            echo(line)
    return 2 if found.found and not accepted else 0
