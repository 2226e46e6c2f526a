"""Rows that the target refuses or swallows while they are written are set aside; all others of their window go in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from assessing import checked
from click.testing import CliRunner
from scenario import Engine, Scenario, counts, quarantine

from flows.apply.windows import Notes
from flows.cli.main import main
from flows.commands import Status
from flows.results.untranslated import text_of

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
TABLE = "CREATE TABLE t (k bigint PRIMARY KEY, v integer)"
SPEC = {"t": {"from": "t", "key": ["k"], "columns": {"k": "k", "v": "v"}}}


@pytest.fixture(params=ENGINES)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """From SQLite to each engine, into a table that does not take values above 1,000; no plan can know."""
    small = Scenario.make(tmp_path, ("sqlite", request.param), request)
    small.source.execute(TABLE)
    small.source.insert("t", [(n, n) for n in range(1, 41)])
    small.target.execute(TABLE)
    refusing(small)
    small.write(SPEC)
    return small


def refusing(small: Scenario) -> None:
    """What refuses is a trigger; DuckDB has none: there it is an index over an expression that cannot hold them twice."""
    raising = {
        "sqlite": [
            f"CREATE TRIGGER no_{op} BEFORE {op} ON t WHEN new.v > 1000 BEGIN SELECT RAISE(ABORT, 'too large'); END"
            for op in ("insert", "update")
        ],
        "mysql": [
            f"CREATE TRIGGER no_{op} BEFORE {op} ON t FOR EACH ROW BEGIN IF new.v > 1000 THEN SIGNAL SQLSTATE '45000' "
            "SET MESSAGE_TEXT = 'too large'; END IF; END"
            for op in ("insert", "update")
        ],
        "postgresql": [
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF new.v > 1000 THEN RAISE EXCEPTION 'too large'; END IF; RETURN new; END $$",
            "CREATE TRIGGER no BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no()",
        ],
        "duckdb": [
            "INSERT INTO t VALUES (0, 1000)",
            "CREATE UNIQUE INDEX small ON t ((CASE WHEN v >= 1000 THEN 1000 ELSE v END))",
        ],
    }
    small.target.execute(*raising[small.target.engine])
    if small.target.engine == "duckdb":
        small.source.execute("INSERT INTO t VALUES (0, 1000)")


def written(small: Scenario) -> dict[int, int]:
    return {k: v for k, v in small.target.rows("t") if k}


def keys_aside(small: Scenario) -> list[int]:
    return sorted(key for _, (key,), _ in quarantine(small))


def test_refused_rows_are_set_aside_and_the_next_run_comes_to_the_same(anywhere: Scenario) -> None:
    small = anywhere
    small.source.execute("UPDATE t SET v = 1001 WHERE k = 7", "UPDATE t SET v = 1002 WHERE k = 30")
    answer = checked(small)
    assert "succeed" not in answer.verdict
    assert answer.tables[0].hooks
    assert answer.as_dict()["tables"]["t"]["hooks"] == list(map(text_of, answer.tables[0].hooks))
    done = small.run()
    assert done.status == Status.DONE
    assert "2 rows were refused by the target" in done.message
    assert done.report.counts["t"].quarantined == 2
    assert done.report.counts["t"].insert == 38
    assert written(small) == {n: n for n in range(1, 41) if n not in (7, 30)}
    aside = quarantine(small)
    assert keys_aside(small) == [7, 30]
    assert all(reason.startswith("refused by the target: ") for _, _, reason in aside)
    if small.target.engine != "duckdb":
        assert all("too large" in reason for _, _, reason in aside)
    again = small.run()
    assert again.status == Status.DONE
    assert again.report.version is None
    assert (again.report.total.insert, again.report.total.quarantined) == (0, 2)
    assert quarantine(small) == aside
    # an update that is refused leaves the row as it is
    small.source.execute("UPDATE t SET v = 1003 WHERE k = 5", "UPDATE t SET v = 700 WHERE k = 7")
    mixed = small.run()
    assert (mixed.report.total.insert, mixed.report.total.update, mixed.report.total.quarantined) == (1, 0, 2)
    assert keys_aside(small) == [5, 30]
    assert (written(small)[5], written(small)[7]) == (5, 700)
    small.source.execute("UPDATE t SET v = 500 + k WHERE k in (5, 30)")
    small.run()
    assert not quarantine(small)
    small.settled()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_constraint_that_a_row_breaks_is_named_where_the_engine_tells_it(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """DuckDB has its own names for checks and foreign keys, and tells no other; SQLite tells the columns of a unique index."""
    small = Scenario.make(tmp_path, ("sqlite", engine), request)
    small.source.execute("CREATE TABLE t (k integer PRIMARY KEY, v integer, u integer, p integer)")
    small.source.insert("t", [(1, 1, 1, 1), (2, 5000, 2, 1), (3, 3, 1, 1), (4, 4, 4, 9), (5, 5, 5, None)])
    small.target.execute(
        "CREATE TABLE parent (id integer PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        "CREATE TABLE t (k integer PRIMARY KEY, v integer, u integer, p integer, CONSTRAINT small CHECK (v < 1000), "
        "CONSTRAINT once UNIQUE (u), CONSTRAINT family FOREIGN KEY (p) REFERENCES parent (id))",
    )
    small.write({"t": {"from": "t", "key": ["k"]}})
    assert counts(small.run(), "t") == {"source_rows": 5, "insert": 2, "quarantined": 3}
    told = CliRunner().invoke(main, ["quarantine", str(small.path), "list", "--json"])
    rows = {json.loads(row["key"])[0]: row for row in json.loads(told.stdout)["rows"]}
    named = {key: row["facts"].get("constraint") for key, row in rows.items()}
    assert (
        named
        == {
            "postgresql": {2: "small", 3: "once", 4: "family"},
            "mysql": {2: "small", 3: "once", 4: "family"},
            "sqlite": {2: "small", 3: None, 4: None},
            "duckdb": {2: "t_v_check", 3: None, 4: "t_p_id_fkey"},
        }[engine]
    )
    if engine == "sqlite":
        assert rows[3]["column_name"] == "u", rows[3]


def test_all_rows_of_a_window_refused_is_no_error_and_above_the_limit_it_is_status_4(anywhere: Scenario) -> None:
    small = anywhere
    small.source.execute("UPDATE t SET v = 1000 + k WHERE k > 0")
    small.write(SPEC, defaults={"quarantine": {"max_ratio": 0.5}})
    done = small.run()
    assert done.status == Status.QUARANTINE
    assert done.report.version is None
    assert (done.report.total.insert, done.report.total.quarantined) == (0, 40)
    assert written(small) == {}
    assert len(quarantine(small)) == 40


def test_a_kill_between_the_notes_and_the_commit_changes_nothing(
    anywhere: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = anywhere
    small.source.execute("UPDATE t SET v = 1001 WHERE k = 7")
    take = Notes.take

    def killed(notes: Notes, *noted: object, **marked: bool) -> None:
        take(notes, *noted, **marked)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Notes, "take", killed)
        with pytest.raises(KeyboardInterrupt):
            small.run()
    assert written(small) == {}
    small.run()
    assert written(small) == {n: n for n in range(1, 41) if n != 7}
    assert keys_aside(small) == [7]
    small.undo(1)
    assert written(small) == {}


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_rows_that_a_trigger_swallows_or_turns_into_something_else_are_set_aside(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Inserts and updates that are swallowed, and deletes that are turned into an update of a mapped column."""
    small = Scenario.make(tmp_path, ("sqlite", engine), request)
    for side in (small.source, small.target):
        side.execute(TABLE)
        side.insert("t", [(n, n) for n in range(1, 41)])
    swallowing = {
        "sqlite": [
            *(
                f"CREATE TRIGGER no_{op} BEFORE {op} ON t WHEN new.v > 1000 BEGIN SELECT RAISE(IGNORE); END"
                for op in ("insert", "update")
            ),
            "CREATE TRIGGER soft BEFORE DELETE ON t WHEN old.k < 5 "
            "BEGIN UPDATE t SET v = -1 WHERE k = old.k; SELECT RAISE(IGNORE); END",
        ],
        "postgresql": [
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF new.v > 1000 THEN RETURN NULL; END IF; RETURN new; END $$",
            "CREATE TRIGGER no BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no()",
            "CREATE FUNCTION soft() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS "
            "$$ BEGIN IF old.k > 4 THEN RETURN old; END IF; UPDATE t SET v = -1 WHERE k = old.k; RETURN NULL; END $$",
            "CREATE TRIGGER soft BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION soft()",
        ],
    }
    small.target.execute(*swallowing[engine])
    small.source.execute("DELETE FROM t WHERE k in (3, 30)", "UPDATE t SET v = 1000 + k WHERE k = 10")
    small.source.insert("t", [(41, 41), (42, 1042)])
    small.write(SPEC)
    done = small.run()
    assert counts(done, "t") == {
        "source_rows": 40, "insert": 1, "delete": 1, "unchanged": 37, "quarantined": 2,
    }  # fmt: skip
    assert {key for _, (key,), _ in quarantine(small)} == {3, 10, 42}
    assert all("trigger" in reason for _, _, reason in quarantine(small))
    there = written(small)
    assert (there[3], there[10], there[41]) == (3, 10, 41)
    assert not {30, 42} & there.keys()
    assert small.run().report.version is None
    small.undo(1)
    assert written(small) == {n: n for n in range(1, 41)}


BEHIND = {  # what triggers do behind what is counted as written: rows above 1,000 get another key, or go; 3 comes back
    "sqlite": [
        "CREATE TRIGGER away AFTER INSERT ON t WHEN new.v > 1000 BEGIN UPDATE t SET k = k + 500 WHERE k = new.k; END",
        "CREATE TRIGGER gone AFTER UPDATE ON t WHEN new.v > 1000 AND new.k < 500 BEGIN DELETE FROM t WHERE k = new.k; END",
        "CREATE TRIGGER back AFTER DELETE ON t WHEN old.k = 3 BEGIN INSERT INTO t VALUES (3, 3); END",
    ],
    "postgresql": [
        "CREATE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN "
        "IF tg_op = 'DELETE' THEN INSERT INTO t SELECT 3, 3 WHERE old.k = 3; ELSE DELETE FROM t WHERE k = new.k AND v > 1000; "
        "END IF; RETURN NULL; END $$",
        "CREATE TRIGGER behind AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION behind()",
    ],
    "mysql": [
        "CREATE TRIGGER away BEFORE INSERT ON t FOR EACH ROW SET new.k = IF(new.v > 1000, new.k + 500, new.k)",
        "CREATE TRIGGER away_too BEFORE UPDATE ON t FOR EACH ROW SET new.k = IF(new.v > 1000, new.k + 500, new.k)",
    ],
}  # fmt: skip


@pytest.mark.parametrize("engine", BEHIND)
def test_rows_that_are_not_there_behind_a_statement_that_counted_them_are_set_aside(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", engine), request)
    for side in (small.source, small.target):
        side.execute(TABLE)
    small.source.insert("t", [(n, n) for n in range(1, 11)])
    small.target.execute(*BEHIND[engine])
    small.source.insert("t", [(42, 1042)])
    small.write(SPEC)
    assert counts(small.run(), "t") == {"source_rows": 11, "insert": 10, "quarantined": 1}  # into an empty table
    kept = [3] if engine != "mysql" else []
    small.source.execute("DELETE FROM t WHERE k in (3, 4)", "UPDATE t SET v = 1000 + k WHERE k = 10")
    small.source.insert("t", [(41, 41)])
    done = small.run()
    deleted = {"delete": 2 - len(kept)}
    assert counts(done, "t") == {"source_rows": 10, "insert": 1, "unchanged": 7, "quarantined": 2} | deleted
    assert {key for _, (key,), _ in quarantine(small)} == {10, 42, *kept}
    assert all("trigger" in reason for _, _, reason in quarantine(small))
    assert written(small) == {n: n for n in [1, 2, *kept, *range(5, 11), 41]}
    again = small.run()
    assert (again.report.version, again.report.total.quarantined) == (None, 2)


def test_rows_that_a_rule_or_the_trigger_of_a_partition_keeps_out_are_set_aside(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "postgresql"), request)
    small.source.execute(TABLE, TABLE.replace(" t ", " p "))
    small.source.insert("t", [*((n, n) for n in range(1, 11)), (42, 1042), (43, 2043)])
    small.source.insert("p", [(n, n) for n in range(1, 11)])
    small.target.execute(
        TABLE,
        "CREATE TABLE kept_apart (k bigint, v integer)",
        "CREATE RULE no_insert AS ON INSERT TO t WHERE new.v BETWEEN 1000 AND 2000 DO INSTEAD NOTHING",
        "CREATE RULE elsewhere AS ON INSERT TO t WHERE new.v > 2000 DO INSTEAD INSERT INTO kept_apart VALUES (new.k, new.v)",
        "CREATE RULE no_update AS ON UPDATE TO t WHERE new.v > 1000 DO INSTEAD NOTHING",
        "CREATE RULE no_delete AS ON DELETE TO t WHERE old.k = 3 DO INSTEAD NOTHING",
        "CREATE TABLE p (k bigint PRIMARY KEY, v integer) PARTITION BY RANGE (k)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (6)",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (6) TO (10)",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.k = 7 THEN RETURN NULL; END IF; RETURN new; END $$",
        "CREATE TRIGGER no BEFORE INSERT ON p2 FOR EACH ROW EXECUTE FUNCTION no()",
    )
    small.write({**SPEC, "p": {"from": "p"}})
    done = small.run()
    assert counts(done, "t") == {"source_rows": 12, "insert": 10, "quarantined": 2}
    assert counts(done, "p") == {"source_rows": 10, "insert": 8, "quarantined": 2}
    assert {(table, key) for table, (key,), _ in quarantine(small)} == {("t", 42), ("t", 43), ("p", 7), ("p", 10)}
    assert small.target.count("kept_apart") == 0
    small.source.execute("DELETE FROM t WHERE k in (3, 4)", "UPDATE t SET v = 1000 + k WHERE k = 10")
    again = small.run()
    assert counts(again, "t") == {"source_rows": 10, "delete": 1, "unchanged": 7, "quarantined": 3}
    assert {key for table, (key,), _ in quarantine(small) if table == "t"} == {3, 10, 42, 43}
    assert small.run().report.version is None


def test_what_postgres_defers_excludes_or_forbids_by_a_policy_is_set_aside(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each for itself, and two rows of which the target takes either one."""
    small = Scenario.make(tmp_path, ("sqlite", "postgresql"), request)
    small.source.execute(TABLE)
    small.source.insert("t", [(n, n) for n in range(1, 41)])
    small.source.execute("UPDATE t SET v = 11 WHERE k = 12", "UPDATE t SET v = 2000 WHERE k = 13")
    small.target.execute(
        TABLE,
        "ALTER TABLE t ADD CONSTRAINT once EXCLUDE USING btree (v WITH =)",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF new.v > 1000 THEN RAISE EXCEPTION USING ERRCODE = 'SHOP1', MESSAGE = 'late'; END IF; RETURN new; END $$",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no()",
    )
    small.write(SPEC)
    done = small.run()
    assert counts(done, "t") == {"source_rows": 40, "insert": 38, "quarantined": 2}
    told = {key: reason for _, (key,), reason in quarantine(small)}
    assert "once" in told[12]
    assert "late" in told[13]


def test_a_parent_of_its_own_table_is_not_missed_and_children_of_a_refused_one_follow_it(anywhere: Scenario) -> None:
    small = anywhere
    tree = "CREATE TABLE c (k bigint PRIMARY KEY, p bigint REFERENCES c (k), t bigint REFERENCES t (k))"
    small.source.execute(tree.replace("REFERENCES c (k)", ""))
    small.source.insert("c", [(1, 3, 1), (2, 1, 2), (3, None, 3), (4, 1, 7), (5, 4, 5)])
    small.source.execute("UPDATE t SET v = 1001 WHERE k = 7")
    small.target.execute(tree)
    small.write({**SPEC, "c": {"from": "c"}})
    done = small.run()
    assert done.report.counts["c"].quarantined == 2
    assert sorted(key for table, (key,), _ in quarantine(small) if table == "c") == [4, 5]
    assert small.target.rows("c", "k") == [(1,), (2,), (3,)]


def test_clauses_of_a_sqlite_table_neither_swallow_nor_replace_a_row(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v integer, w integer)")
    small.target.execute(
        "CREATE TABLE t (k bigint PRIMARY KEY, v integer, w integer, UNIQUE (v) ON CONFLICT IGNORE, "
        "UNIQUE (v, w) ON CONFLICT REPLACE)"
    )
    small.target.execute("CREATE UNIQUE INDEX w_once ON t (abs(w))")
    small.source.insert("t", [(1, 1, 1), (2, 2, 2), (3, 3, -1)])
    small.write({"t": {"from": "t"}})
    assert counts(small.run(), "t") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    assert len(small.target.rows("t")) == 2


ROOMS: tuple[tuple[Engine, tuple[str, ...]], ...] = (
    (  # which fails for what is no JSON, with no code of its own
        "sqlite",
        (
            "CREATE TRIGGER no BEFORE INSERT ON t WHEN json_extract(iif(length(new.w) > 9, new.w, '{}'), '$.a') BEGIN SELECT 1; END",
        ),
    ),
    ("postgresql", ("CREATE INDEX ON t (w)",)),  # which takes no text of more than a third of a page
    (
        "postgresql",
        (
            "CREATE FUNCTION one(text) RETURNS int LANGUAGE sql AS "
            "$$ SELECT (SELECT n FROM generate_series(1, length($1) / 100) n) $$",
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS "
            "$$ BEGIN PERFORM one(new.w); RETURN new; END $$",
            "CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()",
        ),
    ),
    (
        "mysql",
        (
            "CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW BEGIN IF length(new.w) > 100 THEN "
            "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'too long'; END IF; END",
        ),
    ),
    (
        "mysql",
        (
            "CREATE TABLE numbers (n integer PRIMARY KEY)",
            "INSERT INTO numbers VALUES (0), (500)",
            "CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW SET @n = (SELECT n FROM numbers WHERE n < length(new.w))",
        ),
    ),
)


@pytest.mark.parametrize(("engine", "made"), ROOMS, ids=[f"{engine}-{len(made)}" for engine, made in ROOMS])
def test_what_an_engine_says_of_a_row_in_words_of_its_own_sets_the_row_aside_and_stops_no_run(
    engine: Engine, made: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Limits of an index, a subquery of a trigger that gives two rows, a function that fails, numbers that a trigger gives to its error."""
    small = Scenario.make(tmp_path, ("sqlite", engine), request)
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, w text)")
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, w text)", *made)
    small.source.insert("t", [(n, "short") for n in range(1, 41)])
    small.source.execute("UPDATE t SET w = hex(randomblob(9000)) WHERE k = 7")
    small.write({"t": {"from": "t"}})
    done = small.run()
    assert done.status == Status.DONE
    assert counts(done, "t") == {"source_rows": 40, "insert": 39, "quarantined": 1}
    assert keys_aside(small) == [7]
    assert small.run().report.version is None
