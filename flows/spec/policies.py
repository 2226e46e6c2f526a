"""Policies that a table has of its own or takes from the defaults: deletes, windows, quarantine, checkpoints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from flows.spec.columns import Strict

FEW = 10  # rows of a table, below which shares say little


Children = Literal["refuse", "plan", "detach"]


class DeletePolicy(Strict):
    """What happens to target rows that the source does not have."""

    policy: Literal["hard", "soft", "ignore"] = Field(
        default="hard", description="Delete them, flag them, or leave them."
    )
    column: str | None = Field(
        default=None,
        description="With soft: the target's flag column, a boolean or a timestamp.",
        examples=["deleted_at"],
    )
    max_ratio: float = Field(
        default=0.2, ge=0, le=1, description="A plan that deletes more of the target's rows stops.", examples=[0.5]
    )
    at_least: int | None = Field(
        default=None,
        ge=1,
        description="Fewer deletes never stop a plan, unless nothing would be left. 10 if neither this nor max_ratio is given.",
        examples=[100],
    )

    children: Children = Field(
        default="refuse",
        description="What becomes of rows of tables that the spec does not name, which refer to a row that is to be deleted. "
        "refuse: the row stays with them. plan: what ON DELETE says, as part of the plan; they are deleted where it says nothing. "
        "detach: their references become null, or the default where ON DELETE says so.",
    )
    lose: list[str] = Field(
        default_factory=list,
        description="Columns of the target that are not mapped, and that nobody needs of a deleted row: they are not read, not "
        "guarded, and an undo gives the row back without them.",
        examples=[["geom"]],
    )

    @property
    def floor(self) -> int:
        """How many rows it takes to stop: a ratio that was written holds from the first one."""
        return _floor(self, self.at_least)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value


class Window(Strict):
    """The unit of memory, retry and transaction."""

    rows: int = Field(default=100_000, ge=1, description="About how many rows a window has.", examples=[20000])

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"rows": value} if isinstance(value, int | str) else value


class QuarantineLimit(Strict):
    """How many rows may be set aside before a run ends with exit status 4."""

    max_rows: int | None = Field(
        default=None,
        ge=0,
        description="The most rows: in `defaults` of all tables together, in a table of its own.",
        examples=[50],
    )
    max_ratio: float | None = Field(
        default=0.2, ge=0, le=1, description="The largest share of a table's source rows.", examples=[0.01]
    )
    at_least: int | None = Field(
        default=None,
        ge=1,
        description="Fewer rows are never above max_ratio, unless they are all. 10 if neither this nor max_ratio is given.",
        examples=[5],
    )

    @property
    def floor(self) -> int:
        """How many rows it takes to stop: a ratio that was written holds from the first one."""
        return _floor(self, self.at_least)


def _floor(limit: Strict, at_least: int | None) -> int:
    return at_least or (1 if "max_ratio" in limit.model_fields_set else FEW)


class Checkpoint(Strict):
    """How Great Expectations runs around a load."""

    max_rows: int = Field(
        default=200_000,
        ge=0,
        description="The most rows about to be written that it looks at; beyond, the compiled rules stand for it.",
        examples=[1000000],
    )
    loaded: Literal["whole", "touched"] = Field(
        default="whole", description="What `loaded` looks at: the whole table, or the rows that the run wrote."
    )
    reconcile: bool = Field(
        default=True,
        description="Whether tables that a run changed are read again, and their totals held to the source's.",
    )
