"""`scaffold` of what only MariaDB has, into every engine; and of what MariaDB lacks, into MariaDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import syncline
from drafts import noted, scaffold, shape, typed, untold
from scenario import Scenario, counts, pair_name

from flows.commands import Status
from flows.scaffold.translate import Tongues

LEGACY = [
    "CREATE TABLE flags (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, yes TINYINT(1) NOT NULL DEFAULT 1, two TINYINT(1) DEFAULT 0,"
    " neg TINYINT(1), none TINYINT(1), one BIT(1) NOT NULL DEFAULT b'1', five BIT(5) DEFAULT b'101', wide BIT(64),"
    " num INT(5) ZEROFILL DEFAULT 7, CHECK (yes IN (0, 1)), CHECK (yes = 1 OR two < 3)) COMMENT 'of old'",
    "INSERT INTO flags VALUES (3, 1, 2, -1, NULL, b'1', b'11111', 18446744073709551615, 42), (7, 0, 0, 1, NULL, b'0', NULL, 0, NULL)",
    "CREATE TABLE times (day DATE PRIMARY KEY, at DATETIME(3) NOT NULL DEFAULT '0000-00-00 00:00:00', fixed DATE DEFAULT '2020-01-01',"
    " ts TIMESTAMP NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), clock TIME, span TIME(2), y YEAR)",
    "INSERT INTO times VALUES ('2020-01-01', '0000-00-00', '2020-00-00', '2020-01-01', '23:59:59', '838:59:59', 0),"
    " ('0000-00-00', '2020-01-01', NULL, '2021-01-01', '00:00:00', '-01:00:00.25', 2155),"
    " ('2021-02-03', '2020-01-01 01:02:03.456', NULL, '0000-00-00', NULL, NULL, NULL)",
    "CREATE TABLE words (code VARCHAR(10) COLLATE utf8mb4_general_ci PRIMARY KEY, body MEDIUMTEXT, bin BINARY(4),"
    r" kind ENUM('a', 'it''s', 'b\c') NOT NULL DEFAULT 'it''s', tags SET('x', 'y'), j JSON, u UUID, huge DECIMAL(65,30) UNIQUE,"
    " latin VARCHAR(5) CHARACTER SET latin1 DEFAULT 'é\"\"''', path VARCHAR(20) DEFAULT 'C:\\tmp\\', place POINT,"
    " joined VARCHAR(64) AS (concat(code, '-', ifnull(latin, ''))), up VARCHAR(10) AS (upper(code)),"
    " same INT AS (CASE WHEN code = 'aa' THEN 1 ELSE 0 END) STORED, FULLTEXT words (body), INDEX begins (body(10)), INDEX (latin, code))",
    "INSERT INTO words (code, body, bin, kind, tags, j, huge) VALUES ('Aa', 'plain', 'abcd', 'a', 'x,y', '{\"a\": 1}', 1.5),"
    r" ('bB', x'610062', NULL, 'b\c', '', '[1]', 12345678901234567890123456789012345.123456789012345678901234567891)",
    "CREATE TABLE child (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, code VARCHAR(10) COLLATE utf8mb4_general_ci REFERENCES words (code),"
    " flag INT UNSIGNED, small SMALLINT, parent BIGINT UNSIGNED REFERENCES child (id),"
    " FOREIGN KEY (flag) REFERENCES flags (id) ON DELETE SET NULL ON UPDATE CASCADE)",
    "INSERT INTO child VALUES (5, 'aA', 3, 1, NULL), (6, 'bB', 7, 1, 5), (7, NULL, NULL, NULL, 6)",
    "CREATE TABLE kin (id INT PRIMARY KEY, code VARCHAR(10) COLLATE utf8mb4_general_ci REFERENCES words (code))",
    "INSERT INTO kin VALUES (1, 'bB'), (2, 'Aa')",
    "CREATE TABLE numbered (y INT, n INT AUTO_INCREMENT, PRIMARY KEY (y, n), KEY (n))",
    "INSERT INTO numbered VALUES (1, 1), (1, 9)",
    "CREATE TABLE part (y INT PRIMARY KEY) ENGINE = MyISAM PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (9))",
    "CREATE TRIGGER touched BEFORE INSERT ON numbered FOR EACH ROW SET NEW.y = NEW.y",
    "CREATE VIEW report AS SELECT 1 AS one",
]  # fmt: skip


@pytest.fixture
def legacy(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", ("mysql", "postgresql")), request)


def from_mariadb(*targets: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("legacy", [("mysql", each) for each in targets], indirect=True, ids=pair_name)


def created(legacy: Scenario, table: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(legacy.path.read_text())["tables"][table]["create"]
    return found


@from_mariadb("postgresql", "sqlite", "duckdb", "mysql")
def test_what_fifteen_years_left_behind_moves_by_its_draft(legacy: Scenario) -> None:
    legacy.source.execute(*LEGACY)
    scaffold(legacy)
    syncline("check", legacy.path)
    done = legacy.run()
    nul_free = legacy.target.engine == "postgresql"
    assert done.status == Status.DONE
    assert (done.report.total.insert, done.report.total.quarantined) == ((12, 2) if nul_free else (13, 1))
    assert counts(done, "times") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    legacy.settled()
    assert not any(table.after_load for table in legacy.plan().report.tables)
    asked = "SELECT kind, path, latin, joined, same FROM words WHERE code = 'Aa'"
    path = "C:\\tmp\\"
    assert legacy.target.ask(asked) == [("a", path, 'é""\'', 'Aa-é""\'', 1)]
    assert [bool(yes) for (yes,) in legacy.target.ask("SELECT yes FROM flags ORDER BY id")] == [True, False]


def test_types_of_mariadb_are_what_its_rows_say(legacy: Scenario) -> None:
    legacy.source.execute(*LEGACY)
    draft = scaffold(legacy)
    assert typed(legacy, "flags") == {
        "id": "bigint", "yes": "boolean", "two": "smallint", "neg": "smallint", "none": "boolean", "one": "boolean",
        "five": "smallint", "wide": "numeric(20,0)", "num": "bigint",
    }  # fmt: skip
    assert typed(legacy, "times") == {
        "day": "date", "at": "timestamp", "fixed": "date", "ts": "timestamptz", "clock": "time", "span": "interval", "y": "smallint",
    }  # fmt: skip
    assert typed(legacy, "words") == {
        "code": "varchar(10)", "body": "text", "bin": "bytea", "kind": "varchar(4)", "tags": "text", "j": "json", "u": "uuid",
        "huge": "numeric", "latin": "varchar(5)", "path": "varchar(20)", "joined": "varchar(64)", "up": "varchar(10)", "same": "integer",
    }  # fmt: skip
    assert typed(legacy, "child") == {
        "id": "bigint", "code": "varchar(10)", "flag": "bigint", "small": "smallint", "parent": "bigint",
    }  # fmt: skip
    assert noted(draft, "yes") == "tinyint(1) that holds only 0 and 1"
    assert noted(draft, "neg") == "tinyint(1) that holds -1 to 1: no boolean"
    assert "goes to 18,446,744,073,709,551,615, beyond what bigint holds" in noted(draft, "wide")
    assert noted(draft, "span") == "TIME that holds -01:00:00.25 to 838:59:59: a span, and no time of day"
    assert noted(draft, "at").startswith(
        "1 of 3 rows hold a date that is none (0000-00-00 and the like): they become null"
    )
    assert "1 of 3 rows hold a date that is none" in noted(draft, "day")
    assert "such rows are quarantined, because a key takes no nulls" in noted(draft, "day")
    assert "1 of 2 rows hold NUL characters, which postgresql cannot store: they are quarantined" in noted(
        draft, "body"
    )
    assert "without zeros before it" in noted(draft, "num")
    columns = yaml.safe_load(legacy.path.read_text())["tables"]["times"]["columns"]
    assert columns["at"] == {"from": "at", "zero_date": None}
    assert columns["day"] == "day"


def test_defaults_checks_and_computed_columns_of_mariadb_are_said_in_the_targets_words(legacy: Scenario) -> None:
    legacy.source.execute(*LEGACY)
    draft = scaffold(legacy)
    flags, words = created(legacy, "flags"), created(legacy, "words")
    assert {name: column["default"] for name, column in flags["columns"].items() if "default" in column} == {
        "yes": "TRUE", "two": "0", "one": "TRUE", "five": "5", "num": "7",
    }  # fmt: skip
    assert flags["checks"] == ['"yes" IN (FALSE, TRUE)', '"yes" = TRUE OR "two" < 3']
    assert flags["columns"]["id"] == {"type": "bigint", "identity": True}
    assert words["columns"]["kind"] == {"type": "varchar(4)", "nullable": False, "default": "'it''s'"}
    assert words["columns"]["latin"]["default"] == "'é\"\"'''"
    assert words["columns"]["path"]["default"] == "'C:\\tmp\\'"
    assert words["columns"]["joined"]["generated"] == "\"code\" || '-' || COALESCE(\"latin\", '')"
    assert words["checks"] == ["\"kind\" IN ('a', 'it''s', 'b\\c')"]
    assert (words["unique"], words["indexes"]) == ([["huge"]], [["latin", "code"]])
    assert created(legacy, "times")["columns"]["fixed"] == {"type": "date", "default": "'2020-01-01'"}
    assert created(legacy, "numbered")["columns"]["n"] == {"type": "integer", "identity": True}
    assert untold(draft, "flags") == [
        "unsigned (id, num): numbers below zero are not refused here", "comment of the table: of old",
    ]  # fmt: skip
    assert untold(draft, "times") == [
        "default '0000-00-00 00:00:00.000' of at: it is no date, and null is what stands for it here",
        "column ts: ON UPDATE CURRENT_TIMESTAMP",
    ]
    assert untold(draft, "words") == [
        "column place: point cannot be read exactly: no type of Arrow holds point values. Fix: read ST_AsText(…) in a query,"
        " or leave it out.",
        "collation utf8mb4_general_ci of column code: in keys upper and lower case are one",
        "generated column same (case when `code` = 'aa' then 1 else 0 end): it would give another value in 1 row",
        "generated column up (ucase(`code`)): UPPER may mean another thing in postgresql",
        "index begins: (body(10))",
        "index words: FULLTEXT (body)",
    ]
    assert untold(draft, "part") == ["partitions by RANGE (`y`): p0", "storage engine MyISAM"]
    assert untold(draft, "numbered") == ["trigger touched (BEFORE INSERT)"]
    assert untold(draft, None) == ["view report"]


def test_foreign_keys_that_hold_only_in_mariadbs_eyes_are_left_out_with_a_count(legacy: Scenario) -> None:
    legacy.source.execute(*LEGACY)
    draft = scaffold(legacy)
    keys = created(legacy, "child")["foreign_keys"]
    assert [key["table"] for key in keys] == ["child", "flags"]
    assert (keys[1]["on_delete"], keys[1]["on_update"]) == ("set null", "cascade")
    assert untold(draft, "child") == [
        "foreign key (code) to words: 1 row refers to nothing, or to what differs in case or blanks",
        "unsigned (id, flag, parent): numbers below zero are not refused here",
    ]
    assert untold(draft, "kin") == [
        "foreign key (code) to words: 1 row refers to one that is quarantined, for what is in other columns"
    ]


@from_mariadb("mysql", "sqlite")
def test_what_would_be_computed_otherwise_under_another_collation_is_not_computed(legacy: Scenario) -> None:
    legacy.source.execute(*LEGACY)
    draft = scaffold(legacy)
    assert any("generated column same" in what and "another value in 1 row" in what for what in untold(draft, "words"))
    legacy.run()
    assert legacy.target.ask("SELECT same FROM words ORDER BY code") == [(1,), (0,)]
    assert "same" not in [column.name for column in shape(legacy.target, "words").columns if column.generated]


def test_a_check_that_rows_keep_in_mariadbs_eyes_alone_is_left_out_with_a_count(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, state VARCHAR(5) COLLATE utf8mb4_general_ci CHECK (state IN ('on', 'off')),"
        " n INT CHECK (n <> 0))",
        "INSERT INTO t VALUES (1, 'on', 1), (2, 'ON', 2), (3, NULL, NULL)",
    )
    draft = scaffold(legacy)
    assert untold(draft, "t") == ["check `state` in ('on','off'): 1 rows stand against it"]
    assert created(legacy, "t")["checks"] == ['"n" <> 0']
    legacy.run()
    legacy.settled()


# --- to MariaDB


@pytest.mark.parametrize("legacy", [("postgresql", "mysql")], indirect=True, ids=pair_name)
def test_what_mariadb_does_not_hold_is_made_to_fit_or_said(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE country (code text PRIMARY KEY, long text UNIQUE, name varchar(1000) UNIQUE, CHECK (name <> 'a\\b'))",
        "INSERT INTO country VALUES ('AT', repeat('x', 800), 'Austria'), ('at', 'x ', 'austria')",
        "CREATE TABLE t (id bigserial PRIMARY KEY, code text REFERENCES country, n numeric, late timestamptz DEFAULT now(),"
        " at timestamptz DEFAULT now(), d double precision, bc date, span interval, flag boolean DEFAULT true,"
        " tags text[], path text DEFAULT 'C:\\tmp\\', raw bytea, total numeric GENERATED ALWAYS AS (n * 2) STORED)",
        "INSERT INTO t (code, n, late, d, bc, span, tags, raw) VALUES ('AT', 1.25, '2100-01-01', 1e300, '2024-02-29', '1 mon', '{a}', '\\x00ff'),"
        " ('at', 12345678901234567890123456789012345678901, '1960-01-01', 'NaN', '0044-03-15 BC', NULL, NULL, NULL)",
        "CREATE TABLE wide (a text, b text, c text, d text, PRIMARY KEY (a, b, c, d))",
        "CREATE TABLE ident (y int, id int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (y, id))",
    )
    draft = scaffold(legacy)
    assert typed(legacy, "country") == {"code": "varchar(255)", "long": "text", "name": "varchar(768)"}
    assert set(typed(legacy, "wide").values()) == {"varchar(192)"}
    assert typed(legacy) == {
        "id": "bigint", "code": "varchar(255)", "n": "numeric(65,10)", "late": "timestamp", "at": "timestamptz", "d": "double",
        "bc": "date", "span": "interval", "flag": "boolean", "tags": "text", "path": "text", "raw": "bytea", "total": "numeric(65,10)",
    }  # fmt: skip
    columns = yaml.safe_load(legacy.path.read_text())["tables"]["t"]["columns"]
    assert columns["late"] == {"from": "late", "cast": {"type": "timestamp", "time_zone": "UTC"}}
    assert "instants beyond 1970 to 2038" in noted(draft, "late")
    assert "1 of 2 rows hold NaN or infinity" in noted(draft, "d")
    assert "mysql holds 0001-01-01 to 9999-12-31: rows beyond that are quarantined" in noted(draft, "bc")
    assert "mysql has no such type" in noted(draft, "span")
    found = untold(draft, "country")
    assert found == ["unique (long): its texts go to 800 characters, and an index of MySQL has 3,072 bytes for them"]
    assert created(legacy, "country")["checks"] == ["`name` <> 'a\\\\b'"]
    assert any("identity of id: Incorrect table definition" in what for what in untold(draft, "ident"))
    done = legacy.run()
    assert counts(done, "t") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    legacy.settled()
    legacy.target.execute("INSERT INTO t (code) VALUES ('at')")
    assert legacy.target.ask("SELECT path, flag, at IS NULL, late IS NULL FROM t ORDER BY id")[-1] == (
        "C:\\tmp\\",
        1,
        0,
        1,
    )
    with pytest.raises(Exception, match=r"(?i)constraint .* failed"):
        legacy.target.execute("INSERT INTO country (code, name) VALUES ('x', 'a\\b')")
    with pytest.raises(Exception, match="foreign key"):
        legacy.target.execute("INSERT INTO t (code) VALUES ('aT')")


@from_mariadb("mysql")
def test_mariadb_to_mariadb_keeps_what_its_words_alone_can_say(legacy: Scenario) -> None:
    legacy.source.execute(*LEGACY)
    draft = scaffold(legacy)
    words = created(legacy, "words")
    assert typed(legacy, "words")["huge"] == "numeric(65,30)"
    assert typed(legacy, "times")["span"] == "time"
    assert words["columns"]["up"]["generated"] == "UPPER(`code`)"
    assert words["checks"] == [r"`kind` IN ('a', 'it''s', 'b\\c')"]
    assert words["columns"]["path"]["default"] == r"'C:\\tmp\\'"
    assert not noted(draft, "body")
    assert any("identity of n: Incorrect table definition" in what for what in untold(draft, "numbered"))


# --- what MySQL writes that MariaDB does not


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("(`a` in (_utf8mb4'x',_utf8mb4'it''s'))", "\"a\" IN ('x', 'it''s')"),
        ("convert(`a` using utf8mb4) = _utf8mb4'y'", "\"a\" = 'y'"),
        ("(`flag` = 1) and (0 <> `flag`)", '("flag" = TRUE) AND (FALSE <> "flag")'),
        ("(`flag` in (0,2))", '"flag" IN (0, 2)'),
    ],
)
def test_marks_of_character_sets_and_flags_are_read(written: str, said: str) -> None:
    tongues = Tongues("mysql", "postgresql", {"a": "a", "flag": "flag"}, {"a": "text", "flag": "boolean"})
    assert tongues.spoken(written).sql == said


def test_a_text_that_changes_character_set_is_another_text() -> None:
    tongues = Tongues("mysql", "postgresql", {"a": "a"}, {"a": "text"})
    assert tongues.spoken("convert(`a` using latin1) = 'y'").sql is None
