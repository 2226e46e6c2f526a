"""Assess the data before a run: plan without keeping the plan, and count everything that does not fit, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from adapters.processes import temporary_folder
from flows.apply.trials import MOST
from flows.bind.tables import BoundTable, validate
from flows.check.both_ways import needed, not_back, tried_back, ways_of
from flows.check.constraint_checks import Integrity, Refused
from flows.check.cursors import costs
from flows.check.differing import with_differing
from flows.check.finding_collector import About, Gathered, Gathering, readers, source_of
from flows.check.findings import LEVELS, Assessment, ColumnLine, Finding, Level, Sample, TableAssessment
from flows.check.fixes import Place, facts, fixes_of_rows, remedy
from flows.check.following import with_following
from flows.check.tree_indexes import without_index
from flows.check.unmapped import unmapped_columns, unread_tables
from flows.plan import build
from flows.plan.build import begun, plan_table
from flows.plan.consequences.kept_rows import without_referred
from flows.plan.decide import Planned
from flows.plan.lookups.own_lookups import own_ancestors
from flows.plan.order.circles import NeedEachOther
from flows.plan.order.in_circles import arranged, written_tables
from flows.plan.order.moving_values import settled
from flows.plan.order.passed_on import passed_on_by_plan, with_steps
from flows.plan.reading.null_keys import keyless
from flows.plan.request import Request, followed, new_run_id, spelled
from flows.plan.settled import hold
from flows.plan.thresholds import beyond, over_limit
from flows.plan.trees.chosen_tree import Trees
from flows.proof.drift import watched
from flows.results.tables import table_report
from flows.session.meter import Meter
from flows.session.retry import retried
from flows.session.route import Route
from flows.session.session import Job, Session
from flows.spec.columns import Column
from flows.spec.model import Spec
from transforms import expressions
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Constant,
    Expression,
    Function,
    Identified,
    KeyUuid,
    LookUp,
    Rename,
)
from transforms.mapping.rejections import unread_faults
from transforms.vocabulary import INVALID, Counts, DataError, PlanError, SpecError, SynclineError, text_of


@dataclass(frozen=True, slots=True)
class _Policies:
    """Where the spec says `fail`: for the whole table, for lookups of columns, for dates that are none."""

    everything: bool
    lookups: frozenset[str]
    dates: frozenset[str]

    def level(self, about: About) -> Level:
        missed = about.reason.code == "no_match" and bool(self.lookups & set(about.columns))
        return "refused" if self.everything or missed or about.source in self.dates else "quarantine"


def assess(
    spec: Spec,
    at: datetime,
    tables: Sequence[str] = (),
    *,
    samples: int = 5,
    schema_only: bool = False,
    meter: Meter | None = None,
    trees: Trees | None = None,
) -> Assessment:
    """Say how a run would end, and what of the data does not fit. Nothing is written but working files.

    The rows of each table are read once, from one snapshot a side, through the mapping that a run uses; of `trees` their rows.
    Errors: SpecError with every problem of the spec, as `bind` raises it; of trees as a plan of them.
    """
    with watched(spec, tables, meter, writes=False) as session:
        spec = session.spec
        validate(spec, session.bound)
        request = spelled(Request(spec, new_run_id(at), at, "plan", tuple(tables), trees=trees), session)
        known, unread = session.bound.tables, unread_tables(spec, session.sides.source.adapter)

        def once() -> Assessment:
            if schema_only:
                bare = tuple(map(_table, build.selected(request, session)))
                warnings = (*session.bound.warnings, *session.drift, *needed(session, known))
                return Assessment(spec.name, bare, warnings, drifted=session.drifted)
            with temporary_folder("check") as folder:
                return _assess(request, session, samples, folder)

        found = retried(once, renewed=True, before_again=session.meter.again)
        of = session.bound.table
        shown = tuple(replace(each, unmapped=unmapped_columns(spec, of(each.name), known)) for each in found.tables)
        return with_following(with_differing(replace(found, tables=shown, unread=unread), session, trees), session)


def _assess(request: Request, session: Session, samples: int, folder: Path) -> Assessment:
    policies = {table.name: _policies(table) for table in session.bound.tables}
    told = {table.name: table.sources for table in session.bound.tables}
    binding = replace(session.bound, tables=tuple(_unhindered(table) for table in session.bound.tables))
    shown: list[TableAssessment] = []
    with begun(request, replace(session, binding=binding), folder / "plan") as (session, job):
        request, notices = followed(request, session, job)
        chosen = build.selected(request, session)
        notices = (*notices, *costs(session, chosen))
        rows = max(_rows(request, session, table) for table in chosen)
        integrity = Integrity(session, folder / "constraints", chosen, rows, request.hanging)
        gathering = Gathering(chosen, samples, integrity)
        session = replace(session, watch=gathering)
        plans: dict[str, list[Planned]] = {}
        counts: dict[str, Counts] = {bound.name: Counts() for bound in chosen}
        others: list[tuple[str, Finding]] = []
        blocked: list[str] = []
        for bound in chosen:
            try:
                _hold_parents(bound, blocked)
                before = [outcome for some in plans.values() for outcome in some]
                plans[bound.name] = plan_table(request, session, job, bound.name, before, chosen)
            except (DataError, PlanError, SpecError) as error:
                blocked.append(bound.name)
                others.append((bound.name, _as_finding(error, 0)))
        whole = tuple(bound for bound in chosen if bound.name in plans)
        passing = passed_on_by_plan(session, job, whole, plans)
        let_go = {(each.child.name, each.foreign): each.values for each in passing}
        kept = without_referred(session, job, whole, plans, passing)
        settled_windows: list[Planned] = []
        for bound in whole:
            try:
                planned = settled(session, job, session.route(job, bound.name), kept.planned[bound.name], let_go)
            except PlanError as error:
                blocked.append(bound.name)
                others.append((bound.name, _as_finding(error, 0)))
                continue
            counts[bound.name] = table_report(bound, planned).counts
            route = session.route(job, bound.name)
            others += [(bound.name, each) for each in _held(request, route, counts[bound.name])]
            others += [(bound.name, each) for each in _circles(job, bound)]
            others += [(bound.name, each) for each in tried_back(session, job, route, samples)]
            if not request.whole:
                continue
            others += [(bound.name, each) for each in _keyless(route, counts[bound.name])]
            for part, as_told in zip(bound.sources, told[bound.name], strict=True):
                dates = as_told.source.zero_dates
                others += [(bound.name, each) for each in _zero_dates(session, part, dates, gathering, samples)]
            settled_windows += planned
        try:
            stepped = with_steps(session, job, whole, passing, settled_windows)
            arranged(session, job, written_tables(whole, (), stepped), stepped)
        except NeedEachOther as error:
            name = next(bound.name for bound in whole if bound.shape.name == error.table)
            others.append((name, _as_finding(error, 0)))
        others += integrity.findings(samples, blocked)
        refused = {bound.name: integrity.refused(bound.name) for bound in chosen}
    limit = over_limit(request.spec, counts)
    counts = {name: _without(each, refused[name]) for name, each in counts.items()}
    others += [(name, finding) for name, each in refused.items() for finding in _too_many(each)]
    for bound in chosen:
        made = [
            _finding(request.spec, bound, policies[bound.name], about, gathered)
            for about, gathered in gathering.found.items()
            if about.table == bound.name
        ]
        found = [*made, *(finding for name, finding in others if name == bound.name), *not_back(bound)]
        hooks = () if bound.ddl else session.sides.target.adapter.design(bound.shape.name).hooks
        ordered = tuple(_ordered(bound, found))
        shown.append(replace(_table(bound), counts=counts[bound.name], findings=ordered, hooks=hooks))
    late = "" if limit else beyond(request.spec, counts)
    slow = without_index(session, counts) if request.trees is not None else ()
    both = needed(session, chosen)
    warnings = (*session.bound.warnings, *session.drift, *notices, *slow, *kept.warnings, *both)
    return Assessment(request.spec.name, tuple(shown), warnings, limit, session.drifted, late)


def _without(counts: Counts, refused: Refused) -> Counts:
    """What is left of a table's counts once the target has refused some of its changes: as a run counts them."""
    return replace(
        counts,
        insert=counts.insert - refused.inserts,
        update=counts.update - refused.updates,
        quarantined=counts.quarantined + refused.inserts + refused.updates,
    )


def _too_many(refused: Refused) -> Iterator[Finding]:
    if refused.most > MOST:
        reason = f"the target refuses more than {MOST:,} rows of a window, and a run ends at the first such window"
        yield Finding("error", (), reason, refused.most, "mend the rows, or what the target demands of them")


def _rows(request: Request, session: Session, bound: BoundTable) -> int:
    if request.hanging is not None:
        return request.hanging[bound.name].rows if bound.name in request.hanging else 0
    there = 0 if bound.ddl else session.sides.target.snapshot.estimate(bound.there)
    return max(sum(session.sides.source.snapshot.estimate(each.source) for each in bound.sources), there)


def _policies(table: BoundTable) -> _Policies:
    columns = [column for each in table.sources for column in each.mapping.columns]
    fails = [c.shape.name for c in columns if isinstance(c.origin, LookUp) and c.origin.missing == "fail"]
    dates = [column for each in table.sources for column, read in each.source.zero_dates if read == "fail"]
    return _Policies(table.mapping.on_invalid == "fail", frozenset(fails), frozenset(dates))


def _unhindered(table: BoundTable) -> BoundTable:
    """The table with every `fail` of its spec read as `quarantine`, so that all bad rows are seen. Rows that only the target has are
    none to delete where changes go both ways."""

    def patient(column: ColumnMapping) -> ColumnMapping:
        if isinstance(column.origin, LookUp) and column.origin.missing == "fail":
            return replace(column, origin=replace(column.origin, missing="quarantine"))
        return column

    def of_one(each: BoundTable) -> BoundTable:
        columns = tuple(patient(column) for column in each.mapping.columns)
        dates = tuple((column, read) for column, read in each.source.zero_dates if read != "fail")
        return replace(
            each,
            mapping=replace(each.mapping, columns=columns, on_invalid="quarantine"),
            source=replace(each.source, zero_dates=dates),
            delete=each.delete if each.two_way is None else "ignore",
        )

    return table.of_each(of_one)


def _hold_parents(bound: BoundTable, blocked: Sequence[str]) -> None:
    parents = [looked.planned for looked in bound.lookups.values() if looked.planned in blocked]
    if parents:
        raise PlanError(f"{bound.name} looks into {parents[0]}, which cannot be read.", fix=f"mend {parents[0]} first.")


def _held(request: Request, route: Route, counts: Counts) -> Iterator[Finding]:
    try:
        hold(request, route, counts)
    except PlanError as error:
        yield _as_finding(error, counts.delete or counts.update)


def _keyless(route: Route, counts: Counts) -> Iterator[Finding]:
    if found := keyless(route, counts):
        reason = "rows of the target with a null in the key are matched with nothing, and left as they are"
        yield Finding(
            "note", route.table.key, reason, found.rows, "give them a key, or delete them", (Sample(found.sample),)
        )


def _circles(job: Job, bound: BoundTable) -> Iterator[Finding]:
    for notice in own_ancestors(job, bound):
        about, way = notice.facts, notice.facts["keys"]
        reason = f"rows are their own ancestors, and are written as they are: {' -> '.join([*way, way[0]])}"
        samples = tuple(map(Sample, way))
        yield Finding(
            "note", (about["column"],), reason, about["rows"], "mend the source rows, if that is a mistake", samples
        )


def _as_finding(error: SynclineError, rows: int) -> Finding:
    return Finding(
        "refused",
        (),
        f"{error.where}: {error.what}" if error.where else error.what,
        rows,
        error.fix or "look at the data",
    )


def _zero_dates(
    session: Session, bound: BoundTable, told: Sequence[tuple[str, str]], gathering: Gathering, samples: int
) -> Iterator[Finding]:
    """How many dates that are none are read as the spec says: the scan that knows them keeps quiet about them."""
    for source, read in told:
        if read == "fail":
            continue
        key = [
            c.origin.source for c in bound.mapping.columns if c.shape.name in bound.key and isinstance(c.origin, Rename)
        ]
        wanted = list(dict.fromkeys([*key, source]))
        known = Gathered()
        for number, batch in enumerate(
            session.sides.source.snapshot.scan(replace(bound.source, zero_dates=()), wanted)
        ):
            if INVALID not in batch.schema.names:
                continue
            rows = pa.Table.from_batches([batch])
            for fault in unread_faults(rows.column(INVALID).combine_chunks()):
                if fault.reason.facts.get("source") == source and fault.values is not None:
                    known.rows += int(fault.rows.sum())
                    bad = pa.array(fault.rows)
                    picked = rows.filter(bad).slice(0, samples)
                    keys = expressions.as_json_keys(picked, tuple(key) or (source,)).to_pylist()
                    shown = zip(keys, fault.values.filter(bad).to_pylist(), strict=False)
                    known.keep((0, number), [Sample(each, value) for each, value in shown], samples)
        refused = (
            each
            for about, each in gathering.found.items()
            if (about.table, about.source, source_of(about.reason)) == (bound.name, source, bound.part)
        )
        known.rows -= sum(each.rows for each in refused)
        if known.rows > 0:
            reader = readers(bound).get(source)
            reason = f"dates that are none are read as {read}"
            yield Finding("note", (reader,) if reader else (), reason, known.rows, "", known.samples)


def _finding(spec: Spec, bound: BoundTable, policies: _Policies, about: About, gathered: Gathered) -> Finding:
    level = "note" if about.noted else policies.level(about)
    found = facts(about.reason, gathered.evidence)
    fix = _fix(spec, bound, about, gathered)
    text, code = text_of(about.reason), about.reason.code
    return Finding(level, about.columns, text, gathered.rows, fix, gathered.samples, found, code)


def _fix(spec: Spec, bound: BoundTable, about: About, gathered: Gathered) -> str:
    if about.noted:
        return ""
    if about.reason.code == "duplicate_key":
        return "mend the source rows, choose a longer key, or make one row of them with `from: {query: …}`"
    if about.reason.code == "colliding_key":
        return "make these keys differ in more than that in the source, or give the target's key an exact collation"
    if about.refused and about.reason.code == "parent_quarantined":
        return f"mend the findings of {about.reason.facts['table']}: these rows come along then"
    if about.refused:
        return "mend the source rows, leave them out with `where:`, or change what the target demands"
    place = next((place for place, each in enumerate(bound.sources) if each.part == source_of(about.reason)), 0)
    mapping, table = bound.sources[place].mapping, spec.tables[bound.name].parts[place]
    column = next((each for each in mapping.columns if each.shape.name in about.columns), None)
    if column is None or (len(about.columns) > 1 and about.reason.code != "null_key"):
        return fixes_of_rows(about.reason)
    wanted = (table.columns or {}).get(column.shape.name) or Column.model_validate(column.shape.name)
    return remedy(
        about.reason, Place(column, wanted, gathered.evidence, bool(bound.ddl), column.shape.name in bound.key)
    )


def _ordered(bound: BoundTable, findings: Sequence[Finding]) -> list[Finding]:
    """The worst first; those of one level in the order of the columns, the most frequent first."""
    places = {name: place for place, name in enumerate(bound.shape.names)}
    return sorted(
        findings,
        key=lambda f: (
            LEVELS.index(f.level),
            min((places.get(c, 0) for c in f.columns), default=-1),
            -f.rows,
            f.reason,
        ),
    )


def _table(bound: BoundTable) -> TableAssessment:
    maps = [(each, {column.shape.name: column for column in each.mapping.columns}) for each in bound.sources]
    lines = tuple(
        replace(_line(each, by_name.get(shape.name), shape.name, shape.native), back=ways_of(bound).get(shape.name))
        for each, by_name in maps
        for shape in bound.shape.columns
        if shape.name in by_name or shape.name == bound.identity
    )
    return TableAssessment(
        bound.name,
        bound.origin,
        str(bound.shape.name),
        bound.key,
        bool(bound.ddl),
        "ordered" if bound.order else "spill",
        lines,
    )


def _line(bound: BoundTable, column: ColumnMapping | None, name: str, native: str) -> ColumnLine:
    match column.origin if column else None:
        case Rename(source):
            shape = bound.source_shape.column(source)
            read = f"{bound.part}.{source}" if bound.part else source
            return ColumnLine(name, read, shape.native if shape else "", native)
        case Expression(sql):
            return ColumnLine(name, " ".join(sql.split()), "expr", native)
        case Constant(value):
            return ColumnLine(name, "null" if value is None else str(value), "const", native)
        case LookUp() as lookup:
            return ColumnLine(name, f"{lookup.name}.{lookup.take}", "lookup", native)
        case Function() as function:
            return ColumnLine(name, function.name, "python", native)
        case Identified(by=by):
            return ColumnLine(name, ", ".join(by), "identity map", native)
        case KeyUuid():
            return ColumnLine(name, ", ".join(bound.key), "uuid", native)
    return ColumnLine(name, "the next number", "identity", native)
