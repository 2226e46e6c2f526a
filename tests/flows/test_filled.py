"""Columns of a target that take no nulls and that a trigger fills: recognized in a draft, and left to the trigger by a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from drafts import scaffold
from scenario import Engine, Scenario

from adapters.sql.filling import assigned, inserted_instead
from flows.commands import Status
from transforms.vocabulary import SpecError

TABLE = (
    "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(40) CHECK (name <> 'bad'), made_by varchar(9) NOT NULL,"
    " made_on varchar(19) NOT NULL, seen int DEFAULT 0 NOT NULL)"
)
TRIGGERS: dict[Engine, tuple[str, ...]] = {
    "postgresql": (
        """CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN
            -- NEW.name := 'no';
            IF NEW.made_by IS NULL THEN NEW.Made_By := 'trigger'; END IF;
            SELECT 'today', 1 INTO NEW."made_on", n;
            RETURN NEW; END $$""",
        "CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp()",
    ),
    "mysql": ("CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW SET NEW.Made_By = 'trigger', NEW.`made_on` = 'today'",),
    "sqlite": (
        "CREATE TRIGGER stamp BEFORE INSERT ON t WHEN NEW.made_by IS NULL BEGIN"
        " INSERT INTO t (id, name, Made_By, \"made_on\") VALUES (NEW.id, NEW.name, 'trigger', 'today'); SELECT RAISE(IGNORE); END",
    ),
}  # fmt: skip


@pytest.fixture(params=list(TRIGGERS))
def stamped(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """A target whose trigger fills two columns."""
    made = Scenario.make(tmp_path, ("sqlite", request.param), request)
    made.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",
        "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'bad')",
    )
    made.target.execute(TABLE, *TRIGGERS[made.target.engine])
    return made


def test_columns_that_a_trigger_fills_are_left_to_it_by_draft_and_run(stamped: Scenario) -> None:
    draft = scaffold(stamped)
    written = stamped.path.read_text()
    assert yaml.safe_load(written)["tables"]["t"]["filled"] == ["made_by", "made_on"]
    assert "made_by: the trigger stamp fills it, as its text says. A guess: it was read, and not run." in written
    assert not any("left_out" in table for table in draft["tables"])
    assert stamped.target.rows("t") == []
    done = stamped.run()
    assert (done.status, done.report.total.insert, done.report.total.quarantined) == (Status.DONE, 2, 1)
    told = "SELECT id, name, made_by, made_on, seen FROM t ORDER BY id"
    assert stamped.target.ask(told) == [(1, "one", "trigger", "today", 0), (2, "two", "trigger", "today", 0)]
    again = stamped.plan()
    assert (again.status, again.report.total.unchanged) == (Status.DONE, 2)
    assert stamped.verify().status == Status.DONE
    stamped.source.execute(
        "UPDATE t SET name = 'three' WHERE id = 3",
        "UPDATE t SET name = 'uno' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
    )
    done = stamped.run()
    assert (done.report.total.insert, done.report.total.update, done.report.total.delete) == (1, 1, 1)
    assert stamped.target.ask(told) == [(1, "uno", "trigger", "today", 0), (3, "three", "trigger", "today", 0)]
    assert stamped.verify().status == Status.DONE
    assert stamped.undo(2).status == Status.DONE
    assert stamped.target.ask(told) == [(1, "one", "trigger", "today", 0), (2, "two", "trigger", "today", 0)]


def test_rows_that_a_trigger_leaves_without_a_value_are_set_aside(stamped: Scenario) -> None:
    stamped.write({"t": {"from": "t", "filled": ["made_by", "made_on"]}})
    drop = "DROP TRIGGER stamp" + (" ON t" if stamped.target.engine == "postgresql" else "")
    stamped.target.execute(drop)
    done = stamped.run()
    assert (done.report.total.insert, done.report.total.quarantined) == (0, 3)
    assert stamped.target.rows("t") == []


def test_filled_names_columns_of_the_target_that_are_not_mapped(stamped: Scenario) -> None:
    for names, why in (
        ([], "made_by takes no nulls, has no default and is not mapped. Fix: map it in tables.t.columns, or name it in tables.t.filled"),
        (["made_by", "made_at"], "has no column made_at. Did you mean made_"),
        (["made_by", "made_on", "name"], "name is mapped, so that nothing else fills it"),
    ):  # fmt: skip
        stamped.write({"t": {"from": "t", "filled": names}})
        with pytest.raises(SpecError) as error:
            stamped.plan()
        assert why in str(error.value)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("BEGIN NEW.a := 1; RETURN NEW; END", ["a"]),
        ("BEGIN IF NEW.a = 1 AND NEW.b = 2 THEN NEW.c = 3; ELSE new.d := f(NEW.e); END IF; RETURN NEW; END", ["c", "d"]),
        ("BEGIN SELECT x, y INTO STRICT NEW.a, NEW.b FROM p WHERE NEW.c = z; RETURN NEW; END", ["a", "b"]),
        ("SET NEW.a = 1, NEW.`b c` = NEW.d, @x = (SELECT 1 FROM p WHERE p.i = NEW.e)", ["a", "`b c`"]),
        ("BEGIN /* NEW.a := 1; */ x := 'NEW.b := 2;'; -- NEW.c := 3;\n RETURN NEW; END", []),
        ("BEGIN IF NEW.a IS NULL THEN RAISE 'a'; END IF; RETURN NEW; END", []),
        ("BEGIN NEW := f(NEW); RETURN NEW; END", []),
        ("BEGIN", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_triggers_text_says_which_columns_it_gives_a_value(text: str, columns: list[str]) -> None:
    assert list(assigned(text)) == columns


def test_a_trigger_of_sqlite_fills_columns_by_a_row_of_its_own_alone() -> None:
    insert = 'INSERT INTO "T" (id, [a b]) VALUES (NEW.id, 1);'
    assert list(inserted_instead(f"BEGIN {insert} SELECT RAISE(IGNORE); END", "t")) == ["id", "a b"]
    assert list(inserted_instead(f"BEGIN {insert} END", "t")) == []
    assert list(inserted_instead(f"BEGIN {insert} SELECT RAISE(IGNORE); END", "other")) == []
