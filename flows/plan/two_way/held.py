"""A window of a verification held to what both sides agreed on last, of which only the parts are read that have its keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from adapters.store.agreed import Damaged, Parts, base_of, read_part
from flows.bind.tables import BoundTable
from flows.plan.two_way.numbered import with_known_numbers
from flows.plan.two_way.soft_deletes import living, with_flag
from flows.session.agreed import agreement_of, parts_of
from flows.session.session import Session
from flows.session.stores import store_of
from transforms import keys
from transforms.mapping.mapping import Mapped
from transforms.reconcile.held import Held, held
from transforms.vocabulary import ChangeSet
from transforms.vocabulary.unmet import filled


def hold_window(
    session: Session, bound: BoundTable, mapped: Mapped, found: pa.Table, kept: pa.Table | None, apart: ChangeSet | None
) -> Held | None:
    """How the rows of a window stand to the base; None where there is none that can be read.

    In: the table as it is written, without computed columns; `kept` are keys that were set aside earlier, `apart` what would turn the
        target into the source. Rows that are set aside are in none of the counts but `known`. Memory: the window, and a part of the base.
    """
    assert bound.two_way is not None, "the table goes both ways"
    agreement = agreement_of(session, bound, bound.schema)
    key = bound.key
    aside = keys.without_null_keys(mapped.rejected_rows.select(list(key)), key)
    if kept is not None and kept.num_rows:
        aside = pa.concat_tables([aside, kept.select(list(key))])
    found, _ = living(bound, found)
    ours = with_flag(bound, with_known_numbers(bound, mapped.rows, found))
    source, target = (rows.select(bound.schema.names).cast(bound.schema) for rows in (ours, found))
    keyed = [each.select(list(key)).cast(bound.key_schema) for each in (source, target, aside)]
    try:
        known = base_of(store_of(session.spec), session.spec.name, bound.shape.name, agreement)
        base = _rows_of(known, keys.distinct(pa.concat_tables(keyed)))
    except Damaged:
        return None
    known_rows = base.num_rows
    base = filled(base, target, keys.match(base, target, key))
    if aside.num_rows:
        base, source, target = (
            rows.filter(pa.array(~keys.contained(rows, aside, key))) for rows in (base, source, target)
        )
    made = held(bound.shape.name, base, source, target, apart, bound.two_way.comparison, known.digest)
    return replace(made, known=known_rows)


def _rows_of(known: Parts, keyed: pa.Table) -> pa.Table:
    """The base's rows with some keys."""
    found = [known.agreement.schema.empty_table()]
    numbers = parts_of(known, keyed)
    for number in np.unique(numbers):
        rows = read_part(known, int(number))
        some = keyed.filter(pa.array(numbers == number))
        found.append(rows.filter(pa.array(keys.contained(rows, some, known.agreement.key))))
    return pa.concat_tables(found, promote_options="default")
