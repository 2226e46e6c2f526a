"""`defaults:` of a spec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.spec.columns import Strict
from flows.spec.cursor import Cursor
from flows.spec.policies import Checkpoint, DeletePolicy, QuarantineLimit, Window
from flows.spec.runner import Runner, Threads


class Defaults(Strict):
    """What holds for every table that does not say otherwise."""

    delete: DeletePolicy = Field(
        default=DeletePolicy(),
        description="What becomes of target rows that the source does not have.",
        examples=[{"policy": "hard", "max_ratio": 0.5}],
    )
    window: Window = Field(default=Window(), description="The unit of memory, retry and transaction.", examples=[50000])
    on_invalid: Literal["quarantine", "fail"] = Field(
        default="quarantine",
        description="What becomes of rows that cannot be written: they are set aside, or the plan stops.",
    )
    history: Literal["full", "keys", "off"] = Field(
        default="full", description="What is kept of changes: both images of each row, its key alone, or nothing."
    )
    drift: Literal["fail", "evolve"] = Field(
        default="fail",
        description="Where a schema is not as the latest run left it: a run stops, or adds columns that the target lacks.",
    )
    quarantine: QuarantineLimit = Field(
        default=QuarantineLimit(), description="How much may be set aside.", examples=[{"max_ratio": 0.01}]
    )
    checkpoint: Checkpoint = Field(default=Checkpoint(), description="How Great Expectations runs around a load.")
    cursor: Cursor | None = Field(
        default=None,
        description="Runs read what is new by this column, of the tables that have it, and all of the others.",
        examples=[{"column": "updated_at", "overlap": "10m"}],
    )
    seal: bool = Field(
        default=False,
        description="Whether windows are passed over that both sides left as they were when they were equal.",
    )
    runner: Runner = Field(
        default=Runner(threads=Threads()),
        description="threads, dask, or one of them with settings.",
        examples=["dask", {"threads": {"workers": 4}}],
    )
