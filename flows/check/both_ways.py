"""What a check says of tables that go both ways: which columns go back, whether inverses are some, and what is needed on the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from adapters.sql.statements import MARKER
from flows.bind.tables import BoundTable
from flows.check.findings import Finding, Sample
from flows.plan.reading.window_reader import lookup_rows, map_noting
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import expressions
from transforms.mapping.put import round_trips
from transforms.mapping.ways_back import WayBack
from transforms.vocabulary import Notice, text_of

TRIED: Final = 10_000  # rows of a table that are written back for a trial: in memory, and nowhere else
RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_FIXES: Final = {
    "expression": "add `inverse:` with the source's columns and the SQL that gives them",
    "several_values": "add `inverse:` with the value that is meant, or choose a type that keeps what the source has",
    "unlisted_values": "list each value once in `map:`, with `default: error` or `default: keep`",
    "merging_map": "give each value of the map another one, or add `inverse:`",
}


def ways_of(bound: BoundTable) -> dict[str, WayBack]:
    """How each mapped column goes back; none of a table that goes one way."""
    return dict(bound.two_way.ways) if bound.two_way is not None else {}


def not_back(bound: BoundTable) -> Iterator[Finding]:
    """The columns that cannot be written back, and why."""
    for name, way in ways_of(bound).items():
        if way.why_not:
            reason = f"{way.text}, and is not written back: a change of it on the target alone is a conflict"
            facts = {"why": way.why_not, **way.facts}
            yield Finding("note", (name,), reason, 0, _FIXES.get(way.why_not, ""), facts=facts, code="no_inverse")


def tried_back(session: Session, job: Job, route: Route, samples: int) -> Iterator[Finding]:
    """Rows of the source that do not come back as they are: mapped, written back in memory, and mapped again.

    An error where the mapping then makes another row than before, so that what people enter on the target would not be kept; a
    note where it makes the same, of another value of the source.
    """
    bound = route.table
    if bound.two_way is None:
        return
    lookups = lookup_rows(bound, job)
    back = replace(bound.two_way.back, mapping=bound.mapping, lookups=lookups)
    found: dict[tuple[str, ...], Finding] = {}
    left = TRIED
    for batch in route.reads.snapshot.scan(bound.source, list(bound.two_way.reads)):
        rows = pa.Table.from_batches([batch]).slice(0, left)
        left -= rows.num_rows
        mapped, bad = map_noting(rows, bound.mapping, lookups)
        raw = rows.filter(pa.array(~bad)).select(list(bound.two_way.reads))
        tried = round_trips(raw, mapped.rows, back)
        for number, (reason, values) in enumerate(tried.faults.reasons):
            at = np.flatnonzero(tried.faults.which == number)
            if not len(at):
                continue
            same = reason.code == "inverse_differs" and "source" in reason.facts
            text, columns = text_of(reason), reason.columns
            earlier = found.get((text, *columns))
            some = pa.array(at[:samples])
            texts = expressions.as_json_keys(mapped.rows.take(some), bound.key).to_pylist()
            shown = values.take(some).to_pylist() if values is not None else [None] * len(some)
            met = [Sample(key, None if value is None else str(value)) for key, value in zip(texts, shown, strict=True)]
            found[text, *columns] = Finding(
                "note" if same else "error",
                columns,
                text,
                len(at) + (earlier.rows if earlier else 0),
                "mend the `inverse:`, so that it gives back what the column is made of",
                ((*earlier.samples, *met) if earlier else tuple(met))[:samples],
                code=reason.code,
            )
        if left <= 0:
            break
    yield from found.values()


def needed(session: Session, tables: Iterable[BoundTable]) -> Iterator[Notice]:
    """What a run needs on the source, where it writes it."""
    written = [str(bound.source) for bound in tables if bound.two_way is not None]
    if not written:
        return
    marker = MARKER if session.spec.state.marker else None
    beside = f", and may make its table of markers {marker} and write it" if marker else ""
    text = f"The source is written: a run needs {', '.join(RIGHTS[:-1])} and {RIGHTS[-1]} on {', '.join(written)} there{beside}."
    yield Notice("writes_source", text, facts={"tables": written, "rights": list(RIGHTS), "marker": marker})
