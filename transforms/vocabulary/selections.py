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


Selection = All | Ranges | Keys | Tree
