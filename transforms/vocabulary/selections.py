"""Which rows of a table a plan looks at.

Two things follow from the kind of a selection. It is `whole` where it takes in every row, so that what is true of all of them can be
said: how large a share is deleted, which rows have no key, what may be added once all are in. It `covers` its rows where it takes in
all that there are of them on both sides: only then is a row of the target that the source does not have one that is to be deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from transforms.vocabulary.ranges import ColumnRange


@dataclass(frozen=True, slots=True)
class All:
    """Every row."""

    whole: ClassVar[bool] = True
    covers: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Ranges:
    """The rows that are inside every one of some ranges; all rows where there are none, in a plan that has ranges of other tables."""

    ranges: tuple[ColumnRange, ...]

    whole: ClassVar[bool] = False
    covers: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Keys:
    """The rows with one of some keys, each a JSON array, as quarantine has them; ascending, and none twice."""

    texts: tuple[str, ...]

    whole: ClassVar[bool] = False
    covers: ClassVar[bool] = True

    @property
    def rows(self) -> int:
        """How many keys."""
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Tree:
    """The rows of some roots, and all that hang below them: those with one of some keys, in the types of the key's columns in the
    target; none twice.

    Where such a key does not say which row of the source it is, `source` says which they are, and is None elsewhere.
    """

    keys: pa.Table
    source: TreeSource | None = None

    whole: ClassVar[bool] = False
    covers: ClassVar[bool] = True

    @property
    def rows(self) -> int:
        """How many keys, of the side that has more."""
        return max(int(self.keys.num_rows), 0 if self.source is None else len(self.source.texts))


@dataclass(frozen=True, slots=True)
class TreeSource:
    """Which rows of the source are in trees, where it has other keys than the target.

    `values` has by source (of a table with several; else it is the one without a name) what the rows have in columns of the source
    that say most of which they are, and `texts` what says all of it. `waiting` are the keys under which they may be in quarantine.
    """

    values: Mapping[str, pa.Table]
    texts: pa.Array
    waiting: pa.Array


@dataclass(frozen=True, slots=True)
class Clause:
    """SQL of the source's engine that holds for some rows of a table, and SQL that holds for the `others`."""

    named: str
    others: str


@dataclass(frozen=True, slots=True)
class Since:
    """The rows that a cursor says may have changed, and those with one of some keys, which `wait` to be looked at again.

    `newer` has by source (of a table with several; else it is the one without a name) which rows these are: a range of its cursor column,
    with nulls, or a clause. `rows` is about how many there are. `unique`: no two rows of the source have one key. What is not
    among them may be in the source all the same, so that nothing is taken for deleted.
    """

    newer: Mapping[str, ColumnRange | Clause]
    wait: Keys
    rows: int
    unique: bool

    whole: ClassVar[bool] = False
    covers: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Older:
    """The rows with one of some keys that a cursor does not name: the others of a selection by it."""

    keys: Keys
    since: Since

    whole: ClassVar[bool] = False
    covers: ClassVar[bool] = False


Selection = All | Ranges | Keys | Tree | Since | Older
