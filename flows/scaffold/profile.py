"""What the rows of a table say of its columns: ends, lengths, digits and what cannot travel, in one scan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.capabilities import Capabilities
from adapters.protocol import Snapshot
from flows.session.meter import Meter
from transforms.mapping import casts
from transforms.vocabulary import INVALID, ColumnShape, Relation, TableName, TableShape, reason_of
from transforms.vocabulary.arrow import contiguous
from transforms.vocabulary.decimals import decimals as as_decimals
from transforms.vocabulary.reason_texts import value_text

STAND_IN: Final = "0001-01-01"
"""What dates that are none are read as, to be counted: a day on which no business was done."""
MOST_LABELS: Final = 1000  # different values of an enum that are kept apart


@dataclass(slots=True)
class Facts:
    """One column. `least` and `most` are numbers: dates in days, times in microseconds, both since 1970 or midnight.

    `longest` is in characters, `octets` in bytes; `nul` counts the texts with NUL characters. Of texts that are
    numbers `whole` and `decimals` are the most digits before and behind the point; `odd` are numbers that are none
    (NaN, infinity). `reason` is the first of `invalid` values that cannot travel.
    """

    rows: int = 0
    nulls: int = 0
    least: Any = None
    most: Any = None
    longest: int = 0
    octets: int = 0
    nul: int = 0
    whole: int = 0
    decimals: int = 0
    odd: int = 0
    zero_dates: int = 0
    invalid: int = 0
    reason: str = ""
    labels: set[str] = field(default_factory=set)

    def add(self, values: pa.Array, column: ColumnShape, *, dated: bool) -> None:
        """Take in the values of one batch. `dated`: dates that are none are the stand-in."""
        self.rows += len(values)
        self.nulls += values.null_count
        kind = values.type
        if pa.types.is_temporal(kind):
            if dated:
                none = pc.equal(values, pa.scalar(STAND_IN).cast(pa.timestamp("us")).cast(_naive(kind)).cast(kind))
                self.zero_dates += pc.sum(none).as_py() or 0
                values = pc.if_else(none, pa.scalar(None, kind), values)
            narrow = pa.types.is_date32(kind) or pa.types.is_time32(kind)
            self._ends(values.view(pa.int32() if narrow else pa.int64()))
        elif pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            self._ends(values)
        elif pa.types.is_floating(kind):
            self.odd += pc.sum(pc.invert(pc.is_finite(values))).as_py() or 0
        elif pa.types.is_binary(kind):
            self.octets = max(self.octets, pc.max(pc.binary_length(values)).as_py() or 0)
        elif pa.types.is_string(kind):
            self.longest = max(self.longest, pc.max(pc.utf8_length(values)).as_py() or 0)
            self.octets = max(self.octets, pc.max(pc.binary_length(values)).as_py() or 0)
            self.nul += pc.sum(pc.match_substring(values, "\0")).as_py() or 0
            if column.meaning == "decimal":
                self._digits(values)
            elif column.labels is not None and len(self.labels) < MOST_LABELS:
                self.labels.update(pc.unique(values.drop_null()).to_pylist())

    def _ends(self, values: pa.Array) -> None:
        ends = pc.min_max(values)
        least, most = ends["min"].as_py(), ends["max"].as_py()
        if least is not None:
            self.least = least if self.least is None else min(self.least, least)
            self.most = most if self.most is None else max(self.most, most)

    def _digits(self, values: pa.Array) -> None:
        values = casts.cast(values, casts.Cast(pa.string(), "decimal")).values  # without exponents
        number = pc.match_substring_regex(values, r"^-?[0-9]+(\.[0-9]+)?$")
        self.odd += pc.sum(pc.invert(number)).as_py() or 0
        plain = values.filter(pc.fill_null(number, False))
        whole = pc.replace_substring_regex(plain, r"^-?0*|\..*$", "")
        behind = pc.replace_substring_regex(pc.replace_substring_regex(plain, r"^[^.]*\.?", ""), r"0+$", "")
        self.whole = max(self.whole, pc.max(pc.utf8_length(whole)).as_py() or 0)
        self.decimals = max(self.decimals, pc.max(pc.utf8_length(behind)).as_py() or 0)
        self._ends(_as_decimals(plain, self.whole, self.decimals))


def _naive(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind


def _as_decimals(texts: pa.Array, whole: int, decimals: int) -> pa.Array:
    """The numbers, where they are no longer than a decimal128 takes; else nothing is said of their ends."""
    if whole + decimals > 38 or not len(texts):
        return pa.array([], pa.decimal128(38, 0))
    return as_decimals(texts, pa.decimal128(max(whole + decimals, 1), decimals))


def telling(shape: TableShape, source: Capabilities, target: Capabilities, indexed: Collection[str]) -> tuple[str, ...]:
    """The columns whose type depends on what is in them. All of them where declared types are claims."""
    return tuple(
        column.name
        for column in shape.columns
        if not column.refused
        and (not source.typed or _depends(column, source) or _limits(column, target, column.name in indexed))
    )


def _limits(column: ColumnShape, target: Capabilities, indexed: bool) -> bool:
    """Whether the target may not take all that such a column holds, in an index if `indexed`."""
    kind = column.type
    if pa.types.is_string(kind):
        return not target.stores_nul or bool(target.index_bytes and indexed)
    if pa.types.is_binary(kind):
        return bool(target.index_bytes and indexed)
    return not target.stores_odd_values and (pa.types.is_floating(kind) or _is_day(column))


def _depends(column: ColumnShape, source: Capabilities) -> bool:
    kind, native = column.type, column.native.lower()
    if column.labels is not None or column.meaning == "decimal" or pa.types.is_duration(kind):
        return True
    if source.has_zero_dates and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return True
    return native.startswith(("tinyint(1)", "bit(")) or pa.types.is_uint64(kind) or native == "ubigint"


def profile(
    snapshot: Snapshot, table: TableName, shape: TableShape, names: Sequence[str], source: Capabilities, meter: Meter
) -> dict[str, Facts]:
    """Facts of the named columns, in one scan.

    Memory: one batch. 1M rows of 8 columns take some seconds, most of them for reading.
    """
    if not names:
        return {}
    columns = {column.name: column for column in shape.columns if column.name in names}
    dated = {name for name, column in columns.items() if source.has_zero_dates and _is_day(column)}
    relation = Relation(table, zero_dates=tuple((name, STAND_IN) for name in sorted(dated)))
    facts = {name: Facts() for name in names}
    meter.expect(str(table), "look", snapshot.estimate(relation))
    for batch in snapshot.scan(relation, names):
        for name in names:
            facts[name].add(contiguous(batch.column(name)), columns[name], dated=name in dated)
        if INVALID in batch.schema.names:
            _note_invalid(facts, batch.column(INVALID))
        meter.advance(str(table), "look", batch.num_rows)
    meter.finish(str(table), "look")
    return facts


def _is_day(column: ColumnShape) -> bool:
    return bool(pa.types.is_date(column.type) or pa.types.is_timestamp(column.type))


def _note_invalid(facts: dict[str, Facts], reasons: pa.Array) -> None:
    for each in pc.value_counts(reasons.drop_null()).to_pylist():
        reason = reason_of(each["values"])
        about = facts.get(reason.facts.get("source", ""))
        if about is not None:
            about.invalid += each["counts"]
            about.reason = about.reason or value_text(reason)


def number_text(value: Any) -> str:
    """A number as comments show it."""
    return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
