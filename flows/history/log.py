"""What happened to rows, asked of the ledger and the store alone: versions, their changes, one row's life, tables as they stood."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby, islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.ledger import Decision, Version
from adapters.store import archive
from adapters.store.plans import plain
from flows.history.overruled import keys_there, overruled_edits
from flows.history.version_list import key_text, spellings, told, told_as_one
from flows.history.versions import (
    AppliedVersion,
    as_kept,
    on_source,
    one_with,
    opened_version,
    table_of,
    version_of,
    versions_after,
)
from flows.plan.lookups.stands_for import Parents
from flows.results.overruled import Overruled
from flows.results.stands import StandsFor, as_dict
from flows.session.stores import ledger_of, store_of
from flows.spec.entries import entry_name
from flows.spec.model import Spec
from transforms import expressions
from transforms.net_changes import filtered, net
from transforms.vocabulary import ChangeSet, SideName, SpecError, TableName, other_side
from transforms.vocabulary.arrow import as_mask, contiguous
from transforms.vocabulary.texts import as_text

TOGETHER: Final = 2_000  # changes whose keys are put into words at once
LEFT = "conflict: left as it was"
WHY = {"run": "mapping", "backfill": "mapping", "undo": "undo", "retry": "retry"}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row, as people read it: values are texts, an update has what differs."""

    table: str
    op: str
    key: str
    before: dict[str, str | None] | None
    after: dict[str, str | None] | None
    stands_for: StandsFor = field(default_factory=dict)


def change_object(change: Change) -> dict[str, Any]:
    """JSON-ready, the key as a JSON text; `stands_for` where there is something to say."""
    return _told(asdict(change), change.stands_for)


def _told(told: dict[str, Any], stands: StandsFor) -> dict[str, Any]:
    return told | {"stands_for": as_dict(stands)} if stands else {n: v for n, v in told.items() if n != "stands_for"}


def in_words_too(changes: Iterable[Change], parents: Parents | None) -> Iterator[Change]:
    """The same, each with what its key stands for. Memory: TOGETHER changes."""
    every = iter(changes)
    while some := list(islice(every, TOGETHER)):
        for table, of_one in groupby(some, key=lambda each: each.table):
            group = list(of_one)
            stands = (
                parents.stand_for(table, [each.key for each in group]) if parents is not None else [{}] * len(group)
            )
            yield from (replace(each, stands_for=what) for each, what in zip(group, stands, strict=True))


def shown(
    spec: Spec, number: int, table: str | None = None, keys: Sequence[str] = (), limit: int | None = None
) -> tuple[dict[str, Any], list[Change]]:
    """A version and its changes: of one table or all, of some keys or all, the first `limit` of each table."""
    with ledger_of(spec) as ledger:
        version = version_of(ledger, spec, number)
        together = [each for each in one_with(ledger, spec, version) if each.side == version.side]
    if len(together) > 1:
        return _shown_as_one(spec, together, table, keys, limit)
    applied = opened_version(store_of(spec), version)
    tables = applied.tables if table is None else [table_of(spec, table, [applied])]
    found: list[Change] = []
    for each in tables:
        name = applied.name_of(spec, each)
        if (version.kept or {}).get(str(each)) == "keys":
            found += _of_keys_alone(applied, each, name, keys, limit)
            continue
        if table is None and str(each) in (version.kept or {}):
            continue
        count = 0
        for changes in applied.changes(each):
            for change in changes_of(name, _of_keys(changes, keys)):
                if limit is not None and count >= limit:
                    break
                found.append(change)
                count += 1
    facts = told(version)
    if spec.writes_source:
        facts["overruled"] = [
            each.as_dict()
            for name in tables
            for each in _lost(spec, applied, name, [k for key in keys for k in spellings(key)])[:limit]
        ]
    return facts, found


def _shown_as_one(
    spec: Spec, versions: Sequence[Version], table: str | None, keys: Sequence[str], limit: int | None
) -> tuple[dict[str, Any], list[Change]]:
    """Versions that are one for people, oldest first, and their net changes. Memory: the changes of a table."""
    opened = [opened_version(store_of(spec), each) for each in versions]
    tables = [*dict.fromkeys(name for each in opened for name in each.tables)]
    found: list[Change] = []
    lost: list[dict[str, Any]] = []
    for name in tables if table is None else [table_of(spec, table, opened)]:
        called, kept = (
            entry_name(spec, name, versions[-1].side),
            {(each.kept or {}).get(str(name)) for each in versions},
        )
        if "keys" in kept:
            alone = (each for one in opened for each in _of_keys_alone(one, name, called, keys, None))
            found += islice(alone, limit)
            continue
        if table is None and kept != {None}:
            continue
        parts = [part for each in opened for part in each.parts(name)]
        some = (change for part in (net(parts) if parts else ()) for change in changes_of(called, _of_keys(part, keys)))
        found += islice(some, limit)
        if spec.writes_source:
            mine = [k for key in keys for k in spellings(key)]
            lost += [each.as_dict() for one in opened for each in _lost(spec, one, name, mine)]
    facts = told_as_one(versions)
    return (facts | {"overruled": lost[:limit]} if spec.writes_source else facts), found


def _lost(spec: Spec, applied: AppliedVersion, table: TableName, keys: Sequence[str] = ()) -> list[Overruled]:
    """The edits that a version overruled in a table, which the side that it wrote calls so."""
    name = applied.name_of(spec, table)
    own = as_kept(spec.target_table(name), map(str, applied.tables)) if name in spec.tables else table
    return overruled_edits(applied, own, table, name, keys)


def life(spec: Spec, table: str, key: str) -> list[dict[str, Any]]:
    """Every change of one row, oldest first: when, by which run, and why; what runs left as it was, and what people decided."""
    store = store_of(spec)
    with ledger_of(spec) as ledger:
        opened = [opened_version(store, v) for v in ledger.versions(spec.name)]
        runs = ledger.runs(spec.name, None, "conflicts")
        decided = ledger.open_rows.decisions(spec.name, keys=spellings(key))
    own = table_of(spec, table, [each for each in opened if each.version.side == "target"])
    name = entry_name(spec, own)
    written: dict[SideName, TableName | None] = {"target": own, "source": on_source(spec, name, opened)}
    lines: list[dict[str, Any]] = []
    for applied in opened:
        if (there := written[applied.version.side]) is not None:
            lines += _changed(spec, applied, there, name, key, own, decided)
    for run in runs:
        facts = {"version": run.version, "when": plain(run.finished_at), "run": run.run_id, "author": None}
        for plan in run.plans:
            if (there := written[plan.side]) is None:
                continue
            for alone in archive.all_noted(store.folder(plan.folder), "applied", there):
                lines += [{**facts, "why": LEFT, "table": name, **e} for e in _left_alone(alone, key)]
    lines += [_decided(each) for each in decided if each.table_name == name]
    if not lines:
        _must_be_whole(opened, written, name, key)
    with Parents(spec) as parents:
        keys = [line["key"] for line in lines]
        stands = parents.stand_for(name, keys)
    lines = [line | ({"stands_for": as_dict(what)} if what else {}) for line, what in zip(lines, stands, strict=True)]
    return sorted(lines, key=lambda line: (str(line["when"]), line["why"] != LEFT, line["version"] or 0))


def _must_be_whole(
    opened: Sequence[AppliedVersion], written: Mapping[SideName, TableName | None], name: str, key: str
) -> None:
    """SpecError where a key that nothing is known of has fewer or more values than the keys of the table."""
    for applied in reversed(opened):
        table = written[applied.version.side]
        if table is None or (names := applied.key(table)) is None:
            continue
        given = json.loads(key_text(key))
        if len(given) != len(names):
            like = json.dumps([f"<{each}>" for each in names])
            raise SpecError(
                f"The key of {name} is ({', '.join(names)}), and {key} has {len(given)} of these {len(names)} values.",
                fix=f"give all of them, in this order: --key '{like}'.",
            )
        return


def _decided(made: Decision) -> dict[str, Any]:
    """What somebody decided about a row, as a line of its life; `ended` says what became of it."""
    texts = {"base": made.base, "source": made.source, "target": made.target}
    images = {name: None if text is None else json.loads(text) for name, text in texts.items()}
    return {
        "version": None,
        "when": plain(made.decided_at),
        "run": made.ended_by,
        "author": made.decided_by,
        "why": made.why or "",
        "table": made.table_name,
        "op": "decision",
        "key": made.key,
        "before": None,
        "after": None,
        "decision": {"field": made.field, "take": made.take, "value": made.value, "kind": made.kind, **images},
        "ended": made.ended,
    }


def _changed(
    spec: Spec,
    applied: AppliedVersion,
    table: TableName,
    name: str,
    key: str,
    own: TableName,
    decided: Sequence[Decision],
) -> Iterator[dict[str, Any]]:
    """The changes of a row in a table that the spec calls by that name, and that is its `own` on the target."""
    version = applied.version
    why = WHY.get(version.kind or "run", str(version.kind))
    if version.undoes:
        of = f" for {', '.join(version.tree)}" if version.tree else ""
        why = f"undo of version {', '.join(map(str, version.undoes))}{of}"
    facts = {
        "version": version.version,
        "when": plain(version.created_at),
        "run": version.run_id,
        "author": version.author,
    }
    keys, beside = [key], dict[str, Any]()
    if spec.writes_source:  # an edit comes from the side that its plan did not write
        facts |= {"side": version.side, "came_from": None if version.undoes else other_side(version.side)}
        lost = overruled_edits(applied, own, table, name, spellings(key))
        beside = {"overruled": [each.as_dict() | _by(each, version, decided) for each in lost]}
        keys += keys_there(applied, own, spellings(key))
    kept = (version.kept or {}).get(str(table))
    if kept == "keys":
        for each in _of_keys_alone(applied, table, name, keys, None):
            yield {**facts, "why": why, **change_object(each), **beside}
    elif kept is None:
        for changes in applied.changes(table):
            for each in changes_of(name, _of_keys(changes, keys)):
                yield {**facts, "why": why, **change_object(each), **beside}


def _by(lost: Overruled, version: Version, decided: Sequence[Decision]) -> dict[str, Any]:
    """Who decided that an edit lost, and why; nobody where the spec did."""
    mine = [each for each in decided if each.ended_by == version.run_id and each.field in (lost.column, None)]
    made = next((each for each in sorted(mine, key=lambda each: each.field is None) if lost.rule == "decision"), None)
    return {"by": made and made.decided_by, "why": made and made.why}


def difference(
    spec: Spec, first: int, second: int, table: str | None = None, *, side: SideName = "target"
) -> list[tuple[str, ChangeSet]]:
    """What leads a side from one version to another, table by table, each row at most once; backwards where `second` is earlier.

    A table has one change set for each schema of rows that differ, as `net` makes them.
    """
    with ledger_of(spec) as ledger:
        for number in (first, second):
            if number:
                version_of(ledger, spec, number)
        versions = versions_after(ledger, spec, 0)
    store = store_of(spec)
    numbers = range(min(first, second) + 1, max(first, second) + 1)
    inside = [opened_version(store, v) for v in versions if v.side == side and v.version in numbers]
    tables = list(dict.fromkeys(name for each in inside for name in each.tables))
    if table is not None:
        own = table_of(spec, table, inside if side == "target" else ())
        wanted = own if side == "target" else on_source(spec, entry_name(spec, own), inside)
        tables = [name for name in tables if name == wanted]
    found = []
    for name in tables:
        parts = [part for each in inside for part in each.parts(name)]
        for changes in (net(parts) or [parts[-1].empty]) if parts else ():
            found.append((entry_name(spec, name, side), changes.inverse() if second < first else changes))
    return found


def overruled_between(spec: Spec, first: int, second: int, table: str | None = None) -> list[dict[str, Any]]:
    """The edits that versions behind one and up to another overruled, on both sides, each with the number of its version."""
    with ledger_of(spec) as ledger:
        versions = versions_after(ledger, spec, 0)
    numbers = range(min(first, second) + 1, max(first, second) + 1)
    wanted = None if table is None else entry_name(spec, table_of(spec, table))
    found = []
    for applied in (opened_version(store_of(spec), each) for each in versions if each.version in numbers):
        for name in applied.tables:
            if wanted in (None, applied.name_of(spec, name)):
                found += [{"version": applied.version.version, **each.as_dict()} for each in _lost(spec, applied, name)]
    return found


def changes_of(table: str, changes: ChangeSet) -> Iterator[Change]:
    """The changes of a set one by one: deletes, updates, inserts."""
    for op, before, after in (
        ("delete", changes.deletes, None), ("update", changes.before, changes.after), ("insert", None, changes.inserts),
    ):  # fmt: skip
        known = before if before is not None else after
        assert known is not None
        if not known.num_rows:
            continue
        keys = expressions.as_json_keys(known, changes.key).to_pylist()
        old = texts_of(before) if before is not None else [None] * len(keys)
        new = texts_of(after) if after is not None else [None] * len(keys)
        for key, was, now in zip(keys, old, new, strict=True):
            if was is not None and now is not None:
                names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
                yield Change(
                    table, op, key, {n: was[n] for n in names if n in was}, {n: now[n] for n in names if n in now}
                )
            else:
                yield Change(table, op, key, was, now)


def texts_of(rows: pa.Table) -> list[dict[str, str | None]]:
    columns = {name: as_text(contiguous(rows.column(name))).to_pylist() for name in rows.column_names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _of_keys(changes: ChangeSet, keys: Sequence[str]) -> ChangeSet:
    """Only the changes of some keys, all where none is named."""
    if not keys:
        return changes
    wanted = _spelled(keys)
    return filtered(
        changes, lambda rows: as_mask(pc.is_in(expressions.as_json_keys(rows, changes.key), value_set=wanted))
    )


def _spelled(keys: Sequence[str]) -> pa.Array:
    return pa.array([each for key in keys for each in spellings(key)], pa.string())


def _of_keys_alone(
    applied: AppliedVersion, table: TableName, name: str, keys: Sequence[str], limit: int | None
) -> Iterator[Change]:
    kept = archive.kept_keys(applied.plan.folder, table)
    if kept is None:
        return
    names = tuple(each for each in kept.column_names if each != archive.OP)
    texts = expressions.as_json_keys(kept, names)
    if keys:
        mask = pc.is_in(texts, value_set=_spelled(keys))
        kept, texts = kept.filter(mask), texts.filter(mask)
    pairs = zip(kept[archive.OP].to_pylist()[:limit], texts.to_pylist()[:limit], strict=True)
    for op, key in pairs:
        yield Change(name, op, key, None, None)


def _left_alone(rows: pa.Table, key: str) -> list[dict[str, Any]]:
    keys = pa.Table.from_struct_array(rows["key"])
    texts = expressions.as_json_keys(keys, tuple(keys.column_names))
    there = np.flatnonzero(pc.is_in(texts, value_set=_spelled([key])).to_numpy(zero_copy_only=False))
    return [
        {
            "op": rows["op"][int(at)].as_py(),
            "key": texts[int(at)].as_py(),
            "before": _image(rows["before"][int(at)]),
            "after": _image(rows["after"][int(at)]),
            "found": _image(rows["found"][int(at)]),
        }
        for at in there
    ]


def _image(value: pa.StructScalar) -> dict[str, str | None] | None:
    if not value.is_valid:
        return None
    return texts_of(pa.Table.from_struct_array(pa.array([value], value.type)))[0]
