"""What `check` finds out about the data, as it is printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from flows.results.differing import Differing
from flows.results.shares import counted
from flows.results.untranslated import text_of
from transforms.mapping.ways_back import WayBack
from transforms.vocabulary import Counts, Notice, SideName
from transforms.vocabulary.features import Feature
from transforms.vocabulary.reasons import Code

Level = Literal["refused", "error", "quarantine", "note"]
"""refused: the spec says `fail`; error: a run would end at it; quarantine: rows that a run sets aside; note: as told."""

LEVELS: tuple[Level, ...] = ("refused", "error", "quarantine", "note")
STOPPING: tuple[Level, ...] = ("refused", "error")
_SHOWN = 200  # characters of a value in a sample


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that a finding is about: its key as a JSON array, and the value; `other` is the row that it meets."""

    key: str
    value: str | None = None
    other: Sample | None = None

    def as_dict(self) -> dict[str, Any]:
        shown = {"key": json.loads(self.key), "value": shortened(self.value)}
        return shown | ({"other": self.other.as_dict()} if self.other else {})


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows of a table that share a reason. `columns` are the target's; none where the whole table is meant.

    `code` is the reason's as data, None for what no row is set aside for. `facts` are what a machine may want of the fix: the
    longest text, the ends of a range, each value with its count.
    """

    level: Level
    columns: tuple[str, ...]
    reason: str
    rows: int
    fix: str
    samples: tuple[Sample, ...] = ()
    facts: Mapping[str, Any] | None = None
    code: Code | None = None

    @property
    def stops(self) -> bool:
        return self.level in STOPPING

    def as_dict(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "columns": list(self.columns),
            "code": self.code,
            "reason": self.reason,
            "rows": self.rows,
            "samples": [sample.as_dict() for sample in self.samples],
            "facts": dict(self.facts or {}),
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A mapped column: where its values come from, and what they become. `back`: how it goes back, in a table that goes both ways."""

    name: str
    origin: str
    origin_type: str
    type: str
    back: WayBack | None = None


@dataclass(frozen=True, slots=True)
class TableAssessment:
    """A table of the spec. `counts` is what a run would do; None where only the schemas were looked at.

    `hooks` are what the target's table has that may refuse or change rows only when they are written; `unmapped` the source's
    columns that nothing is made of.
    """

    name: str
    source: str
    target: str
    key: tuple[str, ...]
    created: bool
    path: str
    columns: tuple[ColumnLine, ...]
    counts: Counts | None = None
    findings: tuple[Finding, ...] = ()
    hooks: tuple[Feature, ...] = ()
    unmapped: tuple[str, ...] = ()

    @property
    def hooked(self) -> str:
        """What nobody knows before a run, in a line; empty for none."""
        if not self.hooks:
            return ""
        listed = ", ".join(map(text_of, self.hooks))
        return (
            f"{self.target} has {listed}: what these refuse or swallow is known only when rows are written, and "
            f"is set aside then; what they change, the run names"
        )

    def of(self, column: str) -> tuple[Finding, ...]:
        """The findings about a column, alone or together with others."""
        return tuple(finding for finding in self.findings if column in finding.columns)

    def as_dict(self) -> dict[str, Any]:
        columns = [
            {"name": c.name, "from": c.origin, "from_type": c.origin_type, "to_type": c.type}
            | ({"fits": all(f.level == "note" for f in self.of(c.name))} if self.counts else {})
            | ({"back": {"writes": list(c.back.writes), "why_not": c.back.text}} if c.back else {})
            for c in self.columns
        ]
        shapes = {
            "target": self.target,
            "source": self.source,
            "key": list(self.key),
            "created": self.created,
            "path": self.path,
            "columns": columns,
            "unmapped": list(self.unmapped),
        }
        if self.counts is None:
            return shapes
        return shapes | {
            "counts": self.counts.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
            "hooks": list(map(text_of, self.hooks)),
        }


@dataclass(frozen=True, slots=True)
class SideWay:
    """A way in which a side can be followed, whether the spec takes it, what it needs, and what it costs those who write there.

    `kept_bytes`: what the database keeps of its log for us by now; `most_bytes` is where it stops. None where nothing, or no end.
    """

    side: SideName
    way: str
    taken: bool
    rights: str
    writers: str
    kept_bytes: int | None = None
    most_bytes: int | None = None

    def __str__(self) -> str:
        taken = ", as the spec says" if self.taken else ""
        kept = ""
        if self.kept_bytes is not None:
            most = "without end" if self.most_bytes is None else f"up to {self.most_bytes:,}"
            kept = f"; the database keeps {self.kept_bytes:,} bytes of its log for us, {most}"
        return f"the {self.side} by {self.way}{taken}: needs {self.rights}; costs its writers {self.writers}{kept}"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a run would meet. `limit` says why the quarantine would be too large, so that nothing is written; `late` why it would be
    with what the target refuses while the others are written. Both are empty where it would not.

    `drifted`: a run stops before it reads anything; the warnings say at what. `unread` are tables of the source's schema that
    the spec does not read. `ways`: of a spec that says how it is followed, how each side can be. `differing`: of a client or target,
    whether both sides differ now.
    """

    migration: str
    tables: tuple[TableAssessment, ...]
    warnings: tuple[Notice, ...] = ()
    limit: str = ""
    drifted: bool = False
    late: str = ""
    unread: tuple[str, ...] = ()
    ways: tuple[SideWay, ...] = ()
    differing: Differing | None = None

    @property
    def warning_texts(self) -> tuple[str, ...]:
        return tuple(map(str, self.warnings))

    @property
    def total(self) -> Counts:
        return sum((table.counts for table in self.tables if table.counts), Counts())

    @property
    def stopping(self) -> list[tuple[str, Finding]]:
        return [(table.name, finding) for table in self.tables for finding in table.findings if finding.stops]

    @property
    def status(self) -> int:
        """0 where a run would end with 0."""
        return 1 if self.drifted or self.stopping or self.limit or self.late else 0

    @property
    def verdict(self) -> str:
        """One line: how a run would end."""
        if self.drifted:
            return "A run would stop: the schemas have drifted since the last one, as the warnings say."
        if all(table.counts is None for table in self.tables):
            return "The spec fits both schemas. The data was not looked at."
        if found := self.stopping:
            where = ", ".join(dict.fromkeys(".".join([name, "+".join(f.columns)]).strip(".") for name, f in found))
            return f"A run would fail: {counted(len(found), 'finding')} to mend first ({where})."
        if self.limit:
            return f"A run would stop: {self.limit}"
        if self.late:
            return f"A run would write, and end with status 4: {self.late}"
        total = self.total
        aside = f", {total.quarantined:,} would go to quarantine" if total.quarantined else ""
        loaded = total.source_rows - total.quarantined
        if total.quarantined and not loaded:
            return f"A run would bring nothing over: none of {counted(total.source_rows, 'source row')} fits."
        fit = f"{loaded:,} of {counted(total.source_rows, 'source row')} fit{aside}"
        untried = {w.facts.get("target") for w in self.warnings if w.code == "untried"}
        if hooked := [table.name for table in self.tables if table.hooks or table.target in untried]:
            return f"A run would come to its end: {fit}. What {', '.join(hooked)} may refuse only then is not known."
        return f"A run would succeed: {fit}."

    def as_dict(self) -> dict[str, Any]:
        return {
            "migration": self.migration,
            "status": self.status,
            "verdict": self.verdict,
            "tables": {table.name: table.as_dict() for table in self.tables},
            "warnings": list(self.warning_texts),
            "notices": [asdict(each) for each in self.warnings],
            "unread_tables": list(self.unread),
            **({"differs": self.differing.as_dict()} if self.differing else {}),
            **({"follow": [asdict(each) for each in self.ways]} if self.ways else {}),
        }


def shortened(text: str | None, most: int = _SHOWN) -> str | None:
    return text if text is None or len(text) <= most else text[: most - 1] + "…"
