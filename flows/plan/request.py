"""What is asked for: which tables, ranges, keys or trees a plan is to look at, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from adapters.store.manifest import PlanKind, PlannedCursor
from flows.bind.ranges import RangeText, parse_range, typed
from flows.bind.roots import parse_root
from flows.bind.spelling import speller
from flows.bind.tables import BoundTable
from flows.plan.thresholds import Burst
from flows.plan.trees.chosen_tree import Trees, chosen, no_rows
from flows.session.session import Job, Session
from flows.spec.entries import entry_of
from flows.spec.model import Spec, load_spec
from transforms.vocabulary import All, Keys, Notice, Ranges, Selection, Since, SpecError, Tree, of_side


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: some tables or all, some ranges or everything, or of tables in `keys` those keys alone (as JSON).

    Of the tables in `bases` the plan also keeps what it finds in the target, as the beginning of their history; those in
    `listed` have rows in quarantine or conflict that the plan may release. A writing command waits `wait` seconds for another one to end.
    `data_docs`: Great Expectations' own pages are made of the checkpoints, beside the evidence. `allow_deletes`: a plan may
    delete any share of a table. `afresh`: sealed windows are read, too. `step`: it is one of several, whose quarantine is looked at
    together in the end. `trees` are what is looked at instead of whole tables; once the plan has followed them, `hanging` has the
    rows of each table in them.
    `full`: all rows are read, whatever cursors say; else, once the plan has asked them, `since` has the tables of which only new rows are,
    and `cursors` what each cursor said.
    `live`: it is one of many a minute, which puts nothing down where there is nothing to do, and makes no page. `burst`: what those
    right before it deleted. `hooks`: those of the spec run around it.
    """

    spec: Spec
    run_id: str
    at: datetime
    kind: PlanKind = "plan"
    tables: tuple[str, ...] = ()
    ranges: tuple[RangeText, ...] = ()
    folder: Path | None = None
    workers: int = 2
    keys: Mapping[str, frozenset[str]] | None = None
    bases: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    wait: float = 0
    data_docs: bool = False
    allow_deletes: bool = False
    step: bool = False
    afresh: bool = False
    trees: Trees | None = None
    hanging: Mapping[str, Tree] | None = None
    full: bool = False
    since: Mapping[str, Since] = field(default_factory=dict)
    cursors: Mapping[str, PlannedCursor] = field(default_factory=dict)
    live: bool = False
    burst: Burst | None = None
    hooks: bool = True

    @property
    def plan_id(self) -> str:
        """The id of the plan that is made: the one that writes the target."""
        return of_side(self.run_id, "target")

    @property
    def whole(self) -> bool:
        """Every row of its tables is looked at, but for what cursors leave out."""
        return not self.ranges and self.keys is None and self.trees is None

    def selection(self, bound: BoundTable) -> Selection:
        """Which rows of a table are looked at. SpecError for a range whose ends are no values of its column."""
        if self.trees is not None:
            assert self.hanging is not None, "the trees were followed"
            return self.hanging.get(bound.name) or no_rows(bound)
        if self.keys is not None:
            return Keys(tuple(sorted(self.keys.get(bound.name, ()))))
        if self.ranges:
            zone = self.spec.source.time_zone
            return Ranges(tuple(typed(text, bound, zone) for text in self.ranges if text.table == bound.name))
        return self.since.get(bound.name, All())

    @property
    def named(self) -> frozenset[str]:
        """The tables that are asked for by name or range; none where all are."""
        return frozenset({*self.tables, *(text.table for text in self.ranges)})


def new_run_id(at: datetime) -> str:
    """Sorts by time, and two at once differ."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


def asked_for(
    path: Path,
    kind: PlanKind,
    tables: Sequence[str] = (),
    ranges: Sequence[str] = (),
    folder: Path | None = None,
    wait: float = 0,
    data_docs: bool = False,
    allow_deletes: bool = False,
    trees: Sequence[str] = (),
    with_parents: bool = False,
    full: bool = False,
    afresh: bool = False,
) -> Request:
    """A request of now, with a run of its own. SpecError where the spec, a range or a root of `trees` is wrong."""
    spec, at = load_spec(path), datetime.now(UTC)
    asked = trees_of(spec, trees, tables, ranges, with_parents=with_parents)
    return Request(
        spec,
        new_run_id(at),
        at,
        kind,
        tuple(tables),
        tuple(parse_range(text, spec) for text in ranges),
        folder,
        spec.workers,
        wait=wait,
        data_docs=data_docs,
        allow_deletes=allow_deletes,
        afresh=afresh,
        trees=asked,
        full=full,
    )


def trees_of(
    spec: Spec,
    roots: Sequence[str],
    tables: Sequence[str] = (),
    ranges: Sequence[str] = (),
    *,
    with_parents: bool = False,
) -> Trees | None:
    """The trees that are asked for, None where none are. SpecError where a root is wrong, or what stands beside it."""
    if (roots and (tables or ranges)) or (with_parents and not roots):
        raise SpecError(
            "Trees say themselves which rows of which tables are looked at."
            if roots
            else "Parents come along with trees, and none is named.",
            fix="give --tree without --table and --range."
            if roots
            else "give --tree TABLE:KEY, or leave out --with-parents.",
        )
    return Trees(tuple(parse_root(text, spec) for text in roots), with_parents) if roots else None


def spelled(request: Request, session: Session) -> Request:
    """The request with the spec, the tables and the columns of ranges as the session's catalogs spell them."""
    spec, fold = session.spec, session.sides.target.adapter.capabilities.names.columns

    def in_catalog(text: RangeText) -> RangeText:
        name = entry_of(spec, text.table)
        return replace(text, table=name, column=speller(session.bound.table(name).shape.names, fold, name)(text.column))

    keys = None if request.keys is None else {entry_of(spec, name): some for name, some in request.keys.items()}
    tables = tuple(entry_of(spec, name) for name in request.tables)
    trees = request.trees
    if trees is not None:
        trees = replace(trees, roots=tuple(replace(root, table=entry_of(spec, root.table)) for root in trees.roots))
        tables = tuple(sorted(trees.tables(session.bound)))
    ranges = tuple(map(in_catalog, request.ranges))
    return replace(request, spec=spec, tables=tables, ranges=ranges, keys=keys, trees=trees)


def followed(request: Request, session: Session, job: Job) -> tuple[Request, tuple[Notice, ...]]:
    """The request with the keys that hang in its trees, and with tables above them that rows come along from.

    Errors: as of `flows.plan.trees.chosen_tree.chosen`. A request without trees comes back as it is.
    """
    if request.trees is None:
        return request, ()
    found = chosen(session, job, request.trees)
    tables = tuple(sorted({*request.tables, *found.rows}))
    return replace(request, tables=tables, hanging=found.rows), found.notices
