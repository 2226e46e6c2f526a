"""`sync` listens to what programs say on a channel of PostgreSQL: it wakes at once, and looks at the rows that they name."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from command_line import answer
from scenario import Scenario

from flows.bind.roots import parse_root
from flows.follow.following import Asked, Told
from flows.follow.lag import Brought
from flows.follow.sync import sync
from flows.plan.trees.chosen_tree import Trees
from flows.session.stores import ledger_of
from transforms.vocabulary import SpecError

ITEM = {"item": {"from": "thing", "key": ["id"], "columns": {"id": "id", "name": "name"}}}
PAIR = {
    "customer": {
        "from": "kunde",
        "key": ["email"],
        "columns": {"id": {"generate": "identity"}, "email": "mail"},
    },
    "orders": {
        "from": "bestellung",
        "key": ["nr", "pos"],
        "columns": {
            "nr": "nr",
            "pos": "pos",
            "customer_id": {"lookup": {"table": "customer", "match": {"email": "mail"}, "take": "id"}},
        },
    },
}


class Heard(Told):
    """Remembers what it was told, and when."""

    def __init__(self) -> None:
        self.batches: list[Brought] = []
        self.notices: list[str] = []
        self.ready = threading.Event()

    def began(self, first: bool) -> None:
        if not first:
            self.ready.set()

    def brought(self, brought: Brought) -> None:
        self.batches.append(brought)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def until(holds: object, seconds: float = 10) -> float:
    """How long it took until something held."""
    began = time.monotonic()
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < began + seconds
        time.sleep(0.01)
    return time.monotonic() - began


def test_what_is_said_on_a_channel_is_brought_over_at_once(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    shop = Scenario.make(tmp_path, ("postgresql", "sqlite"), request)
    moment = "changed timestamp NOT NULL DEFAULT clock_timestamp()"
    shop.source.execute(
        f"CREATE TABLE kunde (mail varchar(40) PRIMARY KEY, {moment})",
        f"CREATE TABLE bestellung (nr int, pos varchar(5), mail varchar(40), {moment}, PRIMARY KEY (nr, pos))",
        "INSERT INTO kunde VALUES ('a@x'), ('b@x')",
        "INSERT INTO bestellung VALUES (1, 'a', 'a@x'), (2, 'b', 'b@x'), (3, 'ü', 'b@x')",
    )
    shop.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY AUTOINCREMENT, email varchar(40) UNIQUE NOT NULL)",
        "CREATE TABLE orders (nr int, pos varchar(5), customer_id int NOT NULL REFERENCES customer (id), PRIMARY KEY (nr, pos))",
    )
    follow = {"capture": "poll", "cursor": "changed", "every": "60s", "listen": "Said so"}
    shop.write(PAIR, follow=follow)
    sync(Asked(shop.path, once=True))
    heard, ended = Heard(), []
    following = threading.Thread(target=lambda: ended.append(sync(Asked(shop.path, seconds=2.5), heard)), daemon=True)
    following.start()
    heard.ready.wait(10)
    time.sleep(0.5)

    shop.source.execute(
        "DELETE FROM bestellung WHERE nr = 1",  # which a poll does not see
        "INSERT INTO kunde VALUES ('c@x', '2001-01-01')",  # nor this
        "INSERT INTO bestellung VALUES (9, 'x', 'c@x', '2001-01-01')",
        """NOTIFY "Said so", 'orders:[1,"a"]'""",
        """NOTIFY "Said so", 'ORDERS:[9,"x"]'""",
        """NOTIFY "Said so", 'nothing:1'""",
        """NOTIFY "Said so", 'orders:[1]'""",
        """NOTIFY "Said so", 'orders:["one","a"]'""",
    )
    assert until(lambda: (9, "x", 3) in shop.target.rows("orders")) < 5, "not after a minute"
    assert [row[:2] for row in shop.target.rows("orders")] == [(2, "b"), (3, "ü"), (9, "x")]
    until(lambda: len(heard.notices) == 3 and heard.batches)
    assert all("Said so" in each for each in heard.notices), "what names nothing is said, and passed over"
    (batch,) = heard.batches
    assert (batch.named, batch.target.insert, batch.target.delete) == (2, 2, 1)
    following.join(20)
    assert ended
    assert ended[0][0] is None, "it goes on until its time is up"

    with ThreadedSync(shop, Heard()) as heard:
        shop.source.execute("DELETE FROM bestellung WHERE nr > 2", "NOTIFY \"Said so\", 'orders'")
        until(lambda: shop.target.count("orders") == 1)
        shop.source.execute("INSERT INTO kunde VALUES ('d@x')", 'NOTIFY "Said so"')
        until(lambda: shop.target.count("customer") == 4)
        shop.source.execute("DELETE FROM bestellung WHERE nr = 2")
        told = answer("notify", shop.path, "orders", "--key", '[2,"b"]')
        assert told["told"] == {"channel": "Said so", "prefect": False}
        until(lambda: not shop.target.count("orders"))
    shop.settled()


def test_of_many_rows_that_were_named_a_version_keeps_how_many(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE thing (id integer PRIMARY KEY, name text)")
    shop.target.execute("CREATE TABLE item (id integer PRIMARY KEY, name text)")
    shop.source.insert("thing", [(number, "x") for number in range(60)])
    shop.write(ITEM)
    roots = tuple(parse_root(f"item:{number}", shop.spec) for number in range(60))
    shop.run(trees=Trees(roots[:2], with_parents=True, gone=True))
    shop.run(trees=Trees(roots, with_parents=True, gone=True))
    with ledger_of(shop.spec) as ledger:
        assert [each.tree for each in ledger.versions("shop")] == [["item: 60 named"], ["item:0", "item:1"]]


class ThreadedSync:
    """Following beside, until it is left."""

    def __init__(self, shop: Scenario, heard: Heard) -> None:
        self.heard = heard
        asked = Asked(shop.path, seconds=2.5)
        self.thread = threading.Thread(target=lambda: sync(asked, heard), daemon=True)

    def __enter__(self) -> Heard:
        self.thread.start()
        self.heard.ready.wait(10)
        time.sleep(0.5)
        return self.heard

    def __exit__(self, *_: object) -> None:
        self.thread.join(20)


def test_a_channel_where_no_side_has_any_is_refused(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE thing (id integer PRIMARY KEY, name text, changed timestamp)")
    shop.target.execute("CREATE TABLE item (id integer PRIMARY KEY, name text)")
    shop.write(ITEM, follow={"capture": "poll", "cursor": "changed", "listen": "said"})
    with pytest.raises(SpecError, match="channel") as refused:
        sync(Asked(shop.path, once=True))
    assert refused.value.fix
    assert json.dumps(refused.value.where)
