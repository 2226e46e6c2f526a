"""Foreign keys while rows are written: InnoDB looks at them row by row, and a tree has to go in whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from adapters.mysql.connection import Connection, rows, run
from adapters.mysql.load_data import name_of
from adapters.mysql.snapshot import spelled
from adapters.sql.staging import Staging
from adapters.sql.statements import Expression, table
from transforms.vocabulary import ChangeSet, ForeignKey, Key, Op, TableName, TableShape

REFERRING: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE REFERENCED_TABLE_SCHEMA = coalesce(%s, DATABASE()) AND REFERENCED_TABLE_NAME = %s
ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"""

BROKEN: Final = (1216, 1217, 1451, 1452)
"""What the server says where a foreign key does not hold."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`columns` of `child` refer to `refers` of the table that is written."""

    child: TableName
    columns: Key
    refers: Key


def referring(connection: Connection, name: TableName) -> tuple[Reference, ...]:
    """The foreign keys that refer to a table."""
    grouped: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for schema, child, constraint, own, there in rows(connection, REFERRING, [name.schema, name.name]):
        grouped.setdefault((schema, child, constraint), []).append((own, there))
    return tuple(
        Reference(TableName(child, schema), tuple(own for own, _ in pairs), tuple(there for _, there in pairs))
        for (schema, child, _), pairs in grouped.items()
    )


def referrers(connection: Connection, table: TableName) -> list[TableName]:
    """See `Catalog.referrers`."""
    ((here,),) = rows(connection, "SELECT coalesce(%s, DATABASE())", [table.schema])
    children = {each.child for each in referring(connection, table)}
    return sorted(TableName(child.name, table.schema if child.schema == here else child.schema) for child in children)


@contextmanager
def unchecked(connection: Connection) -> Iterator[None]:
    """Without a look at foreign keys. Whoever takes it looks afterwards; an error ends the connection."""
    run(connection, "SET SESSION foreign_key_checks = 0")
    yield
    run(connection, "SET SESSION foreign_key_checks = 1")


def holds(connection: Connection, staging: Staging, op: Op, shape: TableShape, referring: Sequence[Reference]) -> bool:
    """Whether every foreign key from and to the staged rows holds, after `op` was done. What it read stays locked."""
    checks: list[sa.Select[tuple[int]]] = []
    if op != "delete":
        written = {each.name for each in staging.columns}
        checks += [
            _orphans(staging, op, key.columns, key.refers, key.refers_columns)
            for key in shape.foreign_keys
            if written & set(key.columns)
        ]
    if op != "insert":
        checks += [_left_behind(staging, op, each) for each in referring]
    return not any(rows(connection, f"{spelled(check.limit(1))} LOCK IN SHARE MODE") for check in checks)


def known(staging: Staging, referring: Sequence[Reference]) -> bool:
    """Whether the staged rows tell what is referred to."""
    told = {*staging.key, *staging.compared}
    return all(set(each.refers) <= told for each in referring)


def carries(op: Op, within: Sequence[ForeignKey]) -> bool:
    """Whether the server would carry a change of one row on to others of its table, which the statement has yet to come to."""
    action = {"delete": any(key.on_delete for key in within), "update": any(key.on_update for key in within)}
    return action.get(op, False)


def children_first(
    touched: Callable[[str], int], changes: ChangeSet, within: Sequence[ForeignKey], joined: str, as_planned: str
) -> int:
    """Delete staged rows, those that no other row of the table refers to, until there are none: how many were deleted.

    For rows of which nobody could tell afterwards what they were referred to by, since it is not staged. In: `touched` runs a
    statement; `within` are the keys by which rows of the table refer to each other. Those that need each other are refused.
    """
    name = name_of(changes.table)
    joins, alone = [], []
    for number, foreign in enumerate(within):
        child = name_of(f"syncline child {number}")
        pairs = zip(foreign.columns, foreign.refers_columns, strict=True)
        refers = [f"{child}.{name_of(own)} = {name}.{name_of(there)}" for own, there in pairs]
        itself = " AND ".join(f"{child}.{name_of(column)} <=> {name}.{name_of(column)}" for column in changes.key)
        joins.append(f"LEFT JOIN {name} AS {child} ON {' AND '.join(refers)} AND NOT ({itself})")
        alone.append(f"{child}.{name_of(foreign.columns[0])} IS NULL")
    last = f"DELETE FROM {name} USING {joined} WHERE {as_planned}"  # noqa: S608
    childless = f"DELETE FROM {name} USING {joined} {' '.join(joins)} WHERE {' AND '.join([as_planned, *alone])}"  # noqa: S608
    done = 0
    while step := touched(childless):
        done += step
    return done if carries("delete", within) else done + touched(last)


def _orphans(staging: Staging, op: Op, columns: Key, parent: TableName, refers: Key) -> sa.Select[tuple[int]]:
    """The staged rows in the table whose own foreign key refers to nothing."""
    own: dict[str, Expression] = {
        name: sa.literal_column(f"{name_of(staging.table)}.{name_of(name)}") for name in columns
    }
    there = table(parent, refers).alias("syncline parent")
    same = sa.and_(*(there.c[name] == own[mine] for mine, name in zip(columns, refers, strict=True)))
    joined = staging.stage(op).join(staging.target, staging.same_key(op)).outerjoin(there, same)
    given = sa.and_(*(own[name].is_not(None) for name in columns))
    return sa.select(sa.literal_column("1", sa.Integer)).select_from(joined).where(given, there.c[refers[0]].is_(None))


def _left_behind(staging: Staging, op: Op, reference: Reference) -> sa.Select[tuple[int]]:
    """The rows that refer to what staged rows were, where there is no such row any more."""
    child = table(reference.child, reference.columns).alias("syncline child")
    there = table(staging.table, reference.refers).alias("syncline parent")
    was = [staging.staged(op, "b", name) for name in reference.refers]
    refers: list[Expression] = [child.c[own] == value for own, value in zip(reference.columns, was, strict=True)]
    same: list[Expression] = [there.c[name] == value for name, value in zip(reference.refers, was, strict=True)]
    joined = staging.stage(op).join(child, sa.and_(*refers)).outerjoin(there, sa.and_(*same))
    return (
        sa.select(sa.literal_column("1", sa.Integer)).select_from(joined).where(there.c[reference.refers[0]].is_(None))
    )
