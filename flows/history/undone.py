"""What an undo takes back: the changes of versions, all of them or those of rows of trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from adapters.store.manifest import PlannedTable
from flows.history.taken_back import TakenBack, among
from flows.history.versions import AppliedVersion
from transforms.net_changes import filtered, net, with_effect
from transforms.vocabulary import ChangeSet, Notice, TableName
from transforms.vocabulary.arrow import Mask

WINDOW_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo takes back: versions, oldest first. `drop`: tables that they created go too, where they are empty then.

    `source_mark` names the state of the source that the target comes back to. `taken` is what was taken back of a single version
    already, None where nothing was. `tree` has by table the keys of the rows that are taken back, None: all rows.
    """

    versions: tuple[AppliedVersion, ...]
    drop: bool = False
    source_mark: str | None = None
    taken: TakenBack | None = None
    tree: Mapping[TableName, pa.Table] | None = None

    @property
    def numbers(self) -> list[int]:
        return [each.version.version for each in self.versions]

    @property
    def partly(self) -> bool:
        """Whether rows that the versions changed may be left out."""
        return self.tree is not None or self.taken is not None

    @property
    def tables(self) -> list[TableName]:
        """All that the versions wrote or created, as far as rows of it are taken back."""
        written = dict.fromkeys(table for each in self.versions for table in each.tables)
        return [table for table in written if self.tree is None or table in self.tree]

    def changes(self, table: TableName) -> list[ChangeSet]:
        """What the versions did to the rows of a table that are taken back, oldest first."""
        alone = len(self.versions) == 1
        found = []
        for each in self.versions:
            for changes in each.changes(table) if alone else each.parts(table):
                found.append(self._chosen(each, changes) if self.partly else changes)
        return [changes for changes in found if len(changes)]

    def windows(self, changes: Sequence[ChangeSet]) -> Iterator[ChangeSet]:
        """The inverse of `changes`, in parts that one transaction each can take."""
        if len(self.versions) == 1:
            for each in map(with_effect, changes):
                if len(each):
                    yield each.inverse()
            return
        deletes, updates, inserts = [], [], []
        for back in [each.inverse() for each in map(with_effect, net(changes))] if changes else ():
            none = back.empty
            deletes += [replace(none, deletes=part) for part in _sliced(back.deletes)]
            pairs = zip(_sliced(back.before), _sliced(back.after), strict=True)
            updates += [replace(none, before=before, after=after) for before, after in pairs]
            inserts += [replace(none, inserts=part) for part in _sliced(back.inserts)]
        # deletes first, so that unique values are free before they are given again
        yield from [*deletes, *updates, *inserts]

    def making(self, table: TableName) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is to be made again before the rows, and what made the table that is to be dropped after them."""
        ddl: tuple[str, ...] = ()
        drop: tuple[str, ...] = ()
        for each in self.versions:
            if (planned := each.planned_table(table)) is None:
                continue
            if planned.drop and not drop:
                ddl = ddl or planned.drop
            elif self.drop and not ddl:
                drop = drop or _created(planned)
        return ddl, drop

    def notices(self) -> Iterator[Notice]:
        for each in self.versions:
            if each.version.windows is not None:
                number, windows = each.version.version, len(each.version.windows)
                text = f"Version {number} was cut off: the {windows} windows that are in are taken back."
                yield Notice("cut_off_version", text, facts={"version": number, "windows": windows})

    def _chosen(self, version: AppliedVersion, changes: ChangeSet) -> ChangeSet:
        table, key = changes.table, changes.key

        def chosen(rows: pa.Table) -> Mask:
            found = np.ones(rows.num_rows, dtype=bool) if self.tree is None else among(rows, self.tree[table], key)
            return found if self.taken is None else found & ~self.taken.of(version.version.version, table, rows, key)

        return filtered(changes, chosen)


def _sliced(rows: pa.Table) -> Iterator[pa.Table]:
    return (rows.slice(start, WINDOW_ROWS) for start in range(0, rows.num_rows, WINDOW_ROWS))


def _created(planned: PlannedTable) -> tuple[str, ...]:
    """The statements by which a plan made a table, with its foreign keys and indexes; none where it was there."""
    if not any(statement.lstrip().upper().startswith("CREATE TABLE") for statement in planned.ddl):
        return ()
    return (*planned.ddl, *(statement for statement in planned.after_load if statement not in planned.ddl))
