"""Rows that PostgreSQL hides from a user: an error that says what to do, or a part that the spec takes for all there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from scenario import Scenario, Side, counts, quarantine

from flows.commands import Status
from transforms.vocabulary import SynclineError

LIMITED = "limited"
RIGHTS = (
    f"GRANT USAGE, CREATE ON SCHEMA {{schema}} TO {LIMITED}",
    f"GRANT ALL ON ALL TABLES IN SCHEMA {{schema}} TO {LIMITED}",
)
NOTES = (
    "CREATE TABLE note (id int PRIMARY KEY, owner text, size numeric(6,2), author int)",
    "INSERT INTO note SELECT n, CASE WHEN n % 2 = 0 THEN 'limited' ELSE 'bob' END, n, n FROM generate_series(1, 6) n",
    "CREATE TABLE author (id int PRIMARY KEY, name text)",
    "INSERT INTO author SELECT n, 'a' || n FROM generate_series(1, 6) n",
)
SECURED = ("ALTER TABLE {0} ENABLE ROW LEVEL SECURITY", "CREATE POLICY own_{0} ON {0} USING ({1}) WITH CHECK (true)")
OWN = "owner = current_user"


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """Both sides are the limited user's; tests make tables as another."""
    made = Scenario.make(tmp_path, ("postgresql", "postgresql"), request)
    with psycopg.connect(made.source.place) as server:
        if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'limited'").fetchone():
            server.execute(f"CREATE ROLE {LIMITED} LOGIN")
        server.execute(f"GRANT CREATE ON SCHEMA public TO {LIMITED}")  # for the table of windows that are in
    made.source.execute(*NOTES)
    made.target.execute(*NOTES[0::2])
    return made


def as_limited(side: Side) -> dict[str, Any]:
    return side.endpoint | {"url": side.url.replace("postgres:@", f"{LIMITED}:@")}


def write(desk: Scenario, source: dict[str, Any] | None = None, target: dict[str, Any] | None = None) -> None:
    for side in (desk.source, desk.target):
        side.execute(*(right.format(schema=side.schema) for right in RIGHTS))
    desk.write(
        {"author": {"from": "author", "key": ["id"]}, "note": {"from": "note", "key": ["id"]}},
        source=as_limited(desk.source) | (source or {}),
        target=as_limited(desk.target) | (target or {}),
    )


def secure(side: Side, table: str = "note", shown: str = OWN) -> None:
    side.execute(*(each.format(table, shown) for each in SECURED))


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_table_that_hides_rows_is_refused_with_its_policy(desk: Scenario, side: str) -> None:
    secure(getattr(desk, side))
    write(desk)
    for command in (desk.plan, desk.run, desk.verify):
        with pytest.raises(SynclineError, match=r"note on .*own_note.*Fix: connect as .* `rls: accept`"):
            command()
    assert desk.target.count("note") == 0


def test_what_is_accepted_is_said(desk: Scenario) -> None:
    secure(desk.source)
    write(desk, source={"rls": "accept"})
    done = desk.run()
    assert done.status == Status.DONE
    assert desk.target.count("note") == 3
    (said,) = done.report.as_dict()["warnings"]
    (notice,) = done.report.as_dict()["notices"]
    facts = {"side": "source", "relation": "legacy.note"}
    assert notice == {"code": "hidden_rows", "text": said, "table": None, "facts": facts}
    assert said.startswith(
        "legacy.note: row-level security may hide rows of the source from its user (policies own_note)"
    )
    for again in (desk.plan(), desk.verify()):
        assert (again.status, again.report.warning_texts) == (Status.DONE, (said,))


def test_an_owner_without_force_and_other_users_policies_hide_nothing(desk: Scenario) -> None:
    secure(desk.source)
    desk.source.execute(f"ALTER TABLE note OWNER TO {LIMITED}")
    write(desk)
    assert desk.run().status == Status.DONE
    assert desk.target.count("note") == 6
    desk.settled()
    desk.source.execute("ALTER TABLE note FORCE ROW LEVEL SECURITY")
    with pytest.raises(SynclineError, match="own_note"):
        desk.plan()


def test_no_policy_at_all_hides_every_row(desk: Scenario) -> None:
    desk.source.execute("ALTER TABLE note ENABLE ROW LEVEL SECURITY")
    write(desk)
    with pytest.raises(SynclineError, match="no policy shows it any"):
        desk.plan()


@pytest.mark.parametrize("origin", [{"query": "SELECT * FROM legacy.note -- all"}, "notes"], ids=["query", "view"])
def test_views_and_queries_that_read_such_a_table_are_refused_or_said(desk: Scenario, origin: Any) -> None:
    """A view reads with the rights of its owner: here one to whom the policies apply."""
    secure(desk.source)
    desk.source.execute("CREATE VIEW notes WITH (security_invoker) AS SELECT * FROM note")
    write(desk)
    desk.write({"note": {"from": origin, "key": ["id"]}}, source=as_limited(desk.source))
    with pytest.raises(SynclineError, match=r"row-level security.*Fix"):
        desk.plan()
    desk.write({"note": {"from": origin, "key": ["id"]}}, source=as_limited(desk.source) | {"rls": "accept"})
    done = desk.run()
    assert desk.target.count("note") == 3
    assert [said for said in done.report.warning_texts if "may hide rows of the source" in said]


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_lookup_into_such_a_table_is_refused_or_said(desk: Scenario, side: str) -> None:
    looked: Side = getattr(desk, side)
    desk.target.insert("author", [(n, f"a{n}") for n in range(1, 7)])
    secure(looked, "author", "id < 4")
    write(desk)
    columns = {
        "id": "id",
        "author": {"lookup": {"table": "author", "side": side, "match": {"id": "author"}, "take": "id"}},
    }
    tables = {"note": {"from": "note", "key": ["id"], "columns": columns}}
    sides = {"source": as_limited(desk.source), "target": as_limited(desk.target)}
    desk.write(tables, **sides)
    with pytest.raises(SynclineError, match="own_author"):
        desk.plan()
    desk.write(tables, **(sides | {side: sides[side] | {"rls": "accept"}}))
    assert [said for said in desk.plan().report.warning_texts if f"may hide rows of the {side}" in said]


def test_rows_that_a_policy_does_not_let_in_are_set_aside_and_all_others_go_in(desk: Scenario) -> None:
    desk.target.execute("ALTER TABLE note ENABLE ROW LEVEL SECURITY")
    desk.target.execute(f"CREATE POLICY own_note ON note USING ({OWN}) WITH CHECK ({OWN})")
    write(desk, target={"rls": "accept"})
    done = desk.run()
    assert (done.status, counts(done, "note")["insert"]) == (Status.DONE, 3)
    assert {owner for _, owner, *_ in desk.target.rows("note")} == {"limited"}
    aside = quarantine(desk)
    assert [key for _, key, _ in aside] == [[1], [3], [5]]
    assert all("row-level security policy" in reason for _, _, reason in aside)


def test_columns_that_a_user_may_not_read_are_named(desk: Scenario) -> None:
    write(desk)
    desk.source.execute(f"REVOKE SELECT ON note FROM {LIMITED}", f"GRANT SELECT (id, owner) ON note TO {LIMITED}")
    with pytest.raises(SynclineError, match=r"size \(numeric\(6,2\)\).*may not read it. Fix: GRANT"):
        desk.plan()
    document = {"note": {"from": "note", "key": ["id"], "columns": {"id": "id", "owner": "owner"}}}
    desk.write(document, source=as_limited(desk.source), target=as_limited(desk.target))
    assert desk.run().status == Status.DONE
    desk.settled()
    desk.source.execute(f"REVOKE SELECT (id, owner) ON note FROM {LIMITED}")
    with pytest.raises(SynclineError, match=r"note on .*may not read it. Fix: GRANT SELECT on it"):
        desk.plan()


def test_a_target_with_policies_is_written_as_far_as_they_show_it(desk: Scenario) -> None:
    desk.source.execute("UPDATE note SET owner = 'limited'")
    desk.target.execute("ALTER TABLE note ENABLE ROW LEVEL SECURITY", "INSERT INTO note VALUES (77, 'bob', 1, 1)")
    desk.target.execute(f"CREATE POLICY own_note ON note USING ({OWN}) WITH CHECK ({OWN})")
    write(desk, target={"rls": "accept"})
    assert desk.run().status == Status.DONE
    desk.source.execute("UPDATE note SET size = 9 WHERE id = 2", "DELETE FROM note WHERE id = 3")
    assert desk.run().status == Status.DONE
    desk.settled()
    assert desk.target.ask("SELECT id, size FROM note ORDER BY id") == [(1, 1), (2, 9), (4, 4), (5, 5), (6, 6), (77, 1)]
    assert desk.undo(2).status == Status.DONE
    assert desk.target.count("note") == 7
