"""The ledger's tables. In SQLite they have a file of their own, in PostgreSQL the schema `syncline`."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

FORMAT: Final = 2
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


def _json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def _text(name: str, *, key: bool = False, required: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=not (required or key))


def _moment(name: str, *, required: bool = True) -> sa.Column[Any]:
    return sa.Column(name, Moment, nullable=not required)


FORMATS = sa.Table("syncline_format", METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))

RUNS = sa.Table(
    "runs", METADATA,
    _text("run_id", key=True), _text("migration"), _text("kind"), _text("spec_digest"), _text("status"),
    _moment("started_at"), _moment("finished_at", required=False),
    _text("plan", required=False), sa.Column("version", sa.Integer), sa.Column("counts", _json()),
    _text("message", required=False),
    sa.Index("runs_by_time", "migration", "started_at"),
)  # fmt: skip

VERSIONS = sa.Table(
    "versions", METADATA,
    _text("migration", key=True), sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    _text("plan"), _text("run_id"), _text("spec_digest"), _moment("created_at"), sa.Column("counts", _json()),
    _text("source_mark", required=False), _text("target_mark", required=False), _text("author", required=False),
    _text("message", required=False),
    _text("side", required=False), _text("kind", required=False), sa.Column("undoes", _json()),
    _text("made_mark", required=False), sa.Column("windows", _json()), sa.Column("kept", _json()),
    sa.UniqueConstraint("migration", "plan"),
)  # fmt: skip

# what tables were when history began to be kept, or as far back as it is still kept
BASES = sa.Table(
    "bases", METADATA,
    _text("migration", key=True), _text("table_name", key=True), sa.Column("version", sa.Integer, nullable=False),
    _text("folder", required=False), sa.Column("rows", sa.BigInteger, nullable=False), _moment("made_at"),
)  # fmt: skip


def digest(text: str) -> str:
    """What stands for a text of any length in a key."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# keys and reasons have any length, and an index does not: digests stand for them
QUARANTINE = sa.Table(
    "quarantine", METADATA,
    _text("migration", key=True), _text("table_name", key=True), _text("key_digest", key=True),
    _text("reason_digest", key=True),
    _text("key"), _text("reason"), _text("column_name", required=False), _text("value", required=False),
    sa.Column("rows", sa.Integer, nullable=False), _text("run_id"), _moment("first_seen"), _moment("last_seen"),
    _text("file", required=False),
)  # fmt: skip

CONFLICTS = sa.Table(
    "conflicts", METADATA,
    _text("migration", key=True), _text("table_name", key=True), _text("key_digest", key=True),
    _text("key"), _text("op"), _text("before", required=False), _text("after", required=False),
    _text("found", required=False), _text("run_id"), _moment("seen_at"), _moment("resolved_at", required=False),
    _text("resolution", required=False),
)  # fmt: skip

STEPS = sa.Table(
    "steps", METADATA,
    _text("migration", key=True), _text("spec_digest", key=True), _text("range_text", key=True),
    _text("start", key=True), _text("stop", key=True), _text("run_id"), _moment("finished_at"),
)  # fmt: skip

FACTS = sa.Table(
    "facts", METADATA,
    _text("migration", key=True), _text("kind", key=True), _text("name", key=True), _text("value"),
    _moment("seen_at"),
)  # fmt: skip

LEASES = sa.Table(
    "leases", METADATA,
    _text("migration", key=True), _text("token"), _text("holder"), _text("host"),
    sa.Column("pid", sa.Integer, nullable=False), _moment("acquired_at"), _moment("expires_at"),
)  # fmt: skip
