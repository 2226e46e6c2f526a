"""A password that tests plant, and where they look for it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner

from flows.cli.main import main

CANARY = "c4n@ry/p:w%d é"
PLAIN = "c4narypwd"
FORMS = (
    CANARY, quote(CANARY, safe=""), quote_plus(CANARY), repr(CANARY)[1:-1], CANARY.replace(" ", "+"), PLAIN,
    "c4n@ry", "c4n%40ry", "ry/p:w", "ry%2Fp", "p:w", "w%d", "w%25d", "'ry'",
)  # fmt: skip


def leaks(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


def excerpt(text: str, found: list[str]) -> str:
    """Where the first leak is."""
    return " ".join(text[max(0, text.find(found[0]) - 300) :][:400].split())


def everything_said(arguments: tuple[Any, ...], log: pytest.LogCaptureFixture) -> str:
    """Standard output and error, the traceback that --debug shows, the log, and the list of processes."""
    log.clear()
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    trace = "".join(traceback.format_exception(done.exception)) if done.exception else ""
    return "\n".join((done.output, trace, log.text, processes()))


def files_of(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode("utf-8", "replace")


def processes() -> str:
    """The command lines of all processes."""
    said = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said.append(line.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(said)


@contextmanager
def opened_by_canary(mariadb_url: str) -> Iterator[tuple[str, Callable[..., None]]]:
    """A URL of a database with a table that only the canary opens, and a way around it."""
    from databases import Database

    server, execute = sa.make_url(mariadb_url), Database("mysql", mariadb_url).execute
    execute(
        f"CREATE USER 'canary' IDENTIFIED BY '{CANARY}'",
        f"GRANT ALL ON {server.database}.* TO 'canary'",
        "CREATE TABLE t (k bigint PRIMARY KEY, v varchar(40))",
        "INSERT INTO t VALUES (1, '1'), (2, 'x'), (3, '3')",
    )
    try:
        yield f"mysql://canary:{quote(CANARY, safe='')}@{server.host}:{server.port}/{server.database}", execute
    finally:
        execute("DROP USER 'canary'")


def write_spec(file: Path, source: Any, kind: str = "bigint") -> None:
    spec = {
        "version": 1, "name": "canary", "source": {"url": source}, "target": {"url": "sqlite:///core.db"},
        "defaults": {"quarantine": {"max_ratio": 1.0}},
        "tables": {"t": {"from": "t", "key": ["k"], "columns": {"k": "k", "v": {"from": "v", "cast": kind}}}},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(spec))
