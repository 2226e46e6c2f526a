"""Tables of Parquet files, read as anybody reads them, and edited in SQL by somebody who keeps their manifest."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from adapters.parquet import files, memory, writer
from adapters.parquet import manifest as manifests
from adapters.parquet.ddl import definition, table_of
from adapters.parquet.files import Folder, finished
from adapters.parquet.manifest import Manifest, with_parts


@contextmanager
def opened(path: Path | str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the tables of a folder in it. What is changed there is written back at the end, in one part for each table."""
    folder = Folder(Path(path), create=True)
    with memory.apart("a test") as session, session._cursor.cursor() as connection:
        connection.execute(f"USE {session.rows('SELECT current_database() AS n')[0]['n']}")
        known = {name: folder.state(name).manifest for name in folder.tables()}
        for name, manifest in known.items():
            connection.execute(definition(manifest, name))
            connection.execute(f"INSERT INTO {_quoted(name)} SELECT * FROM read_parquet({_glob(path, name)})")
            connection.execute(f"CREATE TEMP TABLE {_quoted('was ' + name)} AS FROM {_quoted(name)}")
        yield connection
        now = [
            row[0]
            for row in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND database_name = current_database()"
            ).fetchall()
        ]
        for name in now:
            manifest = table_of(session, name)
            if name not in known or known[name].columns != manifest.columns or _differs(connection, name):
                _put(folder, connection, name, replace(manifest, markers=known[name].markers if name in known else ()))
        for name in known.keys() - set(now):
            folder.drop(name)


STEPS = {
    "its folder is begun": (files.Folder, "begin", True),
    "a part is taken over": (files.Folder, "keep", True),
    "a part is written": (writer, "finished", False),
    "all parts are there": (writer.Rewriting, "finish", True),
    "the manifest is there": (manifests, "write", True),
    "it holds": (files.Folder, "commit", True),
    "what is past is taken away": (files.Folder, "tidy", False),
}
"""The steps of a window: what does each, and whether a writer is killed after it or before."""


def killed_after(folder: Path, step: str) -> None:
    """Delete row 1 of the table `simple` of the contract, in a process of its own that is killed at a step."""
    from contract import change, rows_of

    from adapters.registry import open_target
    from transforms.vocabulary import Marker, TableName

    owner, name, after = STEPS[step]
    real = getattr(owner, name)

    def dying(*given: Any, **more: Any) -> None:
        if after:
            real(*given, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)
    opened_there = open_target(f"parquet:///{folder}")
    shape = opened_there.describe(TableName("simple"))
    assert shape is not None
    gone = rows_of(shape, {"id": 1, "name": "row 1", "n": 10})
    with opened_there.lock("shop"):
        opened_there.apply(change(shape, deletes=gone), shape, Marker("m", "p", "simple", 0))


def _put(files: Folder, connection: duckdb.DuckDBPyConnection, name: str, manifest: Manifest) -> None:
    with files.writing(name):
        folder = files.begin(name, files.state(name))
        path = folder / f"part-{folder.name}-edited.parquet"
        key = ", ".join(map(_quoted, manifest.key))
        connection.execute(f"COPY (FROM {_quoted(name)} ORDER BY {key}) TO '{path}' (FORMAT parquet)")
        rows = connection.sql(f"SELECT {key} FROM {_quoted(name)} ORDER BY {key}").to_arrow_table()
        ends = pa.concat_tables([rows.slice(0, 1), rows.slice(max(rows.num_rows - 1, 0))])
        files.commit(name, folder, with_parts(manifest, [finished(path, rows.num_rows)], ends))
    files.tidy(name)


def _differs(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    one, other = _quoted(name), _quoted("was " + name)
    query = (
        f"SELECT count(*) FROM ((FROM {one} EXCEPT ALL FROM {other}) UNION ALL (FROM {other} EXCEPT ALL FROM {one}))"
    )
    return bool(connection.execute(query).fetchone()[0])


def _glob(path: Path | str, name: str) -> str:
    return "'" + f"{path}/{name}/*.parquet".replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
