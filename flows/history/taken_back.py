"""What later versions took back of a version: all of it, or rows of trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from adapters.ledger.ledger import Ledger, Version
from adapters.store import archive
from adapters.store.layout import Store
from flows.history.versions import opened_version
from flows.session.stores import store_of
from flows.spec.model import Spec
from transforms import keys
from transforms.net_changes import changed_keys
from transforms.vocabulary import Key, SpecError, TableName
from transforms.vocabulary.arrow import Mask


def now_taken_back(ledger: Ledger, spec: Spec, number: int, tree: Sequence[str]) -> Version | None:
    """The version that an undo which was cut off has become: it took back all of one, or what that did to the rows of just these trees."""
    if not tree:
        return taken_back(ledger, spec, number)
    newest = next(iter(ledger.versions(spec.name)), None)
    same = newest is not None and number in (newest.undoes or ()) and list(newest.tree or ()) == list(tree)
    return newest if same else None


def taken_back(ledger: Ledger, spec: Spec, number: int) -> Version | None:
    """The version that took all of one back and was not taken back itself; None where rows of it were left alone, or where rows of
    trees were taken back or brought back by others."""
    void: set[int] = set()
    touched: set[int] = set()  # by what takes back rows of trees
    found = None
    versions = ledger.versions(spec.name)  # newest first
    for version in versions:
        if not version.undoes or version.version in void:
            continue
        if version.tree:
            touched |= set(version.undoes)
            continue
        void |= set(version.undoes)
        if found is None and number in version.undoes:
            found = version
    if found is None or found.version in touched:
        return None
    for version in versions:
        of_trees = version.tree and number in (version.undoes or ()) and version.version < found.version
        if of_trees and version.version in void | touched:
            return None  # what it had taken back, the whole undo passed over
    run = ledger.run(found.run_id)
    return None if run and run.status == "conflicts" else found


def already(number: int, by: Sequence[int]) -> SpecError:
    """A version has nothing left that could be taken back."""
    named = " and ".join(map(str, by))
    return SpecError(
        f"Version {number} is taken back already, by version {named}.", fix=f"undo {named} to bring it back."
    )


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Row by row, what versions took back of others. `by` has for each version those that took it back or a part of it."""

    store: Store
    by: Mapping[int, Sequence[Version]]
    _known: dict[tuple[int, TableName], tuple[pa.Table | None, pa.Table | None]] = field(default_factory=dict)

    @classmethod
    def known(cls, ledger: Ledger, spec: Spec, numbers: Sequence[int]) -> TakenBack | None:
        """What later versions took back of some; None where no trees have to do with it, so that versions went as a whole."""
        versions = ledger.versions(spec.name)
        by: dict[int, list[Version]] = {}
        for version in versions:
            for undone in version.undoes or ():
                by.setdefault(undone, []).append(version)
        about: list[Version] = []
        waiting = [*numbers]
        while waiting:
            more = by.get(waiting.pop(), [])
            about += more
            waiting += [each.version for each in more]
        return cls(store_of(spec), by) if any(each.tree for each in about) else None

    def of(self, number: int, table: TableName, rows: pa.Table, key: Key) -> Mask:
        """Which rows of a table, that a version changed, are as if it had not. Errors: PlanError where a plan is missing."""
        found = np.zeros(rows.num_rows, dtype=bool)
        for version in self.by.get(number, ()):
            found |= self._took(version, table, rows, key) & ~self.of(version.version, table, rows, key)
        return found

    def versions(self, number: int) -> tuple[int, ...]:
        """Those that took back a version, or a part of it, oldest first."""
        return tuple(sorted(each.version for each in self.by.get(number, ())))

    def _took(self, version: Version, table: TableName, rows: pa.Table, key: Key) -> Mask:
        """Which rows a version took back, had it not been taken back itself."""
        place = (version.version, table)
        if place not in self._known:
            self._known[place] = _rows_of(self.store, version, table)
        only, left = self._known[place]
        found = np.ones(rows.num_rows, dtype=bool) if only is None else among(rows, only, key)
        return found if left is None else found & ~among(rows, left, key)


def _rows_of(store: Store, version: Version, table: TableName) -> tuple[pa.Table | None, pa.Table | None]:
    """The keys of a table that an undo was about, None: all; and those that it left as they were, None: none."""
    applied = opened_version(store, version)
    only = list(applied.plan.undone_keys(table)) if applied.plan.manifest.partly else None
    if version.windows is not None:  # it was cut off
        only = [changed_keys(changes) for changes in applied.changes(table)]
    left = [
        pa.Table.from_struct_array(rows["key"]) for rows in archive.all_noted(applied.plan.folder, "applied", table)
    ]
    return None if only is None else _joined(only), _joined(left) if left else None


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts) if parts else pa.table({})


def among(rows: pa.Table, some: pa.Table, key: Key) -> Mask:
    """Which rows have one of some keys, which may be of other types."""
    if not rows.num_rows or not some.num_rows:
        return np.zeros(rows.num_rows, dtype=bool)
    like = pa.schema([rows.schema.field(name) for name in key])
    return keys.contained(rows, some.select(list(key)).cast(like), key)
