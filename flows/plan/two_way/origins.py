"""A table of the source that several two-way tables of a plan show: what each of them changes in it, for the others to see.

The tables are planned one after the other. Each finds the origin as those before it leave it, and what it changes is on top of theirs;
those that were planned before it are planned again, and follow. So two edits of one column are a conflict like any other, what one
projection brings is on all others, and each row of the source changes once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pyarrow as pa

from adapters.store import spill
from adapters.store.changesets import change_set, change_table
from flows.bind.mirror import projections
from flows.bind.tables import Binding, BoundTable
from flows.plan.two_way.reading import raw_schema
from flows.session.session import Job
from flows.spec.model import Spec
from transforms.changes_in_turn import joined, latest
from transforms.net_changes import filtered
from transforms.vocabulary import ChangeSet, Key, Problem
from transforms.vocabulary.arrow import Mask

Inside = Callable[[pa.Table], Mask]
"""Which rows are wanted, by the columns of their key in the source."""


@dataclass(slots=True)
class Origin:
    """One of those: `entry` is its name in the binding of the source, `like` a change set without rows of all that is read of it.

    `shows` has for each of its projections, in the order in which they are planned, the columns of it that rows go back to.
    """

    entry: str
    like: ChangeSet
    folder: Path
    shows: Mapping[str, frozenset[str]]
    _windows: dict[str, int] = field(default_factory=dict)
    _files: dict[str, dict[int, _File]] = field(default_factory=dict)
    _turns: Counter[str] = field(default_factory=Counter)
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.like.key

    def before(self, name: str) -> Sequence[str]:
        """The projections that are planned before one."""
        names = list(self.shows)
        return names[: names.index(name)]

    def after(self, name: str) -> Sequence[str]:
        """Those that are planned after it."""
        names = list(self.shows)
        return names[names.index(name) + 1 :]

    def begin(self, name: str, windows: int) -> None:
        """A projection is about to be planned, in so many windows, with what the others have changed by now."""
        self._windows[name] = windows
        self._seen[name] = self._others(name)

    def number(self, name: str, window: int) -> int:
        """What the window of a projection is called among those of the origin's changes."""
        return sum(self._windows[each] for each in self.before(name)) + window

    def outdated(self) -> Iterator[str]:
        """The projections of which others have changed something since they were planned."""
        for name in self.shows:
            if self._seen[name] != self._others(name):
                yield name

    def changes(self, names: Sequence[str], inside: Inside | None = None) -> ChangeSet:
        """What some projections make of rows of the origin, of each from what it was before any. Memory: those rows."""
        found = self.like
        for name in names:
            mine = self.like
            for each in self._files.get(name, {}).values():
                some = change_set(spill.read_rows(each.path), self.like.table)
                mine = joined(mine, some if inside is None else filtered(some, inside))
            found = latest(found, mine)
        return found

    def keep(self, name: str, window: int, changes: ChangeSet) -> None:
        """Note what a window of a projection makes of the origin's rows, on top of those before it."""
        files = self._files.setdefault(name, {})
        old = files.get(window)
        if old is None and not len(changes):
            return
        rows, sink = change_table(changes), pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows)
        digest = hashlib.sha256(sink.getvalue()).digest()
        if old is not None and old.digest == digest:
            return
        path = self.folder / quote(name, safe="") / f"{window:06d}.arrow"
        spill.write_rows(path, [rows], rows.schema)
        files[window] = _File(path, digest)
        self._turns[name] += 1

    def _others(self, name: str) -> tuple[int, ...]:
        return tuple(self._turns[each] for each in self.shows if each != name)


class _File(NamedTuple):
    path: Path
    digest: bytes


def origins_of(tables: Sequence[BoundTable], there: Binding, job: Job) -> dict[str, Origin]:
    """The origins that several tables of a plan are made of, by the name of each of these. In: the tables as they are planned, parents
    first, and the binding of the source."""
    found: dict[str, Origin] = {}
    for entry, mine in projections(tables).items():
        if len(mine) == 1:
            continue
        origin, schema = there.table(entry), raw_schema(mine[0])
        none = schema.empty_table()
        like = ChangeSet(origin.shape.name, origin.key, tuple(schema.names), none, none, none, none)
        shows = {each.name: _shown(each) for each in mine}
        made = Origin(entry, like, job.work / "origins" / quote(entry, safe=""), shows)
        found |= dict.fromkeys(shows, made)
    return found


def unfit(binding: Binding, spec: Spec) -> Iterator[Problem]:
    """Why tables that are made of one of the source cannot be planned together."""
    for tables in projections(binding.tables).values():
        for bound in tables[1:]:
            first, two_way = tables[0], bound.two_way
            where = spec.where("tables", bound.name, "key")
            assert two_way is not None and first.two_way is not None, "both go both ways"
            if any(each.identity_map is not None or each.looks_into_itself for each in (first, bound)):
                what = f"{first.name} is made of the same table of the source, and one of both has an identity map, or looks into itself."
                yield Problem(what, "write `direction: one_way` for one of them.", where, bound.name)
            elif two_way.source_key != first.two_way.source_key:
                what = (
                    f"its key goes back to {', '.join(two_way.source_key)} of the source, and that of {first.name}, which is made of the "
                    f"same table, to {', '.join(first.two_way.source_key)}."
                )
                yield Problem(what, "give both the same key, or write `direction: one_way` for one.", where, bound.name)


def _shown(bound: BoundTable) -> frozenset[str]:
    assert bound.two_way is not None, "it goes both ways"
    return frozenset(name for way in bound.two_way.ways.values() if not way.why_not for name in way.writes)
