"""Law of constraints: whatever keys link the tables, a plan turns one state that keeps them into another, and back, with all of them on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from law_examples import slow_examples
from linked_schemas import LinkedSchema, State, schemas, states
from scenario import Scenario, Side

from flows.commands import Status


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])  # DuckDB takes no change of a row that others refer to
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Side:
    return Scenario.make(tmp_path, ("sqlite", request.param), request).target


@slow_examples(2)
@given(data=st.data())
def test_a_plan_turns_one_state_into_another_and_back(target: Side, tmp_path: Path, data: st.DataObject) -> None:
    schema = data.draw(schemas(target.engine))
    first, second = data.draw(states(schema)), data.draw(states(schema))
    rows = data.draw(st.integers(1, 3))
    for statement in schema.statements():
        note(statement)
    shop = schema.shop(target, tmp_path, defaults={"window": rows})

    goes_to(shop, schema, first)
    if (version := goes_to(shop, schema, second)) is not None:
        assert shop.undo(version).status is Status.DONE
    assert schema.there(shop.target) == first


def goes_to(shop: Scenario, schema: LinkedSchema, state: State) -> int | None:
    """A run brings the target to a state of the source, and leaves nothing to do; its version, None where nothing changed."""
    schema.fill(shop.source, state)
    done = shop.run()
    assert done.status is Status.DONE, (done.message, done.report.warning_texts)
    assert schema.there(shop.target) == state
    shop.settled()
    return done.report.version
