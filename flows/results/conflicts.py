"""Rows that were not as a plan saw them, and rows that are open between both sides: what they are, and what the next run does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from adapters.ledger.ledger import Conflict, Decision, Ledger
from adapters.ledger.open_rows import BOTH
from adapters.store.both_ways import rows_of
from adapters.store.plans import Plan
from flows.plan.lookups.stands_for import Parents, parents_of
from flows.results import stands
from flows.results.stands import StandsFor
from flows.session.stores import ledger_of
from flows.spec.entries import kept_as
from flows.spec.model import Spec
from transforms.reconcile import open_rows
from transforms.vocabulary import SideName

SHOWN: Final = 10  # conflicts that a report shows

Image = dict[str, Any]
Told = Mapping[str, str | None] | None
KINDS: Final[Mapping[str, str]] = {
    "update/update": "both sides changed it, each in its own way",
    "insert/insert": "both sides created it, each in its own way",
    "update/delete": "the source changed it, and the target deleted it",
    "delete/update": "the source deleted it, and the target changed it",
    "unique": "a side cannot take it: another row has a value that is unique",
    "foreign_key": "a side cannot take it: what it refers to, or what refers to it, stands against it",
    "not_null": "a side cannot take it: a value is null where none may be",
    "check": "a side cannot take it: a check of its table says no",
    "no_inverse": "the change cannot be written back to the source",
    "inverse_differs": "what goes back to the source does not come back as it was",
}
"""What kinds of open rows there are, for people."""


@dataclass(frozen=True, slots=True)
class Clash:
    """A column of a conflict, as texts; null where it is null, or no row is there."""

    column: str
    planned_before: str | None
    planned_after: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What somebody decided about a row, or a field of it, that waits for the next run."""

    field: str | None
    take: str
    value: str | None
    by: str | None
    at: str
    why: str | None


@dataclass(frozen=True, slots=True)
class Beside:
    """A column of a row that is open between both sides, as texts; null where it is null, or no row is there."""

    column: str
    base: str | None
    source: str | None
    target: str | None
    open: bool


@dataclass(frozen=True, slots=True)
class Met:
    """A conflict on a side as people read it: the columns in which what was found is neither of what was planned.

    Or, with a `kind`, a row that is open between both sides: what each did, or why one cannot take it; the `fields` that are open,
    the row as it is in the base and on each side, None where there is none, and what was `decided`.
    """

    table: str
    side: SideName
    key: str
    op: str
    columns: tuple[Clash, ...]
    gone: bool
    next_run: str
    run_id: str
    seen_at: str
    resolution: str | None = None
    kind: str | None = None
    fields: tuple[str, ...] = ()
    base: Mapping[str, str | None] | None = None
    source: Mapping[str, str | None] | None = None
    target: Mapping[str, str | None] | None = None
    decided: tuple[Decided, ...] = ()
    stands_for: StandsFor = field(default_factory=dict)


def told(conflict: Conflict, *, undone: bool = False, decisions: Sequence[Decision] = ()) -> Met:
    """A conflict of the ledger; `undone`: it was met when a version was taken back. `decisions` are those about it that wait."""
    if conflict.kind is not None:
        return _open(conflict, decisions)
    before, after, found = (_image(text) for text in (conflict.before, conflict.after, conflict.found))
    names = list(dict.fromkeys(name for image in (before, after, found) for name in image or ()))
    columns = [
        Clash(name, *(_text(image, name) for image in (before, after, found)))
        for name in names
        if _clashes(name, before, after, found)
    ]
    return Met(
        conflict.table_name,
        conflict.side,
        conflict.key,
        conflict.op,
        tuple(columns),
        found is None,
        "The next run brings it in line with the source again."
        if undone
        else _next(conflict.op, after, found, columns),
        conflict.run_id,
        conflict.seen_at.isoformat(),
        conflict.resolution,
    )


def listed(
    spec: Spec, tables: Sequence[str], keys: Sequence[str], *, limit: int | None = None, resolved: bool = False
) -> list[Met]:
    """The conflicts of some tables and keys, or all, that are open, by table and key; those that are settled, too, if asked for.

    SpecError for a table that is not there.
    """
    with ledger_of(spec) as ledger:
        named = kept_as(spec, tables, ledger.count_conflicts(spec.name) if tables else ())
        found = [
            each
            for table in named or (None,)
            for each in ledger.conflicts(spec.name, table, keys=keys, limit=limit, resolved=resolved)
        ]
        runs = {run_id: ledger.run(run_id) for run_id in {each.run_id for each in found[:limit]}}
        waiting = _waiting(ledger, spec.name, found[:limit])
    undone = {run_id for run_id, run in runs.items() if run is not None and run.kind == "undo"}
    met = [
        told(each, undone=each.run_id in undone, decisions=waiting.get((each.table_name, each.key), ()))
        for each in found[:limit]
    ]
    return _in_words(met, Parents(spec))


def first_of(ledger: Ledger, spec: Spec, run_id: str, *, undone: bool = False) -> tuple[Met, ...]:
    """The first conflicts of a run, as its report shows them."""
    met = ledger.conflicts(spec.name, run_id=run_id, limit=SHOWN)
    waiting = _waiting(ledger, spec.name, met)
    shown = [told(each, undone=undone, decisions=waiting.get((each.table_name, each.key), ())) for each in met]
    return tuple(_in_words(shown, Parents(spec)))


def open_in(plan: Plan) -> tuple[Met, ...]:
    """The first rows that a plan leaves open between both sides."""
    made, found = plan.manifest, list[Met]()
    for planned in made.tables:
        rows = rows_of(plan, "open", planned.table) if planned.back is not None else None
        for line in open_rows(rows.slice(0, SHOWN - len(found))).to_pylist() if rows is not None else ():
            row = Conflict(
                made.migration, "target", planned.name, op=BOTH, before=None, after=None, found=None, run_id=made.run_id,
                seen_at=made.created_at, **line,
            )  # fmt: skip
            found.append(_open(row, ()))
    return tuple(_in_words(found, parents_of(plan)))


def _in_words(met: Sequence[Met], parents: Parents | None) -> list[Met]:
    """The same, each with what its key stands for."""
    if parents is None:
        return list(met)
    with parents:
        return [replace(each, stands_for=parents.stand_for(each.table, [each.key])[0]) for each in met]


def beside(met: Met) -> list[Beside]:
    """The columns of an open row in which base, source and target are not all the same; those that are open first."""
    return beside_of(met.fields, (met.base, met.source, met.target))


def beside_of(fields: Sequence[str], images: tuple[Told, Told, Told]) -> list[Beside]:
    """As `beside`. In: the open fields, and the row in the base, the source and the target."""
    names = list(dict.fromkeys((*fields, *(name for image in images for name in image or ()))))
    found = []
    for name in names:
        base, source, target = (None if image is None else image.get(name) for image in images)
        is_open = name in fields
        if is_open or (len({base, source, target}) > 1 and None not in images):
            found.append(Beside(name, base, source, target, is_open))
    return sorted(found, key=lambda each: not each.open)


def values_beside(met: Met, each: Beside) -> tuple[str, str, str]:
    """Base, source and target, as a line of a listing shows them."""
    shown = zip((met.base, met.source, met.target), (each.base, each.source, each.target), strict=True)
    base, source, target = (
        "(no row)" if image is None else "null" if value is None else value for image, value in shown
    )
    return base, source, target


def open_columns(met: Met) -> list[tuple[str, str, str, str]]:
    """The open columns of a row, as listings show them: name, base, source, target. Of one that is open as a whole a single line
    without a name, which says where there is a row."""
    if found := [(each.column, *values_beside(met, each)) for each in beside(met) if each.open]:
        return found
    base, source, target = ("(no row)" if image is None else "(a row)" for image in (met.base, met.source, met.target))
    return [("", base, source, target)]


def verdict_text(decided: Decided) -> str:
    """What was decided, in words: `take source`, `price: take 4.20`."""
    value = "null" if decided.value is None else decided.value
    taken = f"take {value if decided.take == 'value' else decided.take}"
    return taken if decided.field is None else f"{decided.field}: {taken}"


def values(met: Met, clash: Clash) -> tuple[str, str, str]:
    """Planned before, planned after and found, as a line of a listing shows them."""
    before, after, found = (
        "null" if value is None else value for value in (clash.planned_before, clash.planned_after, clash.found)
    )
    return (
        "(no row)" if met.op == "insert" else before,
        "(no row)" if met.op == "delete" else after,
        "(row is gone)" if met.gone else found,
    )


def counted(spec: Spec) -> dict[str, int]:
    """How many conflicts are open, by table."""
    with ledger_of(spec) as ledger:
        return ledger.count_conflicts(spec.name)


def as_dict(met: Met) -> dict[str, Any]:
    """JSON-ready; the key is an array."""
    return asdict(met) | {"key": json.loads(met.key), "stands_for": stands.as_dict(met.stands_for)}


def _open(conflict: Conflict, decisions: Sequence[Decision]) -> Met:
    """A row that is open between both sides."""
    images: dict[str, Any] = {}
    for name in ("base", "source", "target"):
        image = _image(getattr(conflict, name))
        images[name] = None if image is None else {column: _text(image, column) for column in image}
    decided = tuple(
        Decided(each.field, each.take, each.value, each.decided_by, each.decided_at.isoformat(), each.why)
        for each in decisions
    )
    if decided:
        then = f"The next run applies what was decided ({'; '.join(map(verdict_text, decided))})."
    else:
        then = "It stays open until somebody decides (`syncline conflicts SPEC resolve`), or both sides are alike."
    return Met(
        table=conflict.table_name,
        side=conflict.side,
        key=conflict.key,
        op=conflict.op,
        columns=(),
        gone=False,
        next_run=then,
        run_id=conflict.run_id,
        seen_at=conflict.seen_at.isoformat(),
        resolution=conflict.resolution,
        kind=conflict.kind,
        fields=tuple(conflict.fields or ()),
        decided=decided,
        **images,
    )


def _waiting(ledger: Ledger, migration: str, met: Sequence[Conflict]) -> dict[tuple[str, str], list[Decision]]:
    """The decisions that wait, by table and key, about some conflicts."""
    found: dict[tuple[str, str], list[Decision]] = {}
    for table in {each.table_name for each in met if each.kind is not None}:
        keys = [each.key for each in met if each.table_name == table]
        for each in ledger.open_rows.decisions(migration, table, keys=keys, waiting=True):
            found.setdefault((table, each.key), []).append(each)
    return found


def _clashes(name: str, before: Image | None, after: Image | None, found: Image | None) -> bool:
    planned = [image for image in (before, after) if image is not None]
    if found is None:
        return any(image.get(name) is not None for image in planned)
    return any(image.get(name) != found.get(name) for image in planned)


def _next(op: str, after: Image | None, found: Image | None, columns: Sequence[Clash]) -> str:
    if op == "delete":
        return "The next run deletes it as it is now, unless the source has it again."
    if found is None:
        return "The next run inserts it again, unless the source has lost it."
    lost = ", ".join(each.column for each in columns if after is not None and each.found != each.planned_after)
    return f"The next run overwrites {lost or 'it'} with what the source has then."


def _image(text: str | None) -> Image | None:
    return None if text is None else dict(json.loads(text))


def _text(image: Image | None, name: str) -> str | None:
    value = None if image is None else image.get(name)
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
