"""Schema drift: both sides' tables are held to the shapes in which the latest applied run of the same spec left them.

The ledger keeps one fact a side: the shapes of its tables, with the digest of the spec that they belong to. A spec that was
changed since was changed by somebody who has looked, so its first run takes the shapes as they are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from adapters.ledger.ledger import Ledger
from flows.bind.inspect import Shapes, look
from flows.session.meter import Meter
from flows.session.retry import retried
from flows.session.session import Session, connect, with_binding
from flows.session.stores import ledger_of
from flows.spec.columns import Column
from flows.spec.entries import entry_of
from flows.spec.model import Spec
from flows.spec.tables import REST
from transforms import expressions
from transforms.drift import Change, TablePrint, changes, fingerprint
from transforms.vocabulary import SIDES, DriftError, Notice, Problem, SideName, SpecError, SynclineError, TableShape

FACT: Final = ("shape", "tables")
"""Kind and name of the ledger's fact."""

Known = dict[str, dict[SideName, TablePrint]]


@dataclass(frozen=True, slots=True)
class Drifted:
    """One difference. `touches` names the columns of the spec's mapping that it is about, and where they stand."""

    table: str
    side: SideName
    relation: str
    change: Change
    touches: tuple[str, ...]

    def __str__(self) -> str:
        mapped = f" It touches {', '.join(self.touches)}." if self.touches else " It touches no column of the mapping."
        return f"{self.table}: in the {self.side}'s {self.relation} {self.change.told}.{mapped}"


@dataclass(frozen=True, slots=True)
class Drift:
    """What has drifted since the shapes were taken down; `since` says when, and is None where they never were."""

    spec: Spec
    since: str | None
    found: tuple[Drifted, ...] = ()

    @property
    def stopping(self) -> tuple[Drifted, ...]:
        """What a run stops at: with `drift: evolve` all but columns that were added."""
        evolves = self.spec.defaults.drift == "evolve"
        return tuple(each for each in self.found if not (evolves and each.change.additive))

    def error(self, misfit: SpecError | None = None) -> DriftError:
        """What a run stops at, why the spec does not fit the schemas where it does not, and how to go on, a line each."""
        head = Problem(
            f"the schemas have changed since {self.since}, and the spec is as it was then.", where=str(self.spec.path)
        )
        lines = [Problem(str(each), "", self.spec.where("tables", each.table), each.table) for each in self.stopping]
        end = [Problem("No row was read, and nothing was written."), Problem("", self.fix)]
        gone = all(each.change.kind == "table" and each.table in self.spec.taken for each in self.stopping)
        if misfit is not None and not gone:  # which accepting alone would not mend
            end = [*misfit.problems, Problem("", "correct the spec. No row was read, and nothing was written.")]
        return DriftError.of([head, *lines, *end])

    @property
    def fix(self) -> str:
        return f"correct the spec, or take the schemas as they are now: syncline drift {self.spec.path} --accept"

    def lines(self, *, accepted: bool = False) -> Iterator[str]:
        """What a person is shown who asks."""
        if self.since is None:
            yield "Nothing to compare with: no run of the spec as it is now was applied yet."
        elif not self.found:
            yield f"No drift since {self.since}."
        for each in self.found:
            yield str(each) if each in self.stopping else f"{each} A run goes on (drift: evolve)."
        if accepted:
            yield "The schemas are taken as they are now."
        elif self.stopping:
            yield f"A run stops at this. Fix: {self.fix}"

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        found = [
            {
                "table": each.table,
                "side": each.side,
                "relation": each.relation,
                "kind": each.change.kind,
                "column": each.change.column,
                "told": each.change.told,
                "touches": list(each.touches),
                "stops": each in self.stopping,
            }
            for each in self.found
        ]
        return {"migration": self.spec.name, "since": self.since, "drift": found}

    def warnings(self) -> Iterator[Notice]:
        """What read-only commands say of it, and what a run that goes on says."""
        stops = self.stopping
        for each in self.found:
            change = {"side": each.side, "kind": each.change.kind, "column": each.change.column, "stops": each in stops}
            yield Notice("drift", f"Schema drift since {self.since}: {each}", each.table, change)
        if stops:
            yield Notice("drift", f"A run stops at this. Fix: {self.fix}", facts={"stops": True})


@contextmanager
def watched(
    spec: Spec, tables: Collection[str], meter: Meter | None = None, *, writes: bool, planned: Collection[str] = ()
) -> Iterator[Session]:
    """A session that is bound already, after a look at whether the schemas of `tables` (all where empty) have drifted.

    Errors: DriftError before anything is read, where the command `writes`; SpecError where the spec does not fit the
    schemas. What is only read is read all the same: the drift is then among the warnings. `planned` are tables that are to be there,
    since a plan has them.
    """
    with connect(spec, meter) as session:
        known = {*planned, *_known_names(spec, strict=writes)}
        shapes = retried(lambda: look(spec, session.sides.source.adapter, session.sides.target.adapter, known))
        spec, noted = shapes.spec, list[Notice]()
        tables = [entry_of(spec, name) for name in tables]
        try:
            drift = drifted(spec, shapes, tables)
        except SynclineError as error:
            if writes:
                raise
            drift = Drift(spec, None)
            noted = [Notice("drift_unknown", f"Whether the schemas have drifted is not known: {error}")]
        try:
            session = with_binding(session, shapes)
        except SpecError as error:
            if drift.stopping:  # which is why the spec does not fit any more
                raise drift.error(error) from error
            raise
        if writes and drift.stopping:
            raise drift.error()
        yield replace(session, drift=(*noted, *drift.warnings()), drifted=bool(drift.stopping))


def _known_names(spec: Spec, *, strict: bool = True) -> Collection[str]:
    """The tables that the latest run of a spec with `tables: "*"` brought over. `strict`: the ledger has to answer."""
    if not spec.open:
        return ()
    try:
        with ledger_of(spec) as ledger:
            return _read(ledger, spec)[1] if ledger.there() else ()
    except SynclineError:
        if strict:
            raise
        return ()  # which is told once the shapes are compared


def drifted(spec: Spec, shapes: Shapes, tables: Collection[str] = ()) -> Drift:
    """What is different from the shapes that the ledger knows, table by table, the source first."""
    with ledger_of(spec) as ledger:
        since, known = _read(ledger, spec) if ledger.there() else (None, {})
    if since is None:
        return Drift(spec, None)
    found: list[Drifted] = []
    for name in spec.tables if not tables else [name for name in spec.tables if name in tables]:
        for part, key, seen in zip(spec.parts_of(name), _source_keys(spec, name), shapes.sources[name], strict=True):
            was, relation = known.get(key, {}).get("source"), part.source_relation(name)
            found += _differences(part, name, "source", str(relation), was, seen)
        was = known.get(name, {}).get("target")
        found += _differences(spec, name, "target", str(spec.target_table(name)), was, shapes.targets[name])
    return Drift(spec, since, tuple(found))


def _source_keys(spec: Spec, name: str) -> tuple[str, ...]:
    """Under which names the shapes of a table's sources are kept: under its own, where it has one."""
    return tuple(f"{name} from {part}" for part in spec.part_names(name)) or (name,)


def _differences(
    spec: Spec, name: str, side: SideName, relation: str, was: TablePrint | None, seen: TableShape | None
) -> Iterator[Drifted]:
    """What is different of one table; nothing of one whose shape is not known."""
    if was is None:
        return
    for change in changes(was, fingerprint(seen) if seen else None):
        touches = [each for part in spec.parts_of(name) for each in _touched(part, name, side, change, was)]
        yield Drifted(name, side, relation, change, tuple(dict.fromkeys(touches)))


def remember(ledger: Ledger, session: Session, tables: Collection[str], run_id: str) -> None:
    """Take down the shapes of the tables of a run that was applied: the source as it was bound, the target as it is."""
    taken: Known = {}
    for name in tables:
        bound = session.bound.table(name)
        for key, part in zip(_source_keys(session.spec, name), bound.sources, strict=True):
            taken[key] = {"source": fingerprint(part.source_shape)}
        if not bound.ddl:
            taken.setdefault(name, {})["target"] = fingerprint(bound.shape)
    _keep(ledger, session.spec, f"run {run_id}", taken)


def forget(ledger: Ledger, spec: Spec, tables: Collection[str]) -> None:
    """Tables of the target that were dropped or made again by an undo have no shape that is known."""
    since, known = _read(ledger, spec)
    if since is not None and any("target" in known.get(name, {}) for name in tables):
        gone = {name: known[name] for name in tables if name in known}
        _keep(
            ledger,
            spec,
            since,
            {name: {side: each[side] for side in each if side == "source"} for name, each in gone.items()},
        )


def accept(spec: Spec, shapes: Shapes, at: datetime) -> None:
    """Take down the shapes of all tables as they are now."""

    both: Known = {}
    for name in shapes.spec.tables:
        sides: list[tuple[str, SideName, TableShape | None]] = [(name, "target", shapes.targets[name])]
        keys = _source_keys(shapes.spec, name)
        sides += [(key, "source", shape) for key, shape in zip(keys, shapes.sources[name], strict=True)]
        for key, side, shape in sides:
            if shape is not None:
                both.setdefault(key, {})[side] = fingerprint(shape)
    gone = {name for name in shapes.spec.taken if None in (shapes.targets[name], *shapes.sources[name])}
    with ledger_of(spec) as ledger:
        left = {name: table for name, table in shapes.spec.tables.items() if name not in gone}
        _keep(
            ledger,
            shapes.spec.model_copy(update={"tables": left}),
            f"they were accepted at {at:%Y-%m-%d %H:%M:%S %Z}",
            both,
        )


def looked(spec: Spec) -> tuple[Shapes, Drift]:
    """The shapes of both sides as they are now, and what has drifted; nothing is bound."""
    with connect(spec) as session:
        source, target = session.sides.source.adapter, session.sides.target.adapter
        shapes = retried(lambda: look(spec, source, target, _known_names(spec)))
        return shapes, drifted(shapes.spec, shapes)


def _read(ledger: Ledger, spec: Spec) -> tuple[str | None, Known]:
    """Since when the shapes are known, and the shapes; nothing where the spec is another one since."""
    since: str | None = None
    known: Known = {}
    for side, text in ledger.fact(spec.name, *FACT).items():
        kept = json.loads(text)
        if kept["spec"] != spec.digest:
            continue
        since = str(kept["since"])
        for name, shape in kept["tables"].items():
            known.setdefault(name, {})[side] = TablePrint.of_dict(shape)
    return since, known


def _keep(ledger: Ledger, spec: Spec, since: str, taken: Known) -> None:
    """Put shapes into the ledger, beside those of tables that the same spec had a run of before."""
    _, known = _read(ledger, spec)
    named = {*spec.tables, *(key for name in spec.tables for key in _source_keys(spec, name))}
    tables = {name: shapes for name, shapes in (known | taken).items() if name in named}

    def of_side(side: SideName) -> str:
        prints = {name: shapes[side].as_dict() for name, shapes in tables.items() if side in shapes}
        return json.dumps({"spec": spec.digest, "since": since, "tables": prints}, ensure_ascii=False)

    ledger.set_fact(spec.name, *FACT, {side: of_side(side) for side in SIDES})


def _touched(spec: Spec, name: str, side: SideName, change: Change, was: TablePrint) -> Iterator[str]:
    """The columns of the spec that a difference is about, as `tables.customer.columns.born (line 14)`."""
    table, at = spec.tables[name], ("tables", name)
    about = {change.column} if change.column else set(was.primary_key)
    if table.columns is None:
        if change.kind == "table" or (side == "target" and change.kind == "added"):
            return
        listed = ", ".join(sorted(about))
        yield f"tables.{name} ({_line(spec, *at)}), which maps every column of the source{f', {listed}' if listed else ''}"
        return
    for column, wanted in table.columns.items():
        if column == REST:
            rest = about - table.columns.keys() - set(wanted.except_ or ())
            if change.kind == "table" or (rest and (side, change.kind) != ("target", "added")):
                yield f"tables.{name}.columns.* ({_line(spec, *at, 'columns', column)})"
            continue
        if change.kind == "table" or about & ({column} if side == "target" else _read_by(wanted, was)):
            yield f"tables.{name}.columns.{column} ({_line(spec, *at, 'columns', column)})"
    if change.column and side == "target" and spec.delete_policy(name).column == change.column:
        yield f"the flag of soft deletes ({_line(spec, *at, 'delete')})"


def _line(spec: Spec, *path: str) -> str:
    return f"line {spec.line(*path)}"


def _read_by(wanted: Column, source: TablePrint) -> set[str]:
    """The source columns that a column of the spec reads, of those that were there."""
    if wanted.from_ is not None:
        return {wanted.from_}
    if wanted.lookup is not None:
        return {*wanted.lookup.matched.values(), *(wanted.lookup.by or ())}
    if wanted.python is not None:
        return set(wanted.columns or (column.name for column in source.columns))
    if wanted.expr is None:
        return set()
    return set(expressions.named(wanted.expr, (column.name for column in source.columns)))
