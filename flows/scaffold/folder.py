"""A folder that works: a drafted spec, deployments for Prefect, and what keeps secrets and state out of a repository."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2

from adapters.secrets import masked
from flows.scaffold.asked import Asked
from flows.scaffold.draft import Draft, migration_name, scaffold, shown_url
from flows.scaffold.yaml import DraftTable
from flows.session.meter import Meter
from transforms.vocabulary import SpecError

SPEC: Final = "spec.yaml"
LEGACY: Final = "legacy.db"
NEW: Final = "new.db"
FILES: Final = {
    "prefect.yaml": "prefect.yaml.j2",
    ".gitignore": "gitignore.j2",
    ".env.example": "env.example.j2",
    "README.md": "README.md.j2",
}
"""What a folder gets beside its spec, and of which templates."""


@dataclass(frozen=True, slots=True)
class Made:
    """The folder, the migration's name, the draft of its spec, and all files, in the order in which they were made."""

    folder: Path
    name: str
    draft: Draft
    files: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints: of the draft what `scaffold` prints."""
        found = self.draft.as_dict(self.folder / SPEC)
        return {"folder": str(self.folder), "name": self.name, "files": list(self.files), **found}


def make_folder(
    folder: Path, source: str | None, target: str | None, name: str = "", meter: Meter | None = None
) -> Made:
    """Draft a spec of two databases into a folder, made where it is missing, with all that a migration wants beside it. Without URLs: of a
    small example that is made there. Neither database is written to.

    Errors: SpecError where one of the files is there already, or the folder cannot be written to; nothing is made then.
    """
    example = source is None or target is None
    names = (*([LEGACY] if example else []), SPEC, *FILES)
    if there := [each for each in names if (folder / each).exists()]:
        raise SpecError(f"{folder} has {', '.join(there)} already.", fix="name another folder, or move them away.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if example:
            _make_legacy(folder / LEGACY)
    except (OSError, sqlite3.Error) as error:
        raise SpecError(f"{folder} cannot be written to: {error}.", fix="name another folder.") from error
    asked = Asked(source or f"sqlite:///{folder / LEGACY}", target or f"sqlite:///{folder / NEW}", folder)
    asked = replace(asked, name=name or (folder.absolute().name if example else ""))
    draft = scaffold(asked, meter)
    draft.write(folder / SPEC)
    facts = _facts(asked, draft)
    for file, template in FILES.items():
        (folder / file).write_text(rendered(template, facts), encoding="utf-8")
    return Made(folder, facts["name"], draft, names)


def rendered(template: str, facts: dict[str, Any]) -> str:
    """A template of `project/` with what is known of a migration. Prefect's own {{ }} stay as they are."""
    environment = jinja2.Environment(
        block_start_string="[%", block_end_string="%]", variable_start_string="[[", variable_end_string="]]",
        comment_start_string="[#", comment_end_string="#]", undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - plain text
    )  # fmt: skip
    text = (files("flows.scaffold") / "project" / template).read_text(encoding="utf-8")
    return environment.from_string(text).render(facts)


def _facts(asked: Asked, draft: Draft) -> dict[str, Any]:
    live = next((table for table in draft.tables if not table.blocked), None)
    return {
        "name": migration_name(asked),
        "spec": SPEC,
        "source": masked(shown_url(asked, asked.source, "SOURCE_URL")),
        "target": masked(shown_url(asked, asked.target, "TARGET_URL")),
        "range": _some_range(live),
        "every": "100",
        "variables": " and ".join(draft.variables),
        "names": draft.variables,
    }


def _some_range(table: DraftTable | None) -> str:
    return f"{table.name}.{table.key[0]}:1..1000" if table is not None and table.key else "table.column:1..1000"


def _make_legacy(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.executescript((files("flows.scaffold") / "project" / "legacy.sql").read_text(encoding="utf-8"))
