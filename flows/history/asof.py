"""Tables as they stood after a version, of either side, worked out of what runs saw and wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial, reduce
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.ledger import Version
from adapters.store import archive
from adapters.store.both_ways import edits_of, target_folder
from adapters.store.layout import Store
from adapters.store.plans import Plan
from flows.history.own_columns import with_own_columns
from flows.history.taken_back import among
from flows.history.versions import (
    NOT_KEPT,
    AppliedVersion,
    as_kept,
    on_source,
    opened_version,
    table_of,
    unusable,
    version_of,
    versions_after,
)
from flows.session.stores import ledger_of, store_of
from flows.spec.entries import entry_name
from flows.spec.model import Spec
from transforms import keys
from transforms.net_changes import changed_keys, filtered, rolled, shaped
from transforms.reconcile.records import keys_of
from transforms.vocabulary import SIDES, ChangeSet, PlanError, SideName, SpecError, TableName
from transforms.vocabulary.arrow import Mask


class Edits(NamedTuple):
    """What people had done to a side before a run: rows that are otherwise then, and the keys of those and of the ones that are gone. Or,
    where the run met both sides anew, the `whole` side. Rows with the keys in `since` stay as they are, whatever the others say: other
    runs wrote or looked at them after this one had."""

    rows: pa.Table
    keyed: pa.Table
    whole: bool
    since: tuple[pa.Table, ...] = ()


def asof(spec: Spec, number: int, table: str, *, side: SideName = "target") -> pa.Table:
    """A table of a side, as a person names it, as it stood after a version, 0 being before the first one; in no particular order.

    Out: the columns that were written at that time; and others, of rows that went or came back with them, as `with_own_columns` has
    them. Memory and errors: as of `table_at`; SpecError for the source of a table that goes one way.
    """
    own = table_of(spec, table)
    there = own if side == "target" else on_source(spec, entry_name(spec, own), ())
    if there is None:
        what = f"{table} goes one way: nothing is written to its source, and nothing of that is kept."
        raise SpecError(what, fix="leave out --side source.")
    return table_at(spec, number, there, side=side)


def table_at(spec: Spec, number: int, table: TableName, *, side: SideName, whole: bool = True) -> pa.Table:
    """A table of a side as it stood after a version. Out: as of `asof`; without `whole` the columns that were written alone.

    Only what runs saw and wrote is known. What somebody else did shows from the version on that met it: of a table that goes both ways
    what people had done to either side, else what was a conflict, or what the run was about to write.
    Memory: the table and the changes between it and its base.
    Errors: PlanError where it is not known what the table was.
    """
    with ledger_of(spec) as ledger:
        if number:
            version_of(ledger, spec, number)
        bases = ledger.bases(spec.name, side)
        versions = versions_after(ledger, spec, 0)
        known = {v.version: v for v in versions if v.side == side}
    store = store_of(spec)
    name = as_kept(table, bases)
    base = bases.get(str(name))
    if base is None:
        raise PlanError(
            f"Nobody knows all of {name}: no run has looked at the whole table yet.",
            fix=(
                "run it without --range, then versions from then "
                "on, and those before as far as they are kept, can be asked for."
            ),
        )
    after, until = sorted((base.version, number))
    schema = _schema_at(spec, known, name, number)
    back = number < base.version
    led = _back if back else _steps
    steps = list(led(spec, store, versions, name, side, range(after + 1, until + 1)))
    images = [step.schema if isinstance(step, ChangeSet) else step.rows.schema for step in steps]
    empty = (schema or (images[0] if images else pa.schema([]))).empty_table()
    rows = _begun(list(archive.read_base(store.folder(base.folder))), side) if base.folder else empty
    schema = schema or rows.schema
    if back and any(isinstance(step, Edits) for step in steps):
        raise PlanError(
            f"Nobody knows {name} before version {base.version}: {NOT_KEPT['pruned']}.",
            fix="ask for a later version.",
        )
    for are_changes, group in groupby(steps, key=lambda step: isinstance(step, ChangeSet)):
        some: Any = list(group)
        rows = rolled(rows, some, schema) if are_changes else reduce(partial(_edited, schema, name), some, rows)
    return with_own_columns(store, rows, name, number, [known[n] for n in sorted(known)]) if whole else rows


def edits_before(spec: Spec, plan: Plan, table: TableName, side: SideName) -> Edits | None:
    """What people had done to a table of a side before a run. In: the run's plan of the target, opened for its edits.

    Of a table of the source all that its projections have seen is known; it is whole where all of them met anew.
    """
    own = [edits_of(plan, each, side) for each in own_tables(spec, plan, table, side)]
    parts = [each for some, _ in own for each in some]
    if not parts:
        return None
    known = pa.concat_tables(parts)
    if len(own) > 1:  # several have seen a row as it was
        texts = keys_of(pa.Table.from_struct_array(known["key"].combine_chunks()))
        _, first = np.unique(texts.dictionary_encode().indices.to_numpy(), return_index=True)
        known = known.take(pa.array(first))
    images = known["row"].combine_chunks()
    rows = pa.Table.from_struct_array(images.filter(pc.is_valid(images)))
    return Edits(rows, pa.Table.from_struct_array(known["key"].combine_chunks()), all(whole for _, whole in own))


def own_tables(spec: Spec, plan: Plan, table: TableName, side: SideName) -> list[TableName]:
    """What a table of a side is on the target, by a plan of it: of one of the source all that are made of it."""
    if side == "target":
        name = entry_name(spec, table, side)
        return [each.table for each in plan.manifest.tables if each.name == name or each.table == table][:1]
    named = {name for name in spec.tables if str(spec.source_relation(name).table) == str(table)}
    named |= {entry_name(spec, table, side)}
    return [each.table for each in plan.manifest.tables if each.name in named]


def edited_tables(spec: Spec, plan: Plan, side: SideName) -> list[TableName]:
    """The tables of a side of which a run's plan of the target, opened for its edits, has some that are not taken out yet."""
    mine = {
        each.table for each in plan.files if each.window % 2 == SIDES.index(side) and (plan.folder / each.path).exists()
    }
    if side == "target":
        return sorted(mine)
    names = [each.name for each in plan.manifest.tables if each.table in mine and each.name in spec.tables]
    return [there for name in names if (there := on_source(spec, name, ())) is not None]


def runs_of(store: Store, versions: Sequence[Version]) -> dict[Path, int]:
    """The folders of the target's plans of the runs that made versions, each with the first version of the run. In: oldest first."""
    begun: dict[Path, int] = {}
    for each in versions:
        begun.setdefault(target_folder(store.folder(each.plan)), each.version)
    return begun


def _steps(
    spec: Spec, store: Store, versions: Sequence[Version], table: TableName, side: SideName, numbers: range
) -> Iterator[ChangeSet | Edits]:
    """What happened to a table of a side in some versions, oldest first: what each wrote, and before that what its run saw that people
    had done. A run has versions of both sides; it counts where all of them do."""
    for each in versions:
        if each.version not in numbers:
            continue
        if (edits := _edits_of(spec, store, each, versions, table, side)) is not None:
            yield edits
        if each.side == side:
            yield from opened_version(store, each).met(table)


def _back(
    spec: Spec, store: Store, versions: Sequence[Version], table: TableName, side: SideName, numbers: range
) -> Iterator[ChangeSet | Edits]:
    """What takes some versions back, newest first.

    Behind a version's plan others may have come in. Taken back, the version leaves rows that it met otherwise than its plan had seen
    them as that plan had; so what the others had done to these is done again.
    """
    for each in (version for version in reversed(versions) if version.version in numbers):
        if each.side == side:
            opened = opened_version(store, each)
            yield from (changes.inverse() for changes in reversed(opened.met(table)))
            if (left := opened.left(table)) is not None:
                for other in _between(opened, each.version, versions):
                    if other.side == side:
                        for changes in opened_version(store, other).met(table):
                            yield filtered(changes, partial(among, some=left, key=changes.key))
        if (edits := _edits_of(spec, store, each, versions, table, side)) is not None:
            yield edits


def _between(applied: AppliedVersion, number: int, versions: Sequence[Version]) -> list[Version]:
    """The versions before number that came in after a version's plan was asked for, oldest first."""
    since = applied.plan.manifest.created_at
    return [each for each in versions if each.version < number and each.created_at >= since]


def _edits_of(
    spec: Spec, store: Store, version: Version, versions: Sequence[Version], table: TableName, side: SideName
) -> Edits | None:
    """What people had done before the run of a version, where it is the run's first one. In: versions of both sides, oldest first."""
    begun = runs_of(store, versions)
    edits = _opened_edits(spec, store, version, begun, table, side)
    if edits is None:
        return None
    own, since = opened_version(store, version), list[pa.Table]()
    for other in _between(own, version.version, versions):
        later = opened_version(store, other)
        if other.side == side:
            since += map(changed_keys, later.met(table))
        if later.plan.manifest.created_at >= own.plan.manifest.created_at:
            seen = _opened_edits(spec, store, other, begun, table, side)
            if seen is not None and seen.whole:
                return None
            since += [] if seen is None else [seen.keyed]
    return edits._replace(since=tuple(since))


def _opened_edits(
    spec: Spec, store: Store, version: Version, begun: dict[Path, int], table: TableName, side: SideName
) -> Edits | None:
    folder = target_folder(store.folder(version.plan))
    if begun[folder] != version.version or not (folder / "edits").exists():
        return None
    try:
        return edits_before(spec, Plan.open(folder, only="edits"), table, side)
    except PlanError as error:
        raise unusable(version, error) from error


def _edited(schema: pa.Schema, table: TableName, rows: pa.Table, edits: Edits) -> pa.Table:
    """Rows as people had left them."""
    now, key = shaped(edits.rows, schema, table), tuple(edits.keyed.column_names)

    def inside(some: pa.Table, keyed: Sequence[pa.Table]) -> Mask:
        return np.any([among(some, each, key) for each in keyed], axis=0) if keyed else np.zeros(some.num_rows, bool)

    now = now.filter(pa.array(~inside(now, edits.since)))
    rows = shaped(rows, schema, table)
    stays = inside(rows, edits.since)
    if not edits.whole:
        stays |= ~inside(rows, (edits.keyed,))
    return pa.concat_tables([rows.filter(pa.array(stays)), now])


def _begun(parts: Sequence[pa.Table], side: SideName) -> pa.Table:
    """The rows that a history begins with. Of a table of the source each of its projections has kept those that it shows."""
    rows = pa.concat_tables(parts)
    return keys.distinct(rows) if side == "source" else rows


def _schema_at(spec: Spec, known: dict[int, Version], table: TableName, number: int) -> pa.Schema | None:
    """The columns of a table at a version: of the last plan up to it that knew the table, else of the first one after."""
    store = store_of(spec)
    before, after = sorted((n for n in known if n <= number), reverse=True), sorted(n for n in known if n > number)
    for at in (*before, *after):
        opened = opened_version(store, known[at])
        if (planned := opened.planned_table(table)) is not None:
            return planned.schema
    return None
