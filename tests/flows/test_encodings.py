"""Databases that keep texts in another encoding, or in none: rows that cannot travel are set aside, all others do."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from scenario import Scenario, Side, counts, quarantine

from adapters.postgres.encodings import CODECS, held
from flows.commands import Status

TEXTS = ("a", "é", "日", "€", "z'\\", "ÿ", "ж")
ENCODINGS = {"LATIN1": "aéÿ", "WIN1252": "aéÿ€", "EUC_JP": "aéÿ日ж"}


def in_encoding(url: str, encoding: str) -> Side:
    """A new database beside the one of a URL."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    made = f"{name}_{encoding.lower()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {made} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    side = Side("postgresql", url.replace(f"/{name}?", f"/{made}?"), "core")
    side.execute()
    return side


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_texts_that_a_target_s_encoding_does_not_hold_are_set_aside(
    encoding: str, postgres_url: str, tmp_path: Path
) -> None:
    """Also in keys, whose windows are cut at them, and in tables that are made."""
    source = Side("sqlite", str(tmp_path / "a.db"))
    target = in_encoding(postgres_url, encoding)
    shop = Scenario(tmp_path, source, target)
    source.execute("CREATE TABLE t (k text PRIMARY KEY, v text, j json)")
    source.insert(
        "t",
        [(f"{text}{n}", text, f'{{"a": "{text}"}}' if "'" not in text else "{}") for n in range(5) for text in TEXTS],
    )
    target.execute("CREATE TABLE t (k text PRIMARY KEY, v varchar(9), j jsonb)")
    wanted = sum(text in ENCODINGS[encoding] for text in TEXTS) + 1  # and what is ASCII
    tables = {
        "t": {"from": "t", "key": ["k"]},
        "made": {"from": "t", "key": ["k"], "columns": {"k": "k", "v": "v"}},
    }
    shop.write(tables, defaults={"window": {"rows": 9}, "quarantine": {"max_ratio": 1}})
    for name in tables:
        assert counts(shop.plan(tables=[name]), name)["quarantined"] == 5 * (len(TEXTS) - wanted)
    assert shop.run().status == Status.DONE
    assert {v for (v,) in target.ask("SELECT v FROM t")} == {
        text for text in TEXTS if text in ENCODINGS[encoding] or text.isascii()
    }
    assert target.ask("SELECT count(*) FROM made") == [(5 * wanted,)]
    source.execute("UPDATE t SET v = 'new' WHERE k = 'a3'", "DELETE FROM t WHERE k = 'a4'")
    assert counts(shop.run(), "t")["update"] == 1
    assert {reason for table, _, reason in quarantine(shop) if table == "t"}
    shop.settled()


def test_a_source_that_checks_no_encoding_sets_texts_aside_that_are_none(postgres_url: str, tmp_path: Path) -> None:
    source = in_encoding(postgres_url, "SQL_ASCII")
    shop = Scenario(tmp_path, source, Side("sqlite", str(tmp_path / "b.db")))
    name = psycopg.conninfo.make_conninfo(source.place, client_encoding="SQL_ASCII")
    with psycopg.connect(name) as raw:
        raw.execute("CREATE TABLE core.t (k text PRIMARY KEY, v varchar(9), c char(4))")
        for n, text in enumerate((b"a", b"caf\xe9", "é".encode(), b"", b"\xff", "日".encode())):
            raw.execute(b"INSERT INTO core.t VALUES ('k%d', '%s', 'x')" % (n, text))
        raw.execute(b"INSERT INTO core.t VALUES ('\xe9', 'key', 'x'), ('k7', 'v', '\xe9'), ('k8', NULL, NULL)")
    shop.write({"t": {"from": "t", "key": ["k"]}}, defaults={"window": {"rows": 2}, "quarantine": {"max_ratio": 1}})
    done = shop.run()
    assert counts(done, "t") == {"source_rows": 9, "insert": 5, "quarantined": 4}
    assert dict(shop.target.ask("SELECT k, v FROM t")) == {"k0": "a", "k2": "é", "k3": "", "k5": "日", "k8": None}
    reasons = sorted(reason for _, _, reason in quarantine(shop))
    assert "column v: text 'caf\\xe9' is not valid UTF-8" in reasons
    shop.settled()


@pytest.mark.parametrize("encoding", sorted(CODECS))
def test_what_an_encoding_holds_is_what_postgresql_says(encoding: str, postgres_server: str) -> None:
    """Every character of one byte, as the server itself converts it."""
    characters = held(encoding)
    assert characters is not None
    known = re.compile("[" + re.sub(r"\\x\{(\w+)\}", lambda found: re.escape(chr(int(found[1], 16))), characters) + "]")
    with psycopg.connect(postgres_server, autocommit=True) as server:
        for byte in range(1, 256):
            try:
                row = server.execute("SELECT convert(%b, %s, 'UTF8')", [bytes([byte]), encoding]).fetchone()
            except psycopg.Error:
                continue
            assert row is not None
            assert known.fullmatch(row[0].decode()), (encoding, byte)
