"""`syncline serve`: reports in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import common, print_json, spec_argument
from flows.results.visible import echo


@click.command()
@spec_argument
@click.option("--port", default=8400, show_default=True, type=click.IntRange(0, 65535), help="0: one that is free.")
@common
def serve(spec: Path, port: int, as_json: bool) -> int:
    """Show the reports of the spec's runs to browsers on this machine, until Ctrl-C. Nothing can be changed by them.

    `state: {reports: http://127.0.0.1:8400}` makes Prefect's artifacts lead here.
    """
    from adapters import interrupts
    from flows.evidence.server import LOOPBACK, server
    from flows.session.stores import store_of
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    with server(store_of(loaded), loaded.name, port) as serving:
        url = f"http://{LOOPBACK}:{serving.server_port}"
        interrupts.known("Nothing more is served.")
        print_json({"url": url}) if as_json else echo(f"The reports of {loaded.name} are at {url} until Ctrl-C.")
        serving.serve_forever(poll_interval=0.2)
    return 0
