"""The nouns that every room speaks: names, shapes, keys, ranges, changes, reasons and errors."""

from __future__ import annotations

from transforms.vocabulary.changes import (
    Applied,
    ChangeSet,
    Counts,
    Marker,
)
from transforms.vocabulary.errors import (
    AccountingError,
    BusyError,
    ChangedMeanwhile,
    ConnectionFailed,
    DataError,
    DriftError,
    PlanError,
    RowRefused,
    SnapshotLost,
    SpecError,
    SynclineError,
    TransientError,
    message_of,
)
from transforms.vocabulary.names import (
    DATE_INFINITY,
    INVALID,
    SIDES,
    STANDS_IN,
    TIMESTAMP_INFINITY,
    Key,
    KeyValue,
    Meaning,
    Op,
    Phase,
    SideName,
    TableName,
    of_side,
)
from transforms.vocabulary.ranges import (
    ColumnRange,
    KeyRange,
)
from transforms.vocabulary.reasons import (
    Refusal,
)
from transforms.vocabulary.shapes import (
    ColumnShape,
    Design,
    ForeignKey,
    Relation,
    TableShape,
)

__all__ = [
    "DATE_INFINITY",
    "INVALID",
    "SIDES",
    "STANDS_IN",
    "TIMESTAMP_INFINITY",
    "AccountingError",
    "Applied",
    "BusyError",
    "ChangeSet",
    "ChangedMeanwhile",
    "ColumnRange",
    "ColumnShape",
    "ConnectionFailed",
    "Counts",
    "DataError",
    "Design",
    "DriftError",
    "ForeignKey",
    "Key",
    "KeyRange",
    "KeyValue",
    "Marker",
    "Meaning",
    "Op",
    "Phase",
    "PlanError",
    "Refusal",
    "Relation",
    "RowRefused",
    "SideName",
    "SnapshotLost",
    "SpecError",
    "SynclineError",
    "TableName",
    "TableShape",
    "TransientError",
    "message_of",
    "of_side",
]
