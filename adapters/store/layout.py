"""The store: the folder of everything a migration leaves behind, and where in it what lies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from adapters import private
from adapters.processes import left_by_the_dead
from adapters.store.plans import BEGUN, MANIFEST, put, written
from transforms.vocabulary import PlanError, SideName, of_side

EVIDENCE: Final = "evidence.json"
PARTS: Final = (
    "plans",
    "evidence",
    "latest",
    "bases",
    "work",
)  # folders of the store, which earlier versions left open


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of everything a migration leaves behind: `plans/<plan>/`, `bases/<side>/`, `agreed/<migration>/` and what
    was planned last.

    What is of one side lies in a folder that `of_side` names.
    """

    root: Path

    def plan_folder(self, plan_id: str) -> Path:
        """Where a plan lies or will lie."""
        return self.root / "plans" / _one_name(plan_id)

    def bases(self, migration: str, side: SideName) -> Path:
        """Where the tables of a side lie as they once were."""
        return self.root / "bases" / of_side(_one_name(migration), side)

    def agreed(self, migration: str) -> Path:
        """Where the bases of two-way tables lie: the rows that both sides agreed on last."""
        return self.root / "agreed" / _one_name(migration)

    def seals(self, migration: str) -> Path:
        """Where what was proved of windows lies, see `adapters.store.seals`."""
        return self.root / "seals" / _one_name(migration)

    def work(self, migration: str, side: SideName) -> Path:
        """Where what is moved to its place when it is whole is made for a side; nobody else's, and worth nothing after a crash."""
        return self.bases(migration, side) / ".making"

    def named(self, folder: Path) -> str:
        """What the ledger calls a folder: its place in the store, which may lie elsewhere on another machine."""
        inside = folder.is_relative_to(self.root)
        return folder.relative_to(self.root).as_posix() if inside else str(folder.absolute())

    def folder(self, name: str) -> Path:
        """The folder that the ledger calls so."""
        return self.root / name

    def plans(self) -> list[Path]:
        """The folders of finished plans, newest first."""
        manifests = (self.root / "plans").glob(f"*/{MANIFEST}")
        return [path.parent for path in sorted(manifests, key=lambda path: path.stat().st_mtime_ns, reverse=True)]

    def abandoned(self) -> Iterator[Path]:
        """The folders of plans that nobody will finish, or apply: the process that alone knows of them is dead."""
        for begun in (self.root / "plans").glob(f"*/{BEGUN}"):
            if left_by_the_dead(begun):
                yield begun.parent

    def write_evidence(self, run_id: str, name: str, data: bytes) -> Path:
        """Put a file of a run's evidence in place; its path."""
        path = self.evidence_folder(run_id) / name
        with written(self.root):
            put(path, data, sync=False)
            private.narrow(*(self.root / part for part in PARTS))
        return path

    def evidence_folder(self, run_id: str) -> Path:
        """Where the evidence of a run lies, with its page."""
        return self.root / "evidence" / _one_name(run_id)

    def evidence(self, migration: str, run_id: str | None = None) -> dict[str, Any] | None:
        """The evidence of a migration's run, or of its latest run; None where there is none."""
        for known in [run_id] if run_id else islice(self.evidence_runs(migration), 1):
            try:
                found = json.loads((self.evidence_folder(known) / EVIDENCE).read_bytes())
            except FileNotFoundError:
                return None
            except (OSError, ValueError) as error:
                raise PlanError(
                    f"The evidence of run {known} in {self.root} cannot be read: {error}.",
                    fix="give this user the right to read it, or take a run that is whole.",
                ) from error
            return found if isinstance(found, dict) and found.get("migration") == migration else None
        return None

    def evidence_runs(self, migration: str) -> Iterator[str]:
        """The runs of a migration that left evidence, newest first."""
        mark = f'"migration": {json.dumps(migration, ensure_ascii=False)}'
        found = (self.root / "evidence").glob(f"*/{EVIDENCE}")
        for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            with path.open(encoding="utf-8") as file:
                if mark in file.read(400):
                    yield path.parent.name

    def mark_latest(self, migration: str, side: SideName, plan_id: str) -> None:
        """Remember a plan as the latest that wrote a side."""
        with written(self.root):
            put(self._latest(migration, side), _one_name(plan_id).encode(), sync=False)

    def latest(self, migration: str, side: SideName) -> Path | None:
        """The folder of the latest plan that wrote a side, None where there is none."""
        try:
            plan_id = self._latest(migration, side).read_text()
        except FileNotFoundError:
            return None
        folder = self.plan_folder(plan_id)
        return folder if (folder / MANIFEST).exists() else None

    def _latest(self, migration: str, side: SideName) -> Path:
        return self.root / "latest" / of_side(_one_name(migration), side)


def _one_name(text: str) -> str:
    if not re.fullmatch(r"[\w][\w.~@-]*", text):
        raise PlanError(
            f"{text!r} is no name of a run or migration: those have letters, digits, _ . and - only.",
            fix="take one of `syncline history`.",
        )
    return text
