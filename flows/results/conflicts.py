"""Rows that were not as a plan saw them: what was planned, what was found, and what the next run does to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from adapters.ledger.ledger import Conflict
from flows.session.stores import ledger_of
from flows.spec.entries import kept_as
from flows.spec.model import Spec
from transforms.vocabulary import SideName

SHOWN: Final = 10  # conflicts that a report shows

Image = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clash:
    """A column of a conflict, as texts; null where it is null, or no row is there."""

    column: str
    planned_before: str | None
    planned_after: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Met:
    """A conflict on a side as people read it: the columns in which what was found is neither of what was planned."""

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


def told(conflict: Conflict, *, undone: bool = False) -> Met:
    """A conflict of the ledger; `undone`: it was met when a version was taken back."""
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
    undone = {run_id for run_id, run in runs.items() if run is not None and run.kind == "undo"}
    return [told(each, undone=each.run_id in undone) for each in found[:limit]]


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
    return asdict(met) | {"key": json.loads(met.key)}


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
