"""Rows that are set aside for what other tables lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from flows.bind.tables import BoundTable
from transforms.mapping.column_mapping import LookUp
from transforms.vocabulary import Reason
from transforms.vocabulary.arrow import Indices

WAITING: Final = ("parent_quarantined", "no_parent")


def waiting(bound: BoundTable, reasons: Sequence[Reason], numbers: Indices) -> int:
    """How many rows were set aside for what they refer to: they pass once the other table has its rows."""
    looked_up = {c.shape.name for part in bound.sources for c in part.mapping.columns if isinstance(c.origin, LookUp)}
    waits = [n for n, each in enumerate(reasons) if each.column in looked_up or each.code in WAITING]
    return int(np.isin(numbers, waits).sum())
