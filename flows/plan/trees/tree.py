"""Trees: a root row, and all that hangs below it on either side, as keys of each table.

A row hangs below another one where, on the side that it is on, it refers to that one by a link of the tables (`flows/bind/links.py`).
A key that hangs in the tree on one side is looked at on both: so a row that moved into the tree or out of it is planned as the
update that it is, and one that only the target has is one to be deleted. Level by level only keys and references are read, by
indexes, until nothing new comes, however deep rows refer to their own table or go in a circle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from flows.bind.links import Link
from flows.plan.trees.tree_rows import SideRows
from transforms import keys
from transforms.vocabulary import Key, SideName


@dataclass(slots=True)
class Hanging:
    """What hangs in a tree: the keys of each table, and of each side the rows that were read, with their references.

    `key_of` has the columns of the key of each table, parents first: a table comes once all rows above it are known, if it can.
    """

    key_of: Mapping[str, Key]
    links: Sequence[Link]
    sides: Sequence[SideRows]
    keys: dict[str, pa.Table] = field(default_factory=dict)
    rows: dict[tuple[SideName, str], list[pa.Table]] = field(default_factory=dict)
    _waiting: dict[str, list[pa.Table]] = field(default_factory=dict)
    _met: dict[tuple[SideName, str], list[pa.Table]] = field(default_factory=dict)

    def grow(self, roots: Mapping[str, pa.Table]) -> None:
        """Take in the rows with some keys, and all that hang below them."""
        for table, wanted in roots.items():
            self._waiting.setdefault(table, []).append(wanted)
        while following := next((name for name in self.key_of if self._waiting.get(name)), None):
            new = self._new(following, self._waiting.pop(following))
            if new.num_rows:
                self._step(following, new)

    def add(self, table: str, wanted: pa.Table) -> None:
        """Take in the rows with some keys, and nothing that hangs below them."""
        new = self._new(table, [wanted])
        if new.num_rows:
            for side in self.sides:
                self._rows_of(side, table, new)

    def there(self, table: str, wanted: pa.Table) -> pa.Table:
        """Those of some keys that a side has a row of. What was read of it is not read again."""
        found = []
        for side in self.sides:
            rows = side.of(table, wanted)
            self._met.setdefault((side.side, table), []).append(rows)
            found.append(rows.select(list(self.key_of[table])))
        return wanted.filter(pa.array(keys.contained(wanted, pa.concat_tables(found), self.key_of[table])))

    def side_rows(self, side: SideName, table: str) -> pa.Table | None:
        """The rows of a table in the tree that were read of a side; None where there are none."""
        parts = self.rows.get((side, table))
        return pa.concat_tables(parts) if parts else None

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

    def _step(self, table: str, new: pa.Table) -> None:
        """The rows right below those with some keys wait from now on."""
        for side in self.sides:
            rows = self._rows_of(side, table, new)
            for link in self.links:
                if link.parent != table or not rows.num_rows:
                    continue
                found = side.below(link, rows)
                if found.num_rows:
                    self._met.setdefault((side.side, link.child), []).append(found)
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
