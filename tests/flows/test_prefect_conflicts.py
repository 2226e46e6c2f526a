"""The flow that pauses with the rows that are open between both sides, against a real Prefect API, and goes on with a decision."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from many_clients import SERVER, Office
from many_targets import REGIONS, WRITTEN, Centre, own_rows
from prefect.client.orchestration import SyncPrefectClient as Api
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectHTTPStatusError
from prefect_shop import Shop, artifacts_of, eventually
from prefect_shop import api as api
from prefect_shop import shop as shop

from flows import conflicts
from flows.conflicts import resolve_conflicts
from flows.migrate import migrate
from flows.orchestration.conflicts import form_about
from flows.results.conflicts import listed
from flows.session.open_rows import note_open
from flows.session.session import connect, with_binding
from flows.session.stores import ledger_of
from flows.spec.model import load_spec
from flows.verify import verify
from transforms.reconcile import Policy, reconcile


@pytest.fixture
def open_rows(shop: Shop) -> Shop:
    """Rows 1 and 2 of the shop are open between both sides."""
    spec = load_spec(Path(shop.spec))
    with connect(spec) as opened, ledger_of(spec) as ledger:
        bound = with_binding(opened).bound.table("item")
        kinds = [pa.field(column.name, column.type) for column in bound.shape.columns]

        def rows(*labels: str) -> pa.Table:
            days = pa.nulls(len(labels), kinds[2].type)
            return pa.table([[*range(1, len(labels) + 1)], list(labels), days], schema=pa.schema(kinds))

        sides = rows("a", "b"), rows("s|1", "s2"), rows("<script>t1", "t2")
        met = reconcile(bound.shape.name, *sides, bound.comparison, Policy("merge"))
        note_open(spec, ledger, bound, met.conflicts, "r1")
    return shop


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "POLL_SECONDS", 1)


def decisions(shop: Shop) -> list[tuple[str, str | None, str, str | None, str | None, str | None]]:
    spec = load_spec(Path(shop.spec))
    with ledger_of(spec) as ledger:
        found = ledger.open_rows.decisions(spec.name)
    return [(each.key, each.field, each.take, each.value, each.decided_by, each.why) for each in found]


def written(api: Api, run: FlowRun, keyset: dict[str, str]) -> bool:
    """Whether the form is there: a run is paused a moment before it has one."""
    try:
        return all(api.read_flow_run_input(run.id, keyset[name]) for name in ("schema", "description"))
    except PrefectHTTPStatusError:
        return False


def paused(api: Api, number: int) -> FlowRun:
    """The one flow run that waits for its form of that number."""
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))

    def waiting() -> Any:
        for run in api.read_flow_runs(flow_run_filter=wanted):
            keyset = run.state.state_details.run_input_keyset if run.state else None
            if keyset and f"decision-{number}" in str(run.state.state_details.pause_key) and written(api, run, keyset):
                return run
        return None

    found: FlowRun = eventually(waiting, bool)
    return found


def answered(api: Api, shop: Shop, *answers: dict[str, Any] | Callable[[str], dict[str, Any]]) -> tuple[Any, FlowRun]:
    """Run the flow, answer its forms one after the other; its last state and its run."""
    states: list[Any] = []

    def run_it() -> None:
        states.append(resolve_conflicts(shop.spec, return_state=True))

    runner = threading.Thread(target=copy_context().run, args=(run_it,), daemon=True)  # where the API is
    runner.start()
    run = None
    for number, answer in enumerate(answers, 1):
        run = paused(api, number)
        if callable(answer):
            keyset = run.state.state_details.run_input_keyset  # type: ignore[union-attr]
            answer = answer(json.loads(api.read_flow_run_input(run.id, keyset["description"])))
        api.resume_flow_run(run.id, run_input=answer)
    runner.join(60)
    assert states and run is not None
    return states[0], run


def test_the_flow_waits_with_a_table_of_the_conflicts_and_takes_down_what_is_decided(api: Api, open_rows: Shop) -> None:
    seen = []

    def first(description: str) -> dict[str, Any]:
        seen.append(description)
        return {"take": "source", "field": "nothing", "keys": ["1"]}

    def second(description: str) -> dict[str, Any]:
        seen.append(description)
        return {"take": "target", "keys": ["1"], "by": "ann", "why": "they know", "more": True}

    state, run = answered(
        api, open_rows, first, second, {"take": "value", "field": "label", "value": "new", "keys": ["2"]}
    )
    assert (state.name, state.message) == (
        "Completed", "Decided for 2 rows. The next run applies it to rows that are still so.",
    )  # fmt: skip
    assert run.name == "resolve-conflicts/Corner_shop"
    assert "item `[1]`" in seen[0] and "| `label` | `a` | `s\\|1` |" in seen[0] and "2 rows are open" in seen[0]
    assert "Not decided" in seen[1] and "nothing" in seen[1]
    made = decisions(open_rows)
    assert made[0] == ("[1]", None, "target", None, "ann", "they know")
    assert made[1][:4] == ("[2]", "label", "value", "new") and made[1][4]
    lines = json.loads(artifacts_of(api, state)["corner-shop-open"]["data"])
    assert [(line["key"], line["base"], line["source"], line["target"]) for line in lines] == [
        ("[1]", "a", "s|1", "<script>t1"), ("[2]", "b", "s2", "t2"),
    ]  # fmt: skip


def test_the_form_says_by_itself_what_is_open(open_rows: Shop) -> None:
    """One UI of Prefect hides the text above a form that leaves it no room."""
    met = listed(load_spec(Path(open_rows.spec)), (), ())
    fields = form_about("Corner shop", met * 3, "no *such* field", "item").model_json_schema()["properties"]
    shown = fields["take"]["description"]
    assert "Not decided: no \\*such\\* field\n" in shown
    assert "item `[1]`: `label` is `s|1` on the source and `<script>t1` on the target, and was `a`." in shown
    assert "3 more are in the artifact corner-shop-open of this run." in shown
    assert fields["take"]["enum"][0] == fields["take"]["default"] == "nothing"
    assert (fields["table"]["default"], bool(fields["table"]["description"])) == ("item", True)


def test_nobody_decides(api: Api, open_rows: Shop) -> None:
    state, _ = answered(api, open_rows, {"take": "nothing"})
    assert state.is_failed() and state.name == "Conflicts" and decisions(open_rows) == []


def test_nothing_is_asked_where_nothing_is_open(api: Api, shop: Shop) -> None:
    state = resolve_conflicts(shop.spec, return_state=True)
    assert state.is_completed() and state.message == "No row is open between both sides."


def test_a_flow_maps_over_targets_and_tells_how_each_ended(tmp_path: Path, api: Api) -> None:
    centre = Centre.make(tmp_path)
    away = {"name": "away", "url": "postgresql://u:s3cret@127.0.0.1:1/none", "variables": {"region": "AT"}}
    centre.write([*WRITTEN, away])
    state = migrate(str(centre.path), targets=["graz", "york"], at_once=2, return_state=True)
    assert state.is_completed() and state.message == "2 targets done."
    assert [centre.rows(name) for name in REGIONS] == [own_rows("graz"), own_rows("york"), []]
    state = migrate(str(centre.path), return_state=True)
    assert state.is_failed() and state.message == "3 targets done. Away: away."
    below = [run.name for run in api.read_flow_runs() if run.parent_task_run_id is not None]
    assert sorted(name for name in below if "centre@" in str(name)) == [
        f"migrate/centre@{name}" for name in ("graz", "graz", "kyiv", "york", "york")
    ]
    summary = artifacts_of(api, state)["centre-all"]
    lines = {line["name"]: line for line in json.loads(summary["data"])}
    assert [(line["how"], line.get("insert")) for line in lines.values()] == [
        ("done", 0), ("done", 0), ("done", 2), ("away", None),
    ]  # fmt: skip
    assert "summary.html" in summary["description"] and "s3cret" not in str(summary)


def test_a_flow_over_clients_is_a_run_of_each_and_passes_over_those_that_are_away(tmp_path: Path, api: Api) -> None:
    office = Office.make(tmp_path, ("graz", "linz", "wien"))
    office.execute("graz", "INSERT INTO t VALUES ('a', 1, 1)")
    (office.folder / "linz.db").unlink()
    state = migrate(str(office.path), return_state=True)
    assert state.is_completed() and state.message == "2 clients done. Away: linz."
    assert office.rows(SERVER) == office.rows("wien") == [("a", 1, 1)]
    office.execute("wien", "UPDATE t SET n = 2")
    assert migrate(str(office.path), clients=["wien"], return_state=True).message == "1 client done."
    differs = verify(str(office.path), clients=["graz"], return_state=True)
    assert (differs.name, office.rows("graz")) == ("Difference", [("a", 1, 1)])
    below = {run.name for run in api.read_flow_runs() if run.parent_task_run_id is not None}
    assert {"migrate/crm@graz", "migrate/crm@wien", "verify/crm@graz"} <= below
    office.execute(SERVER, "UPDATE t SET n = 7")
    office.execute("wien", "UPDATE t SET n = 8")
    state = migrate(f"{office.path}@wien", return_state=True)
    shown = artifacts_of(api, state)
    (line,) = json.loads(shown["crm-wien-open"]["data"])
    assert [line[name] for name in ("table", "key", "column", "base", "source", "target")] == [
        "t",
        '["a"]',
        "n",
        "2",
        "8",
        "7",
    ]
    page = shown["crm-wien-report"]["data"]
    assert '| t | `["a"]` | `n` | `2` | `8` | `7` |' in page and "Decide about rows that both sides changed" in page
    assert "| table | conflicts |" in page
    assert "crm-wien-conflicts" not in shown  # no row changed after planning
