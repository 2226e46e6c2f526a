"""Two-way runs that are killed after any step that lasts: a commit on a side, a transaction of the ledger, a file of the store."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crashing import ADAPTERS, _one_by_one, server
from scenario import Scenario

from flows import commands
from flows.history.log import shown
from flows.history.version_list import listed
from flows.session.stores import ledger_of

CUSTOMERS, SALES, WINDOW = 24, 16, 8
TABLES: dict[str, Any] = {
    "customer": {
        "from": "people",
        "key": "customer_id",
        "columns": {"customer_id": "id", "name": "name", "balance": "cents"},
        "conflict": {"columns": {"balance": "sum"}},
        "window": WINDOW,
    },
    "sale": {
        "from": "sales",
        "key": "no",
        "columns": {"no": "no", "customer_id": "person", "what": "what"},
        "window": WINDOW,
    },
}


def shop(scenario: Scenario) -> Scenario:
    """People and their sales on both sides, which have met."""
    scenario.source.execute(
        "CREATE TABLE people (id bigint PRIMARY KEY, name varchar(40), cents bigint, secret varchar(10))",
        "CREATE TABLE sales (no bigint PRIMARY KEY, person bigint NOT NULL REFERENCES people (id), what varchar(40))",
    )
    scenario.target.execute(
        "CREATE TABLE customer (customer_id bigint PRIMARY KEY, name varchar(40), balance bigint)",
        "CREATE TABLE sale (no bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer (customer_id), what varchar(40))",
    )
    scenario.source.insert("people", [(i, f"name {i}", 100 * i, "x") for i in range(CUSTOMERS)])
    scenario.source.insert("sales", [(i, i % CUSTOMERS, f"sale {i}") for i in range(SALES)])
    scenario.write(TABLES, direction="two_way", initial="policy")
    assert scenario.run().status == 0
    return scenario


def edit(scenario: Scenario) -> None:
    """Edits of each kind on both sides, in every window; one row is open, and others come together."""
    scenario.source.execute(
        "UPDATE people SET name = 'source' WHERE id IN (1, 9, 17, 5)",
        "UPDATE people SET cents = cents + 7 WHERE id IN (2, 10, 18)",
        "DELETE FROM sales WHERE no IN (3, 11)",
        "INSERT INTO people VALUES (100, 'born here', 1, 'x')",
        "INSERT INTO sales VALUES (100, 100, 'here'), (101, 1, 'here')",
    )
    scenario.target.execute(
        "UPDATE customer SET name = 'target' WHERE customer_id IN (3, 11, 19, 5)",
        "UPDATE customer SET balance = balance + 5 WHERE customer_id IN (2, 10, 1)",
        "DELETE FROM sale WHERE no IN (4, 12)",
        "INSERT INTO customer VALUES (200, 'born there', 2)",
        "INSERT INTO sale VALUES (200, 200, 'there'), (201, 2, 'there')",
    )


def outcome_of(scenario: Scenario) -> dict[str, Any]:
    """All that a kill must not change: rows of both sides, what is open, versions and what history says of them."""
    versions = []
    for version in listed(scenario.spec):
        changes = sorted(
            (each.table, each.op, each.key, str(each.before), str(each.after))
            for each in shown(scenario.spec, version["version"])[1]
        )
        versions.append((version["version"], version["side"], version["kind"], changes))
    with ledger_of(scenario.spec) as ledger:
        open_ = sorted((each.table_name, each.key, each.kind) for each in ledger.conflicts("shop"))
    return {
        "source": scenario.source.content(), "target": scenario.target.content(), "open": open_, "versions": versions,
    }  # fmt: skip


# Steps that last

Said = Callable[[str], None]


@contextmanager
def counting(seen: Said, source: tuple[str, bool]) -> Iterator[None]:
    """Say what lasts, once it does, as long as the block runs. Leases are no part of it: they end with their process.

    `source`: its engine, and whether the target has the same.
    """
    from adapters.ledger.engine import LedgerEngine

    with pytest.MonkeyPatch.context() as patch:
        for engine, place in ADAPTERS.items():
            module, _, name = place.rpartition(".")
            adapter = getattr(importlib.import_module(module), name)
            patch.setattr(adapter, "apply", _after(adapter.apply, seen, partial(_commit, engine, source)))
        patch.setattr(LedgerEngine, "writing", _writing(LedgerEngine.writing, seen))
        patch.setattr(Path, "replace", _after(Path.replace, seen, _file))
        yield


def _commit(engine: str, source: tuple[str, bool], adapter: Any, *_: Any, **__: Any) -> str:
    of_source = "legacy" in adapter.url if source[1] else engine == source[0]
    return f"commit on {'source' if of_source else 'target'}"


def _file(_: Path, to: Path) -> str:
    parts = Path(to).parts
    parts = parts[parts.index("store") + 1 :] if "store" in parts else parts[-1:]
    return f"file {parts[0]}/…/{parts[-1]}" if len(parts) > 1 else f"file {parts[0]}"


def _after(original: Callable[..., Any], seen: Said, name: Callable[..., str]) -> Callable[..., Any]:
    def done(*given: Any, **options: Any) -> Any:
        answer = original(*given, **options)
        seen(name(*given))
        return answer

    return done


def _writing(original: Callable[..., Any], seen: Said) -> Callable[..., Any]:
    @contextmanager
    def writing(self: Any) -> Iterator[Any]:
        frame: Any = sys._getframe(2)
        while frame.f_code.co_filename.endswith("contextlib.py"):
            frame = frame.f_back
        caller, of_lease = frame.f_code.co_name, frame.f_code.co_filename.endswith("lease.py")
        with original(self) as connection:
            yield connection
        if not of_lease:
            seen(f"ledger {caller}")

    return writing


def _source(scenario: Scenario) -> tuple[str, bool]:
    return scenario.source.engine, scenario.source.engine == scenario.target.engine


def steps_of(scenario: Scenario) -> list[str]:
    """What lasts of a run that nobody disturbs, in its order."""
    found: list[str] = []
    with counting(found.append, _source(scenario)):
        commands.run(_one_by_one(str(scenario.path), "run"))
    return found


# In the process that dies


def _dying(path: str, source: tuple[str, bool], after: str | int) -> None:
    """A run that dies after a step: the first with a text in its name, or the one of a number."""
    count = 0

    def seen(step: str) -> None:
        nonlocal count
        count += 1
        if count == after or (isinstance(after, str) and after in step):
            os.kill(os.getpid(), signal.SIGKILL)

    with counting(seen, source):
        commands.run(_one_by_one(path, "run"))  # windows one after the other, so that steps have an order


def killed_after(scenario: Scenario, step: str | int) -> bool:
    """Run in another process until a step lasts; False where it came to its end before."""
    process = server().Process(target=_dying, args=(str(scenario.path), _source(scenario), step))
    process.start()
    process.join(120)
    return bool(process.exitcode == -signal.SIGKILL)
