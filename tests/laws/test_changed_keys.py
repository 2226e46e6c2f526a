"""Law of following: the plans of keys that changed, in whatever batches, come to what a plan of whole tables comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from law_examples import slow_examples
from linked_schemas import schemas, states
from scenario import Scenario, Side, balanced

from flows import commands
from flows.commands import Status
from flows.follow.waiting import WAITING
from flows.history.quarantine import Filter, retry
from flows.plan.trees.changed import Changed
from flows.plan.trees.chosen_tree import Trees


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Side:
    return Scenario.make(tmp_path, ("sqlite", request.param), request).target


@slow_examples(2)
@given(data=st.data())
def test_batches_of_changed_keys_come_to_what_whole_tables_come_to(
    target: Side, tmp_path: Path, data: st.DataObject
) -> None:
    schema = data.draw(schemas(target.engine))
    first, second = data.draw(states(schema)), data.draw(states(schema))
    for statement in schema.statements():
        note(statement)
    note((first, second))
    shop = schema.shop(target, tmp_path)
    schema.fill(shop.source, first)
    assert shop.run().status is Status.DONE

    schema.fill(shop.source, second)
    batches: list[dict[str, list[int]]] = [{}, {}]
    for table in schema.tables:
        before, after = first[table.name], second[table.name]
        for key in sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)):
            batches[data.draw(st.integers(0, 1))].setdefault(table.name, []).append(key)
    for batch in batches:
        note(batch)
        bring_over(shop, batch, [table.name for table in schema.tables], data.draw(st.sampled_from((1, 2, 100))))
    assert schema.there(shop.target) == second
    shop.settled()


def bring_over(shop: Scenario, batch: Mapping[str, list[int]], order: Sequence[str], most: int) -> None:
    """What `sync` does with a batch."""
    keys = {(name, ""): pa.table({"id": pa.array(some, pa.int64())}) for name, some in batch.items()}
    for some in Changed(keys).slices(most, order) if keys else ():
        done(shop, trees=Trees((), with_parents=True, gone=True, changed=some))
        if (again := retry(shop.request(live=True), Filter(codes=WAITING))) is not None:
            assert balanced(commands.run(again)).status is Status.DONE


def done(shop: Scenario, **asked: Any) -> None:
    outcome = shop.run(live=True, **asked)
    assert outcome.status is Status.DONE, outcome.message
