"""`syncline serve`: reports in a browser of this machine, and nothing else of the store."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import answer
from scenario import PAIRS, Scenario

from flows.evidence.server import link, server
from flows.session.stores import store_of
from flows.spec.model import load_spec
from transforms.vocabulary import SpecError, SynclineError


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, PAIRS[0], request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE item (k bigint PRIMARY KEY)")
    made.source.insert("item", [(1,)])
    made.write({"item": {"from": "item", "key": ["k"], "columns": {"k": "k"}}})
    return made


@pytest.fixture
def port(small: Scenario) -> Iterator[int]:
    with server(store_of(small.spec), "shop", 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving.server_port
        serving.shutdown()
        thread.join()


def got(port: int, path: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)  # as it is: a browser would tidy it
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_runs_are_listed_and_their_reports_are_shown(small: Scenario, port: int) -> None:
    assert got(port, "/")[0] == 200
    run = answer("run", "--direct", small.path)["run_id"]
    proof = answer("verify", small.path)["run_id"]
    status, index = got(port, "/")
    assert status == 200 and index.index(proof) < index.index(run)
    assert got(port, f"/{run}/report.html") == got(port, f"/{run}/")
    assert "<html" in got(port, f"/{run}/report.html")[1]
    assert link(f"http://127.0.0.1:{port}/", run) == f"http://127.0.0.1:{port}/{run}/report.html"


def test_nothing_else_is_shown_to_anybody_and_nothing_can_be_changed(small: Scenario, port: int) -> None:
    run = answer("run", "--direct", small.path)["run_id"]
    (small.folder / "store" / "evidence" / run / "other.yaml").write_text("mine")
    (small.folder / "store" / "evidence" / run / "out.html").symlink_to(small.path)
    for path in (
        f"/{run}/../../../spec.yaml", f"/{run}/%2e%2e/%2e%2e/plans", "/..%2f..%2fspec.yaml", f"/{run}/other.yaml",
        f"/{run}/out.html", f"/{run}/%00", "/nobody/report.html", f"/{run}//etc/passwd", "/plans",
    ):  # fmt: skip
        assert got(port, path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE"):
        assert got(port, f"/{run}/report.html", method=method)[0] == 501
    assert got(port, f"/{run}/report.html", host="evil.example:80")[0] == 421
    assert got(port, f"/{run}/report.html", host=f"localhost:{port}")[0] == 200


def test_runs_of_another_migration_in_the_same_store_are_not_shown(small: Scenario, port: int) -> None:
    small.write({"item": {"from": "item", "key": ["k"], "columns": {"k": "k"}}}, name="other")
    run = answer("verify", small.path, status=2)["run_id"]
    assert run not in got(port, "/")[1]
    assert got(port, f"/{run}/report.html")[0] == 404


def test_a_port_that_is_taken_and_an_address_that_holds_a_password_are_refused(small: Scenario, port: int) -> None:
    with pytest.raises(SynclineError, match="listened on") as caught:
        server(store_of(small.spec), "shop", port)
    assert "--port" in caught.value.fix
    document = small.path.read_text().replace("store: store", "store: store\n  reports: http://me:hunter2@host/")
    small.path.write_text(document)
    with pytest.raises(SpecError) as refused:
        load_spec(small.path)
    assert "hunter2" not in str(refused.value)
