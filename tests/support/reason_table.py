"""The tables of docs/reasons.md: each code, what it means and what helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from policy_table import replaced

from transforms.vocabulary.notices import NOTICES
from transforms.vocabulary.reasons import MEANINGS, Cast, Engine, Limit, Mapped, OtherRows, Unread
from transforms.vocabulary.what_to_do import AGAINST, ON_WARNING

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reasons.md"
GROUPS: Final[Mapping[str, Any]] = {
    "The row cannot be read": Unread,
    "A cast does not fit the value": Cast,
    "The column does not take the value": Limit,
    "The mapping": Mapped,
    "Other rows": OtherRows,
    "The target, and what it demands": Engine,
}


def page(text: str) -> str:
    """The page with its tables made anew."""
    grouped = {code for group in GROUPS.values() for code in get_args(group)}
    parts = [f"## {title}\n\n{_table(get_args(group), MEANINGS, AGAINST)}" for title, group in GROUPS.items()]
    rest = [code for code in MEANINGS if code not in grouped]
    parts.append(f"## From earlier versions\n\n{_table(rest, MEANINGS, AGAINST)}")
    warnings = _table(NOTICES, NOTICES, ON_WARNING, "warning-")
    return replaced(text, {"reasons": "\n\n".join(parts), "warnings": warnings})


def _table(codes: Iterable[Any], meanings: Mapping[Any, str], fixes: Mapping[Any, str], of: str = "") -> str:
    rows = [f'| <a id="{of}{code}"></a>`{code}` | {meanings[code]} | {fixes[code]} |' for code in codes]
    return "\n".join(["| code | meaning | what to do |", "|---|---|---|", *rows])
