"""The ledger's tables. In SQLite they have a file of their own, in PostgreSQL the schema `syncline`.

`side` is the side that is spoken of, source or target: of a plan, and of what became of its rows, the one that it writes. A
change of these tables is a format of its own, with a step in `migrations`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

FORMAT: Final = 7
SCHEMA: Final = "syncline"
METADATA: Final = sa.MetaData()


class Moment(sa.types.TypeDecorator[datetime]):
    """A point in time: aware in Python, UTC in the database, sortable as text where the database has no zones."""

    impl = sa.String(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.String(32) if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        moment = value.astimezone(UTC)
        return moment.isoformat(timespec="microseconds") if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def storable(text: str) -> str:
    r"""A text as every ledger's database takes it: PostgreSQL has no NUL, which is written as `\x00`, and none has half of a
    surrogate pair, which is written as `\ud800`.
    """
    return text.replace("\0", r"\x00").encode(errors="backslashreplace").decode()


class Words(sa.types.TypeDecorator[str]):
    """What users, rows and errors say: any text, which is stored as `storable` writes it."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: sa.Dialect) -> str | None:
        return None if value is None else storable(value)


def words(name: str, *, required: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Words, nullable=not required)


def text(name: str, *, key: bool = False, required: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=not (required or key))


def moment(name: str, *, required: bool = True) -> sa.Column[Any]:
    return sa.Column(name, Moment, nullable=not required)


def json(name: str, *, required: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(none_as_null=True), nullable=not required)


def number(name: str, kind: type[sa.types.TypeEngine[int]] = sa.Integer, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=key, autoincrement=False, nullable=False)


FORMATS = sa.Table("syncline_format", METADATA, number("version", key=True))

# `sides` are those that a run may write: it holds their leases as long as it lives
RUNS = sa.Table(
    "runs", METADATA,
    text("run_id", key=True), text("migration"), text("kind"), text("spec_digest"), text("status"),
    moment("started_at"), moment("finished_at", required=False),
    sa.Column("version", sa.Integer), json("counts"), words("message"), json("sides", required=True),
    sa.Index("runs_by_time", "migration", "started_at"),
)  # fmt: skip

# the plans that runs apply; `folder` is a plan's place in the store
PLANS = sa.Table(
    "plans", METADATA,
    text("plan_id", key=True), text("migration"), text("side"), text("run_id"), text("folder"),
    sa.Index("plans_by_run", "run_id"),
)  # fmt: skip

VERSIONS = sa.Table(
    "versions", METADATA,
    text("migration", key=True), number("version", key=True),
    text("side"), text("plan_id"), text("plan"), text("run_id"), text("spec_digest"), moment("created_at"), json("counts"),
    text("source_mark", required=False), text("target_mark", required=False), words("author"),
    words("message"), text("kind"), json("undoes"), text("made_mark", required=False), json("windows"),
    json("kept"), json("tree"), sa.Column("synchronized_with", sa.Integer), sa.Column("joined", sa.Integer),
    sa.UniqueConstraint("migration", "plan"),
)  # fmt: skip

# what tables were when history began to be kept, or as far back as it is still kept
BASES = sa.Table(
    "bases", METADATA,
    text("migration", key=True), text("side", key=True), text("table_name", key=True), number("version"),
    text("folder", required=False), number("rows", sa.BigInteger), moment("made_at"),
)  # fmt: skip


def digest(text: str) -> str:
    """What stands for a text of any length in a key."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# keys and reasons have any length, and an index does not: digests stand for them
QUARANTINE = sa.Table(
    "quarantine", METADATA,
    text("migration", key=True), text("side", key=True), text("table_name", key=True), text("key_digest", key=True),
    text("reason_digest", key=True),
    text("key"), words("reason", required=True), text("column_name", required=False), words("value"),
    number("rows"), text("run_id"), moment("first_seen"), moment("last_seen"), text("file", required=False),
    text("code", required=False), json("facts"),
)  # fmt: skip

CONFLICTS = sa.Table(
    "conflicts", METADATA,
    text("migration", key=True), text("side", key=True), text("table_name", key=True), text("key_digest", key=True),
    text("key"), text("op"), text("before", required=False), text("after", required=False),
    text("found", required=False), text("run_id"), moment("seen_at"), moment("resolved_at", required=False),
    text("resolution", required=False),
    text("kind", required=False), json("fields"), text("base", required=False), text("source", required=False),
    text("target", required=False),
)  # fmt: skip

# what people decided about rows in conflict, and what they were then; `field` is empty where the row as a whole is meant
DECISIONS = sa.Table(
    "decisions", METADATA,
    text("migration", key=True), text("table_name", key=True), text("key_digest", key=True), text("field", key=True),
    sa.Column("decided_at", Moment, primary_key=True),
    text("key"), text("kind"), text("take"), words("value"), text("base", required=False),
    text("source", required=False), text("target", required=False), words("decided_by"), words("why"),
    text("ended", required=False), text("ended_by", required=False), moment("ended_at", required=False),
)  # fmt: skip

# which key of the source is which key of the target, as JSON arrays; `table_name` is the entry of the spec
IDENTITIES = sa.Table(
    "identities", METADATA,
    text("migration", key=True), text("table_name", key=True), text("source_key", key=True), text("target_key"),
    text("run_id"), moment("made_at"),
    sa.UniqueConstraint("migration", "table_name", "target_key"),
)  # fmt: skip

# a step of a backfill is done when it is on every side that it writes
STEPS = sa.Table(
    "steps", METADATA,
    text("migration", key=True), text("spec_digest", key=True), text("range_text", key=True),
    text("start", key=True), text("stop", key=True), text("run_id"), moment("finished_at"),
)  # fmt: skip

FACTS = sa.Table(
    "facts", METADATA,
    text("migration", key=True), text("side", key=True), text("kind", key=True), text("name", key=True), text("value"),
    moment("seen_at"),
)  # fmt: skip

LEASES = sa.Table(
    "leases", METADATA,
    text("migration", key=True), text("side", key=True), text("token"), text("holder"), text("host"),
    number("pid"), moment("acquired_at"), moment("expires_at"),
)  # fmt: skip
