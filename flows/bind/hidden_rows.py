"""Rows that the user of a side does not see, where the spec says that those which are seen are taken for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from adapters.protocol import Source
from flows.spec.model import Spec
from transforms.vocabulary import Notice, SideName, TableShape

if TYPE_CHECKING:
    from flows.bind.tables import BoundTable


def hidden_rows(spec: Spec, tables: Iterable[BoundTable], source: Source, target: Source) -> Iterator[Notice]:
    """A warning for each relation of which a user may see only a part: tables on both sides, and what lookups read."""
    sides = {"source": (spec.source, source), "target": (spec.target, target)}
    for table in tables:
        for part in table.sources:
            yield from _warning("source", part.source_shape)
        yield from _warning("target", table.shape)
        for looked in table.lookups.values():
            endpoint, adapter = sides[looked.side]
            if looked.planned is None and endpoint.rls == "accept":
                yield from _warning(looked.side, adapter.describe(looked.table))


def _warning(side: SideName, shape: TableShape | None) -> Iterator[Notice]:
    if shape is not None and shape.hidden_by:
        text = (
            f"{shape.name}: row-level security may hide rows of the {side} from its user ({shape.hidden_by}); what is hidden is "
            "taken for not there, as `rls: accept` says."
        )
        yield Notice("hidden_rows", text, facts={"side": side, "relation": str(shape.name)})
