"""Identity maps as people look at them, carry them elsewhere, and bring them back after a ledger was lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters import private
from adapters.ledger.identity import PAIRS, unusable
from adapters.ledger.ledger import Ledger
from adapters.store.plans import Plan
from flows.apply.identity import Windows, happened
from flows.bind.identity import IdentityMap
from flows.bind.tables import BoundTable
from flows.history.versions import opened_version, versions_after
from flows.plan.request import new_run_id
from flows.session.locking import sole_writer
from flows.session.scan import readable
from flows.session.session import Session, connect, with_binding
from flows.session.stores import ledger_of, store_of
from flows.spec.entries import entry_of
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms import expressions, keys
from transforms.mapping import casts
from transforms.vocabulary import Key, PlanError, Relation, SpecError, SynclineError
from transforms.vocabulary.arrow import contiguous


def listed(spec: Spec, table: str | None, limit: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """How many pairs there are by table, and the first of them, of one table or of all. SpecError for a table without a map."""
    names = [_name(spec, table)] if table is not None else _mapped(spec)
    with ledger_of(spec) as ledger:
        sizes = ledger.identities.sizes(spec.name) if ledger.there() else {}
        found = [
            {"table": name, **pair}
            for name in names
            if sizes.get(name)
            for pair in ledger.identities.pairs(spec.name, name, limit=limit).to_pylist()
        ]
    return {name: sizes.get(name, 0) for name in names}, found[:limit]


def exported(spec: Spec, table: str, file: Path) -> int:
    """Write the pairs of a table to a Parquet file (PAIRS); how many. SynclineError where the file cannot be written."""
    with ledger_of(spec) as ledger:
        pairs = ledger.identities.pairs(spec.name, _name(spec, table)) if ledger.there() else PAIRS.empty_table()
    try:
        private.make_file(file)
        pq.write_table(pairs, file)
    except OSError as error:
        raise SynclineError(f"{file} cannot be written: {error.strerror}.", fix="choose another file.") from error
    return int(pairs.num_rows)


def imported(spec: Spec, table: str, file: Path, *, replace: bool = False) -> int:
    """Take the pairs of a Parquet file (PAIRS) into a table's map, or make its map of them alone; how many they are.

    Errors: SynclineError where the file is none, a key has two partners, is none of its table, or has another partner in the map, and
    where the target does not have the row. Nothing is taken then.
    """
    try:
        with pq.ParquetFile(file) as opened:
            given = opened.read()
    except (OSError, pa.ArrowException) as error:
        raise SynclineError(
            f"{file} cannot be read as Parquet: {error}.", fix="give a file that `export` wrote."
        ) from error
    if not set(PAIRS.names) <= set(given.column_names):
        raise SynclineError(
            f"{file} has the columns {', '.join(given.column_names)}.",
            fix=f"give it {' and '.join(PAIRS.names)}, as `export` does.",
        )
    with _writing(spec, table) as opened_map:
        pairs = _canonical(
            given.select(PAIRS.names).cast(pa.schema([(name, pa.string()) for name in PAIRS.names])),
            opened_map.known,
            file,
        )
        opened_map.put(pairs, f"the pairs of {file}", replace=replace)
    return int(pairs.num_rows)


def rebuilt_from_column(spec: Spec, table: str, columns: Sequence[str]) -> int:
    """Make a table's map anew of columns of the target that hold the source's key; how many pairs it has.

    Rows with a null there have no partner. Errors: SynclineError where a key has two partners, or a value is no key of the source.
    """
    with _writing(spec, table) as opened_map:
        pairs = opened_map.of_columns(columns)
        opened_map.put(pairs, f"({', '.join(columns)}) of {opened_map.bound.shape.name}", replace=True)
    return int(pairs.num_rows)


def rebuilt_from_history(spec: Spec, table: str) -> int:
    """Make a table's map anew of what plans in the store say became of its pairs, without those whose row is gone; how many it has.

    The plans are those of the ledger's versions, and where it has none, those of the store that the target has markers of. Errors:
    PlanError where a plan cannot be read; SynclineError where a key has two partners.
    """
    with _writing(spec, table) as opened_map:
        pairs = opened_map.there(opened_map.of_history())
        opened_map.put(pairs, "the plans of the store", replace=True)
    return int(pairs.num_rows)


def _mapped(spec: Spec) -> list[str]:
    return [name for name, table in spec.tables.items() if table.identity is not None]


def _name(spec: Spec, table: str) -> str:
    name = entry_of(spec, table)
    if name not in _mapped(spec):
        raise SpecError(f"{name} has no identity map. {meant(name, _mapped(spec))}", fix="give it `key: {map: […]}`.")
    return name


@dataclass(frozen=True, slots=True)
class _Map:
    """A table's map that is about to be changed by the only writer of the migration."""

    session: Session
    ledger: Ledger
    bound: BoundTable
    known: IdentityMap
    run_id: str

    def put(self, pairs: pa.Table, what: str, *, replace: bool) -> None:
        """Take pairs in, all or none. Errors: as of `imported`."""
        name, migration = self.bound.name, self.session.spec.name
        if why := unusable(pairs):
            raise SynclineError(f"{what} make no identity map of {name}: {why}.", fix="give each key one partner.")
        if gone := pairs.num_rows - (there := self.there(pairs)).num_rows:
            lost = pairs.filter(
                pc.invert(pc.is_in(pairs["target_key"], value_set=there["target_key"].combine_chunks()))
            )
            raise SynclineError(
                f"{what}: of {gone:,} pairs {self.bound.shape.name} does not have the row, such as {lost['target_key'][0].as_py()}.",
                fix="leave them out.",
            )
        identities = self.ledger.identities
        if replace:
            identities.replace(migration, name, pairs, self.run_id)
            return
        known = identities.pairs(migration, name)
        every = pa.concat_tables([known, pairs.cast(PAIRS)]).group_by(PAIRS.names).aggregate([]).cast(PAIRS)
        if why := unusable(every):
            raise SynclineError(
                f"{what} do not fit the identity map of {name}: {why}.",
                fix="mend them, or give --replace, which forgets what is known.",
            )
        identities.record(migration, name, pairs, PAIRS.empty_table(), self.run_id)

    def there(self, pairs: pa.Table) -> pa.Table:
        """Those pairs whose row the target has."""
        if not pairs.num_rows:
            return pairs
        texts = self._rows(self.known.key)
        return pairs.filter(
            pc.is_in(pairs["target_key"], value_set=contiguous(expressions.as_json_keys(texts, self.known.key)))
        )

    def of_columns(self, names: Sequence[str]) -> pa.Table:
        """The pairs that columns of the target say."""
        known, shape = self.known, self.bound.shape
        for name in names:
            if (column := shape.column(name)) is None or column.refused:
                raise SpecError(f"{shape.name} has no column {name} that can be read. {meant(name, shape.names)}")
        if len(names) != len(known.by):
            raise SpecError(
                f"The source's key has {len(known.by)} columns ({', '.join(known.by)}).",
                fix="name as many, in that order.",
            )
        rows = self._rows(tuple(dict.fromkeys([*known.key, *names])))
        made = []
        for name, column in zip(names, known.source, strict=True):
            given = contiguous(rows.column(name))
            result = casts.cast(given, casts.Cast(column.type, column.meaning))
            if result.bad.any():
                value = given.filter(pa.array(result.bad))[0].as_py()
                raise SynclineError(
                    f"{shape.name}.{name}: {value!r} is no {column.name} of the source.", fix="mend the column."
                )
            made.append(contiguous(result.values))
        of_source = pa.Table.from_arrays(made, names=list(known.by))
        whole = pa.array(~keys.null_keys(of_source, known.by))
        texts = (expressions.as_json_keys(of_source, known.by), expressions.as_json_keys(rows, known.key))
        return pa.table([each.cast(pa.string()) for each in texts], PAIRS.names).filter(whole).cast(PAIRS)

    def of_history(self) -> pa.Table:
        """The pairs that began or met and did not end, as the applied plans say."""
        last = PAIRS.empty_table()
        for plan, windows in self._applied():
            pairs = happened(plan, self.bound.shape.name, windows)
            ends = pc.equal(pairs["does"], "ends")
            for some in (pairs, pairs.filter(pc.invert(ends))):
                gone = [pc.is_in(last[name], value_set=some[name].combine_chunks()) for name in PAIRS.names]
                last = last.filter(pc.invert(pc.and_(*gone) if some is pairs else pc.or_(*gone)))
            last = pa.concat_tables([last, pairs.filter(pc.invert(ends)).select(PAIRS.names).cast(PAIRS)])
        return last

    def _applied(self) -> Iterator[tuple[Plan, Windows | None]]:
        """The applied plans, oldest first, with the windows that are in where not all are."""
        spec, store, target = self.session.spec, store_of(self.session.spec), self.session.sides.target.adapter
        if versions := versions_after(self.ledger, spec, 0):
            for applied in (opened_version(store, version) for version in versions):
                windows = applied.version.windows
                yield (
                    applied.plan,
                    None if windows is None else {(table, number, phase) for table, number, phase in windows},
                )
            return
        plans = [Plan.open(folder, only="identity") for folder in store.plans()]
        mine = [plan for plan in plans if plan.manifest.migration == spec.name and plan.manifest.side == "target"]
        for plan in sorted(mine, key=lambda plan: plan.manifest.created_at):
            if markers := target.applied(plan.manifest.id):
                yield plan, {(marker.table, marker.window, marker.phase) for marker in markers}

    def _rows(self, names: Key) -> pa.Table:
        target, shape = self.session.sides.target.adapter, self.bound.shape
        if self.bound.ddl:
            return shape.schema(names).empty_table()
        with target.snapshot() as snapshot:
            batches = list(
                readable(snapshot.scan(Relation(shape.name), list(names)), shape.name, "target", self.known.key)
            )
        return (
            pa.Table.from_batches(batches, schema=shape.schema(names)) if batches else shape.schema(names).empty_table()
        )


@contextmanager
def _writing(spec: Spec, table: str) -> Iterator[_Map]:
    now = datetime.now(UTC)
    with connect(spec) as session, ledger_of(spec) as ledger:
        session = with_binding(session)
        run_id = new_run_id(now)
        bound = session.bound.table(_name(session.spec, table))
        assert bound.identity_map is not None, "its name was looked up"
        with sole_writer(session, ledger, run_id, lambda: datetime.now(UTC), 0) as writing:
            if any(run.plans for run in ledger.cut_off(spec.name)):
                raise PlanError(
                    "A run was cut off while it wrote: what it pairs is not in the map yet.",
                    fix="run the migration once, which ends it.",
                )
            yield _Map(writing, ledger, bound, bound.identity_map, run_id)


def _canonical(given: pa.Table, known: IdentityMap, file: Path) -> pa.Table:
    """Pairs as they are written here. SynclineError for a text that is no key."""
    made = []
    for name, columns, key in zip(PAIRS.names, (known.source, known.target), (known.by, known.key), strict=True):
        texts = contiguous(given.column(name))
        try:
            rows = expressions.from_json_keys(texts, pa.schema([(column.name, column.type) for column in columns]))
        except Exception as error:  # DuckDB's own, of a text that is no JSON
            raise SynclineError(
                f"{file}: {name} holds a text that is no JSON: {error}.", fix="write keys as JSON arrays."
            ) from error
        bad = keys.null_keys(rows, key)
        if bad.any():
            wrong = texts.filter(pa.array(bad))[0].as_py()
            raise SynclineError(
                f"{file}: {name} {wrong} is no key ({', '.join(key)}).", fix="write keys as JSON arrays."
            )
        made.append(expressions.as_json_keys(rows, key).cast(pa.string()))
    return pa.table(made, PAIRS.names).cast(PAIRS)
