"""What a draft is asked for: both ends, which tables and views of the source, and which tables of the target they go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.protocol import Catalog, Target
from flows.spec.problems import meant
from transforms.vocabulary import SpecError, TableName


@dataclass(frozen=True, slots=True)
class Asked:
    """What a draft is asked for. `folder` is where the draft will lie: relative files are written as seen from there."""

    source: str
    target: str
    folder: Path
    name: str = ""
    schema: str | None = None
    target_schema: str | None = None
    tables: tuple[str, ...] = ()
    onto: Mapping[str, str] = field(default_factory=dict)
    """Target tables that tables of the source go to, whatever their names."""
    files: Mapping[str, Any] = field(default_factory=dict)
    """How the source's files were found to be written."""


def chosen(asked: Asked, source: Catalog) -> list[TableName]:
    """All tables of the source's schema; or the tables and views that are named. SpecError for one that is not there."""
    there = source.tables(asked.schema)
    where = f"the schema {asked.schema} of {source.url}" if asked.schema else source.url
    if not there and not asked.tables:
        raise SpecError(f"There are no tables in {where}.", fix="correct the URL, or name a schema with --schema.")
    known = {each.name: each for each in there}
    for name in asked.tables:
        if name in known:
            continue
        view = source.named(TableName(name, asked.schema))
        if source.describe(view) is None:
            raise SpecError(f"There is no table {name} in {where}. {meant(name, known)}")
        known[name] = view
    return [known[name] for name in dict.fromkeys(asked.tables)] if asked.tables else there


def pairs_of(asked: Asked, names: Sequence[TableName], target: Target) -> dict[str, str]:
    """The target tables that tables of the source are to go to; SpecError where one is not there, or two go to the same."""
    known = {each.name for each in names}
    there = {each.name for each in target.tables(asked.target_schema)}
    for source, wanted in asked.onto.items():
        if source not in known:
            raise SpecError(f"--onto {source}={wanted}: the draft has no table {source}. {meant(source, known)}")
        if target.describe(target.named(TableName(wanted, asked.target_schema))) is None:
            raise SpecError(
                f"--onto {source}={wanted}: there is no table {wanted} in {target.url}. {meant(wanted, there)}"
            )
        if list(asked.onto.values()).count(wanted) > 1 or (wanted in known and wanted not in asked.onto):
            raise SpecError(
                f"--onto {source}={wanted}: another table of the source goes there, too.",
                fix=f"name the tables of one draft with --table, and list both sources under {wanted} by hand.",
            )
    return dict(asked.onto)
