"""Trees: a root row, and all that hangs below it on either side, as keys of each table.

A row hangs below another one where, on the side that it is on, it refers to that one by a link of the tables (`flows/bind/links.py`).
A key that hangs in the tree on one side is looked at on both: so a row that moved into the tree or out of it is planned as the
update that it is, and one that only the target has is one to be deleted. Level by level only keys and references are read, by
indexes, until nothing new comes, however deep rows refer to their own table or go in a circle.

Rows of tables that are `apart` have another key on each side. There it is the row that the other side has of one that is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from flows.bind.links import Link
from flows.plan.trees.tree_rows import SideRows
from transforms import keys
from transforms.vocabulary import Key, SideName
from transforms.vocabulary.arrow import Mask

Partners = Callable[[SideName, str, pa.Table], pa.Table]
"""The rows that the other side has of some rows of one side of a table."""


@dataclass(slots=True)
class Hanging:
    """What hangs in a tree: the keys of each table, and of each side the rows that were read, with their references.

    `key_of` has the columns of the key of each table, parents first: a table comes once all rows above it are known, if it can. Of
    tables that are `apart` it is the target's, and `keys` has none of them: `partners` lead from one side to the other.
    """

    key_of: Mapping[str, Key]
    links: Sequence[Link]
    sides: Sequence[SideRows]
    apart: Collection[str] = ()
    partners: Partners | None = None
    keys: dict[str, pa.Table] = field(default_factory=dict)
    rows: dict[tuple[SideName, str], list[pa.Table]] = field(default_factory=dict)
    _waiting: dict[str, list[pa.Table]] = field(default_factory=dict)
    _met: dict[tuple[SideName, str], list[pa.Table]] = field(default_factory=dict)
    _seen: dict[tuple[SideName, str], pa.Table] = field(default_factory=dict)

    def grow(self, roots: Mapping[str, pa.Table]) -> None:
        """Take in the rows with some keys, and all that hang below them. Of tables that are apart, `begin` names the rows."""
        for table, wanted in roots.items():
            self._waiting.setdefault(table, []).append(wanted)
        while following := next((name for name in self.key_of if any(self._due(name))), None):
            if following in self.apart:
                for side in self.sides:
                    self._step_apart(side, following)
                continue
            new = self._new(following, self._waiting.pop(following))
            if new.num_rows:
                for side in self.sides:
                    self._below(side, following, self._rows_of(side, following, new))

    def begin(self, side: SideName, table: str, rows: pa.Table) -> None:
        """Rows of a side of a table that is apart, which are taken in with the next that grow."""
        if rows.num_rows:
            self._met.setdefault((side, table), []).append(rows)

    def add(self, table: str, wanted: pa.Table) -> list[pa.Table]:
        """Take in the rows of the source, and nothing that hangs below them; those that are new."""
        before = len(self.rows.get(("source", table), ()))
        if table in self.apart:
            self._unseen("source", table, [wanted])
        else:
            new = self._new(table, [wanted.select(list(self.key_of[table]))])
            for side in self.sides if new.num_rows else ():
                self._rows_of(side, table, new)
        return self.rows.get(("source", table), [])[before:]

    def there(self, table: str, wanted: pa.Table) -> pa.Table:
        """Those of some keys that a side has a row of. What was read of it is not read again."""
        found = pa.concat_tables(self._met_now(table, wanted))
        return wanted.filter(pa.array(keys.contained(wanted, found, self.key_of[table])))

    def on_both(self, table: str, wanted: pa.Table) -> Mask:
        """Which of some keys every side has a row of. What was read of it is not read again."""
        found = np.ones(wanted.num_rows, dtype=bool)
        for rows in self._met_now(table, wanted):
            found &= keys.contained(wanted, rows, self.key_of[table])
        return found

    def _met_now(self, table: str, wanted: pa.Table) -> list[pa.Table]:
        """Of each side the keys of its rows with some keys; the rows wait to be taken in."""
        found = []
        for side in self.sides:
            rows = side.of(table, wanted)
            self._met.setdefault((side.side, table), []).append(rows)
            found.append(rows.select(list(self.key_of[table])))
        return found

    def side_rows(self, side: SideName, table: str) -> pa.Table | None:
        """The rows of a table in the tree that were read of a side; None where there are none."""
        parts = self.rows.get((side, table))
        return pa.concat_tables(parts) if parts else None

    def _due(self, table: str) -> Iterator[bool]:
        yield table in self._waiting
        if table in self.apart:
            yield from (bool(self._met.get((side.side, table))) for side in self.sides)

    def _new(self, table: str, wanted: Sequence[pa.Table]) -> pa.Table:
        """Those of some keys that are not known yet; they are from now on."""
        new = keys.distinct(pa.concat_tables(wanted))
        known = self.keys.get(table)
        if known is not None:
            new = new.filter(pa.array(~keys.contained(new, known, _names(new)))) if new.num_rows else new
            self.keys[table] = pa.concat_tables([known, new])
        else:
            self.keys[table] = new
        return new

    def _unseen(self, side: SideName, table: str, parts: Sequence[pa.Table]) -> pa.Table:
        """Those of some rows of a side of a table that is apart that are not known yet; they are from now on."""
        key = next(each.key(table) for each in self.sides if each.side == side)
        rows, known = pa.concat_tables(parts), self._seen.get((side, table))
        if known is not None and rows.num_rows:
            rows = rows.filter(pa.array(~keys.contained(rows, known, key)))
        if rows.num_rows:
            new = keys.distinct(rows.select(list(key)))
            self._seen[side, table] = new if known is None else pa.concat_tables([known, new])
            self.rows.setdefault((side, table), []).append(rows)
        return rows

    def _step_apart(self, side: SideRows, table: str) -> None:
        """The rows right below those of a side that are new wait from now on, and so do those that the other side has of them."""
        assert self.partners is not None, "something leads from one side to the other"
        met = self._met.pop((side.side, table), None)
        rows = self._unseen(side.side, table, met) if met else None
        if rows is None or not rows.num_rows:
            return
        self._below(side, table, rows)
        other = next(each for each in self.sides if each is not side)
        self.begin(other.side, table, self.partners(side.side, table, rows))

    def _below(self, side: SideRows, table: str, rows: pa.Table) -> None:
        """The rows right below some rows wait from now on."""
        for link in self.links:
            if link.parent != table or not rows.num_rows:
                continue
            found = side.below(link, rows)
            if found.num_rows:
                self._met.setdefault((side.side, link.child), []).append(found)
                if link.child not in self.apart:
                    self._waiting.setdefault(link.child, []).append(found.select(list(self.key_of[link.child])))

    def _rows_of(self, side: SideRows, table: str, new: pa.Table) -> pa.Table:
        """The rows of a side with some keys: those that were met on the way here, and the others, which are read now."""
        names, place = _names(new), (side.side, table)
        parts = []
        missing = new
        if met := self._met.pop(place, None):
            rows = pa.concat_tables(met)
            rows = rows.filter(pa.array(keys.contained(rows, new, names)))
            parts.append(rows)
            missing = new.filter(pa.array(~keys.contained(new, rows, names))) if rows.num_rows else new
        if missing.num_rows:
            known = side.known(table, missing)
            parts.append(known if known is not None else side.of(table, missing))
        rows = pa.concat_tables(parts)
        self.rows.setdefault(place, []).append(rows)
        return rows


def _names(rows: pa.Table) -> Key:
    return tuple(rows.column_names)
