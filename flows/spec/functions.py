"""The user's own Python that a spec names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flows.spec.tables import Table


def python_files(tables: Iterable[Table], folder: Path) -> list[Path]:
    """The files of `python:` columns and rules that lie beside the spec; installed modules are not among them."""
    every = list(tables)
    columns = [each for table in every for part in table.parts for each in (part.columns or {}).values()]
    rules = [each for table in every if table.conflict for each in table.conflict.columns.values()]
    found = set()
    for function in filter(None, [each.python for each in columns] + [each.python for each in rules]):
        base = folder.joinpath(*function.split(".")[:-1])
        candidates = (base.with_suffix(".py"), base / "__init__.py")
        found.update([file for file in candidates if file.is_file()][:1])
    return sorted(found)
