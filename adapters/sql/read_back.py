"""What the target's own triggers made of a window: rows are read back behind its statements, in its transaction.

Only tables with triggers or rules are asked. A row that is not there as the statements counted it is refused; one with other
values than were written is written all the same, and is told with what is there, so that history has what is true.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.sql.staging import GONE, NO, Staging, conflict_rows, swallowed
from adapters.sql.statements import Expression
from transforms.vocabulary import Applied, ChangeSet, ColumnShape, Op
from transforms.vocabulary.values import same_rows

Asked = Callable[[Sequence[Expression]], sa.Select[Any]]
"""A question about staged rows, such as `left_out`, given expressions for the target's columns."""


def left_behind(staging: Staging, op: Op, found: Sequence[Expression] = ()) -> sa.Select[Any]:
    """The staged rows that are not as the statement of `op` was to leave them: `no`, `gone`, `found`.

    After a delete those whose key is there, else those whose key is not there (`gone`) or that have another value in a column
    that was written, whether a precondition looks at it or not. `found` as in `left_out`. To be asked behind all statements
    of the window: what one counts as written a trigger may change, take away, or put elsewhere, and that of another one too.
    """
    stage, target = staging.stage(op), staging.target
    gone = target.c[staging.key[0]].is_(None)
    astray = ~gone if op == "delete" else sa.or_(gone, ~staging.same_values(op, "a", [c.name for c in staging.columns]))
    return (
        sa.select(stage.c[NO], gone.label(GONE), *found)
        .select_from(stage.outerjoin(target, staging.same_key(op)))
        .where(astray)
    )


def rewritten(
    changes: ChangeSet, op: Op, behind: pa.Table, left: Collection[int], columns: Iterable[ColumnShape], who: str
) -> pa.Table | None:
    """The rows of `Applied.rewritten` for an operation; None for none.

    In: `left_behind`, with the target's rows as they travel; the staged rows `left` were not written, and are none of them.
    `who` takes rows away.
    Errors: RowRefused where a written row is not there, or a deleted one is.
    """
    numbers = behind[NO].cast(pa.int64())
    if left:
        ours = pc.invert(pc.is_in(numbers, value_set=pa.array(list(left), pa.int64())))
        behind, numbers = behind.filter(ours), numbers.filter(ours)
    lost = numbers if op == "delete" else numbers.filter(behind[GONE].cast(pa.bool_()))
    if len(lost):
        raise swallowed(changes, op, lost.to_pylist(), who)
    if not len(numbers):
        return None
    after = (changes.inserts if op == "insert" else changes.after).take(numbers)
    found = behind.drop_columns([GONE])
    meanings = {each.name: each.meaning for each in columns}
    others = tuple(name for name in changes.schema.names if name not in changes.key)
    differs = pa.array(~same_rows(found, after, others, meanings))  # one value can be stored in several ways
    found = found.filter(differs)
    return conflict_rows(changes, op, numbers.filter(differs).to_pylist(), found) if found.num_rows else None


def with_rewritten(applied: Applied, parts: Iterable[pa.Table | None]) -> Applied:
    """What a window did, with the rows of `rewritten` of all its operations."""
    found = [each for each in parts if each is not None]
    return replace(applied, rewritten=pa.concat_tables(found)) if found else applied
