"""Rows of texts, staged once as typed values: what every later look at them reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.formats import Format
from adapters.files.listing import File, Files
from adapters.files.parquet import partition_type
from adapters.files.rows import Column, Rows, unread
from adapters.files.texts import as_value
from transforms.vocabulary import Key

_WRONG: Final = "syncline:wrong:"
_PLACE: Final = "syncline:place"
_MOST_SHOWN: Final = 200  # characters of a value that cannot be read
PIECE_ROWS: Final = 100_000  # at least, on the average, of pieces that ascend: as many as a window has


class Texts(Protocol):
    """The texts of files, a column each."""

    def sql(self, file: File, *, placed: bool) -> str:
        """What stands behind FROM; with `placed` their place in the file is a column, too, as `place` makes it."""

    def check(self, file: File) -> None:
        """DataError where the latest query met what is no row."""


def place(number: str, file: File, called: str = "line") -> str:
    """SQL of the column that says where a row is; `number` is SQL."""
    return f"{literal(f'{called} ')} || {number} || {literal(f' of {file.path}')} AS {quoted(_PLACE)}"


def stage(session: Session, table: Files, names: Sequence[str], format: Format, texts: Texts) -> Rows:
    """Read the texts of all files into a table; those that are no values of their column's type stay beside them, as
    texts, with their place. Files are read again where there are such, because counting lines takes time."""
    staged = f"syncline staged {table.name}"
    wrong = _fill(session, staged, table, names, format, texts, placed=False)
    if wrong:
        session.execute(f"DROP TABLE {quoted(staged)}")
        _fill(session, staged, table, names, format, texts, placed=True)
    columns = [
        _column(name, format.types[name], unread_by=quoted(_WRONG + name) if name in wrong else None) for name in names
    ]
    keys = [key for key, _ in table.files[0].partitions]
    kinds = {key: partition_type([dict(each.partitions)[key] for each in table.files]) for key in keys}
    columns += [Column(key, kinds[key], quoted(key)) for key in keys]
    ordered = ascending(session, staged, [each for each in names[:1] if each not in wrong])
    return Rows(quoted(staged), tuple(columns), ordered, format)


def _column(name: str, native: str, unread_by: str | None) -> Column:
    if unread_by is None:
        return Column(name, native, quoted(name))
    shown = f"{quoted(_PLACE)} || ': ' || left({unread_by}, {_MOST_SHOWN})"
    why = f"CASE WHEN {unread_by} IS NOT NULL THEN {unread('wrong_type', name, shown, native.lower())} END"
    return Column(name, native, quoted(name), why)


def _fill(
    session: Session, staged: str, table: Files, names: Sequence[str], format: Format, texts: Texts, *, placed: bool
) -> list[str]:
    """The names of the columns with texts that are no values."""
    made = False
    typed = [name for name in names if format.types[name] != "VARCHAR"]
    for file in table.files:
        values = [f"{as_value(quoted(name), format.types[name], format)} AS {quoted(name)}" for name in names]
        values += [f"{quoted(name)} AS {quoted(f'text {name}')}" for name in typed]
        inner = f"SELECT {', '.join([*values, *([quoted(_PLACE)] if placed else [])])} FROM {texts.sql(file, placed=placed)}"  # noqa: S608
        kept = [quoted(name) for name in names]
        kept += [
            f"CASE WHEN {quoted(name)} IS NULL THEN {quoted(f'text {name}')} END AS {quoted(_WRONG + name)}"
            for name in typed
        ]
        if placed:
            any_wrong = " OR ".join(
                f"({quoted(name)} IS NULL AND {quoted(f'text {name}')} IS NOT NULL)" for name in typed
            )
            kept.append(f"CASE WHEN {any_wrong} THEN {quoted(_PLACE)} END AS {quoted(_PLACE)}")
        kept += [partition(key, value, table) for key, value in file.partitions]
        query = f"SELECT {', '.join(kept)} FROM ({inner})"  # noqa: S608
        into = f"INSERT INTO {quoted(staged)} " if made else f"CREATE TABLE {quoted(staged)} AS "
        session.execute(into + query)
        texts.check(file)
        made = True
    if not typed:
        return []
    counted = ", ".join(f"count({quoted(_WRONG + name)}) AS {quoted(name)}" for name in typed)
    found = session.rows(f"SELECT {counted} FROM {quoted(staged)}")[0]  # noqa: S608
    return [name for name in typed if found[name]]


def partition(key: str, value: str | None, table: Files) -> str:
    """SQL of a partition of a file's path, as a column."""
    kind = partition_type([dict(each.partitions)[key] for each in table.files])
    told = "NULL" if value is None else literal(value)
    return f"CAST({told} AS {kind}) AS {quoted(key)}"


def ascending(session: Session, staged: str, first: Sequence[str]) -> frozenset[Key]:
    """The first column, where its values ascend as the rows come, so that windows by it skip the others.

    DuckDB may put a piece of a large file behind the others, depending on what its threads do: as many pieces as there are
    windows cost nothing worth a look, and a file that ascends is read in one way whatever they do.
    """
    if not first:
        return frozenset()
    own = quoted(first[0])
    query = (
        f"SELECT count(*) AS n, count(*) FILTER (NOT before < own) AS breaks, count(*) FILTER (own IS NULL) AS nulls FROM "  # noqa: S608
        f"(SELECT {own} AS own, lag({own}) OVER () AS before FROM {quoted(staged)})"
    )
    found = session.rows(query)[0]
    return frozenset([(first[0],)] if not found["nulls"] and found["breaks"] <= found["n"] // PIECE_ROWS else [])
