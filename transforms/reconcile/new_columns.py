"""Columns that are new in a mapping: rows that both sides agreed on have not met in them yet, and meet field by field.

A value on one side alone is new, as a row on one side alone is at a first meeting: it goes to the other side, and no null takes its
place. Two unlike values go by `initial`, where that is source, target or newer, and by the policy for rows that both sides created where
not. None of it is an edit of the row: what becomes of the row's other fields, or of the row once a side has deleted it, it does not touch.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from transforms.reconcile.column_rules import OPEN, Choices
from transforms.reconcile.policy import Policy, Rule
from transforms.vocabulary.arrow import Mask, as_mask


def who_brings(source: pa.Array, target: pa.Array, unlike: Mask) -> tuple[Mask, Mask]:
    """Which sides bring a value to fields that have not met. In: where these are and are not equal."""
    here, there = (as_mask(pc.is_valid(each)) for each in (source, target))
    return unlike & here, unlike & there


def rules(policy: Policy, column: str, both: Mask, newer: Choices | None) -> Iterator[tuple[Mask, Rule]]:
    """By which rules fields of a column meet to which both sides bring a value. In: where, and whose clock is ahead."""
    created = policy.of_created().rule(column)
    match policy.initial:
        case "source" | "target":
            yield both, Rule("source_wins" if policy.initial == "source" else "target_wins")
        case "newer" if newer is not None:
            yield both & (newer != OPEN), Rule("newer")
            yield both & (newer == OPEN), created
        case _:
            yield both, created
