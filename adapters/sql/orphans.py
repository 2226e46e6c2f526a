"""Rows that refer to what is not there: an anti-join, as a relation that is counted and scanned like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from adapters.sql.keys import among
from adapters.sql.statements import Expression, column, quoted, rendered, table
from transforms.vocabulary import ForeignKey, Key, Relation, TableName

REFERRED: Final = "syncline:referred"


def orphaned(
    child: TableName,
    columns: Key,
    own: Sequence[Expression],
    parent: TableName | None,
    there: Sequence[Expression],
    dialect: sa.Dialect,
    *,
    listed: bool = False,
    own_rows: bool = False,
) -> Relation:
    """The rows of `child` with no null in `columns`, whose values no row of `parent` has.

    In: `own` and `there` are what is compared, pairwise, each over the unqualified columns of its own table. `parent`
    is None where there is no such table: then no row finds one. `listed`: say NOT IN, which MariaDB reads the parent
    for once; it runs a NOT EXISTS over CAST again for each row, and takes values for one that trailing blanks tell apart.
    `own_rows`: of the parent, without those of tables that inherit from it.
    """
    given = [column(name).is_not(None) for name in columns]
    if parent is None:
        return Relation(child, where=rendered(sa.and_(*given), dialect))
    if listed:
        values = sa.select(*there).select_from(table(parent)).where(*(each.is_not(None) for each in there))
        return Relation(child, where=rendered(sa.and_(*given, sa.not_(among(own, values))), dialect))
    # Labels of our own, because inside the subquery a column of the parent would hide the child's of the same name.
    labels = [quoted(f"syncline:{number}") for number in range(len(columns))]
    named = [each.label(label) for each, label in zip(there, labels, strict=True)]
    referred = sa.select(*named).select_from(table(parent, own_rows=own_rows)).subquery(quoted(REFERRED))
    # The parent's side stands first: in SQLite, its collation decides.
    same = [referred.c[label] == each for label, each in zip(labels, own, strict=True)]
    found = sa.exists().select_from(referred).where(*same)
    return Relation(child, where=rendered(sa.and_(*given, sa.not_(found)), dialect))


def pairs(reference: ForeignKey) -> frozenset[tuple[str, str]]:
    """The columns of a reference, in no order: catalogs have their own."""
    return frozenset(zip(reference.columns, reference.refers_columns, strict=False))


def is_declared(reference: ForeignKey, known: Sequence[ForeignKey]) -> bool:
    """Whether a table has a foreign key over the same columns to the same table."""
    return any(each.refers == reference.refers and pairs(each) == pairs(reference) for each in known)
