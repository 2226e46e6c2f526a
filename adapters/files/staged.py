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
from adapters.files.rows import Column, Rows, torn_row, unread
from adapters.files.texts import as_value
from adapters.files.torn import AT, FILE, HOW, MOST_SHOWN, PLACE, SPAN, TEXT, WAITS
from transforms.vocabulary import Key

_WRONG: Final = "syncline:wrong:"
PIECE_ROWS: Final = 100_000  # at least, on the average, of pieces that ascend: as many as a window has


class Texts(Protocol):
    """The texts of files, a column each."""

    def sql(self, file: File) -> str:
        """What stands behind FROM."""

    def counted(self, file: File) -> str:
        """The same, slower, with AT, SPAN, and HOW and TEXT of rows that are torn."""

    def torn(self) -> bool:
        """Whether the latest query of `sql` met what is no row."""

    def settle(self, staged: str, file: File, number: int, partitions: list[str]) -> None:
        """Put the torn rows of a file, `number` by FILE, in with the rows of `counted`, and the places of those that wait for it.
        DataError where the rows of the file cannot be told apart."""


def stage(session: Session, table: Files, names: Sequence[str], format: Format, texts: Texts) -> Rows:
    """Read the texts of all files into a table; those that are no values of their column's type stay beside them, as
    texts, and torn rows have none, both with their place. Files are read again where there are such, because counting lines
    takes time."""
    staging = _Staging(session, table, names, format, texts)
    wrong, torn = staging.fill()
    if wrong or torn:
        session.execute(f"DROP TABLE {quoted(staging.staged)}")
        wrong, torn = staging.fill_counted()
    columns = [
        _column(name, format.types[name], unread_by=quoted(_WRONG + name) if name in wrong else None) for name in names
    ]
    keys = [key for key, _ in table.files[0].partitions]
    kinds = {key: partition_type([dict(each.partitions)[key] for each in table.files]) for key in keys}
    columns += [Column(key, kinds[key], quoted(key)) for key in keys]
    ordered = ascending(session, staging.staged, [each for each in names[:1] if each not in wrong])
    unread = frozenset(each.name for each in columns) if torn else frozenset(wrong)
    why = (
        f"CASE WHEN {quoted(HOW)} IS NOT NULL THEN {torn_row(_shown(quoted(TEXT)), quoted(HOW))} END" if torn else None
    )
    return Rows(quoted(staging.staged), tuple(columns), ordered, format, unread, why)


def _shown(text: str) -> str:
    return f"{quoted(PLACE)} || ': ' || left({text}, {MOST_SHOWN})"


def _column(name: str, native: str, unread_by: str | None) -> Column:
    if unread_by is None:
        return Column(name, native, quoted(name))
    why = f"CASE WHEN {unread_by} IS NOT NULL THEN {unread('wrong_type', name, _shown(unread_by), native.lower())} END"
    return Column(name, native, quoted(name), why)


class _Staging:
    """The table that the files of a table are staged in."""

    def __init__(self, session: Session, table: Files, names: Sequence[str], format: Format, texts: Texts) -> None:
        self.staged = f"syncline staged {table.name}"
        self._session, self._table, self._format, self._texts = session, table, format, texts
        self._names = names
        self._typed = [name for name in names if format.types[name] != "VARCHAR"]

    def fill(self) -> tuple[list[str], bool]:
        """The names of the columns with texts that are no values, and whether there is a row that is torn."""
        torn = False
        for number, file in enumerate(self._table.files):
            self._add(number, [*self._kept(texts=False), *self._partitions(file)], self._texts.sql(file))
            torn = torn or self._texts.torn()
        return self._wrong(), torn

    def fill_counted(self) -> tuple[list[str], bool]:
        """The same, with the places of those rows."""
        waits = " OR ".join([*self._fails().values(), f"{quoted(HOW)} IS NOT NULL"])
        told = [*(quoted(each) for each in (AT, SPAN, HOW, TEXT)), f"({waits}) AS {quoted(WAITS)}"]
        told.append(f"CAST(NULL AS VARCHAR) AS {quoted(PLACE)}")
        for number, file in enumerate(self._table.files):
            partitions = self._partitions(file)
            kept = [*self._kept(texts=True), *told, f"{number} AS {quoted(FILE)}", *partitions]
            self._add(number, kept, self._texts.counted(file), (AT, SPAN, HOW, TEXT))
            self._texts.settle(self.staged, file, number, partitions)
        torn = f"SELECT count(*) AS n FROM {quoted(self.staged)} WHERE {quoted(HOW)} IS NOT NULL"  # noqa: S608
        return self._wrong(), self._session.rows(torn)[0]["n"] > 0

    def _add(self, number: int, kept: Sequence[str], texts: str, beside: Sequence[str] = ()) -> None:
        format = self._format
        values = [f"{as_value(quoted(name), format.types[name], format)} AS {quoted(name)}" for name in self._names]
        values += [f"{quoted(name)} AS {quoted(f'text {name}')}" for name in self._typed]
        values += [quoted(each) for each in beside]
        query = f"SELECT {', '.join(kept)} FROM (SELECT {', '.join(values)} FROM {texts})"  # noqa: S608
        staged = quoted(self.staged)
        self._session.execute((f"INSERT INTO {staged} " if number else f"CREATE TABLE {staged} AS ") + query)

    def _fails(self) -> dict[str, str]:
        """SQL of whether a text is no value, by column."""
        return {name: f"({quoted(name)} IS NULL AND {quoted(f'text {name}')} IS NOT NULL)" for name in self._typed}

    def _kept(self, *, texts: bool) -> list[str]:
        """The values, and beside them whether there is none in spite of a text, null where not; with `texts` the text itself."""
        wrong = [
            f"CASE WHEN {fails} THEN {quoted(f'text {name}') if texts else 'true'} END AS {quoted(_WRONG + name)}"
            for name, fails in self._fails().items()
        ]
        return [*(quoted(name) for name in self._names), *wrong]

    def _partitions(self, file: File) -> list[str]:
        return [partition(key, value, self._table) for key, value in file.partitions]

    def _wrong(self) -> list[str]:
        if not self._typed:
            return []
        counted = ", ".join(f"count({quoted(_WRONG + name)}) AS {quoted(name)}" for name in self._typed)
        found = self._session.rows(f"SELECT {counted} FROM {quoted(self.staged)}")[0]  # noqa: S608
        return [name for name in self._typed if found[name]]


def partition(key: str, value: str | None, table: Files) -> str:
    """SQL of a partition of a file's path, as a column."""
    kind = partition_type([dict(each.partitions)[key] for each in table.files])
    told = "NULL" if value is None else literal(value)
    return f"CAST({told} AS {kind}) AS {quoted(key)}"


def ascending(session: Session, staged: str, first: Sequence[str]) -> frozenset[Key]:
    """The first column, where its values ascend as the rows come, so that windows by it skip the others.

    DuckDB's threads may put a piece of a large file behind the others (as they do beside a join): as many pieces as there are
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
