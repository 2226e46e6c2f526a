"""Tables whose rows cannot be tried out before they are written: what they demand of rows is known only then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from adapters.protocol import Target
from transforms.vocabulary import Notice, TableShape


def untried(shapes: Iterable[TableShape | None], target: Target) -> Iterator[Notice]:
    """A line for each table of the target that has checks or the like, and may not be asked what they would refuse."""
    for shape in shapes:
        if shape is not None and (why := target.untried(shape.name)):
            text = (
                f"{shape.name}: which rows its checks, generated columns and partitions refuse is not known before they are written, "
                f"and those are set aside then: they cannot be tried out, because of {why}."
            )
            yield Notice("untried", text, facts={"target": str(shape.name)})
