"""How far a migration has followed each side: kept in the ledger, and moved only once what it led to is in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.feeds.feed import Watched
from adapters.ledger.ledger import Ledger
from flows.plan.thresholds import Burst
from flows.session.retry import retried
from flows.spec.follow import Capture
from flows.spec.model import Spec
from transforms.vocabulary import SideName

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

    def known(self, ledger: Ledger) -> str | None:
        """The position, None where there is none that is good."""
        if not ledger.there():
            return None
        text = ledger.fact(self.spec.name, KIND, "position").get(self.side)
        found = json.loads(text) if text else {}
        return found["position"] if found.get("meant") == self._meant else None

    def keep(self, ledger: Ledger, position: str) -> None:
        """What came before the position is in."""
        text = json.dumps({"meant": self._meant, "position": position})
        retried(lambda: ledger.set_fact(self.spec.name, KIND, "position", {self.side: text}))

    def forget(self, ledger: Ledger) -> None:
        """The position leads nowhere any more."""
        retried(lambda: ledger.set_fact(self.spec.name, KIND, "position", {self.side: "{}"}))
