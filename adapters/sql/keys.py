"""Rows with some keys, and rows that a key does not tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from adapters.sql.statements import Expression, column, quoted, rendered, table
from transforms.vocabulary import Key, Relation, TableName


def among(own: Sequence[Expression], listed: sa.Select[Any]) -> Expression:
    """The clause that keeps the rows with one of the keys that a select lists: once, however many of them the engine takes for theirs.

    In: the columns as the keys are compared with them: plain ones, as far as they can be, which an index serves.
    """
    return (own[0] if len(own) == 1 else sa.tuple_(*own)).in_(listed)


def unkeyed(
    name: TableName,
    key: Key,
    own: Sequence[Expression],
    nullable: Sequence[str],
    dialect: sa.Dialect,
    most: int | None,
    *,
    own_rows: bool = False,
) -> Relation:
    """The rows of `name` with a null in `key`, and those whose values another row has, of `most` such values.

    In: `own` are the columns of the key as they are compared; `nullable` those that may hold nulls. `own_rows`: without the
    rows of tables that inherit from it.
    """
    labels = [quoted(f"syncline:{number}") for number in range(len(key))]
    values = [each.label(label) for each, label in zip(own, labels, strict=True)]
    rows = (
        sa.select(*values)
        .select_from(table(name, own_rows=own_rows))
        .where(*(column(n).is_not(None) for n in nullable))
    )
    rows = rows.prefix_with(
        "SQL_BIG_RESULT", dialect="mysql"
    )  # sorted: grouping by an index takes MariaDB ten times as long
    twice = rows.group_by(*own).having(sa.func.count() > 1).limit(most).subquery(quoted("syncline:twice"))
    # the list is a subquery of its own, because MySQL takes no LIMIT in one that IN reads
    listed = sa.select(*(twice.c[label] for label in labels))
    return Relation(name, where=rendered(sa.or_(*(column(n).is_(None) for n in nullable), among(own, listed)), dialect))
