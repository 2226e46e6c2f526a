"""Rules that look across rows, such as uniqueness: one pass over the whole table says which keys break them.

A window alone cannot tell. So where a table has such a rule, its source is read once more before its windows are
planned: the key and the rule's columns only, as they will be in the target.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from adapters.store import spill
from flows.plan.reading.window_reader import PlanWork, map_source, offenders_file, within_ranges
from flows.session.route import Route
from flows.session.session import Session
from transforms import keys
from transforms.vocabulary import All, KeyRange


def find_offenders(session: Session, route: Route, work: PlanWork) -> None:
    """Write down, for each rule across rows that sets rows aside, the keys of the rows that break it.

    Where a table is planned anew, those that broke it before stay on the list.
    Memory: the key and the columns of the rules, of all rows.
    """
    bound = route.table
    checks = bound.checks.aside_across
    if not checks:
        return
    names = list(dict.fromkeys([*bound.key, *(column for check in checks for column in check.columns)]))
    parts = [bound.mapping.schema.empty_table().select(names)]
    # a row that is tried again may break a rule together with one that is not
    every = replace(work, selection=All()) if work.keys is not None else work
    for mapped in map_source(route, every, KeyRange(), order=()):
        parts.append(within_ranges(mapped, bound, work.ranges).rows.select(names))
        session.meter.advance(bound.name, "read", mapped.rows.num_rows + mapped.rejected.num_rows)
    rows = keys.ascending(pa.concat_tables(parts), bound.key)
    for check in checks:
        bad = rows.filter(pa.array(check.failing(rows))).select(list(bound.key))
        path = offenders_file(work.job, bound.name, check.rule.number)
        known = [bad]
        if path.exists():
            known.append(spill.read_rows(path))
            path.unlink()  # what is mapped into memory outlives its name
        spill.write_rows(path, known, bad.schema)
