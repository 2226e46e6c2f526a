"""The nouns that every room speaks: names, shapes, keys, ranges, changes, reasons and errors."""

from __future__ import annotations

from transforms.vocabulary.changes import (
    Applied,
    Broken,
    ChangeSet,
    Counts,
    Marker,
    Sample,
    Why,
)
from transforms.vocabulary.errors import (
    AccountingError,
    BusyError,
    ChangedMeanwhile,
    ConnectionFailed,
    DataError,
    DriftError,
    PlanError,
    Problem,
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
    OPS,
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
    other_side,
)
from transforms.vocabulary.notices import (
    Notice,
)
from transforms.vocabulary.ranges import (
    ColumnRange,
    KeyRange,
)
from transforms.vocabulary.reason_texts import (
    named_text,
    text_of,
)
from transforms.vocabulary.reasons import (
    Reason,
    reason_of,
    unread,
)
from transforms.vocabulary.selections import (
    All,
    Keys,
    Ranges,
    Selection,
    Tree,
    TreeSource,
)
from transforms.vocabulary.shapes import (
    ColumnShape,
    Design,
    ForeignKey,
    Relation,
    TableShape,
)
from transforms.vocabulary.stages import (
    Stage,
)
from transforms.vocabulary.totals import (
    ColumnTotals,
    End,
    Tally,
    Totals,
)

__all__ = [
    "DATE_INFINITY",
    "INVALID",
    "OPS",
    "SIDES",
    "STANDS_IN",
    "TIMESTAMP_INFINITY",
    "AccountingError",
    "All",
    "Applied",
    "Broken",
    "BusyError",
    "ChangeSet",
    "ChangedMeanwhile",
    "ColumnRange",
    "ColumnShape",
    "ColumnTotals",
    "ConnectionFailed",
    "Counts",
    "DataError",
    "Design",
    "DriftError",
    "End",
    "ForeignKey",
    "Key",
    "KeyRange",
    "KeyValue",
    "Keys",
    "Marker",
    "Meaning",
    "Notice",
    "Op",
    "Phase",
    "PlanError",
    "Problem",
    "Ranges",
    "Reason",
    "Relation",
    "RowRefused",
    "Sample",
    "Selection",
    "SideName",
    "SnapshotLost",
    "SpecError",
    "Stage",
    "SynclineError",
    "TableName",
    "TableShape",
    "Tally",
    "Totals",
    "TransientError",
    "Tree",
    "TreeSource",
    "Why",
    "message_of",
    "named_text",
    "of_side",
    "other_side",
    "reason_of",
    "text_of",
    "unread",
]
