"""How far a migration has followed each side: kept in the ledger, and moved only once what it led to is in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.feeds.feed import Watched
from adapters.ledger.ledger import Ledger
from flows.plan.thresholds import Burst
from flows.session.retry import retried
from flows.spec.follow import Capture
from flows.spec.model import Spec
from transforms.vocabulary import SideName, TableName, TableShape

KIND = "followed"


def known_burst(spec: Spec, ledger: Ledger) -> Burst:
    """What was deleted right before a plan that would have deleted too much: it counts with what comes next."""
    text = ledger.fact(spec.name, KIND, "burst").get("target") if ledger.there() else None
    found = json.loads(text) if text else []
    return Burst({(side, name): deletes for side, name, deletes, _ in found}, {(s, n): rows for s, n, _, rows in found})


def keep_burst(spec: Spec, ledger: Ledger, burst: Burst) -> None:
    """See `known_burst`."""
    told = [(*place, deletes, burst.rows[place]) for place, deletes in burst.deletes.items() if place in burst.rows]
    retried(lambda: ledger.set_fact(spec.name, KIND, "burst", {"target": json.dumps(told)}))


def shape_digest(shape: TableShape) -> str:
    """What tells columns of a table from others: names, types and order."""
    told = [[column.name, column.native] for column in shape.columns]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the position of one side is kept, and what it is good for: another spec, way or choice of columns begins anew."""

    spec: Spec
    side: SideName
    way: Capture
    watched: Sequence[Watched]

    @property
    def _meant(self) -> str:
        told = [[str(each.table), list(each.columns), each.cursor] for each in self.watched]
        return hashlib.sha256(json.dumps([self.spec.digest, self.way, told]).encode()).hexdigest()

    @property
    def _shapes(self) -> dict[str, str]:
        return {str(each.table): shape_digest(each.shape) for each in self.watched}

    def known(self, ledger: Ledger) -> str | None:
        """The position, None where there is none that is good."""
        found = self._found(ledger)
        return found["position"] if found.get("meant") == self._meant else None

    def altered(self, ledger: Ledger) -> tuple[TableName, ...]:
        """The tables whose columns are others than when the position was kept: what came with these no way tells for sure."""
        before = self._found(ledger).get("shapes", {})
        shapes = self._shapes
        return tuple(
            each.table
            for each in self.watched
            if before.get(str(each.table), shapes[str(each.table)]) != shapes[str(each.table)]
        )

    def _found(self, ledger: Ledger) -> dict[str, Any]:
        text = ledger.fact(self.spec.name, KIND, "position").get(self.side) if ledger.there() else None
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def keep(self, ledger: Ledger, position: str) -> None:
        """What came before the position is in."""
        text = json.dumps({"meant": self._meant, "position": position, "shapes": self._shapes})
        retried(lambda: ledger.set_fact(self.spec.name, KIND, "position", {self.side: text}))

    def forget(self, ledger: Ledger) -> None:
        """The position leads nowhere any more."""
        retried(lambda: ledger.set_fact(self.spec.name, KIND, "position", {self.side: "{}"}))
