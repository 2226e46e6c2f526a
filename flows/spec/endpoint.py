"""One side of a migration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.spec.columns import Strict, TimeZone
from flows.spec.files import FileFormats
from flows.spec.urls import UrlField


class Endpoint(Strict):
    """One side: a database and what is to be known about it."""

    url: UrlField = Field(
        description="sqlite:///file.db, duckdb:///file.db, parquet:///folder, yaml:///file.yaml, postgresql://user@host/database, "
        "mysql://user@host/database.",
        examples=["sqlite:///legacy.db", "${SHOP_URL}", {"secret": "shop-source"}],
    )
    schema_name: str | None = Field(
        default=None, alias="schema", min_length=1, description="The schema of unqualified names.", examples=["sales"]
    )
    time_zone: TimeZone | None = Field(
        default=None, description="Where this side's naive timestamps are.", examples=["Europe/Vienna"]
    )
    name: str | None = Field(
        default=None, description="What this side is called in reports.", examples=["the old shop"]
    )
    rls: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="PostgreSQL's row-level security: accept takes the rows that the user sees for all.",
    )
    files: FileFormats | None = Field(
        default=None,
        description="How the texts of CSV and JSON lines are written.",
        examples=[{"delimiter": ";", "decimal": ","}],
    )
