"""Keys of the format that this version knows and does not follow yet: better refused than ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator

from flows.spec.document import dotted
from flows.spec.model import Spec
from transforms.vocabulary import Problem


def not_yet(spec: Spec) -> Iterator[Problem]:
    """What the spec says that no command of this version takes."""
    if spec.direction == "two_way":
        yield Problem("direction two_way cannot be run yet.", "set `direction: one_way`.", spec.where("direction"))
    both_ways = "is for changes that go both ways, which cannot be run yet."
    for setting in ("conflict", "initial"):
        if setting in spec.model_fields_set:
            yield Problem(f"{setting} {both_ways}", "remove it.", spec.where(setting))
    for name, table in spec.tables.items():
        for setting in ("direction", "conflict", "initial", "on_source"):
            if setting in table.model_fields_set and getattr(table, setting) != "one_way":
                at = ("tables", name, setting)
                yield Problem(f"{dotted(at)} {both_ways}", "remove it.", spec.where(*at), name)
        for part in spec.parts_of(name):
            for column, wanted in (part.tables[name].columns or {}).items():
                if wanted.inverse is not None:
                    path = ("tables", name, "columns", column, "inverse")
                    yield Problem(f"{dotted(path)} {both_ways}", "remove it.", part.where(*path), name)
