"""What a schema has beside columns, types and keys, as records: what kind it is, where, and its facts. No prose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

Severity = Literal["loss", "behaviour", "noise"]
"""What becomes of a schema without it. loss: data, or a rule that guards data, is gone; behaviour: the target does something
else than the source, or does it slower; noise: nobody who reads and writes rows can tell."""

SEVERITIES: Final[tuple[Severity, ...]] = ("loss", "behaviour", "noise")

Loss = Literal[
    "table", "past", "column", "check", "domain", "unique", "unique_index", "exclusion", "foreign_key",
    "foreign_key_match", "policy", "collation", "unsigned", "default", "generated", "identity",
]  # fmt: skip
Behaviour = Literal[
    "trigger", "rule", "event", "on_update", "foreign_key_action", "foreign_key_timing", "counter", "partitions", "inherited",
    "inherits", "index", "invisible", "view", "materialized_view", "foreign_table", "virtual_table", "sequence", "procedure", "function",
    "aggregate", "macro",
]  # fmt: skip
Noise = Literal["engine", "row_format", "charset", "comment"]
Kind = Loss | Behaviour | Noise

KINDS: Final[Mapping[Kind, Severity]] = {
    kind: severity
    for severity, kinds in zip(SEVERITIES, (Loss, Behaviour, Noise), strict=True)
    for kind in get_args(kinds)
}
"""Every kind with its severity, in the order in which they are listed: worst first."""

_PLACES: Final = {kind: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing of a table, or of a schema. `columns` are the source's, none where it is about the whole.

    `facts` are texts and numbers: `name` its own name, `sql` its definition in the engine's SQL, `why` what stands against it in
    the target, and what else its kind has (`refers`, `event`, `timing`, `rows`).
    """

    kind: Kind
    columns: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind]

    @property
    def order(self) -> tuple[int, tuple[str, ...], tuple[tuple[str, str], ...]]:
        """Worst kinds first, then by columns and facts: the same for the same schema."""
        return _PLACES[self.kind], self.columns, tuple(sorted((name, str(each)) for name, each in self.facts.items()))

    def because(self, why: str) -> Feature:
        """The same, and what stands against it in the target."""
        return replace(self, facts={**self.facts, "why": why})

    def fact(self, name: str) -> str:
        """A fact as text, empty where there is none."""
        return str(self.facts.get(name, ""))


def in_order(*features: Feature) -> tuple[Feature, ...]:
    """Worst kinds first."""
    return tuple(sorted(features, key=lambda each: each.order))
