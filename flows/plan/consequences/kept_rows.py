"""Rows that are to be deleted while rows that stay refer to them: they stay too, and so does what they refer to themselves.

A row stays in the target where its source row is in quarantine, where it is not the table's own (`owns`, other tables), and
where its table never deletes. What it refers to cannot go, then: the engine would refuse that or, by ON DELETE CASCADE and its
like, change rows that no plan names. Of tables that the spec does not name, rows go along or let go where it says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from adapters.store.plans import PlanWriter
from flows.bind.tables import BoundTable
from flows.plan.consequences.children import Followed, followed, key_of, reference_of
from flows.plan.consequences.going import Going, Link, going_of, linked
from flows.plan.decide import Planned, samples
from flows.plan.order.passed_on import Passing
from flows.plan.references.references import related
from flows.plan.references.referrers import compared, inside
from flows.plan.totals import with_kept
from flows.session.session import Job, Session
from flows.session.side import WrittenSide
from flows.spec.policies import Children
from transforms import expressions
from transforms.vocabulary import Notice, TableName
from transforms.vocabulary.arrow import Mask

NAMED: Final = 3  # keys that a line names
TOLD: Final = 1_000  # keys that its facts have, for who waits until others let these rows go


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of plans: the windows of each table, and a line for each foreign key that keeps rows.

    `going` has all rows that might go, `links` lead to those that refer to them; what becomes of the columns of rows that let go is
    in `followed`.
    """

    planned: dict[str, list[Planned]]
    warnings: tuple[Notice, ...] = ()
    going: Mapping[TableName, Going] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    followed: Followed = field(default_factory=Followed)


def without_referred(
    session: Session,
    job: Job,
    tables: Sequence[BoundTable],
    planned: Mapping[str, list[Planned]],
    passing: Sequence[Passing] = (),
) -> Kept:
    """Take the deletes out of plans whose rows others refer to once the plans are in.

    Who refers to a value that is `passing` to another row refers to that one then. Of tables that refer to one that loses rows, the
    keys are read once. Memory: the deletes, and the keys of rows that refer to them.
    """
    own = {bound.shape.name: found for bound in tables if (found := going_of(job, bound, planned[bound.name]))}
    if not own:
        return Kept(dict(planned))
    side = session.sides.written(job.side)
    named = {bound.shape.name for bound in session.bound.tables}
    policy: dict[TableName, Children] = {
        table: session.spec.delete_policy(each.bound.name).children for table, each in own.items() if each.bound
    }
    further = followed(side, own, named, policy, chosen=job.chosen)
    going = {**own, **further.going}
    links = [_without_passing(side, each, passing) for each in _links(side, job, tables, planned, going, further)]
    known = -1
    while known != (known := sum(int(each.stays.sum()) for each in going.values())):
        for link in links:
            if link.does != "let_go":
                going[link.foreign.refers].stays |= inside(link.values, link.staying(going).values)
        _keep_uncaused(going, links)
    left = {each.bound.name: _left(session, job, each, planned[each.bound.name]) for each in own.values() if each.bound}
    lines = tuple(_lines(links, going, policy, named))
    return Kept({**planned, **left}, lines, going, tuple(links), further)


def _links(
    side: WrittenSide,
    job: Job,
    tables: Sequence[BoundTable],
    planned: Mapping[str, list[Planned]],
    going: Mapping[TableName, Going],
    further: Followed,
) -> Iterator[Link]:
    """All foreign keys by which rows refer to some that may go, with what those rows do."""
    bound_of = {bound.shape.name: bound for bound in tables}
    for shape in related(side.adapter, list(going)).values():
        own = bound_of.get(shape.name)
        windows = planned[own.name] if own is not None else []
        for foreign in shape.foreign_keys:
            if foreign.refers not in going:
                continue
            reference = reference_of(shape, foreign)
            does = further.does.get(reference, "hold")
            known = shape.name in going or does != "hold"
            key = own.key if own is not None else (key_of(shape) if known else None) or foreign.columns
            for link in linked(side, job, shape, foreign, going, own, windows, key):
                yield _with_default(side, replace(link, does=does, why=further.whys.get(reference, "")), further)


def _without_passing(side: WrittenSide, link: Link, passing: Sequence[Passing]) -> Link:
    """The link without the rows that refer to another row once the plans are in."""
    for each in passing:
        if (each.child.name, each.foreign) == (link.child.name, link.foreign) and link.referring.values.num_rows:
            stays = ~each.among(side.adapter, link.referring.values)
            link = replace(link, referring=link.referring.filter(stays), place=link.place[stays])
    return link


def _with_default(side: WrittenSide, link: Link, further: Followed) -> Link:
    """The link, whose rows hold what they refer to where the default that they would get may go itself."""
    values = further.values.get(reference_of(link.child, link.foreign), {})
    if link.does != "let_go" or not set(link.foreign.columns) <= set(values):
        return link
    rows = pa.table({name: values[name] for name in link.foreign.columns})
    new = compared(side.adapter, link.child, rows, link.foreign.columns, link.values.schema)
    if not inside(new, link.values).any():
        return link
    columns = ", ".join(link.foreign.columns)
    return replace(
        link, does="hold", why=f"what {link.child.name} ({columns}) refers to by default is to be deleted, too"
    )


def _keep_uncaused(going: Mapping[TableName, Going], links: Sequence[Link]) -> None:
    """Let rows stay that go because of others alone, where none of those goes."""
    causes = {table: ~each.stays if each.bound else np.zeros(each.rows, dtype=bool) for table, each in going.items()}
    known = -1
    while known != (known := sum(int(mask.sum()) for mask in causes.values())):
        for link in links:
            if link.does == "follow":
                gone = link.values.filter(pa.array(causes[link.foreign.refers]))
                reached = link.place[inside(link.referring.values, gone) & (link.place >= 0)]
                causes[link.child.name][reached] |= ~going[link.child.name].stays[reached]
    for table, each in going.items():
        if each.bound is None:
            each.idle |= ~causes[table] & ~each.stays
            each.stays |= ~causes[table]


def _left(session: Session, job: Job, going: Going, planned: Sequence[Planned]) -> list[Planned]:
    """The windows of a table without the deletes of rows that stay."""
    masks = {number: going.without(number) for number in going.windows}
    return [
        _without(session, job, going, each, masks[each.window])
        if each.window in masks and masks[each.window].any()
        else each
        for each in planned
    ]


def _without(session: Session, job: Job, going: Going, planned: Planned, stays: Mask) -> Planned:
    bound, changes = going.bound, going.windows[planned.window]
    assert bound is not None
    kept = changes.deletes.filter(pa.array(stays))
    left = replace(changes, deletes=changes.deletes.filter(pa.array(~stays)))
    rows = kept.num_rows
    session.changes.keep(bound.name, planned.window, left)
    return replace(
        planned,
        counts=replace(planned.counts, delete=planned.counts.delete - rows, unproved=planned.counts.unproved + rows),
        changes=PlanWriter(Path(job.folder), begun=True).add(planned.window, left) if len(left) else None,
        samples=samples(left) if planned.samples else (),
        tally=with_kept(bound, planned.tally, kept),
        unproved={**planned.unproved, "referred": rows},
    )


def _lines(
    links: Sequence[Link],
    going: Mapping[TableName, Going],
    policy: Mapping[TableName, Children],
    named: Collection[TableName],
) -> Iterator[Notice]:
    """What a person should know: which rows stay, and because of what."""
    for link in links:
        parent = going[link.foreign.refers]
        staying = link.staying(going, idle=link.does != "follow")
        held = inside(link.values, staying.values)
        deleted = parent.columns(parent.key)
        if link.does == "let_go" or not held.any() or deleted is None:
            continue
        rows = deleted.filter(pa.array(held))
        told = expressions.as_json_keys(rows.slice(0, TOLD), parent.key).to_pylist()
        some = ", ".join(told[:NAMED])
        what = "1 row stays" if rows.num_rows == 1 else f"{rows.num_rows:,} rows stay"
        what += " that the source does not have" if parent.bound else ""
        referring = int(inside(staying.values, link.values).sum())
        whose = f"{referring:,} {'row' if referring == 1 else 'rows'} of {link.child.name}"
        action = link.foreign.on_delete
        further = f" (ON DELETE {action} would change those)" if action else ""
        name = parent.bound.name if parent.bound else str(parent.shape.name)
        text = (
            f"{name}: {what}, such as {some}: {whose} that {'stays' if referring == 1 else 'stay'}, too, "
            f"{'refers' if referring == 1 else 'refer'} there by ({', '.join(link.foreign.columns)}){further}. "
            f"{_remedy(link, policy.get(link.foreign.refers, 'plan'), known=link.child.name in named)}"
        )
        by = {
            "rows": rows.num_rows,
            "refers": str(link.child.name),
            "by": list(link.foreign.columns),
            "on_delete": action,
            "keys": told,
        }
        yield Notice("rows_stay", text, name, {**by, "referring": referring, "why": link.why})


def _remedy(link: Link, policy: Children, *, known: bool) -> str:
    """Why rows that refer could not be planned, and what a person can do about them. `known`: the spec names their table."""
    why = f"They cannot be planned: {link.why}. " if link.why else ""
    children = (
        "let them go along (`delete: {children: plan}`) or let go (`children: detach`), or "
        if policy == "refuse"
        else ""
    )
    first = "mend what keeps those rows, or " if known or policy != "refuse" else children
    return f"{why}Fix: {first}in the target delete them or let them refer to others; the next run does the rest."
