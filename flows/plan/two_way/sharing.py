"""A window of a projection among others of its origin: it finds what those before it leave, and follows those behind it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.both_ways import Pairs
from flows.bind.tables import BoundTable
from flows.plan.two_way.bringing import Bringing, Brought, with_clock
from flows.plan.two_way.following import with_followed
from flows.plan.two_way.numbered import with_known_numbers
from flows.plan.two_way.origins import Origin
from flows.plan.two_way.reading import Read
from flows.plan.two_way.seen import Place, as_others_leave, with_adopted
from flows.plan.two_way.soft_deletes import with_flag
from transforms import keys
from transforms.both_ways import BothSides
from transforms.changes_in_turn import back_again, both, on_top, with_effect
from transforms.net_changes import changed_keys, without
from transforms.vocabulary import ChangeSet
from transforms.vocabulary.arrow import contiguous


class Back(NamedTuple):
    """What goes to the source of a window: its changes there, the rows that they are of, and the rows that others `changed` there, of which
    this projection shows what they made of them."""

    changes: ChangeSet
    own: Pairs
    others: Pairs


def alone(brought: Brought, bound: BoundTable, there: BoundTable) -> Back:
    """What goes to the source where no other table of the plan is made of it. In: the table, and the source's as it is written."""
    own = _own(brought)
    return Back(_with_defaults(brought.decided.back, bound, there), own, Pairs(*(each.slice(0, 0) for each in own)))


def among_others(origin: Origin, bringing: Bringing, place: Place, read: Read) -> tuple[Brought, Back]:
    """Bring a window together with what the other projections of its origin make of its rows, and note what it makes of them."""
    name, number, inside = place.bound.name, place.window.number, place.inside(origin)
    earlier = origin.changes(origin.before(name), inside)
    read, given = with_adopted(place, origin, as_others_leave(place, read, earlier, read.raw), earlier, bringing.ways)
    first = bringing.together(number, read)
    own = both(given, _in_all_columns(origin, first))
    made = on_top(earlier, _with_rest(own, earlier, origin.shows[name]))
    origin.keep(name, number, made)
    late = origin.changes(origin.after(name), inside)
    done = with_followed(bringing, place, first, late)
    there = bringing.ends["source"].route(name).table
    written = without(with_effect(made), changed_keys(late))
    idle, pairs = _idle(own, made, late), _own(first)
    touched = pa.concat_tables([changed_keys(earlier), changed_keys(late), changed_keys(given)])
    seen = [_pairs(each, touched, pairs) for each in (read, done.again) if each is not None]
    others = Pairs(*(pa.concat_tables(some) for some in zip(*seen, strict=True)))
    pairs, others = _without(pairs, idle), _without(_without(others, idle), pairs.source)
    changes = _in_columns(written, first.decided.back)
    alone = not keys.contained(changed_keys(changes), changed_keys(earlier), origin.key).any() if len(changes) else True
    return done, Back(_with_defaults(changes, place.bound, there) if alone else changes, pairs, others)


def as_read(brought: Brought, bound: BoundTable) -> BothSides:
    """Both sides as they were read: without what other projections make of the source."""
    rows, others = brought.rows, brought.read.others
    if others is None:
        return rows
    key = tuple(others.touched.column_names)
    rest = pa.array(~keys.contained(rows.raw, others.touched, key)) if rows.raw.num_rows else pa.array([], pa.bool_())
    before, raw = others.before.mapped.rows, others.before.raw
    before = with_clock(bound, with_flag(bound, with_known_numbers(bound, before, rows.target, rows.base)), raw)
    before = before.select(rows.source.column_names).cast(rows.source.schema)
    return replace(
        rows,
        source=pa.concat_tables([rows.source.filter(rest), before]),
        raw=pa.concat_tables([rows.raw.filter(rest), raw.select(rows.raw.column_names)]),
    )


def _own(brought: Brought) -> Pairs:
    return Pairs(_ordered_keys(brought.decided.outcome.source), _ordered_keys(brought.decided.back))


def _ordered_keys(changes: ChangeSet) -> pa.Table:
    """The keys of the rows of a change set: inserts, updates, deletes."""
    key = list(changes.key)
    return pa.concat_tables(
        [each.select(key) for each in (changes.inserts, changes.after, changes.deletes)]
    ).combine_chunks()


def _in_all_columns(origin: Origin, brought: Brought) -> ChangeSet:
    """What a window changes in the source, in all columns that are read of it."""
    back, raw, schema = brought.decided.back, brought.rows.raw.select(origin.like.schema.names), origin.like.schema

    def there(rows: pa.Table) -> pa.Table:
        return raw.take(pa.array(keys.match(rows, raw, back.key))) if rows.num_rows else schema.empty_table()

    def over(rows: pa.Table, images: pa.Table) -> pa.Table:
        known = dict(zip(rows.column_names, rows.columns, strict=True))
        return pa.table({name: images.column(name) if name in images.column_names else known[name] for name in known})

    blank = pa.table([pa.nulls(back.inserts.num_rows, field.type) for field in schema], names=schema.names)
    before = there(back.before)
    return replace(
        origin.like,
        inserts=over(blank, back.inserts).cast(schema),
        before=before.cast(schema),
        after=over(before, back.after).cast(schema),
        deletes=there(back.deletes).cast(schema),
    )


def _with_rest(own: ChangeSet, earlier: ChangeSet, shown: Collection[str]) -> ChangeSet:
    """The changes in which rows that earlier projections deleted, and that come again, keep what this one does not show of them."""
    place = keys.match(own.inserts, earlier.deletes, own.key) if own.inserts.num_rows else np.zeros(0, dtype=np.int64)
    again = place >= 0
    if not again.any():
        return own
    old = earlier.deletes.take(pa.array(place, mask=~again))
    columns = {
        name: contiguous(own.inserts.column(name))
        if name in shown
        else pc.if_else(pa.array(again), contiguous(old.column(name)), contiguous(own.inserts.column(name)))
        for name in own.schema.names
    }
    return replace(own, inserts=pa.table(columns, schema=own.schema))


def _in_columns(changes: ChangeSet, like: ChangeSet) -> ChangeSet:
    """Changes in the columns that are written."""
    images = (changes.inserts, changes.before, changes.after, changes.deletes)
    inserts, before, after, deletes = (each.select(like.schema.names).cast(like.schema) for each in images)
    return replace(like, inserts=inserts, before=before, after=after, deletes=deletes)


def _with_defaults(changes: ChangeSet, bound: BoundTable, there: BoundTable) -> ChangeSet:
    """The changes without columns that the source fills itself in new rows, and that other tables alone show."""
    if not changes.inserts.num_rows or bound.two_way is None:
        return changes
    filled = {column.name for column in there.shape.columns if column.default} - {*bound.two_way.writes}
    names = [name for name in changes.schema.names if name not in filled]
    images = (changes.inserts, changes.before, changes.after, changes.deletes)
    inserts, before, after, deletes = (each.select(names) for each in images)
    compared = tuple(name for name in changes.compared if name not in filled)
    return replace(changes, compared=compared, inserts=inserts, before=before, after=after, deletes=deletes)


def _idle(own: ChangeSet, made: ChangeSet, late: ChangeSet) -> pa.Table:
    """The keys of rows that are in the end as they were before any projection changed them."""
    back = [some.after.filter(pa.array(back_again(some))).select(list(some.key)) for some in (made, late)]
    gone = changed_keys(own)
    gone = gone.filter(pa.array(~keys.contained(gone, changed_keys(made), made.key))) if gone.num_rows else gone
    return pa.concat_tables([*back, gone])


def _pairs(read: Read, touched: pa.Table, like: Pairs) -> Pairs:
    """The rows of a window that others touched, by both keys."""
    key = tuple(touched.column_names)
    some = pa.array(keys.contained(read.raw, touched, key)) if read.raw.num_rows else pa.array([], pa.bool_())
    ours, theirs = read.mapped.rows.filter(some), read.raw.filter(some)
    return Pairs(
        *(rows.select(own.column_names).cast(own.schema) for rows, own in zip((ours, theirs), like, strict=True))
    )


def _without(pairs: Pairs, some: pa.Table) -> Pairs:
    """The pairs but for those with some keys of the source."""
    if not pairs.source.num_rows or not some.num_rows:
        return pairs
    stays = pa.array(~keys.contained(pairs.source, some.cast(pairs.source.schema), tuple(pairs.source.column_names)))
    return Pairs(*(each.filter(stays) for each in pairs))
