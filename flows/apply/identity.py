"""What a plan makes of identity maps: its pairs are recorded with its version, and held to the ledger before it is applied."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.identity import PAIRS
from adapters.ledger.ledger import Ledger
from adapters.store import archive
from adapters.store.plans import IDENTITY, Plan
from flows.spec.model import Spec
from transforms import expressions
from transforms.vocabulary import OPS, SIDES, Op, Phase, PlanError, SideName, TableName

Windows = Collection[tuple[str, int, Phase]]
PHASES: dict[Op, tuple[Phase, ...]] = {
    "insert": ("all", "upsert"),
    "update": ("all", "upsert"),
    "delete": ("all", "delete"),
}


def must_fit(plan: Plan, spec: Spec, ledger: Ledger) -> None:
    """PlanError where keys that the plan pairs have got other partners since it was made."""
    for planned in plan.manifest.tables:
        pairs = _pairs(plan.identity(planned.table), "begins", "meets")
        if not pairs.num_rows:
            continue
        names = PAIRS.names
        for of, name, other in zip(SIDES, names, reversed(names), strict=True):
            known = ledger.identities.pairs(spec.name, planned.name, of=of, keys=pairs.column(name).combine_chunks())
            at = pc.index_in(known.column(name), value_set=pairs.column(name).combine_chunks())
            apart = pc.not_equal(pairs.column(other).take(at), known.column(other))
            if pc.any(apart).as_py():
                key = known.filter(apart).column(name)[0].as_py()
                raise PlanError(
                    f"{planned.name}: the key {key} of the {of} has got another partner in the identity map since {plan.folder} was "
                    f"planned. Nothing was written.",
                    fix="plan again.",
                )


def record_pairs(plan: Plan, spec: Spec, ledger: Ledger, inside: Windows | None = None) -> None:
    """Put down what became of pairs. `inside` are the windows of a plan that was never finished; None: all. Safe to repeat."""
    for planned in plan.manifest.tables:
        pairs = happened(plan, planned.table, inside)
        if pairs.num_rows:
            new, gone = _pairs(pairs, "begins", "meets"), _pairs(pairs, "ends")
            ledger.identities.record(spec.name, planned.name, new, gone, plan.manifest.run_id)


def happened(plan: Plan, table: TableName, inside: Windows | None = None) -> pa.Table:
    """What became of pairs of a table (IDENTITY), without those of rows that were left alone."""
    pairs = plan.identity(table)
    if not pairs.num_rows:
        return pairs
    left = pa.chunked_array(list(_left(plan, table, inside)), pa.string())
    hit = pc.and_(
        pc.is_in(pairs.column(f"{plan.manifest.side}_key"), value_set=left.combine_chunks()),
        pc.not_equal(pairs.column("does"), "meets"),
    )
    return pairs.filter(pc.invert(hit))


def _left(plan: Plan, table: TableName, inside: Windows | None) -> Iterator[pa.Array]:
    """The keys, as JSON, of rows of the plan's side that windows did not write, or that are in windows which never came in."""
    for entry in plan.windows(table):
        rows = archive.keys_not_written(plan.folder, table, entry.window, ("applied", "refused"))
        if rows is not None:
            yield from expressions.as_json_keys(rows, tuple(rows.column_names)).cast(pa.string()).chunks
        lacking = [op for op in OPS if entry.has(op) and inside is not None]
        lacking = [
            op for op in lacking if not any((str(table), entry.window, each) in (inside or ()) for each in PHASES[op])
        ]
        changes = plan.changes(entry) if lacking else None
        for op in lacking:
            assert changes is not None
            rows = {"insert": changes.inserts, "update": changes.after, "delete": changes.deletes}[op]
            if op != "update":
                yield from expressions.as_json_keys(rows, changes.key).cast(pa.string()).chunks


def _pairs(pairs: pa.Table, *does: str) -> pa.Table:
    return pairs.filter(pc.is_in(pairs.column("does"), value_set=pa.array(does))).select(PAIRS.names).cast(PAIRS)


def taken_back(pairs: list[pa.Table], *, one_of_both: bool = False) -> pa.Table:
    """What an undo makes of pairs. In: what became of them (IDENTITY) in the versions that are taken back, oldest first.

    Rows that met go on being what they are: which of them is which was so before. So do pairs that began, where `one_of_both` sides
    alone is taken back: the other one has the row still, and the next run deletes it there, or brings it back.
    """
    every = pa.concat_tables([IDENTITY.empty_table(), *pairs])
    every = every.filter(pc.not_equal(every.column("does"), "meets"))
    if not every.num_rows:
        return every
    names = ["source_key", "target_key"]
    first = every.group_by(names, use_threads=False).aggregate([("does", "first")])
    # what began and ended in between was not there before, and is not afterwards
    does = pc.if_else(pc.equal(first.column("does_first"), "begins"), "ends", "begins")
    if one_of_both:
        first, does = (each.filter(pc.equal(does, "begins")) for each in (first, does))
    return pa.table([does, first.column(names[0]), first.column(names[1])], IDENTITY.names).cast(IDENTITY)


def pairs_of(pairs: pa.Table, keys: pa.Table | None, side: SideName) -> pa.Table:
    """Those of the pairs (IDENTITY) whose rows of a side have one of some keys, in the key's columns; None: no row."""
    if keys is None or not pairs.num_rows:
        return pairs.slice(0, 0)
    mine = expressions.as_json_keys(keys, tuple(keys.column_names)).cast(pa.string()).combine_chunks()
    return pairs.filter(pc.is_in(pairs.column(f"{side}_key"), value_set=mine))
