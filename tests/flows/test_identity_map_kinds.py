"""Identity maps with other kinds of keys, and the other commands that meet them; a law over random rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import RING, Scenario, counts, pair_name, quarantine

from adapters.ledger.identity import PAIRS
from flows import commands
from flows.check.assess import assess
from flows.commands import Status
from flows.history import quarantine as quarantining
from flows.session.stores import ledger_of
from transforms.vocabulary import SpecError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute("CREATE TABLE people (no varchar(9) PRIMARY KEY, mail varchar(30), age varchar(9))")
    return made


def spec(shop: Scenario, key: dict[str, Any], **columns: Any) -> None:
    given = {"mail": "mail", "age": {"from": "age", "cast": "integer"}, **columns}
    shop.write({"person": {"from": "people", "key": key, "columns": given}}, defaults={"window": {"rows": 2}})


@everywhere
@pytest.mark.parametrize("kind", ["uuid", "varchar(40)"])
def test_new_rows_get_uuids_where_the_key_is_one_or_shall_be(shop: Scenario, kind: str) -> None:
    native = "varchar(40)" if shop.target.engine in ("sqlite",) else kind
    shop.target.execute(f"CREATE TABLE person (id {native} PRIMARY KEY, mail varchar(30), age integer)")
    shop.source.insert("people", [("a", "m1", "1"), ("b", "m2", "2"), ("c", "m3", "3")])
    spec(shop, {"map": ["id"], "match": ["mail"]}, id={"generate": "uuid"})
    assert counts(shop.run(), "person") == {"source_rows": 3, "insert": 3}
    assert len({str(each) for (each,) in shop.target.ask("SELECT id FROM person")}) == 3
    shop.settled()
    with ledger_of(shop.spec) as ledger:
        ledger.identities.replace("shop", "person", PAIRS.empty_table(), "lost")
    shop.source.execute("DELETE FROM people WHERE no = 'a'", "UPDATE people SET no = 'z' WHERE no = 'b'")
    assert counts(shop.run(), "person") == {"source_rows": 2, "delete": 1, "unchanged": 2}
    shop.settled()


def test_a_key_that_nobody_numbers_a_wrong_match_and_a_lookup_without_a_map_are_refused(shop: Scenario) -> None:
    shop.target.execute("CREATE TABLE person (id varchar(40) PRIMARY KEY, mail varchar(30), age integer)")
    for key, columns, why in (
        ({"map": ["id"]}, {}, "which nobody numbers"),
        (
            {"map": ["id"], "match": ["post"]},
            {"id": {"generate": "uuid"}},
            "post is not among the columns",
        ),
        ({"map": ["id"], "source": ["nr"]}, {"id": {"generate": "uuid"}}, "no column nr"),
        (
            {"map": ["id"]},
            {"id": {"generate": "uuid"}, "age": {"lookup": {"table": "other", "by": "no"}}},
            "has no identity map",
        ),
    ):
        spec(shop, key, **columns)
        with pytest.raises(SpecError, match=why):
            shop.plan()


def test_rows_in_quarantine_are_tried_again_by_the_sources_key(shop: Scenario) -> None:
    shop.source.insert("people", [("a", "m1", "1"), ("b", "m2", "two"), ("c", "m3", "x")])
    spec(shop, {"map": ["id"], "match": ["mail"]})
    shop.run()
    assert [key for _, key, _ in quarantine(shop)] == [[{"no": "b"}], [{"no": "c"}]]
    shop.source.execute("UPDATE people SET age = '2' WHERE no = 'b'")
    again = quarantining.retry(shop.request("retry"), quarantining.Filter())
    assert again is not None
    assert counts(commands.run(again), "person") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    assert [key for _, key, _ in quarantine(shop)] == [[{"no": "c"}]]
    shop.settled()
    found = assess(shop.spec, shop.request().at)
    assert found.tables[0].name == "person"
    shop.source.execute("UPDATE people SET age = '7' WHERE no <> 'c'")
    assert counts(shop.backfill("person.id:1..2"), "person")["update"] == 1
    assert shop.undo(2).status == Status.DONE


@settings(max_examples=4)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdefg"), st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=6),
        min_size=1,
        max_size=3,
    ),
    st.sets(st.integers(0, 9), max_size=4),
)
def test_any_rows_on_both_sides_come_together_by_their_values_and_go_apart_again(
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    states: list[dict[str, tuple[int, int]]],
    there: set[int],
) -> None:
    shop = Scenario.make(tmp_path_factory.mktemp("law"), ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE people (no varchar(9) PRIMARY KEY, mail varchar(30), age varchar(9))")
    shop.target.execute("CREATE TABLE person (id integer PRIMARY KEY, mail varchar(30), age integer)")
    shop.target.insert("person", [(50 - mail, f"m{mail}", 9) for mail in there])
    shop.write(
        {
            "person": {
                "from": "people", "key": {"map": ["id"], "match": ["mail"]}, "delete": {"policy": "hard", "max_ratio": 1.0},
                "columns": {"mail": "mail", "age": {"from": "age", "cast": "integer"}},
            }
        },
        defaults={"window": {"rows": 2}},
    )  # fmt: skip
    for state in states:
        mails = {mail: (no, age) for no, (mail, age) in state.items()}  # each value once
        before = shop.target.content()
        numbers = dict(shop.target.ask("SELECT mail, id FROM person"))
        shop.source.execute("DELETE FROM people")
        shop.source.insert("people", [(no, f"m{mail}", str(age)) for mail, (no, age) in mails.items()])
        done = commands.run(shop.request("run", allow_deletes=True))
        wanted = sorted((f"m{mail}", age) for mail, (_, age) in mails.items())
        assert sorted(shop.target.ask("SELECT mail, age FROM person")) == wanted
        if state is states[0]:
            given = dict(shop.target.ask("SELECT mail, id FROM person"))
            assert all(given[mail] == number for mail, number in numbers.items() if mail in given)
        shop.settled()
        with ledger_of(shop.spec) as ledger:
            known = ledger.identities.pairs("shop", "person")
            ledger.identities.replace("shop", "person", PAIRS.empty_table(), "lost")
            shop.settled()
            ledger.identities.replace("shop", "person", known, "back")
        if done.report.version is not None:
            assert shop.undo(done.report.version).status == Status.DONE
            assert shop.target.content() == before
            commands.run(shop.request("run", allow_deletes=True))
            shop.settled()
