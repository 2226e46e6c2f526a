"""What earlier versions of Syncline left behind, packed: how it is unpacked into another folder, and what it is held to.

A packed store is a folder with a source, a target, a spec, a ledger and plans, and in `answers.json` what the version that
made it answered about them. `old_stores/make_old_store.py` makes one. Nothing here imports Syncline: what is old is read
as what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

PACKED = Path(__file__).parent.parent / "old_stores"
ANSWERS = "answers.json"
HERE = "<folder>"  # in commands and answers: wherever it is unpacked
UNORDERED = ("asof", "diff")  # commands that promise no order of rows


def unpacked(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack a store, make it at home in its new folder, and give its answers in terms of that.

    Plans and the ledger name the spec, both databases, and plans outside the store by absolute paths, and a manifest has a
    digest over that. So paths are put right in every JSON file and in every text of the ledger, and digests of manifests
    are made anew as format 1 of plans has them.
    """
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    answers: dict[str, Any] = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
    move(folder, answers["made"]["folder"])
    return dict(json.loads(json.dumps(answers).replace(HERE, _in_json(str(folder)))))


def move(folder: Path, was: str) -> None:
    """Put right what names the folder that it was."""
    for path in folder.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        if was not in text or path.name == ANSWERS:
            continue
        times = path.stat()
        body = json.loads(text.replace(was, _in_json(str(folder))))
        if path.name == "manifest.json":
            assert _digest_of(json.loads(text)) == body["digest"], f"{path} is not as it was written"
            body["digest"] = _digest_of(body)
        path.write_text(json.dumps(body, indent=1, ensure_ascii=False), encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # the store's order of plans and evidence
    with closing(sqlite3.connect(folder / ".syncline" / "ledger.db")) as ledger, ledger:
        for (table,) in ledger.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            for column in [row[1] for row in ledger.execute(f'PRAGMA table_info("{table}")')]:
                put = f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)'
                ledger.execute(put, (was, str(folder), was))


def _digest_of(manifest: dict[str, Any]) -> str:
    body = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def target_rows(folder: Path) -> dict[str, list[Any]]:
    """All that the target holds, through SQLite itself, in the order of texts; without Syncline's own tables."""
    with closing(sqlite3.connect(folder / "core.db")) as target:
        tables = target.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        return {
            name: sorted((list(row) for row in target.execute(f'SELECT * FROM "{name}"')), key=str)
            for (name,) in tables
            if "syncline" not in name and not name.startswith("sqlite_")
        }


def lacking(expected: Any, found: Any, *, ordered: bool = True, at: str = "") -> Iterator[str]:
    """What was answered once and is not any more. What an answer has besides, in objects, is no matter."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, value in expected.items():
            if name not in found:
                yield f"{at}.{name} is missing, and was {value!r}"
            else:
                yield from lacking(value, found[name], ordered=ordered, at=f"{at}.{name}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{at} has {len(found)} elements, and had {len(expected)}"
            return
        if not ordered:
            expected, found = (
                sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)) for rows in (expected, found)
            )
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from lacking(one, other, ordered=ordered, at=f"{at}[{number}]")
    elif expected != found or type(expected) is not type(found):
        yield f"{at} is {found!r}, and was {expected!r}"
