"""`syncline init`: a folder that works."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import common, print_json
from flows.results.visible import echo
from transforms.vocabulary import SpecError


@click.command()
@click.argument("source_url", required=False)
@click.argument("target_url", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default=True,
    help="The folder.",
)
@click.option(
    "--name", default="", metavar="NAME", help="The migration's name; that of the source's database if not given."
)
@common
def init(source_url: str | None, target_url: str | None, output: Path, name: str, as_json: bool) -> int:
    """Make a folder that works: a drafted spec, Prefect's deployments, and a README that says how to go on.

    Without URLs it has a small legacy database to try things on. Nothing that is there is written over.
    """
    from flows.cli.terminal.progress import metered
    from flows.cli.terminal.scaffold import show_draft
    from flows.scaffold.folder import SPEC, make_folder

    if source_url is not None and target_url is None:
        raise SpecError("One URL is given.", fix="give those of both sides, or none for a small example.")
    with metered(as_json=as_json) as meter:
        made = make_folder(output, source_url, target_url, name, meter)
    if as_json:
        print_json(made.as_dict())
        return 0
    show_draft(made.draft, output / SPEC)
    echo(f"\n{output} has {', '.join(made.files)}. How to go on is in README.md.")
    return 0
