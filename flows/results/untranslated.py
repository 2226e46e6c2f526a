"""What a source has and a draft does not say: in words, in order, and added up over tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from transforms.vocabulary.features import Feature, Kind, Severity

TITLES: Final[Mapping[Severity, str]] = {
    "loss": "Not translated (loss)",
    "behaviour": "Not translated (behaviour)",
    "noise": "Not translated (noise)",
}
NAMED: Final = 6  # tables that a summary names

_NOUNS: Final[Mapping[Kind, str]] = {
    "table": "table left out",
    "past": "system versioning",
    "column": "column left out",
    "foreign_key_match": "foreign key of another match",
    "policy": "row security policy",
    "unsigned": "unsigned numbers",
    "generated": "generated column",
    "on_update": "ON UPDATE of a column",
    "foreign_key_action": "action of a foreign key",
    "foreign_key_timing": "time at which a foreign key is checked",
    "counter": "next number",
    "inherited": "inheritance by others",
    "inherits": "inheritance from others",
    "engine": "storage engine",
    "charset": "character set",
}
"""Kinds that are called otherwise than their names say."""


@dataclass(frozen=True, slots=True)
class Untranslated:
    """A feature of the source that the draft does not say. `table` is the draft's name, None where it belongs to none."""

    table: str | None
    feature: Feature

    @property
    def order(self) -> tuple[Any, ...]:
        """Worst first; those of one kind by table."""
        place, *rest = self.feature.order
        return place, self.table or "", *rest

    def as_dict(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "severity": self.feature.severity,
            "kind": self.feature.kind,
            "columns": list(self.feature.columns),
            "facts": dict(self.feature.facts),
            "what": text_of(self.feature),
        }


def text_of(feature: Feature) -> str:
    """What it is and why it is not in the draft, in one line."""
    about, why = _about(feature), feature.fact("why")
    return f"{about}: {why}" if why else about


def _about(feature: Feature) -> str:
    listed, name, sql = ", ".join(feature.columns), feature.fact("name"), feature.fact("sql")
    defined = f": {sql}" if sql else ""
    noun = _noun(feature.kind)
    match feature.kind:
        case "table":
            return "left out"
        case "column":
            return f"column {listed}"
        case "past":
            return "system versioning: the rows of the past"
        case "check":
            return f"check {sql}"
        case "domain":
            return f"column {listed} is of the domain {name}{defined}"
        case "collation":
            return f"collation {name} of column {listed}"
        case "unsigned":
            return f"unsigned ({listed})"
        case "default" | "identity":
            return f"{noun} {sql + ' ' if sql else ''}of {listed}"
        case "generated":
            return f"generated column {listed}" + (f" ({sql})" if sql else "")
        case "trigger":
            when = " ".join(filter(None, (feature.fact("timing"), feature.fact("event"))))
            return f"trigger {name}" + (f" ({when})" if when else "")
        case "on_update" | "invisible":
            return f"column {listed}: {sql or 'INVISIBLE'}"
        case "foreign_key":
            return f"foreign key ({listed}) to {feature.fact('refers')}"
        case "foreign_key_action":
            return f"foreign key ({listed}) to {feature.fact('refers')}: ON {feature.fact('event')} {sql}"
        case "foreign_key_match" | "foreign_key_timing":
            return f"foreign key {name}{defined}"
        case "partitions":
            parts = feature.fact("parts")
            return f"partitions by {sql}" + (f": {parts}" if parts else "")
        case "inherited":
            return f"is inherited by {name}, whose rows are a table of their own here"
        case "inherits":
            return f"inherits from {name}"
        case "counter":
            return f"next number of {listed}: {feature.fact('number')}"
        case "comment":
            return f"comment of {f'column {listed}' if listed else 'the table'}{defined}"
        case "unique" | "index" | "unique_index" if listed:
            return f"{noun} ({listed})"
        case _:
            return f"{noun} {name}{defined}"


def in_order(found: Iterable[Untranslated]) -> list[Untranslated]:
    """Worst first, then by kind, table and facts."""
    return sorted(found, key=lambda each: each.order)


def summary(found: Iterable[Untranslated]) -> list[tuple[Severity, list[str]]]:
    """For each severity that there is, worst first, a line for each kind over all tables: how many, and in which of them.

    Noise is told apart by its name, such as that of a storage engine, and counts tables.
    """
    groups: dict[tuple[Severity, Kind, str], list[Untranslated]] = {}
    for each in in_order(found):
        named = each.feature.fact("name") if each.feature.severity == "noise" else ""
        groups.setdefault((each.feature.severity, each.feature.kind, named), []).append(each)
    lines: dict[Severity, list[str]] = {}
    for (severity, _, _), group in groups.items():
        lines.setdefault(severity, []).append(_noise(group) if severity == "noise" else _line(group))
    return list(lines.items())


def _noise(group: Sequence[Untranslated]) -> str:
    """One line for all tables that have the same: how many they are."""
    feature = group[0].feature
    tables = len({each.table for each in group})
    columns = sum(len(each.feature.columns) for each in group)
    counts = [f"{tables:,} table{'s' if tables > 1 else ''}"]
    counts += [f"{columns:,} column{'s' if columns > 1 else ''}"] if columns else []
    return f"{' '.join(filter(None, (_noun(feature.kind), feature.fact('name'))))}: {', '.join(counts)}"


def _line(group: Sequence[Untranslated]) -> str:
    tables = list(dict.fromkeys(each.table for each in group if each.table is not None))
    if not tables:
        return f"{_noun(group[0].feature.kind)}: {_named([each.feature.fact('name') for each in group])}"
    many = f"{len(group):,}, in " if len(group) > 1 else ""
    return f"{_noun(group[0].feature.kind)}: {many}{_named(tables)}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:NAMED])} and {more:,} more"


def _noun(kind: Kind) -> str:
    return _NOUNS.get(kind, kind.replace("_", " "))
