"""`state:` of a spec: where Syncline remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo

from flows.spec.columns import Strict
from flows.spec.problems import Invalid
from flows.spec.urls import UrlField, folder_of


def _store(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and "://" in value:
        raise Invalid("must be a folder of this machine, and no URL")
    return folder_of(info).absolute() / value if isinstance(value, str | Path) else value


class State(Strict):
    """Where Syncline remembers."""

    url: UrlField = Field(
        default="sqlite:///.syncline/ledger.db",
        validate_default=True,
        description="The ledger: SQLite or PostgreSQL.",
        examples=["${SYNCLINE_STATE}"],
    )
    store: Annotated[Path, BeforeValidator(_store)] = Field(
        default=Path(".syncline/store"),
        validate_default=True,
        description="The folder of plans and evidence.",
        examples=["/srv/syncline/shop"],
    )
    reports: str | None = Field(
        default=None,
        pattern=r"^https?://[^@\s]+$",
        description="Where `syncline serve`, or a web server, shows the store's reports: Prefect's artifacts lead there.",
        examples=["http://127.0.0.1:8400"],
    )
    marker: bool = Field(default=True, description="Whether the target holds a table of the windows that are in.")
