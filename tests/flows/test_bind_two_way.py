"""Tables that go both ways, bound to both sides: the policy, the ways back, the key of the source, and what it is written by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from scenario import RING, Scenario, pair_name

from flows.bind import tables as binding
from flows.bind.mirror import mirrored
from flows.session.session import Session, connect, with_binding
from transforms.vocabulary import Problem, SpecError

SOURCE = (
    "CREATE TABLE airports (faa varchar(3) PRIMARY KEY, name varchar(40), alt double precision, kind varchar(1),"
    " changed_at timestamp, made_by varchar(9) NOT NULL, note varchar(20))"
)
TARGET = (
    "CREATE TABLE airport (code varchar(3) PRIMARY KEY, name varchar(40), alt_m double precision, kind varchar(9),"
    " updated_at timestamp)"
)
AIRPORT: dict[str, Any] = {
    "from": "airports",
    "columns": {
        "code": "faa",
        "name": "name",
        "alt_m": {"expr": "alt * 0.5", "inverse": {"alt": "alt_m / 0.5"}},
        "kind": {"from": "kind", "map": {"A": "large", "B": "small"}},
        "updated_at": "changed_at",
    },
    "on_source": {"made_by": {"const": "sync"}},
    "key": ["code"],
}


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the refusal, as long as there is one."""
    if hasattr(binding, "not_yet"):
        monkeypatch.setattr(binding, "not_yet", lambda spec: [])


@contextmanager
def bound_of(scenario: Scenario, tables: dict[str, Any], **rest: Any) -> Iterator[Session]:
    scenario.write(tables, **{"direction": "two_way", **rest})
    with connect(scenario.spec) as session:
        yield with_binding(session)


def problems_of(scenario: Scenario, tables: dict[str, Any], **rest: Any) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught, bound_of(scenario, tables, **rest):
        pass
    for each in caught.value.problems:
        assert each.what.endswith("."), each
    return caught.value.problems


def texts(problems: tuple[Problem, ...]) -> str:
    return "\n".join(map(str, problems))


@pytest.fixture
def airports(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute(SOURCE)
    made.target.execute(TARGET)
    return made


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_a_table_and_its_mirror_know_how_rows_go_back(
    pair: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = Scenario.make(tmp_path, pair, request)
    for side, made in ((scenario.source, SOURCE), (scenario.target, TARGET)):
        side.execute(made.replace("timestamp", "datetime(6)") if side.engine == "mysql" else made)
    conflict = {"resolve": "newer_wins", "clock": {"source": "changed_at", "target": "updated_at"}, "skew": "5s"}
    with bound_of(
        scenario, {"airport": {**AIRPORT, "conflict": {"columns": {"alt_m": "larger"}}}}, conflict=conflict
    ) as at:
        bound = at.bound.table("airport")
        two_way = bound.two_way
        assert two_way is not None
        clock = two_way.policy.clock
        assert clock is not None
        assert (clock.names, clock.skew, clock.tie) == (("updated_at", "updated_at"), timedelta(seconds=5), "manual")
        assert (two_way.policy.resolve, two_way.policy.rule("alt_m").kind) == ("newer_wins", "larger")
        assert {name: way.writes for name, way in two_way.ways.items() if not way.why_not} == {
            "code": ("faa",), "name": ("name",), "alt_m": ("alt",), "kind": ("kind",), "updated_at": ("changed_at",),
        }  # fmt: skip
        assert two_way.source_key == ("faa",)
        assert two_way.reads == ("faa", "name", "alt", "kind", "changed_at")
        rows = pa.table(
            {
                name: pa.nulls(2, kind)
                for name, kind in zip(bound.mapping.schema.names, bound.mapping.schema.types, strict=True)
            }
        )
        assert two_way.given(rows).to_pydict() == {"made_by": ["sync", "sync"]}
        source = at.sides.written("source").adapter
        mirror = mirrored(at.spec, at.bound, source).table("airport")
        assert mirror.shape.name == bound.source.table
        assert mirror.key == ("faa",)
        assert mirror.images == ("faa", "name", "alt", "kind", "changed_at", "made_by")
        assert (mirror.unwritable, mirror.delete, mirror.lookups, mirror.two_way) == (None, "hard", {}, None)
