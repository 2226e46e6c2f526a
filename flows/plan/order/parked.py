"""Values that nobody has, for unique columns of rows that are between two values: the same ones whenever a plan is made."""

from __future__ import annotations

import datetime as dt
import hashlib
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa

from adapters.protocol import Snapshot, Target
from flows.plan.references.referrers import compared
from flows.session.scan import readable
from transforms import expressions, keys
from transforms.vocabulary import ChangeSet, ColumnShape, Key, PlanError, Relation, TableName, TableShape
from transforms.vocabulary.arrow import Indices, Mask

TRIES: Final = 12  # values that a column is tried with
MARK: Final = "syncline:"
DIGITS: Final = 24  # of a digest that stand behind it
ALIKE: Final = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
FIRST: Final = dt.datetime(2000, 1, 1)
LAST: Final = dt.datetime(9999, 12, 30)  # a day less, so that it is one in every time zone


@dataclass
class Parking:
    """Finds values for rows of a table that give theirs up before they get new ones.

    Null first, where a column may be null and nulls are no duplicates; then a value that shows what it is, and then values like
    the old one: with letters for its letters and digits for its digits. None that the table refuses, that the target holds, that
    the plan writes (`given`), or that another row has got here.
    """

    target: Target
    snapshot: Snapshot
    shape: TableShape
    key: Key
    uniques: Sequence[Key]
    related: Mapping[TableName, TableShape]
    given: Callable[[Key], pa.Table]
    _taken: dict[Key, list[pa.Table]] = field(default_factory=dict)

    def parked(self, rows: pa.Table, needed: Mapping[Key, Mask]) -> pa.Table:
        """The rows with other values in as few columns as it takes, so that what is `needed` of each is free.

        Errors: PlanError, which names the first row that has no other value to go to.
        """
        found, moved = rows, {name: np.zeros(rows.num_rows, dtype=bool) for name in rows.column_names}
        for unique, mask in needed.items():
            waiting = mask & ~np.logical_or.reduce([moved[name] for name in unique])
            for column, attempt in self._choices(unique):
                if not waiting.any():
                    break
                places = np.flatnonzero(waiting)
                old = found.take(pa.array(places))
                tried = self._with_values(old, column, attempt)
                good = self._accepted(old, tried, column.name)
                found = put(found, places[good], tried.filter(pa.array(good)))
                moved[column.name][places[good]] = True
                waiting[places[good]] = False
            if waiting.any():
                raise self._stuck(rows.filter(pa.array(waiting)), unique)
        return found

    def _choices(self, unique: Key) -> Iterator[tuple[ColumnShape, int | None]]:
        """Columns to try, and with which attempt; with null where that is None."""
        linked = {name for each in self.shape.foreign_keys for name in each.columns}
        every = [column for name in unique if (column := self.shape.column(name)) is not None and self._free(column)]
        loose = [column for column in every if column.name not in linked]
        if frozenset(unique) not in self.shape.nulls_alike:
            yield from ((column, None) for column in (*loose, *every) if column.nullable)
        yield from ((column, attempt) for column in loose for attempt in range(TRIES))

    def _free(self, column: ColumnShape) -> bool:
        """Whether a column can be given another value: nobody finds the row by it, and the engine does not compute it."""
        foreign = (
            each for shape in self.related.values() for each in shape.foreign_keys if each.refers == self.shape.name
        )
        referred = {name for each in foreign for name in each.refers_columns}
        return not (column.name in self.key or column.name in referred or column.generated or column.identity)

    def _with_values(self, rows: pa.Table, column: ColumnShape, attempt: int | None) -> pa.Table:
        place = rows.column_names.index(column.name)
        kind = rows.schema.field(place)
        if attempt is None:
            return rows.set_column(place, kind, pa.nulls(rows.num_rows, kind.type))
        named = expressions.as_json_keys(rows, self.key).to_pylist()
        digests = [_digest(f"{self.shape.name} {column.name} {key} {attempt}") for key in named]
        olds = [None] * len(named) if pa.types.is_temporal(kind.type) else rows.column(place).to_pylist()
        values = [_value(column, kind.type, old, digest, attempt) for old, digest in zip(olds, digests, strict=True)]
        return rows.set_column(place, kind, pa.array(values, kind.type))

    def _accepted(self, rows: pa.Table, tried: pa.Table, name: str) -> Mask:
        """Which rows may hold the values that are tried in a column. Those are taken then."""
        good = np.ones(tried.num_rows, dtype=bool)
        if tried.column(name).null_count < tried.num_rows:
            good &= ~keys.null_keys(tried, (name,))  # of this type no value is known
            for unique in self.uniques:
                if name in unique:
                    good &= ~self._known(tried, unique)
        changes = ChangeSet(self.shape.name, self.key, (), rows.slice(0, 0), rows, tried, rows.slice(0, 0))
        good[list(self.target.refused(self._designed, changes))] = False
        for unique in self.uniques:
            if name in unique:
                whole = good & ~keys.null_keys(tried, unique)
                self._taken.setdefault(unique, []).append(self._compared(tried.filter(pa.array(whole)), unique))
        return good

    def _known(self, tried: pa.Table, unique: Key) -> Mask:
        """Which rows have values that another row has or gets."""
        values = self._compared(tried, unique)
        names = tuple(values.column_names)
        whole = ~keys.null_keys(values, names)
        found = np.zeros(tried.num_rows, dtype=bool)
        if whole.any():
            asked = values.filter(pa.array(whole))
            wanted = tried.filter(pa.array(whole)).select(list(unique)).cast(self.shape.schema(unique))
            there = self.snapshot.scan(Relation(self.shape.name), unique, keys=keys.distinct(wanted))
            batches = list(readable(there, self.shape.name, "target", unique))
            held = [self._compared(pa.Table.from_batches(batches), unique)] if batches else []
            others = [*held, self.given(unique), *self._taken.get(unique, ())]
            others = [keys.without_null_keys(each.cast(asked.schema), names) for each in others]
            codes = keys.codes([asked], names)[0]
            first = np.zeros(len(codes), dtype=bool)
            first[np.unique(codes, return_index=True)[1]] = True
            found[whole] = ~first | keys.contained(asked, pa.concat_tables(others), names)
        return found

    def _compared(self, rows: pa.Table, unique: Key) -> pa.Table:
        return compared(self.target, self.shape, rows, unique)

    @cached_property
    def _designed(self) -> TableShape:
        return replace(self.shape, design=self.shape.design or self.target.design(self.shape.name))

    def _referring(self, unique: Key) -> list[tuple[TableName, Key]]:
        """The foreign keys to some columns: the tables that have them, and their columns there."""
        return [
            (shape.name, foreign.columns)
            for shape in self.related.values()
            for foreign in shape.foreign_keys
            if foreign.refers == self.shape.name and {*foreign.refers_columns} & {*unique}
        ]

    def _stuck(self, rows: pa.Table, unique: Key) -> PlanError:
        key = expressions.json_key(rows, self.key)
        listed = ", ".join(unique)
        steps = "make these changes in the source in two steps, with a run after each"
        if referring := self._referring(unique):
            by = " and ".join(f"{child} ({', '.join(columns)})" for child, columns in referring)
            others = [f"{child} ({', '.join(columns)})" for child, columns in referring if child != self.shape.name]
            empty = f"in the target, let {' and '.join(others)} be null, and name what refers in the spec: its rows let go meanwhile; or "
            return PlanError(
                f"{self.shape.name}: row {key} gives up a unique value ({listed}) that another row takes, and foreign keys refer to it, "
                f"of {by}, so that no other value can stand in for it meanwhile. {rows.num_rows:,} such rows. Nothing was written.",
                fix=f"{empty if others else ''}let what refers to that value refer to another row, and {steps}: first without the row "
                f"that takes it.",
            )
        return PlanError(
            f"{self.shape.name}: row {key} gives up a unique value ({listed}) that another row takes, and neither can go before "
            f"the other; nor is there a value that it could have meanwhile. {rows.num_rows:,} such rows. Nothing was written.",
            fix=f"let {listed} be null in the target, or {steps}.",
        )


def put(rows: pa.Table, places: Indices, others: pa.Table) -> pa.Table:
    """Rows with others in their places."""
    if not len(places):
        return rows
    order = np.arange(rows.num_rows)
    order[places] = rows.num_rows + np.arange(others.num_rows)
    return pa.concat_tables([rows, others.cast(rows.schema)]).take(pa.array(order))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest())


def _value(column: ColumnShape, kind: pa.DataType, old: Any, digest: int, attempt: int) -> Any:
    """A value of a column's type, other with each digest; None where none is known. Every other one is like the old one."""
    if column.labels:
        return column.labels[attempt % len(column.labels)]
    if pa.types.is_string(kind):
        return _text(column, old, digest, attempt)
    if pa.types.is_boolean(kind):
        return not old
    like = attempt % 2 == 1
    if pa.types.is_integer(kind):
        if like and old:
            return _like_number(int(old), digest)
        ends = np.iinfo(kind.to_pandas_dtype())
        most = int(ends.max if column.most is None else column.most)
        return most - digest % min(2**40, max(most // 2, 2))
    if pa.types.is_decimal(kind):
        scaled = _like_number(int(Decimal(old).scaleb(kind.scale)), digest) if like and old else None
        return Decimal(
            10**kind.precision - 1 - digest % 10 ** min(kind.precision, 9) if scaled is None else scaled
        ).scaleb(-kind.scale)
    if pa.types.is_floating(kind):
        return float(2**20 + digest % 2**20)
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return digest.to_bytes(32)[: column.octets or (len(old) if like else 32)]
    span = dt.timedelta(seconds=digest // 2**64 % 86_400)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        near = like or (isinstance(column.most, dt.date) and column.most.year < LAST.year)
        found = FIRST + dt.timedelta(days=digest % 10_000) if near else LAST - dt.timedelta(days=digest % 100_000)
        return found.date() if pa.types.is_date(kind) else found.replace(tzinfo=dt.UTC if kind.tz else None) + span
    if pa.types.is_duration(kind):
        return span
    if pa.types.is_time(kind):
        return (FIRST + span).time()
    return None


def _text(column: ColumnShape, old: str, digest: int, attempt: int) -> str | None:
    if column.meaning == "uuid":
        return str(UUID(int=digest % 2**128, version=4))
    if column.meaning == "plain" and attempt == 0:
        most = min((each for each in (column.length, column.octets) if each is not None), default=len(MARK) + DIGITS)
        digits = f"{digest:064x}"
        return MARK + digits[:DIGITS] if most >= len(MARK) + DIGITS else digits[:most]
    if column.meaning not in ("plain", "decimal"):
        return None
    return _like_text(old, digest)


def _like_text(old: str, digest: int) -> str:
    """A text with other letters in place of letters, and digits for digits."""
    made = []
    for each in old:
        known = next((some for some in ALIKE if each in some), each)
        digest, place = divmod(digest, len(known))
        made.append(known[place])
    return "".join(made)


def _like_number(old: int, digest: int) -> int:
    """A number with as many digits."""
    least: int = 10 ** (len(str(abs(old))) - 1)
    found = least + digest % (9 * least)
    return found if old > 0 else -found
