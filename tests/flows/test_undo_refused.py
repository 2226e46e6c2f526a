"""An undo that the target would refuse is refused as a whole: before a row is written, on every engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import Scenario

from flows.commands import Status
from transforms.vocabulary import PlanError

ENGINES = ("postgresql", "mysql", "sqlite", "duckdb")
CLASH = "ALTER TABLE z ADD CONSTRAINT once EXCLUDE USING btree (v WITH =)"
TRIGGERS = {
    "postgresql": (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.v = 3 THEN RAISE 'never three'; END IF; "
        "RETURN new; END $$",
        "CREATE TRIGGER no BEFORE INSERT ON z FOR EACH ROW EXECUTE FUNCTION no()",
    ),
    "mysql": (
        "CREATE TRIGGER no BEFORE INSERT ON z FOR EACH ROW BEGIN IF NEW.v = 3 THEN "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'never three'; END IF; END",
    ),
    "sqlite": (
        "CREATE TRIGGER no BEFORE INSERT ON z WHEN new.v = 3 BEGIN SELECT raise(ABORT, 'never three'); END",
    ),
}  # fmt: skip


def with_a_version_that_deletes(
    folder: Path, engine: str, request: pytest.FixtureRequest, unique: str = ""
) -> Scenario:
    """Two tables of ten rows; version 2 deletes 3 of each. `a` is written before `z`."""
    made = Scenario.make(folder, ("sqlite", engine), request)  # type: ignore[arg-type]
    table = "CREATE TABLE {} (k bigint PRIMARY KEY, v bigint{})"
    made.source.execute(table.format("a", ""), table.format("z", ""))
    made.target.execute(table.format("a", ""), table.format("z", unique))
    for name in "az":
        made.source.insert(name, [(n, n) for n in range(1, 11)])
    made.write({"a": {"from": "a"}, "z": {"from": "z"}})
    assert made.run().status == Status.DONE
    made.source.execute("DELETE FROM a WHERE k = 3", "DELETE FROM z WHERE k = 3")
    assert made.run().report.version == 2
    return made


def refused(made: Scenario, *words: str) -> None:
    """Nothing is written, however often it is tried; once what stands against it is gone all of it is."""
    before = made.target.content()
    for _ in range(2):
        with pytest.raises(PlanError) as error:
            made.undo(2)
        assert all(word in str(error.value) for word in words), error.value
        assert made.target.content() == before


def done(made: Scenario) -> None:
    assert made.undo(2).status == Status.DONE
    assert (3, 3) in made.target.rows("a") and (3, 3) in made.target.rows("z")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_unique_value_that_another_row_has_by_now_is_named_and_nothing_comes_back(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = with_a_version_that_deletes(tmp_path, engine, request, " UNIQUE")
    made.target.execute("INSERT INTO z VALUES (99, 3)")
    refused(made, "[3]", "[99]", "(v)")
    made.target.execute("UPDATE z SET v = NULL WHERE k = 99")
    done(made)


def test_a_unique_value_that_the_undo_itself_frees_is_no_matter(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made = with_a_version_that_deletes(tmp_path, "postgresql", request, " UNIQUE")
    made.source.execute("UPDATE z SET v = 3 WHERE k = 4", "INSERT INTO z VALUES (11, 4)")
    assert made.run().report.version == 3
    assert made.undo(3).status == Status.DONE
    done(made)


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_check_that_came_since_is_asked_before_a_row_is_written(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = with_a_version_that_deletes(tmp_path, engine, request)
    made.target.execute("ALTER TABLE z ADD CONSTRAINT low CHECK (v <> 3)")
    refused(made, "[3]", "low")
    made.target.execute("ALTER TABLE z DROP CONSTRAINT low")
    done(made)


def test_an_exclusion_refuses_an_undo_as_a_whole(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made = with_a_version_that_deletes(tmp_path, "postgresql", request)
    made.target.execute(CLASH, "INSERT INTO z VALUES (99, 3)")
    refused(made, "once")
    made.target.execute("DELETE FROM z WHERE k = 99")
    done(made)


@pytest.mark.parametrize("engine", TRIGGERS)
def test_a_trigger_that_raises_refuses_an_undo_as_a_whole(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = with_a_version_that_deletes(tmp_path, engine, request)
    made.target.execute(*TRIGGERS[engine])
    refused(made, "never three")
    made.target.execute("DROP TRIGGER no" + (" ON z" if engine == "postgresql" else ""))
    done(made)


@pytest.mark.parametrize("engine", ["mysql", "sqlite"])
def test_a_unique_computed_column_refuses_an_undo_as_a_whole(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = with_a_version_that_deletes(tmp_path, engine, request)
    made.target.execute(
        "ALTER TABLE z ADD u bigint AS (abs(v)) VIRTUAL",
        "CREATE UNIQUE INDEX once ON z (u)",
        "INSERT INTO z (k, v) VALUES (99, -3)",
    )
    refused(made, "refuses")
    made.target.execute("DELETE FROM z WHERE k = 99")
    assert made.undo(2).status == Status.DONE
    assert (3, 3, 3) in made.target.rows("z")


def test_a_row_that_somebody_edited_is_a_conflict_whatever_the_target_would_refuse(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = with_a_version_that_deletes(tmp_path, "postgresql", request, " UNIQUE")
    made.target.execute("INSERT INTO z VALUES (3, 33), (99, 3)", "ALTER TABLE z ADD CHECK (v <> 3) NOT VALID")
    outcome = made.undo(2)
    assert outcome.status == Status.CONFLICTS and (3, 3) in made.target.rows("a")
    assert (3, 33) in made.target.rows("z")
