"""Two-way plans of a part of the rows: of ranges of keys, of trees, or of keys that were in quarantine.

Of such a key both sides and what they agreed on are read, and nothing else: a row that one side alone has was deleted by the other, or
born, as in any run. So both sides have to have met, and the key has to say by itself which row of either side is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from flows.bind.links import apart
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import among
from flows.plan.reading.window_reader import PlanWork, of_keys, target_ranges, within_ranges
from flows.plan.request import Request
from flows.plan.trees.chosen_tree import Trees
from flows.session.agreed import Known
from flows.session.session import Session
from transforms.mapping.mapping import Mapped
from transforms.range_filter import all_inside
from transforms.vocabulary import ColumnRange, Keys, PlanError, Problem, Ranges, Selection, Tree
from transforms.vocabulary.arrow import Mask


def unfit(request: Request, session: Session, tables: Sequence[BoundTable]) -> Iterator[Problem]:
    """Why tables cannot be brought together in a part. In: those that are looked at."""
    for bound in tables if not request.whole else ():
        if bound.two_way is None:
            continue
        selection = request.selection(bound)
        where, fix = (
            session.spec.where("tables", bound.name, "key"),
            "run without --tree and `retry`, or with a range of its key.",
        )
        mapped = bound.mapping.schema.names
        others = [each.column for each in _beside_key(selection, bound) if each.column not in mapped]
        if others:
            what = f"{others[0]} is given by the target, so that rows which are born on the source have none yet."
            yield Problem(what, "name a column that is mapped.", where, bound.name)
        elif apart(bound) and isinstance(selection, Keys | Tree) and selection.rows:
            what = "its rows have another key on each side, so that a tree of a table which goes both ways does not say which they are."
            yield Problem(what, fix, where, bound.name)


def _beside_key(selection: Selection, bound: BoundTable) -> tuple[ColumnRange, ...]:
    """The ranges of a selection over columns that are none of the key."""
    ranges = selection.ranges if isinstance(selection, Ranges) else ()
    return tuple(each for each in ranges if each.column not in bound.key)


def inside_on_a_side(sides: Sequence[pa.Table], bound: BoundTable, selection: Selection) -> pa.Table | None:
    """The keys of a window's rows that are inside ranges of other columns than the key on one side at least; None without such ranges.

    Rows that both sides have moved out of the ranges are none of them.
    """
    ranges = _beside_key(selection, bound)
    if not ranges:
        return None
    key = list(bound.key)
    return pa.concat_tables(
        [each.filter(pa.array(all_inside(each, ranges))).select(key).cast(bound.key_schema) for each in sides]
    )


class NotMet(PlanError):
    """A part of a table is asked for whose sides have not met, or not by its key: a run that looks at all rows has to come first."""

    code = "not_met"


def must_have_met(request: Request, bound: BoundTable, known: Known) -> None:
    """Errors: NotMet where a part of a table is asked for and its sides have not met, or not by its key."""
    if not request.whole and known.other_key is not None:
        by = ", ".join(known.other_key.agreement.key)
        raise NotMet(
            f"What both sides of {bound.name} agreed on is known by another key ({by}) until a run has looked at all rows. "
            f"Nothing was written.",
            fix="run without --range, --tree and `retry` first.",
        )
    if not request.whole and known.parts is None:
        raise NotMet(
            f"Both sides of {bound.name} have not agreed on anything yet, and a part of the rows does not say what they agree on. "
            f"Nothing was written.",
            fix="run without --range, --tree and `retry` first.",
        )


def of_the_source(request: Request) -> Request:
    """The request as it goes for the plan of the source, whose rows have the source's keys: those of the target's plan, no others."""
    if request.whole:
        return request
    return replace(request, ranges=(), keys=None, trees=Trees(()), hanging={}, listed=frozenset())


def chosen_rows(rows: pa.Table, bound: BoundTable, work: PlanWork) -> Mask:
    """Which rows a plan looks at, by their keys in the target."""
    if work.keys is not None:
        mask: Mask = among(rows, bound.key, work.keys).to_numpy(zero_copy_only=False)
        return mask
    ranges = tuple(target_ranges(bound, work))
    return all_inside(rows, ranges) if ranges else np.ones(rows.num_rows, dtype=bool)


def of_part(mapped: Mapped, source: pa.Table, aside: Mask, bound: BoundTable, work: PlanWork) -> tuple[Mapped, Mask]:
    """Mapped rows of those that a plan looks at, and which of them these are. In: the rows as they were read, and which were set aside."""
    mine = chosen_rows(mapped.rows, bound, work)
    few = (
        of_keys(mapped, bound, work.keys, source, aside)
        if work.keys is not None
        else within_ranges(mapped, bound, work.ranges)
    )
    return replace(few, rows=mapped.rows.filter(pa.array(mine))), mine
