"""What a spec says of changes that go both ways, of a table whose changes go one way: better refused than ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator

from flows.spec.conflict import Conflict
from flows.spec.document import dotted
from flows.spec.model import Spec
from transforms.vocabulary import Problem


def of_both_ways(spec: Spec) -> Iterator[Problem]:
    """Settings that nobody looks at, because nothing goes both ways. Where some tables do, others may keep them for later."""
    if spec.writes_source:
        return
    unused = "is for changes that go both ways, and these go one way."
    fix = "remove it, or write `direction: two_way`."
    for setting, said in (("conflict", spec.conflict != Conflict()), ("initial", spec.initial != "report")):
        if said:
            yield Problem(f"{setting} {unused}", fix, spec.where(setting))
    for name, table in spec.tables.items():
        for setting in ("conflict", "initial", "on_source"):
            if getattr(table, setting):
                at = ("tables", name, setting)
                yield Problem(f"{dotted(at)} {unused}", fix, spec.where(*at), name)
        for part in spec.parts_of(name):
            for column, wanted in (part.tables[name].columns or {}).items():
                if wanted.inverse is not None:
                    path = ("tables", name, "columns", column, "inverse")
                    yield Problem(f"{dotted(path)} {unused}", fix, part.where(*path), name)
