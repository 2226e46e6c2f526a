"""`tables: "*"`: every table of the source that the target has, too, whichever these are when a command looks."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from flows.spec.problems import Invalid

EVERY = "*"
"""What stands for the tables that are not named."""


def taken_apart(data: Any, context: dict[str, Any]) -> Any:
    """A spec without `*` in its tables: that it is there is kept in the `context`, and what it excepts stands beside the tables."""
    tables = data.get("tables") if isinstance(data, dict) else None
    if tables == EVERY:
        context["every"] = True
        return {**data, "tables": {}}
    if not isinstance(tables, dict) or EVERY not in tables:
        return data
    said = tables[EVERY]
    context["every"] = True
    made = {**data, "tables": {name: table for name, table in tables.items() if name != EVERY}}
    if said == EVERY:
        return made
    if not isinstance(said, dict) or set(said) != {"except"}:
        fix = "write what holds for all tables in `defaults:`, and an entry of its own for one that differs"
        raise Invalid('takes "*" or {except: […]}.', "tables", EVERY, fix=fix)
    if "except" in data:
        raise Invalid("is said twice.", "except", fix="leave one out")
    names = said["except"]
    if not isinstance(names, str | list) or not all(isinstance(each, str) for each in names):
        raise Invalid("must be a list of names", "tables", EVERY, "except")
    return {**made, "except": names}


def excepted(name: str, patterns: Iterable[str]) -> bool:
    """Whether a table is excepted by its name, in any case; `*` and `?` in a pattern stand for any signs."""
    return any(fnmatchcase(name.casefold(), each.casefold()) for each in patterns)
