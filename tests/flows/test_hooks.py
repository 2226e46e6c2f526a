"""What else happens around a run: SQL on either side, programs, webhooks; before the first row, and after whatever end."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from crashing import killed_at
from scenario import Scenario, pair_name
from specs import HEAD, ROOT, SMALL, load, problems

from adapters.ledger.ledger import Ledger
from flows.commands import Status
from flows.session.hooks import HookFailed
from transforms.vocabulary import BusyError, PlanError, SpecError

NOTE = [sys.executable, "note.py"]
PROGRAM = """\
import json, sys
told = json.load(sys.stdin)
with open("notes", "a") as file:
    file.write(json.dumps({"name": sys.argv[1], **told}) + "\\n")
if len(sys.argv) > 2:
    print("no such", "queue", file=sys.stderr)
    sys.exit(int(sys.argv[2]))
"""
TABLES = ("customer", "item")


def made(folder: Path, pair: Any, request: pytest.FixtureRequest) -> Scenario:
    shop = Scenario.make(folder, pair, request)
    (folder / "note.py").write_text(PROGRAM)
    for side in (shop.source, shop.target):
        for name in TABLES:
            side.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, name varchar(40))")
        side.execute("CREATE TABLE journal (said text)")
    for name in TABLES:
        shop.source.insert(name, [(1, "a"), (2, "b")])
    return shop


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return made(tmp_path, ("sqlite", "sqlite"), request)


def with_hooks(shop: Scenario, customer: dict[str, Any] | None = None, **hooks: Any) -> None:
    tables = {name: {"from": name, "key": ["id"]} for name in TABLES}
    shop.write({**tables, "customer": {**tables["customer"], **(customer or {})}}, **hooks)


def noting(name: str, *status: str, **more: Any) -> dict[str, Any]:
    return {"command": [*NOTE, name, *status], **more}


def notes(shop: Scenario) -> list[dict[str, Any]]:
    file = shop.folder / "notes"
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def names(shop: Scenario) -> list[str]:
    return [each["name"] for each in notes(shop)]


@contextmanager
def listening(status: int = 200, said: str = "") -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A web server of this machine: its address, and what it was sent."""
    sent: list[tuple[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            sent.append((self.path, json.loads(body)))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", sent
        finally:
            server.shutdown()
            thread.join()


def test_hooks_run_in_order_around_the_run_and_the_tables_whose_rows_change(shop: Scenario) -> None:
    customer = {"before": [noting("b1"), noting("b2")], "after": noting("a1")}
    with_hooks(shop, customer, before=noting("first"), after=[noting("last"), noting("never", on="failed")])
    outcome = shop.run()
    assert (outcome.status, outcome.report.version) == (Status.DONE, 1)
    found = notes(shop)
    assert [each["name"] for each in found] == ["first", "b1", "b2", "a1", "last"]
    first, _, table, behind, last = found
    assert (first["when"], first["status"], first["command"], first["total"]) == ("before", None, "run", None)
    assert (table["table"], table["tables"]["customer"]["insert"], table["version"]) == ("customer", 2, None)
    assert (behind["table"], behind["status"], behind["version"]) == ("customer", "done", 1)
    assert (last["status"], last["version"], last["total"]["insert"], last["run_id"]) == (
        "done",
        1,
        4,
        outcome.report.run_id,
    )
    assert Path(last["report"]).is_file() and "4 inserted" in last["text"]
    assert shop.run().status is Status.DONE
    assert names(shop) == ["first", "last"]  # nothing of the table changes
    shop.verify()
    shop.plan()
    assert names(shop) == []  # neither writes
    assert shop.undo(1).status is Status.DONE
    assert [(each["name"], each["command"]) for each in notes(shop)] == [
        (name, "undo") for name in ("first", "b1", "b2", "a1", "last")
    ]
    shop.backfill("customer.id:1..3", "1")
    assert names(shop) == ["first", "b1", "b2", "a1", "b1", "b2", "a1", "last"]


def test_a_plan_says_which_hooks_run_and_runs_none_of_them(shop: Scenario) -> None:
    sql = "INSERT INTO journal VALUES ('begun')"
    with_hooks(shop, {"after": noting("a")}, before={"source": sql}, after=noting("last", on=["failed", "conflicts"]))
    told = answer("plan", shop.path, status=2)
    assert [(each["when"], each["table"], each["does"], each["on"]) for each in told["hooks"]] == [
        ("before", None, "source", []),
        ("after", "customer", "command", []),
        ("after", None, "command", ["failed", "conflicts"]),
    ]
    shown = syncline("plan", shop.path, status=2).stdout
    assert "Hooks, which an undo does not take back:" in shown
    assert f"  before: SQL on the SOURCE: {sql}" in shown
    assert "last (on failed, conflicts)" in shown
    assert (names(shop), shop.source.rows("journal")) == ([], [])
    assert "SQL on the SOURCE" in syncline("show", told["plan"]).stdout
    syncline("apply", "--direct", told["plan"])
    assert (names(shop), shop.source.rows("journal")) == (["a"], [("begun",)])
    page = Path(answer("report", shop.path)["report"]).read_text()
    assert "SQL on the SOURCE: INSERT INTO journal" in page and "An undo does not take it back" in page


def test_hooks_that_are_others_than_the_plan_said_are_not_run(shop: Scenario) -> None:
    with_hooks(shop, after=noting("a"))
    plan = shop.plan().report.plan
    with_hooks(shop, after=noting("b"))
    with pytest.raises(PlanError, match="Nothing was written"):
        shop.apply(plan)
    shop.run()
    undo = answer("undo", shop.path, "1", "--dry-run", status=2)["plan"]
    with_hooks(shop, after=noting("c"))
    notes(shop)
    with pytest.raises(
        PlanError, match=r"hooks of .* are others than when .* was planned\. Nothing was written\. Fix: plan"
    ):
        shop.apply(undo)
    assert (names(shop), shop.target.count("item")) == (["c"], 2)  # which is told that it failed


@pytest.mark.parametrize("of_table", [False, True], ids=["run", "table"])
def test_a_hook_that_fails_before_lets_nothing_be_written_and_those_after_are_told(
    shop: Scenario, of_table: bool
) -> None:
    failing = {"before": [noting("one", "3"), noting("two")], "after": noting("after")}
    with_hooks(shop, failing) if of_table else with_hooks(shop, **failing)
    with pytest.raises(HookFailed) as caught:
        shop.run()
    of = " customer" if of_table else ""
    said = str(caught.value)
    assert said.startswith(
        f"The hook before{of}: command {sys.executable} note.py one 3 ended with exit status 3: no such queue."
    )
    assert "Nothing was written. Fix: see to it" in said
    one, after = notes(shop)
    assert (one["name"], after["name"], after["status"], after["began"]) == ("one", "after", "failed", True)
    assert "no such queue" in after["message"]
    assert shop.target.count("customer") == shop.target.count("item") == 0
    with closing(Ledger(f"sqlite:///{shop.folder}/ledger.db")) as ledger:
        assert not ledger.cut_off("shop") and not ledger.versions("shop")


def test_a_hook_that_fails_after_takes_nothing_back_and_has_an_exit_status_of_its_own(shop: Scenario) -> None:
    with_hooks(shop, {"after": noting("a", "4")}, after=[noting("b", "5"), noting("c")])
    told = answer("run", "--direct", shop.path, status=6)
    assert (told["version"], shop.target.count("item")) == (1, 2)
    assert names(shop) == ["a", "b", "c"]
    warned = [each["text"] for each in told["notices"] if each["code"] == "hook_failed"]
    assert [text.partition("ended")[2] for text in warned] == [
        " with exit status 4: no such queue.",
        " with exit status 5: no such queue.",
    ]
    shop.target.execute("DELETE FROM customer")
    shown = syncline("run", "--direct", shop.path, status=6)
    assert "Version 2." in shown.stdout and "exit status 5: no such queue. What was written stays." in shown.stderr
    shop.settled()


def test_hooks_after_are_told_of_a_run_that_never_began_and_of_one_that_is_stopped(shop: Scenario) -> None:
    with_hooks(shop, before=noting("before"), after=noting("after"))
    shop.source.execute("DROP TABLE item")
    with pytest.raises(SpecError):
        shop.run()
    (told,) = notes(shop)
    assert (told["name"], told["status"], told["began"]) == ("after", "failed", False)
    assert "item" in told["message"]
    limits = {"quarantine": {"max_ratio": 0.1}}
    table = {"from": "customer", "key": ["id"], "columns": {"id": "id", "name": {"from": "name", "map": {"a": "x"}}}}
    shop.write({"customer": table}, defaults=limits, after=[noting("q", on="quarantine"), noting("d", on="done")])
    assert shop.run().status is Status.QUARANTINE
    (told,) = notes(shop)
    assert (told["name"], told["status"], told["version"]) == ("q", "quarantine", None)


def test_another_run_at_work_is_left_alone_by_hooks(shop: Scenario) -> None:
    with_hooks(shop, before=noting("before"), after=noting("after"))
    with (
        closing(Ledger(f"sqlite:///{shop.folder}/ledger.db")) as ledger,
        ledger.lease("shop", "target", "other", lambda: datetime.now(UTC)),
        pytest.raises(BusyError),
    ):
        shop.run()
    assert names(shop) == []


def test_a_webhook_gets_the_outcome_and_its_address_is_shown_nowhere(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as (address, sent), listening(302, "moved") as (away, _):
        monkeypatch.setenv("OPS_HOOK", f"{address}/T0/very-secret-token")
        monkeypatch.setenv("AWAY", f"{away}/very-secret-token")
        with_hooks(shop, after=[{"url": "${OPS_HOOK}"}, {"url": "${AWAY}"}, {"url": f"{away}/a/very-secret-token"}])
        plan = syncline("plan", "--json", shop.path, status=2)
        done = syncline("run", "--direct", shop.path, status=6)
        ((path, told),) = sent
    assert (path, told["status"], told["version"], told["migration"]) == ("/T0/very-secret-token", "done", 1, "shop")
    assert "4 inserted" in told["text"]
    assert (
        "webhook ${AWAY} was answered with 302 Found, which leads elsewhere, and is not followed: moved." in done.stderr
    )
    assert [each["what"] for each in json.loads(plan.stdout)["hooks"]] == [
        "${OPS_HOOK}",
        "${AWAY}",
        "http://127.0.0.1/…",
    ]
    with_hooks(shop, after=[{"url": "${OPS_HOOK}"}, {"url": "${AWAY}"}])
    gone = syncline("run", "--direct", shop.path, status=6)
    assert "webhook ${OPS_HOOK} cannot be reached: " in gone.stderr
    assert "very-secret" not in plan.output + done.output + gone.output
    files = [each for each in shop.folder.rglob("*") if each.is_file() and each != shop.path]
    assert len(files) > 10 and not [each for each in files if b"very-secret" in each.read_bytes()]


def test_a_program_and_a_webhook_that_take_too_long_are_stopped(shop: Scenario) -> None:
    slow = ["sh", "-c", "echo waiting; sleep 60 & wait; touch survived"]
    with_hooks(shop, before={"command": slow, "timeout": "200ms"})
    with pytest.raises(HookFailed, match=r"took longer than 0\.2 s and was stopped: waiting\. Nothing was written"):
        shop.run()
    with_hooks(shop, before={"command": ["./none"]})
    with pytest.raises(HookFailed, match=r"command \./none cannot be started: No such file or directory\."):
        shop.run()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with_hooks(shop, before={"url": f"http://127.0.0.1:{silent.getsockname()[1]}/", "timeout": "200ms"})
        with pytest.raises(HookFailed, match=r"webhook http://127\.0\.0\.1/… was not answered within 0\.2 s\."):
            shop.run()
    with_hooks(shop, after={"command": "echo $((40 + 2)) > shell", "shell": True})
    assert shop.run().status is Status.DONE
    assert (shop.folder / "shell").read_text() == "42\n"
    assert not (shop.folder / "survived").exists()


def test_the_page_on_hooks_shows_a_spec_that_holds_and_all_that_a_hook_is_told(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "hooks.md").read_text()
    (spec,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    monkeypatch.setenv("OPS_WEBHOOK", "https://hooks.example.com/T0")
    assert len(load(shop.folder, HEAD + spec, OPS_WEBHOOK="https://hooks.example.com/T0").after) == 4
    (outcome,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    with_hooks(shop, after=noting("a"))
    shop.run()
    (told,) = notes(shop)
    assert list(json.loads(outcome)) == [name for name in told if name != "name"]


def test_each_of_several_targets_has_its_own_hooks(shop: Scenario) -> None:
    targets = [{"name": name, "url": f"sqlite:///{name}.db"} for name in ("graz", "linz")]
    tables = {"customer": {"from": "customer", "key": ["id"]}}
    shop.write(tables, target={}, targets=targets, after=noting("${target.name}"))
    syncline("run", "--direct", shop.path)
    told = [(each["name"], each["member"], each["migration"], each["version"]) for each in notes(shop)]
    assert told == [(name, name, f"shop@{name}", 1) for name in ("graz", "linz")]


ENGINES = (("postgresql", "mysql"), ("mysql", "postgresql"), ("duckdb", "sqlite"), ("sqlite", "duckdb"))


@pytest.mark.parametrize("pair", ENGINES, ids=pair_name)
def test_sql_runs_on_either_side_and_has_the_outcome_as_a_text(
    pair: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shop = made(tmp_path, pair, request)
    at = {name: f"{side.schema}." if side.schema else "" for name, side in (("s", shop.source), ("t", shop.target))}
    noted = "INSERT INTO {}journal VALUES (':outcome it\\n''s'), (:outcome) -- :outcome"
    with_hooks(
        shop,
        {"before": {"target": f"UPDATE {at['t']}journal SET said = 'seen'"}},
        before=[
            {"target": [f"INSERT INTO {at['t']}journal VALUES ('begun')", f"DELETE FROM {at['t']}customer;"]},
            {"source": noted.format(at["s"])},
        ],
        after=[
            {"target": [f"DELETE FROM {at['t']}journal WHERE said <> 'seen'", noted.format(at["t"])]},
            *([{"target": f"VACUUM {at['t']}customer"}] if pair[1] == "postgresql" else []),  # in no transaction
            {"target": "INSERT INTO no_such_table VALUES (1)"},
        ],
    )
    outcome = shop.run()
    assert outcome.status is Status.HOOK and outcome.report.version == 1
    assert "The hook after: SQL on the target: INSERT INTO no_such_table VALUES (1) failed: " in outcome.message
    source, target = ([text for (text,) in side.ask("SELECT said FROM journal")] for side in (shop.source, shop.target))
    assert len(source) == 2 and len(target) == 3 and "seen" in target
    (told,) = (json.loads(text) for text in target if text.startswith("{"))
    assert (told["version"], told["status"], told["spec"]) == (1, "done", str(shop.path))
    assert sum(text.startswith(":outcome") for text in (*source, *target)) == 2
    assert shop.target.count("customer") == 2


def test_what_a_killed_run_left_is_finished_between_the_hooks_of_the_next(shop: Scenario) -> None:
    with_hooks(shop, {"before": noting("b"), "after": noting("a")}, before=noting("first"), after=noting("last"))
    assert killed_at(shop, "before the COMMIT of a first load")
    assert names(shop) == ["first", "b"]
    assert shop.run().status is Status.DONE
    assert [(each["name"], each["version"]) for each in notes(shop)] == [
        ("first", None), ("b", None), ("a", 1), ("last", None),
    ]  # fmt: skip
    assert shop.target.count("item") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("before: {}", "before[0] says not what to do. Fix: give exactly one of source, target, command, url, block."),
        ("before: {target: a, url: 'http://a'}", "before[0] has target and url. Fix: give exactly one of source, target, command, url, block."),
        ("after: {comand: [a]}", "after[0].comand is not a known key. Did you mean command?"),
        ("after: {command: ./a b}", "after[0].command is one text, which only a shell takes apart. Fix: write a list such as "
         "[./notify.sh, ops], or add `shell: true`."),
        ("after: {command: [a, b], shell: true}", "after[0].shell takes a command that is one text. Fix: write the command as a text, or "
         "remove `shell:`."),
        ("after: {url: 'ftp://secret'}", "after[0].url is no address of a webhook. Fix: write it like https://host/path, or ${NAME} for one of "
         "the environment."),
        ("after: {block: ops}", "after[0].block must match '^[a-z0-9-]+/[a-z0-9-]+$'."),
        ("after: {target: a, timeout: 5s}", "after[0].timeout is for commands and webhooks. Fix: remove it; in SQL, set the engine's own limit "
         "as the first statement."),
        ("after: {command: [a], timeout: soon}", "after[0].timeout must be a time such as 500ms, 5s, 2m or 1h."),
        ("after: {command: [a], on: fail}", "after[0].on is no way for a run to end. Did you mean failed?"),
        ("after: {command: [a], on: [done, x]}", "after[0].on[1] is no way for a run to end. Known: changes, checkpoint, conflicts, done, "
         "failed, quarantine."),
        ("before: {command: [a], on: failed}", "before[0].on is for hooks that come after: nothing has ended yet. Fix: remove it."),
        ("before: now", "before must be a list, not 'now'."),
    ],
)  # fmt: skip
def test_what_is_no_hook_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    found = problems(tmp_path, f"{SMALL}{text}\n")
    assert f"spec.yaml:7: {message}" in found, found


def test_sql_for_a_side_that_takes_none_is_refused_before_anything_begins(shop: Scenario) -> None:
    (shop.folder / "in").mkdir()
    (shop.folder / "in" / "customer.csv").write_text("id,name\n1,a\n")
    tables = {"customer": {"from": "customer", "key": ["id"]}}
    shop.write(tables, source={"url": "csv:///in"}, before=[noting("b"), {"source": "SELECT 1"}])
    for act in (shop.plan, shop.run):
        with pytest.raises(
            SpecError, match=r"spec\.yaml:\d+: a hook has SQL for the source, and .* takes none\. Fix: make"
        ):
            act()
    assert names(shop) == []
