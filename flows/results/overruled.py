"""Edits that lost to a policy, a column's rule or somebody's decision, with the values of base, source and target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.plans import Plan
from transforms.vocabulary import SIDES, SideName, TableName

SHOWN: Final = 10  # of a table that a report shows
NO_ROW: Final = "(no row)"


@dataclass(frozen=True, slots=True)
class Overruled:
    """A field, or a row that one side had deleted (`column` is None then), and what became of it.

    `lost` names the sides whose edits did; `kind` says what each side did, the source first; `rule` is what decided. Values are texts;
    None where one is null, or where there is no row: `images` tells.
    """

    table: str
    key: str
    column: str | None
    kind: str
    rule: str
    lost: tuple[SideName, ...]
    base: str | None
    source: str | None
    target: str | None
    won: str | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"lost": list(self.lost)}


Told = Mapping[str, Any]
"""An edit that lost, as JSON has it."""


def images(told: Told) -> tuple[str, str, str]:
    """Base, source and target, as a line of a listing shows them."""
    done, row = dict(zip(SIDES, told["kind"].split("/"), strict=True)), told["column"] is None
    base = _shown(told["base"], there="insert" not in done.values(), row=row)
    source, target = (_shown(told[side], there=done[side] != "delete", row=row) for side in SIDES)
    return base, source, target


def outcome(told: Told) -> str:
    """Whose edit lost, to what, and what both sides have now where that is what neither had."""
    sides = " and ".join(f"the {side}'s" for side in told["lost"])
    who = f", {told['by']}" if told.get("by") else ""
    made = told["column"] is not None and told["won"] not in (told["source"], told["target"])
    now = f"; both have {_shown(told['won'], there=True, row=False)}" if made else ""
    return f"{sides} lost ({told['rule']}{who}){now}"


def line(told: Told) -> str:
    """All of it in a line, without its table and key."""
    base, source, target = images(told)
    return f"{told['column'] or 'the row'}: base {base}, source {source}, target {target}; {outcome(told)}"


def overruled_in(plan: Plan, table: TableName, name: str, limit: int = SHOWN) -> tuple[Overruled, ...]:
    """The first edits of a table that lost in a plan of the target, as far as it keeps them. Memory: those of a window."""
    found: list[Overruled] = []
    for rows in plan.rows("overruled", table):
        rows = without_clocks(rows)
        first = pc.unique(rows["key"])[: limit - len(found)]
        found += records(name, rows.filter(pc.is_in(rows["key"], value_set=first)))
        if len(found) >= limit:
            break
    return tuple(found[:limit])


def without_clocks(rows: pa.Table) -> pa.Table:
    """Without the earlier values of clocks: the later one is taken, and nobody edited them."""
    return rows.filter(pc.not_equal(rows["rule"], "clock"))


def records(name: str, rows: pa.Table) -> Iterator[Overruled]:
    """Edits that lost, one for each field. In: rows of OVERRULED, all of each key."""
    fields: dict[tuple[str, str | None], list[dict[str, str | None]]] = {}
    for row in rows.to_pylist():
        fields.setdefault((row["key"], row["column"]), []).append(row)
    for (key, column), edits in fields.items():
        lost = {row["side"]: row["lost"] for row in edits}
        one = edits[0]
        values = {side: lost.get(side, one["won"]) for side in SIDES}
        yield Overruled(
            name,
            key,
            column,
            str(one["kind"]),
            str(one["rule"]),
            tuple(side for side in SIDES if side in lost),
            one["base"],
            values["source"],
            values["target"],
            one["won"],
        )


def _shown(value: str | None, *, there: bool, row: bool) -> str:
    if not there:
        return NO_ROW
    return "(a row)" if row else "null" if value is None else value
