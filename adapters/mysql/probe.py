# ruff: noqa: S608 - SQL is made of quoted identifiers and of expressions out of the catalog
"""Rows tried out in MariaDB and MySQL: in a temporary table like the target's, each time in a transaction that is rolled back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import sqlalchemy as sa

from adapters.mysql.catalog import TABLE, Described
from adapters.mysql.connection import FORBIDDEN, UNFIT, Connection, Server, code_of, rows, run
from adapters.mysql.design import CHECKS, EXPRESSIONS, OF_CONSTRAINTS, OF_TABLE
from adapters.mysql.load_data import first_warning, load, name_of
from adapters.mysql.refusals import constraint_of
from adapters.mysql.snapshot import spelled
from adapters.sql import trials
from adapters.sql.statements import table
from adapters.sql.trials import ASKED, HELD, NUMBER, TRIED, Check, Demands, Given
from transforms.vocabulary import ChangeSet, Reason, TableName, TableShape

REFUSED: Final = UNFIT | {1591, 1901, 3146}
"""Values that do not fit, and what else is said of a row: too large, a division by zero, no partition."""
ROW_BYTES: Final = 8_000  # of a row that InnoDB keeps on one page, or a little more
INLINE: Final = {"Dynamic": 40, "Compressed": 40}  # bytes of a long value that stay in the row
INLINE_OTHERS: Final = 788

NAMED: Final = CHECKS.replace("SELECT CHECK_CLAUSE", "SELECT CONSTRAINT_NAME, CHECK_CLAUSE")
BOUNDS: Final = """
SELECT PARTITION_METHOD, PARTITION_EXPRESSION, PARTITION_DESCRIPTION FROM information_schema.PARTITIONS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND PARTITION_NAME IS NOT NULL ORDER BY PARTITION_ORDINAL_POSITION"""
FORMAT: Final = "SELECT ROW_FORMAT FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"

_HEAD: Final = re.compile(r"\ACREATE TABLE `(?:[^`]|``)+`")
_LINE: Final = re.compile(r",?\n  (?=\S)")
_END: Final = re.compile(r"\n(?=\))")
_PARTITIONED: Final = re.compile(r"\n\s*(?:/\*!\d+ )?PARTITION BY ")
_NAME: Final = r"`(?:[^`]|``)+`"
_PERIOD: Final = re.compile(rf"PERIOD FOR ({_NAME}) \(({_NAME}), ({_NAME})\)")
_FULLTEXT: Final = "FULLTEXT KEY"
_NOT_TEMPORARY: Final = re.compile(rf"{_FULLTEXT} |CONSTRAINT {_NAME} FOREIGN KEY |.* WITHOUT OVERLAPS\)\Z", re.DOTALL)
"""Lines of a CREATE TABLE that no temporary table takes; names stand in backticks, so that nothing else begins like this."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a table demands; `unlike`: there can be no temporary table like it, as of one with partitions, with an index of whole
    texts, or with a period of its own. `inline`: bytes of each long value in a row.

    `numbered` are columns whose default takes a number from a sequence.
    """

    demands: Demands
    unlike: bool = False
    inline: int = INLINE_OTHERS
    numbered: tuple[str, ...] = ()

    def may_be_too_large(self, changes: ChangeSet) -> bool:
        """Whether a row of the changes may have more in it than a page takes."""
        total = 0
        for part in (changes.inserts, changes.after):
            found = 0
            for column in part.columns:
                long = pa.types.is_string(column.type) or pa.types.is_binary(column.type)
                longest = (pc.max(pc.binary_length(column)).as_py() or 0) if long else 8
                found += min(longest, self.inline)
            total = max(total, found)
        return total > ROW_BYTES


def known(connection: Connection, server: Server, found: Described) -> Known:
    """Out of information_schema. The checks that make a text JSON are part of its type."""
    name = found.shape.name
    place = next((row for row in rows(connection, TABLE, [name.schema, name.name]) if row[1] == name.name), None)
    if place is None:
        return Known(Demands())
    where = [place[0], place[1]]
    json = {f"json_valid({name_of(column)})" for column, each in found.travels.items() if each.kind == "json"}
    told = rows(connection, NAMED.format(table=OF_TABLE if server.mariadb else OF_CONSTRAINTS), where)
    checks = [(_text(label), _expression(_text(text), server)) for label, text in told]
    facts = [tuple(map(_text, row)) for row in rows(connection, EXPRESSIONS, where)]
    bounds = rows(connection, BOUNDS, where)
    shape = found.shape
    return Known(
        Demands(
            tuple(Check(text, label, trials.mentioned(text, shape)) for label, text in checks if text not in json),
            tuple((column, _expression(made, server)) for column, _, _, _, made, _ in facts if made),
            _bounds([tuple(map(_text, row)) for row in bounds]),
        ),
        unlike=bool(bounds) or _is_unlike(_lines(_created(connection, name))),
        inline=next(
            (INLINE.get(_text(row[0]), INLINE_OTHERS) for row in rows(connection, FORMAT, where)), INLINE_OTHERS
        ),
        numbered=tuple(column for column, _, default, *_ in facts if "nextval(" in default.lower()),
    )


def _created(connection: Connection, name: TableName) -> str:
    ((_, created, *_),) = rows(connection, f"SHOW CREATE TABLE {name_of(name)}")
    return _text(created)


def _lines(created: str) -> list[str]:
    """A CREATE TABLE as its head, its columns, keys and checks, and its end. The server puts each into a line of its own."""
    body, end = _END.split(_PARTITIONED.split(created)[0], maxsplit=1)
    return [*_LINE.split(body), end]


def _is_unlike(lines: Sequence[str]) -> bool:
    return any(line.startswith(_FULLTEXT) or _PERIOD.match(line) for line in lines)


def _near(created: str) -> str:
    """The statement of a table TRIED that refuses the same rows and may be temporary."""
    head, *body, end = _lines(created)
    kept = [_PERIOD.sub(r"CONSTRAINT \1 CHECK (\2 < \3)", line) for line in body if not _NOT_TEMPORARY.match(line)]
    return _HEAD.sub(f"CREATE TABLE {TRIED}", head) + "\n  " + ",\n  ".join(kept) + "\n" + end


def _text(value: object) -> str:
    return "" if value is None else value.decode() if isinstance(value, bytes) else str(value)


def _expression(text: str, server: Server) -> str:
    return text if server.mariadb else re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _bounds(partitions: Sequence[tuple[str, ...]]) -> Check | None:
    """Which rows have a partition, as a condition; None where all have one."""
    if not partitions:
        return None
    method, expression, last = partitions[-1]
    if method.startswith("RANGE"):
        limits, terms = _listed(last), _listed(expression) if "COLUMNS" in method else [expression]
        bound = limits.index("MAXVALUE") if "MAXVALUE" in limits else len(limits)
        if not bound:
            return None
        sign = "<" if bound == len(limits) else "<="
        left, right = (f"({', '.join(each[:bound])})" for each in (terms, limits))
        return Check(f"coalesce({left} {sign} {right}, true)", "bounds")  # a null is in the first one
    if method.startswith("LIST"):
        if any(values in ("", "DEFAULT") for _, _, values in partitions):
            return None
        listed = [value for _, _, values in partitions for value in _listed(values)]
        nulls = "NULL" in listed
        left = f"({expression})"
        values = ", ".join(each for each in listed if each != "NULL") or "NULL"
        return Check(f"coalesce({left} IN ({values}), {'true' if nulls else 'false'})", "bounds")
    return None


def _listed(text: str) -> list[str]:
    """Values between commas, outside of quotes and parentheses."""
    parts, depth, quote, part = [], 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'`":
            quote = letter
        elif letter == "," and not depth:
            parts.append(part.strip())
            part = ""
            continue
        depth += 0 if quote else (letter == "(") - (letter == ")")
        part += letter
    return [*parts, part.strip()]


def untried(connection: Connection) -> str | None:
    """Why the user makes no temporary table, and how to change that; None where it does."""
    try:
        run(connection, f"CREATE TEMPORARY TABLE {ASKED} ({NUMBER} integer)")
        run(connection, f"DROP TEMPORARY TABLE {ASKED}")
    except pymysql.Error as error:
        if code_of(error) not in FORBIDDEN:
            raise
        return f"{error.args[1]}. Fix: GRANT CREATE TEMPORARY TABLES on the database to the user"
    return None


def refused(
    connection: Connection,
    shape: TableShape,
    changes: ChangeSet,
    described: Described,
    of_table: Known,
    made: str | None,
) -> dict[int, Reason]:
    """The rows that the table refuses. In: a connection outside of any transaction.

    `made` is the statement that makes a table TRIED where there is none yet.
    """
    beside = () if made else of_table.demands.beside(shape, changes.schema.names)
    asked = trials.given(changes, described.travels)
    trial = _Trial(connection, shape, changes, described, asked, of_table, beside)
    drops = f"DROP TEMPORARY TABLE IF EXISTS {ASKED}, {TRIED}, {HELD}"
    run(connection, drops)
    try:
        trial.prepare(made)
        return trials.refused(trial, asked.rows.num_rows)
    finally:
        run(connection, drops)


@dataclass(slots=True)
class _Trial:
    connection: Connection
    shape: TableShape
    changes: ChangeSet
    described: Described
    asked: Given
    of_table: Known
    beside: Sequence[str]

    def prepare(self, made: str | None) -> None:
        """Make the tables, and stage the rows."""
        if made is None and self.of_table.unlike:
            made = _near(_created(self.connection, self.shape.name))
        like = f"CREATE TEMPORARY TABLE {TRIED} LIKE {name_of(self.shape.name)}"
        run(self.connection, made.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1) if made else like)
        for name in self.of_table.numbered:
            if name not in self.asked.names:
                run(self.connection, f"ALTER TABLE {TRIED} ALTER COLUMN {name_of(name)} SET DEFAULT 0")
        travels = [self.described.travels[name] for name in self.asked.names]
        for each in self.shape.columns if not made else ():
            if each.required and each.name not in self.asked.names:
                run(self.connection, f"ALTER TABLE {TRIED} MODIFY COLUMN {name_of(each.name)} {each.native} NULL")
        types = [f"a{i} {each.staged_type(key=False)}" for i, each in enumerate(travels)]
        listed = ", ".join([f"{NUMBER} INT NOT NULL PRIMARY KEY", *types])
        run(self.connection, f"CREATE TEMPORARY TABLE {ASKED} ({listed}) ENGINE=InnoDB")
        staged = self.asked.numbered
        load(self.connection, TableName(ASKED), staged.column_names, [None, *travels], staged)

    def take(self, first: int, stop: int) -> Reason | None:
        run(self.connection, "START TRANSACTION")
        try:
            self._insert("INSERT", TRIED, f"n.{NUMBER} >= {first} AND n.{NUMBER} < {stop}")
            bounds = self.of_table.demands.bounds
            if bounds and rows(self.connection, f"SELECT 1 FROM {TRIED} WHERE NOT ({bounds.expression}) LIMIT 1"):
                return trials.refusal("it fits no partition")
        except pymysql.Error as error:
            code = code_of(error)
            if code not in REFUSED:
                raise
            return trials.refusal(
                str(error.args[1]).replace(TRIED, self.shape.name.name), constraint_of(code, str(error.args[1]))
            )
        except _Warned as warned:
            return trials.refusal(str(warned).replace(TRIED, self.shape.name.name))
        finally:
            run(self.connection, "ROLLBACK")
        return None

    def _insert(self, verb: str, into: str, where: str, *, number: bool = False) -> None:
        stage = table(TableName("n"), [NUMBER, *(f"a{i}" for i in range(len(self.asked.names)))])
        own = [self._value(stage, i) for i in range(len(self.asked.names))]
        numbers = [NUMBER] if number else []
        names = [*numbers, *map(name_of, self.asked.names)]
        values = [*(f"n.{each}" for each in numbers), *own]
        inserts = f"{where} AND n.{NUMBER} < {self.asked.inserts}" if self.beside else where
        insert = f"{verb} INTO {into} ({{}}) SELECT {{}} FROM {ASKED} n {{}}WHERE {{}}"
        self._run(insert.format(", ".join(names), ", ".join(values), "", inserts), loud=verb == "INSERT")
        if self.beside and self.asked.inserts < self.asked.rows.num_rows:
            at = dict(zip(self.asked.names, own, strict=True))
            same = " AND ".join(f"t.{name_of(name)} = {at[name]}" for name in self.changes.key)
            more = [*values, *(f"t.{name_of(name)}" for name in self.beside)]
            listed = [*names, *map(name_of, self.beside)]
            joined = f"JOIN {name_of(self.shape.name)} t ON {same} "
            updates = f"{where} AND n.{NUMBER} >= {self.asked.inserts}"
            self._run(insert.format(", ".join(listed), ", ".join(more), joined, updates), loud=verb == "INSERT")

    def _value(self, stage: sa.TableClause, place: int) -> str:
        written = self.described.travels[self.asked.names[place]].written()
        return spelled(written.cast(stage.c[f"a{place}"]))

    def _run(self, statement: str, *, loud: bool) -> None:
        run(self.connection, statement)
        if loud and self.connection._result.warning_count:
            code, text = first_warning(self.connection)
            if code in REFUSED:
                raise _Warned(text)

    def failing(self) -> dict[int, Reason]:
        found: dict[int, Reason] = {}
        if not any(each.server.mariadb for each in self.described.travels.values()):
            return found
        run(self.connection, "SET SESSION check_constraint_checks = OFF")
        try:
            run(self.connection, f"CREATE TEMPORARY TABLE {HELD} LIKE {TRIED}")
            run(self.connection, f"ALTER TABLE {HELD} ADD COLUMN {NUMBER} INT")
            self._insert("INSERT IGNORE", HELD, "true", number=True)
            demands = self.of_table.demands
            for each in reversed([*demands.checks, *([demands.bounds] if demands.bounds else [])]):
                broken = rows(self.connection, f"SELECT {NUMBER} FROM {HELD} WHERE NOT ({each.expression})")
                reason = Reason("no_partition") if each is demands.bounds else each.reason
                found.update((int(number), reason) for (number,) in broken)
        except pymysql.Error as error:
            if code_of(error) not in REFUSED:
                raise
            return {}
        finally:
            run(self.connection, "SET SESSION check_constraint_checks = DEFAULT")
        return found

    def discard(self, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), 5_000):
            some = ", ".join(map(str, numbers[start : start + 5_000]))
            run(self.connection, f"DELETE FROM {ASKED} WHERE {NUMBER} IN ({some})")


class _Warned(Exception):
    """What the server warned of, where LOAD DATA or a lenient mode makes no error of it."""
