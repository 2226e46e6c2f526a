"""Schema drift: found before anything is read, told with the mapping that it touches, accepted, or evolved with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import PAIRS, RING, Scenario, Side, pair_name

from flows.commands import Status
from transforms.vocabulary import DriftError, SpecError

everywhere = pytest.mark.parametrize("people", RING, indirect=True, ids=pair_name)
BY_NAME: dict[str, Any] = {"people": {"from": "people", "key": ["id"]}}
MAPPED: dict[str, Any] = {
    "people": {"from": "people", "key": ["id"], "columns": {"id": "id", "called": "name", "about": "note"}},
}
ROWS = [(1, "Ada", "first"), (2, "Grace", None), (3, "Mary", "third")]


@pytest.fixture
def people(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Three people in the source, moved yesterday into a target with columns of other names."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE people (id bigint PRIMARY KEY, name varchar(40), note varchar(40))")
    made.target.execute(
        "CREATE TABLE people (id bigint PRIMARY KEY, called varchar(40), about varchar(40), age bigint)"
    )
    made.source.insert("people", ROWS)
    made.write(MAPPED)
    assert made.run().status == Status.DONE
    return made


def alike(scenario: Scenario) -> Scenario:
    """The same people, moved by name into a table that the run made."""
    scenario.target.execute("DROP TABLE people")
    scenario.write(BY_NAME)
    assert scenario.run().status == Status.DONE
    return scenario


def retyped(side: Side, table: str, column: str) -> None:
    """Make the column, which was a varchar(40), a varchar(50)."""
    if side.engine == "sqlite":
        ((sql,),) = side.ask(f"SELECT sql FROM sqlite_schema WHERE name = '{table}'")
        old = sql.replace(f"CREATE TABLE {table}", f"CREATE TABLE {table}_new")
        side.execute(
            old.replace(f"{column} varchar(40)", f"{column} varchar(50)"),
            f"INSERT INTO {table}_new SELECT * FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table}_new RENAME TO {table}",
        )
    elif side.engine == "mysql":
        side.execute(f"ALTER TABLE {table} MODIFY {column} varchar(50)")
    elif side.engine == "duckdb":  # to which every text is one type
        side.execute(f"ALTER TABLE {table} ALTER {column} TYPE blob")
    else:
        side.execute(f"ALTER TABLE {table} ALTER {column} TYPE varchar(50)")


def stopped(scenario: Scenario, *parts: str) -> str:
    """A run stops with these parts in its message, before a snapshot is opened, and the target stays as it is."""
    before, plans = scenario.target.content(), planned(scenario)
    with pytest.raises(DriftError) as caught:
        scenario.run()
    said = str(caught.value)
    assert [part for part in parts if part not in said] == [], said
    assert "Fix: " in said
    assert "No row was read, and nothing was written." in said
    # accepting would not mend a spec that does not fit any more
    assert (f"syncline drift {scenario.path} --accept" in said) != ("Fix: correct the spec." in said)
    assert (scenario.target.content(), planned(scenario)) == (before, plans)
    return said


def planned(scenario: Scenario) -> set[str]:
    """A plan's folder is made before its snapshots are opened."""
    return {folder.name for folder in (scenario.folder / "store" / "plans").iterdir()}


def line_of(scenario: Scenario, text: str) -> str:
    lines = scenario.path.read_text().splitlines()
    return f"line {1 + next(number for number, line in enumerate(lines) if text in line)}"


@everywhere
def test_what_a_run_leaves_behind_is_no_drift(people: Scenario) -> None:
    assert people.run().status == Status.DONE
    shown = syncline("drift", people.path)
    assert "No drift" in shown.stdout
    alike(people)
    assert people.run().status == Status.DONE
    syncline("drift", people.path)
    people.settled()


@everywhere
def test_a_column_added_to_the_source_stops_a_run(people: Scenario) -> None:
    people.source.execute("ALTER TABLE people ADD COLUMN mail varchar(40)")
    stopped(people, "in the source's", "column mail (", "was added", "It touches no column of the mapping")
    alike(people)
    people.source.execute("ALTER TABLE people ADD COLUMN phone varchar(40)")
    stopped(people, "column phone (", "which maps every column of the source, phone")


@everywhere
def test_a_renamed_source_column_is_asked_about_and_named_with_its_mapping(people: Scenario) -> None:
    people.source.execute("ALTER TABLE people RENAME COLUMN name TO full_name")
    said = stopped(people, "column name (", "full_name (", "in its place (renamed?)")
    assert f"tables.people.columns.called ({line_of(people, 'called: name')})" in said
    assert "columns.about" not in said


@everywhere
def test_a_renamed_target_column_is_asked_about_and_named_with_its_mapping(people: Scenario) -> None:
    people.target.execute("ALTER TABLE people RENAME COLUMN called TO name")
    said = stopped(people, "in the target's", "column called (", "name (", "renamed?")
    assert f"tables.people.columns.called ({line_of(people, 'called: name')})" in said


@everywhere
def test_a_dropped_column_of_either_side_stops_a_run(people: Scenario) -> None:
    people.source.execute("ALTER TABLE people DROP COLUMN note")
    said = stopped(people, "in the source's", "column note (", "is gone", "tables.people.columns.about")
    assert "renamed" not in said
    people.target.execute("ALTER TABLE people DROP COLUMN age")
    stopped(people, "column note (", "in the target's", "column age (", "It touches no column")


@everywhere
def test_a_retyped_column_of_either_side_stops_a_run(people: Scenario) -> None:
    retyped(people.source, "people", "name")
    now = "BLOB" if people.source.engine == "duckdb" else "(50)"  # DuckDB's texts have no length
    stopped(people, "in the source's", "column name was ", now, "tables.people.columns.called")
    retyped(people.target, "people", "about")
    stopped(people, "in the source's", "in the target's", "column about was ", "tables.people.columns.about")


@everywhere
def test_a_table_that_is_gone_stops_a_run(people: Scenario) -> None:
    people.target.execute("DROP TABLE people")
    stopped(people, "in the target's", "it is gone", "tables.people.columns.called")
    people.source.execute("DROP TABLE people")
    stopped(people, "in the source's", "it is gone")


@pytest.mark.parametrize("people", [PAIRS[3]], indirect=True, ids=pair_name)
def test_keys_nulls_and_computed_columns_are_part_of_a_schema(people: Scenario) -> None:
    people.source.execute(
        "ALTER TABLE people ALTER name SET NOT NULL",
        "ALTER TABLE people DROP CONSTRAINT people_pkey",
        "ALTER TABLE people ADD PRIMARY KEY (id, name)",
    )
    people.target.execute(
        "ALTER TABLE people DROP COLUMN age",
        "ALTER TABLE people ADD COLUMN age bigint GENERATED ALWAYS AS (id * 2) STORED",
    )
    said = stopped(people, "column name took nulls and takes none", "its primary key was (id) and is (id, name)")
    assert "column age was not computed by the database and is" in said


@everywhere
def test_columns_in_another_order_are_no_drift(people: Scenario) -> None:
    people.source.execute(
        "DROP TABLE people",
        "CREATE TABLE people (note varchar(40), name varchar(40), id bigint PRIMARY KEY)",
    )
    people.source.insert("people", [(note, name, number) for number, name, note in ROWS])
    syncline("drift", people.path)
    people.settled()


@pytest.mark.parametrize("command", ["run", "backfill", "apply"])
def test_every_command_that_writes_stops_with_status_1(people: Scenario, command: str, tmp_path: Path) -> None:
    people.source.execute("INSERT INTO people VALUES (4, 'Emmy', NULL)")
    syncline("plan", people.path, "-o", tmp_path / "plan", status=2)
    people.source.execute("ALTER TABLE people RENAME COLUMN name TO full_name")
    arguments = {
        "run": [people.path],
        "backfill": [people.path, "--range", "people.id:0..9"],
        "apply": [tmp_path / "plan"],
    }[command]
    done = syncline(command, "--direct", *arguments, status=1)
    assert done.stderr.startswith("error: ")
    assert "renamed?" in done.stderr
    told = answer(command, "--direct", *arguments, status=1)
    assert told["kind"] == "DriftError"
    assert people.target.count("people") == 3


def test_commands_that_only_read_say_it_and_go_on(people: Scenario) -> None:
    people.source.execute("ALTER TABLE people ADD COLUMN mail text")
    for outcome in (people.plan(), people.verify()):
        assert outcome.status == Status.DONE
        first, last = outcome.report.warning_texts
        assert "column mail (" in first
        assert "syncline drift" in last
    people.source.execute("ALTER TABLE people RENAME COLUMN name TO full_name")
    with pytest.raises(DriftError, match=r"renamed\?(?s:.*)the source has no column name"):
        people.plan()  # which cannot go on


def test_an_assessment_says_that_a_run_would_stop_and_still_looks_at_the_rows(people: Scenario) -> None:
    assert answer("check", people.path)["status"] == 0
    people.source.execute("ALTER TABLE people ADD COLUMN mail text")
    for arguments in ([], ["--schema-only"]):
        told = answer("check", people.path, *arguments, status=1)
        assert told["verdict"].startswith("A run would stop: the schemas have drifted")
        assert "column mail (" in told["warnings"][0]
    shown = syncline("check", people.path, status=1).stdout
    assert "3 rows of people -> people" in shown
    assert "all 3 columns fit" in shown
    syncline("drift", people.path, "--accept")
    assert answer("check", people.path)["status"] == 0


def test_accepted_schemas_are_gone_on_with(people: Scenario) -> None:
    people.source.execute("ALTER TABLE people ADD COLUMN mail varchar(40)")
    people.target.execute("ALTER TABLE people DROP COLUMN age")
    shown = syncline("drift", people.path, status=2)
    assert "column mail (" in shown.stdout
    assert "column age (" in shown.stdout
    told = answer("drift", people.path, status=2)
    assert [(each["side"], each["kind"], each["column"], each["stops"]) for each in told["drift"]] == [
        ("source", "added", "mail", True),
        ("target", "gone", "age", True),
    ]
    assert "taken as they are now" in syncline("drift", people.path, "--accept").stdout
    assert "No drift since they were accepted at " in syncline("drift", people.path).stdout
    assert answer("drift", people.path)["drift"] == []
    assert people.run().status == Status.DONE
    people.settled()


def test_the_schemas_are_taken_as_they_are_once_the_spec_was_edited(people: Scenario) -> None:
    people.source.execute("ALTER TABLE people RENAME COLUMN name TO full_name")
    stopped(people, "renamed?")
    people.write({"people": {**MAPPED["people"], "columns": {"id": "id", "called": "full_name", "about": "note"}}})
    assert "Nothing to compare with" in syncline("drift", people.path).stdout
    assert people.run().status == Status.DONE
    people.source.execute("ALTER TABLE people ADD COLUMN mail text")
    stopped(people, "column mail (")


def test_only_the_tables_that_are_asked_for_are_looked_at(people: Scenario) -> None:
    for side in (people.source, people.target):
        side.execute("CREATE TABLE pet (id bigint PRIMARY KEY, name text)")
    people.write({**MAPPED, "pet": {"from": "pet", "key": ["id"]}})
    people.run(tables=["pet"])
    people.target.execute("ALTER TABLE people DROP COLUMN age")  # nothing is known of it yet
    people.run()
    people.source.execute("ALTER TABLE people ADD COLUMN mail text")
    assert people.run(tables=["pet"]).status == Status.DONE
    stopped(people, "people: in the source's")  # also after the run of pet


def test_expressions_lookups_and_functions_are_touched_by_what_they_read(people: Scenario) -> None:
    people.source.execute("CREATE TABLE town (id bigint PRIMARY KEY, name text)")
    (people.folder / "names.py").write_text("def short(frame):\n    return frame['note']\n")
    columns = {
        "id": "id",
        "called": {"expr": "upper(NAME)"},
        "about": {"python": "names.short"},
        "age": {
            "lookup": {"table": "town", "side": "source", "match": {"name": "name"}, "take": "id"},
            "missing": "null",
        },
    }
    people.write({"people": {**MAPPED["people"], "columns": columns}})
    people.run()
    people.source.execute("ALTER TABLE people RENAME COLUMN name TO full_name")
    stopped(people, "columns.called", "columns.about", "columns.age")


def test_a_query_whose_types_only_values_tell_does_not_drift_by_its_rows(people: Scenario) -> None:
    query = "SELECT id, name || '' AS name, CASE WHEN id > 3 THEN note END AS note FROM people"
    people.write({"people": {**MAPPED["people"], "from": {"query": query}}})
    people.run()
    people.source.execute("UPDATE people SET note = 'x', id = 9 WHERE id = 2")
    assert people.run().status == Status.DONE


def test_a_ledger_that_cannot_be_asked_does_not_stop_a_plan(people: Scenario) -> None:
    (people.folder / "ledger.db").write_bytes(b"no database at all" * 100)
    outcome = people.plan()
    assert "Whether the schemas have drifted is not known" in outcome.report.warning_texts[0]


def test_a_spec_that_never_fitted_is_no_drift(people: Scenario) -> None:
    people.write({"people": {**MAPPED["people"], "columns": {"id": "id", "called": "nmae"}}})
    with pytest.raises(SpecError) as caught:
        people.run()
    assert not isinstance(caught.value, DriftError)
