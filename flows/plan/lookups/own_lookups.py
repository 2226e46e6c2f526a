"""Lookups of a table into itself: what its rows are found by, and the numbers of new ones, before its windows are planned.

The table is read twice. A first pass maps its rows and keeps of them the columns that have to do with such lookups. Over all of
these rows at once it is decided which will be there, what number each gets, and which fall with a row that is set aside. That is
written down as for any other lookup, and windows are planned as ever, in any order and by any worker. Memory: those columns.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from adapters.store import spill
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.lookups.numbers import first_number, must_hold, numbered_column, numbers_file
from flows.plan.lookups.own_rows import (
    first_pass,
    looked_at,
    lookups_into_others,
    rows_there,
    same_names,
    source_names,
)
from flows.plan.reading.owns import scan_outside
from flows.plan.reading.sifting import sifted
from flows.plan.reading.window_reader import (
    PlanWork,
    lookup_file,
    map_noting,
    padded,
    rejected_file,
    spill_folder,
)
from flows.session.memory import Samples
from flows.session.route import Route
from flows.session.session import Job, Session
from flows.session.watch import UNWATCHED
from transforms import expressions, keys
from transforms.diff import Comparison, diff, patched
from transforms.mapping.column_mapping import LookupRows, TableMapping
from transforms.mapping.own_lookups import (
    Link,
    circle_of,
    circles,
    link,
    needed,
    of_columns,
    own_depths,
    own_lookups,
    unfounded,
)
from transforms.range_filter import all_inside, touching
from transforms.vocabulary import Notice, SpecError
from transforms.vocabulary.arrow import Indices, Mask

SHOWN = 10  # rows of a circle that a line names


def plan_with_own_lookups(
    session: Session, route: Route, work: PlanWork, plan: Callable[[Session], list[Planned]]
) -> list[Planned]:
    """Plan the windows of a table that looks into itself, by `plan`.

    What the target refuses of single rows, and what rules across rows set aside, is known only then: the windows are planned
    again until no more falls with it, which is once at most where rows are refused for what they are.
    """
    own = _OwnRows.read(session, route, work)
    while True:
        own.write_down(work.job)
        quiet = replace(session, watch=UNWATCHED) if session.watch.counts else session
        planned = plan(replace(quiet, samples=Samples()))
        if not own.fall(planned):
            return plan(replace(session, samples=Samples())) if session.watch.counts else planned
        forget(work.job, route.table, planned)


def own_ancestors(job: Job, bound: BoundTable) -> Iterator[Notice]:
    """A line for each lookup of a table into itself by which rows are their own ancestors."""
    path = _circles_file(job, bound.name)
    if not path.exists():
        return
    for found in spill.read_rows(path).to_pylist():
        way, more = found["keys"][:SHOWN], len(found["keys"]) > SHOWN
        what = "1 row is its own ancestor" if found["rows"] == 1 else f"{found['rows']:,} rows are their own ancestors"
        text = (
            f"{bound.name}: {what} by {found['column']}, such as {' -> '.join([*way, '…' if more else way[0]])}. They are written "
            f"as they are. Fix: if that is a mistake, mend the source rows."
        )
        yield Notice("own_ancestors", text, bound.name, {"rows": found["rows"], "column": found["column"], "keys": way})


def _circles_file(job: Job, table: str) -> Path:
    return job.work / "circles" / f"{quote(table, safe='')}.arrow"


def forget(job: Job, bound: BoundTable, planned: Sequence[Planned]) -> None:
    """Take away what planning the windows has left behind: parts that stay empty the next time are not written anew."""
    shutil.rmtree(spill_folder(job, bound.name), ignore_errors=True)
    shutil.rmtree(rejected_file(job, bound.name, 0).parent, ignore_errors=True)
    for entry in (entry for each in planned for entry in (each.changes, each.quarantine, each.mapped)):
        if entry is not None:
            (Path(job.folder) / entry.path).unlink(missing_ok=True)


@dataclass(slots=True)
class _OwnRows:
    """The rows of a table as far as its lookups into itself need them.

    `known` are mapped rows that nothing speaks against but such lookups: what is mapped without these, and beside it the source's
    columns, called as `sources` says. `away` are rows that were set aside. `found` are the target's rows, `seen` those of them that
    the plan looks at. Of `known`, `refused` were set aside for another reason in the meantime, and `late` by such lookups.
    `stays`: the target has the row under the same names.
    """

    bound: BoundTable
    work: PlanWork
    mapping: TableMapping
    sources: dict[str, str]
    known: pa.Table
    away: pa.Table
    found: pa.Table
    seen: pa.Table
    first: int
    others: dict[str, LookupRows]
    stays: Mask
    refused: Mask
    late: Mask

    @classmethod
    def read(cls, session: Session, route: Route, work: PlanWork) -> _OwnRows:
        """Read both sides. Errors: SpecError for a range over a column that is looked up in the table; as mapping raises them."""
        bound = route.table
        depths = own_depths(bound.name, bound.mapping.columns)
        for wanted in work.ranges:
            if depths.get(wanted.column):
                raise SpecError(
                    f"a range over {bound.name}.{wanted.column}, which is looked up in {bound.name} itself, says which rows are "
                    f"looked at only once all of them are.",
                    fix="take a range over another column.",
                )
        owned = expressions.columns(bound.owns) if bound.owns else ()
        besides = {name for name in depths if name.lower() in {each.lower() for each in owned}}
        wanted_names = needed(bound.mapping, besides | {each.column for each in work.ranges})
        names = [name for name in bound.mapping.schema.names if name in wanted_names]
        simple = [name for name in names if not depths[name]]
        mapping = of_columns(bound.mapping, names, max(depths.values()), beyond=0)
        sources = source_names(bound, mapping, names)
        mapped = first_pass(route, work, names=simple, sources=sources)

        columns = list(dict.fromkeys([*names, *([bound.identity] if bound.identity else [])]))
        columns = [name for name in bound.images if name in columns]
        found = rows_there(route, work, columns)
        seen = looked_at(bound, work, found)
        outside = [bound.schema.empty_table().select(list(bound.key)), *scan_outside(route, work)]
        mapped, seen, _ = sifted(session, route, mapped, seen, pa.concat_tables(outside), None)
        none = np.zeros(mapped.rows.num_rows, dtype=bool)
        named = {there for each in own_lookups(mapping).values() for there, _ in each.match}
        return cls(
            bound=bound,
            work=work,
            mapping=mapping,
            sources=sources,
            known=mapped.rows.combine_chunks(),
            away=mapped.rejected_rows.select(simple),
            found=found,
            seen=seen,
            first=first_number(bound, route.writes.snapshot) if bound.identity else 0,
            others=lookups_into_others(bound, work.job),
            stays=same_names(mapped.rows, found, bound.key, [name for name in simple if name in named]),
            refused=none,
            late=none.copy(),
        )

    def write_down(self, job: Job) -> None:
        """Decide what becomes of all rows, and write down what windows need to know of it."""
        depths = own_depths(self.bound.name, self.mapping.columns)
        deepest = max(depths.values())
        while True:
            rows = self._accepted()
            after, numbers = self._left(rows)
            links = self._links(rows, after)
            fallen = unfounded(links, self.stays[self._places()])
            if fallen.any():
                self._fall(fallen)
                continue
            for depth in range(1, deepest + 1):
                mapped, bad = self._mapped(rows, depth, after)
                if bad.any():
                    self._fall(bad)
                    break
                if depth < deepest:
                    after, numbers = self._left(mapped)
            else:
                break
        away = self._away()
        for name, looked in self.bound.lookups.items():
            if looked.planned == self.bound.name:
                columns = list(looked.columns)
                schema = self.bound.shape.schema(looked.columns)
                write(lookup_file(job, self.bound.name, name, "rows"), after.select(columns))
                write(lookup_file(job, self.bound.name, name, "quarantined"), padded(away, columns, schema))
        if self.bound.identity:
            write(numbers_file(job, self.bound.name), self._with_refused(numbers, self.bound.identity))
        self._write_circles(job, rows, links)

    def fall(self, planned: Sequence[Planned]) -> bool:
        """Take note of the rows that windows have set aside besides; False where there are none."""
        bound, rows = self.bound, self._accepted()
        files = [rejected_file(self.work.job, bound.name, each.window) for each in planned]
        parts = [spill.read_rows(path).select(list(bound.key)) for path in files if path.exists()]
        rejected = keys.without_null_keys(pa.concat_tables(parts), bound.key) if parts else rows.slice(0, 0)
        if not rejected.num_rows or not rows.num_rows:
            return False
        bad = keys.contained(rows, rejected, bound.key)
        self.refused[self._places()[bad]] = True
        return bool(bad.any())

    def _places(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.flatnonzero(~(self.refused | self.late))

    def _accepted(self) -> pa.Table:
        return self.known.take(pa.array(self._places()))

    def _fall(self, bad: Mask) -> None:
        self.late[self._places()[bad]] = True

    def _away(self) -> pa.Table:
        fallen = self.known.filter(pa.array(self.refused | self.late)).select(self.away.column_names)
        return pa.concat_tables([self.away, fallen])

    def _left(self, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
        """The table as the plan will leave it, in the columns that are known by now, and the numbers of new rows by key."""
        bound, work = self.bound, self.work
        known = [name for name in self.found.column_names if name in rows.column_names or name == bound.identity]
        comparison = bound.comparison
        compared = tuple(name for name in comparison.compared if name in known)
        away = keys.without_null_keys(self._away().select(list(bound.key)), bound.key)
        numbered = {bound.identity: lambda new: self._next(0, new.num_rows)} if bound.identity else {}
        ranges = tuple(wanted for wanted in work.ranges if wanted.column not in bound.key)
        if ranges:  # rows outside come last, whose numbers are dropped with them
            inside = all_inside(rows, ranges)
            rows = pa.concat_tables([rows.filter(pa.array(inside)), rows.filter(pa.array(~inside))])
        changes = diff(
            bound.shape.name,
            rows.select([name for name in known if name != bound.identity]),
            self.seen.select(known),
            Comparison(bound.key, compared, comparison.tolerance, comparison.meanings),
            keep=away,
            delete=bound.delete == "hard" and work.selection.covers,
            numbered=numbered,
        ).changes
        numbers = changes.inserts.select([*bound.key, bound.identity] if bound.identity else list(bound.key))
        if ranges:
            changes = touching(ranges, changes)
        after = patched(self.found.select(known), changes)
        renamed = self.known.filter(pa.array(self.late & ~self.stays))
        if (
            renamed.num_rows and after.num_rows
        ):  # who falls with another row is not found by what it was called before, either
            after = after.filter(pa.array(~keys.contained(after, renamed, bound.key)))
        return after, numbers

    def _next(self, given: int, count: int) -> Indices:
        """The numbers of so many new rows, behind those that are given already. PlanError where the column ends before."""
        first = self.first + given
        must_hold(self.bound.shape.name, numbered_column(self.bound), first + count - 1)
        return first + np.arange(count, dtype=np.int64)

    def _with_refused(self, numbers: pa.Table, identity: str) -> pa.Table:
        """The numbers, and behind them some for rows that are refused once they are about to be written, and not before."""
        refused = self.known.filter(pa.array(self.refused)).select(list(self.bound.key))
        given = pa.array(self._next(numbers.num_rows, refused.num_rows))
        more = refused.append_column(identity, given).select(numbers.column_names).cast(numbers.schema)
        return pa.concat_tables([numbers, more])

    def _links(self, rows: pa.Table, after: pa.Table) -> list[Link]:
        """The lookups whose names are known of each row by itself."""
        bound = self.bound
        depths = own_depths(bound.name, self.mapping.columns)
        if after.num_rows and rows.num_rows:
            place = keys.match(rows, after, bound.key)
            apart = ~keys.contained(after, rows, bound.key)
        else:
            place, apart = np.full(rows.num_rows, -1, dtype=np.int64), np.ones(after.num_rows, dtype=bool)
        own, others = after.take(pa.array(place, mask=place < 0)), after.filter(pa.array(apart))
        away, asking, found = self._away(), self._with_sources(rows), []
        for column, lookup in own_lookups(self.mapping).items():
            by = [*(there for there, _ in lookup.match), *lookup.chained]
            if all(name != bound.identity and not depths.get(name) for name in by):
                found.append(link(column, lookup, asking, own, others, away))
        return found

    def _with_sources(self, rows: pa.Table) -> pa.Table:
        """The source's columns by their names, and the mapped ones whose names are none of those."""
        named = {held: source for source, held in self.sources.items()}
        names = [name for name in rows.column_names if name in named or name not in self.sources]
        return rows.select(names).rename_columns([named.get(name, name) for name in names])

    def _mapped(self, rows: pa.Table, depth: int, after: pa.Table) -> tuple[pa.Table, Mask]:
        """The rows with their columns up to a depth of lookups, and which of them are set aside."""
        bound = self.bound
        mapping = of_columns(self.mapping, self.mapping.schema.names, depth, beyond=0)
        away = self._away()
        schema = bound.shape.schema(tuple(after.column_names))
        own = LookupRows(after, padded(away, after.column_names, schema))
        source = rows.select(list(self.sources.values())).rename_columns(list(self.sources))
        mapped, bad = map_noting(source, mapping, self.others | {bound.name: own})
        return mapped.rows, bad

    def _write_circles(self, job: Job, rows: pa.Table, links: Sequence[Link]) -> None:
        found = []
        for each in links:
            places = circles(each)
            if len(places):
                way = rows.take(pa.array(circle_of(each, int(places[0]))))
                texts = expressions.as_json_keys(way, self.bound.key).to_pylist()
                found.append({"column": each.column, "rows": len(places), "keys": texts})
        path = _circles_file(job, self.bound.name)
        path.unlink(missing_ok=True)
        if found:
            write(path, pa.Table.from_pylist(found))


def write(path: Path, rows: pa.Table) -> None:
    """Write rows in the place of others, which somebody may still read."""
    with suppress(FileNotFoundError):
        path.unlink()  # what is mapped into memory outlives its name
    spill.write_rows(path, [rows], rows.schema)
