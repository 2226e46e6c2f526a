"""Where windows run: in threads of one process, or on a Dask cluster."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from flows.spec.columns import Strict
from flows.spec.problems import Invalid, meant


class Threads(Strict):
    """Windows run in threads of one process."""

    workers: int | None = Field(
        default=None, ge=1, description="How many threads; about the number of cores when not given.", examples=[4]
    )


class Dask(Strict):
    """Windows run on a Dask cluster."""

    address: str | None = Field(
        default=None,
        description="A scheduler, such as tcp://host:8786; a local one when not given.",
        examples=["tcp://host:8786"],
    )
    workers: int | None = Field(default=None, ge=1, description="How many workers a local cluster has.", examples=[4])


class Runner(Strict):
    """Where windows run: `threads`, `dask`, or one of them with its settings."""

    threads: Threads | None = Field(default=None, description="Threads of this process.")
    dask: Dask | None = Field(default=None, description="A Dask cluster.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in ("threads", "dask"):
                raise Invalid(f"must be threads or dask. {meant(value, ('threads', 'dask'))}")
            return {value: {}}
        if isinstance(value, dict):
            return {name: {} if inner is None else inner for name, inner in value.items()}
        return value

    @model_validator(mode="after")
    def _one(self) -> Runner:
        if (self.threads is None) == (self.dask is None):
            raise Invalid("takes one of threads and dask")
        return self

    @property
    def kind(self) -> Literal["threads", "dask"]:
        return "dask" if self.dask else "threads"

    @property
    def workers(self) -> int | None:
        chosen = self.dask or self.threads
        return chosen.workers if chosen else None

    @property
    def address(self) -> str | None:
        return self.dask.address if self.dask else None
