"""A source that the user may not write: nothing is written on either side, until the rights are there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from scenario import Engine, Scenario

from flows.commands import Status
from transforms.vocabulary import SynclineError


@pytest.mark.parametrize("source", ["postgresql", "mysql"])
def test_nothing_is_written_on_either_side_where_the_source_may_not_be(
    source: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = Scenario.make(tmp_path, (source, "sqlite"), request)
    for side, rows in ((scenario.source, [(1, "a"), (2, "b")]), (scenario.target, [(7, "x")])):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, v varchar(9))")
        side.insert("t", rows)
    place, role = urlsplit(scenario.source.url), f"user_{uuid4().hex[:8]}"
    here = scenario.source.schema or place.path[1:]
    if source == "postgresql":
        grants = [
            f"CREATE ROLE {role} LOGIN PASSWORD 'some-word'",
            f"GRANT USAGE ON SCHEMA {here} TO {role}",
            f"GRANT SELECT ON t TO {role}",
        ]
        more = [f"GRANT CREATE ON SCHEMA public TO {role}", f"GRANT INSERT, UPDATE, DELETE ON t TO {role}"]
        gone = [f"DROP OWNED BY {role}", f"DROP ROLE {role}"]
    else:
        grants = [
            f"CREATE USER '{role}'@'%' IDENTIFIED BY 'some-word'",
            f"GRANT SELECT, CREATE TEMPORARY TABLES ON {here}.* TO '{role}'@'%'",
        ]
        more = [f"GRANT CREATE, INSERT, UPDATE, DELETE ON {here}.* TO '{role}'@'%'"]
        gone = [f"DROP USER '{role}'@'%'"]
    scenario.source.execute(*grants)
    before = scenario.source.content(), scenario.target.content()
    try:
        url = urlunsplit(place._replace(netloc=f"{role}:some-word@{place.netloc.rpartition('@')[2]}"))
        both = {"direction": "two_way", "initial": "policy"}
        scenario.write({"t": {"from": "t", "key": "k"}}, source={**scenario.source.endpoint, "url": url}, **both)
        for right in ["", *more]:
            if right:
                scenario.source.execute(right)
            if right != more[-1]:
                with pytest.raises(SynclineError, match=r"denied"):
                    scenario.run()
                assert (scenario.source.content(), scenario.target.content()) == before
        assert scenario.run().status == Status.DONE
        assert scenario.source.rows("t") == scenario.target.rows("t") == [(1, "a"), (2, "b"), (7, "x")]
    finally:
        scenario.source.execute(*gone)
