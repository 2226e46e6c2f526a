"""Ledgers of earlier formats become today's: a step for each format, in one transaction, as alembic operations.

A step says itself what tables look like after it: `tables` has them as they are today.
"""

from __future__ import annotations

import json as json_texts
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from adapters.ledger.tables import FORMAT, Moment, json, moment, number, text

if TYPE_CHECKING:
    from alembic.operations import Operations

Step = Callable[["Operations", str | None], None]


def upgrade(connection: sa.Connection, known: int, schema: str | None) -> None:
    """Bring a ledger of format `known` to today's, inside the caller's transaction."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    for step in range(known, FORMAT):
        STEPS[step](operations, schema)


def _with_history(operations: Operations, schema: str | None) -> None:
    """1 to 2: versions say what they are, and tables have a base. The windows that nobody read are gone."""
    for column in (
        *(text(name, required=False) for name in ("side", "kind", "made_mark")),
        *(json(name) for name in ("undoes", "windows", "kept")),
    ):
        operations.add_column("versions", column, schema=schema)
    versions = sa.table("versions", sa.column("side"), sa.column("kind"), schema=schema)
    operations.execute(sa.update(versions).values(side="target", kind="run"))
    operations.create_table(
        "bases",
        text("migration", key=True), text("table_name", key=True), number("version"),
        text("folder", required=False), number("rows", sa.BigInteger), moment("made_at"),
        schema=schema,
    )  # fmt: skip
    operations.drop_table("windows", schema=schema)


def _with_sides(operations: Operations, schema: str | None) -> None:
    """2 to 3: what is remembered says which side it is about, and plans have an id of their own.

    So far every plan wrote the target, and had the id of its run.
    """
    runs = sa.table("runs", *map(sa.column, ("run_id", "migration", "plan", "sides")), schema=schema)
    operations.create_table(
        "plans",
        text("plan_id", key=True), text("migration"), text("side"), text("run_id"), text("folder"),
        schema=schema,
    )  # fmt: skip
    operations.create_index("plans_by_run", "plans", ["run_id"], schema=schema)
    plans = sa.table("plans", *map(sa.column, ("plan_id", "migration", "side", "run_id", "folder")), schema=schema)
    applied = sa.select(runs.c.run_id, runs.c.migration, sa.literal("target"), runs.c.run_id, runs.c.plan)
    operations.execute(plans.insert().from_select(plans.c.keys(), applied.where(runs.c.plan.is_not(None))))

    operations.drop_index("runs_by_time", "runs", schema=schema)
    _rebuilt(
        operations, schema, "runs",
        [
            text("run_id", key=True), text("migration"), text("kind"), text("spec_digest"), text("status"),
            moment("started_at"), moment("finished_at", required=False),
            sa.Column("version", sa.Integer), json("counts"), text("message", required=False),
            json("sides", required=True),
        ],
        {"sides": sa.literal(["target"], sa.JSON())},
    )  # fmt: skip
    operations.create_index("runs_by_time", "runs", ["migration", "started_at"], schema=schema)
    _rebuilt(
        operations, schema, "versions",
        [
            text("migration", key=True), number("version", key=True),
            text("side"), text("plan_id"), text("plan"), text("run_id"), text("spec_digest"), moment("created_at"),
            json("counts"), text("source_mark", required=False), text("target_mark", required=False),
            text("author", required=False), text("message", required=False), text("kind"), json("undoes"),
            text("made_mark", required=False), json("windows"), json("kept"),
            sa.UniqueConstraint("migration", "plan"),
        ],
        {"plan_id": sa.column("run_id")},
    )  # fmt: skip
    _rebuilt(
        operations, schema, "bases",
        [
            text("migration", key=True), text("side", key=True), text("table_name", key=True), number("version"),
            text("folder", required=False), number("rows", sa.BigInteger), moment("made_at"),
        ],
    )  # fmt: skip
    _rebuilt(
        operations, schema, "quarantine",
        [
            text("migration", key=True), text("side", key=True), text("table_name", key=True),
            text("key_digest", key=True), text("reason_digest", key=True),
            text("key"), text("reason"), text("column_name", required=False), text("value", required=False),
            number("rows"), text("run_id"), moment("first_seen"), moment("last_seen"), text("file", required=False),
            text("code", required=False), json("facts"),
        ],
        {"code": sa.null(), "facts": sa.null()},  # of what was set aside so far only the text is known
    )  # fmt: skip
    _rebuilt(
        operations, schema, "conflicts",
        [
            text("migration", key=True), text("side", key=True), text("table_name", key=True),
            text("key_digest", key=True), text("key"), text("op"), text("before", required=False),
            text("after", required=False), text("found", required=False), text("run_id"), moment("seen_at"),
            moment("resolved_at", required=False), text("resolution", required=False),
        ],
    )  # fmt: skip
    _rebuilt(
        operations, schema, "leases",
        [
            text("migration", key=True), text("side", key=True), text("token"), text("holder"), text("host"),
            number("pid"), moment("acquired_at"), moment("expires_at"),
        ],
    )  # fmt: skip
    _rebuilt(
        operations, schema, "facts",
        [
            text("migration", key=True), text("side", key=True), text("kind", key=True), text("name", key=True),
            text("value"), moment("seen_at"),
        ],
    )  # fmt: skip
    _shapes_by_side(operations, schema)


def _with_identities(operations: Operations, schema: str | None) -> None:
    """3 to 4: tables that both sides number by themselves have a map of their keys."""
    operations.create_table(
        "identities",
        text("migration", key=True), text("table_name", key=True), text("source_key", key=True), text("target_key"),
        text("run_id"), moment("made_at"),
        sa.UniqueConstraint("migration", "table_name", "target_key"),
        schema=schema,
    )  # fmt: skip


def _with_trees(operations: Operations, schema: str | None) -> None:
    """4 to 5: versions say which trees they are restricted to. So far they were of whole tables, as far as anybody knows."""
    operations.add_column("versions", json("tree"), schema=schema)


def _with_two_ways(operations: Operations, schema: str | None) -> None:
    """5 to 6: conflicts may be of both sides, people decide about them, and versions have a twin on the other side."""
    operations.add_column("versions", sa.Column("synchronized_with", sa.Integer), schema=schema)
    for column in (
        text("kind", required=False), json("fields"),
        *(text(name, required=False) for name in ("base", "source", "target")),
    ):  # fmt: skip
        operations.add_column("conflicts", column, schema=schema)
    operations.create_table(
        "decisions",
        text("migration", key=True), text("table_name", key=True), text("key_digest", key=True), text("field", key=True),
        sa.Column("decided_at", Moment, primary_key=True),
        text("key"), text("kind"), text("take"), text("value", required=False), text("base", required=False),
        text("source", required=False), text("target", required=False), text("decided_by", required=False),
        text("why", required=False), text("ended", required=False), text("ended_by", required=False),
        moment("ended_at", required=False),
        schema=schema,
    )  # fmt: skip


def _with_joined(operations: Operations, schema: str | None) -> None:
    """6 to 7: versions may be one for people."""
    operations.add_column("versions", sa.Column("joined", sa.Integer), schema=schema)


def _rebuilt(
    operations: Operations,
    schema: str | None,
    name: str,
    items: Sequence[sa.schema.SchemaItem],
    filled: Mapping[str, sa.ColumnElement[Any]] = MappingProxyType({}),
) -> None:
    """Make a table anew with the rows that it has; columns that it lacks are `filled`, and every `side` is the target."""
    before = f"{name}_before"
    operations.rename_table(name, before, schema=schema)
    made = operations.create_table(name, *items, schema=schema)
    known = {column["name"] for column in sa.inspect(operations.get_bind()).get_columns(before, schema)}
    lacking = {"side": sa.literal("target"), **filled}
    names = [column.name for column in made.columns]
    values = [sa.column(each) if each in known else lacking[each] for each in names]
    rows = sa.select(*values).select_from(sa.table(before, schema=schema))
    operations.execute(made.insert().from_select(names, rows))
    operations.drop_table(before, schema=schema)


def _shapes_by_side(operations: Operations, schema: str | None) -> None:
    """The shapes of both sides' tables, which were one fact, become a fact of each side."""
    facts = sa.table("facts", *map(sa.column, ("migration", "side", "kind", "name", "value", "seen_at")), schema=schema)
    connection = operations.get_bind()
    for row in connection.execute(sa.select(facts).where(facts.c.kind == "shape")).mappings().all():
        both = json_texts.loads(row["value"])

        def of_side(side: str, both: Any = both) -> str:
            tables = {name: shapes[side] for name, shapes in both["tables"].items() if side in shapes}
            return json_texts.dumps({**both, "tables": tables}, ensure_ascii=False)

        same = facts.c.migration == row["migration"], facts.c.kind == "shape", facts.c.name == row["name"]
        connection.execute(facts.update().where(*same).values(value=of_side("target")))
        connection.execute(facts.insert().values({**row, "side": "source", "value": of_side("source")}))


STEPS: Final[Mapping[int, Step]] = {
    1: _with_history,
    2: _with_sides,
    3: _with_identities,
    4: _with_trees,
    5: _with_two_ways,
    6: _with_joined,
}
