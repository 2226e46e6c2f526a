"""What the spec says of following: how changes are captured, and how often they are brought over."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from flows.spec.columns import Strict
from flows.spec.conflict import Span
from flows.spec.problems import Invalid
from transforms.vocabulary import SideName

Capture = Literal["log", "trigger", "poll"]
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def size(value: Any) -> Any:
    """A number of bytes, such as 500MB or 10GB."""
    if isinstance(value, int):
        return value
    written = re.fullmatch(r"(\d{1,9})\s*(kB|MB|GB|TB)", value.strip()) if isinstance(value, str) else None
    if written is None:
        raise Invalid("must be a size such as 500MB or 10GB")
    return int(written[1]) * _BYTES[written[2]]


Size = Annotated[int, BeforeValidator(size, json_schema_input_type=str)]


class Captures(Strict):
    """How each side is followed; one word where both are alike."""

    source: Capture = Field(
        default="poll",
        description="log: by the log that the engine writes anyway (PostgreSQL, MariaDB). trigger: by triggers that "
        "`syncline follow install` makes (PostgreSQL, MariaDB, SQLite). poll: by each table's cursor column (any engine; no deletes).",
    )
    target: Capture = Field(
        default="poll", description="The same of the target, which is followed where changes go both ways."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"source": value, "target": value} if isinstance(value, str) else value


class LogLimit(Strict):
    """How much log a database may keep for us that it would otherwise let go."""

    warn: Size = Field(default=10**9, ge=0, description="Beyond, `sync` warns.", examples=["500MB"])
    most: Size = Field(
        default=10 * 10**9,
        ge=0,
        description="Beyond, the log is given up, so that the disk does not fill; a comparison in full settles what was missed.",
        examples=["50GB"],
    )


class Versions(Strict):
    """How many batches are one version of the history."""

    every: Span = Field(description="Batches that come within this time are one.", examples=["1h"])


class Follow(Strict):
    """How `syncline sync` follows the sides."""

    capture: Captures = Field(
        default=Captures(),
        description="How changes are captured: log, trigger or poll.",
        examples=["log", {"source": "log", "target": "trigger"}],
    )
    cursor: str | None = Field(
        default=None,
        min_length=1,
        description="poll: the column that is asked what is new, of each table that has it.",
        examples=["updated_at"],
    )
    every: Span = Field(
        default=timedelta(seconds=1),
        description="How long keys are gathered before they are brought over.",
        examples=["5s"],
    )
    most: int = Field(default=10_000, ge=1, description="About how many keys one plan is made of.", examples=[50000])
    lost: Literal["compare", "stop"] = Field(
        default="compare",
        description="Where a feed cannot go on, or cannot say what happened to a table: it is compared in full, or sync stops.",
    )
    versions: Versions | None = Field(
        default=None,
        description="Which batches are one version of the history; each one is of its own if not given.",
        examples=[{"every": "1h"}],
    )
    listen: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="A channel of PostgreSQL (NOTIFY), on each side that is one and is followed: what is said there wakes sync, and its "
        "payload names what is looked at, a line each: rows such as customer:42, or a table; an empty one only wakes.",
        examples=["shop"],
    )
    retained: LogLimit = Field(
        default=LogLimit(), description="How much log may be kept for us.", examples=[{"most": "50GB"}]
    )
    metrics: str | None = Field(
        default=None,
        min_length=1,
        description="A file for Prometheus' textfile collector, written anew after each batch.",
        examples=["/var/lib/node_exporter/shop.prom"],
    )

    def way(self, side: SideName) -> Capture:
        """How a side is followed."""
        return self.capture.source if side == "source" else self.capture.target

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"capture": value} if isinstance(value, str) else value
