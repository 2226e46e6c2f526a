"""How files of texts are written: CSV and JSON lines."""

from __future__ import annotations

import json
from urllib.parse import quote

from pydantic import Field

from flows.spec.columns import Strict


class FileFormat(Strict):
    """How files of texts are written; what is not said is found out from the file."""

    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="Between the fields of a line.", examples=[";"]
    )
    quote: str | None = Field(
        default=None, min_length=1, max_length=1, description='Around values; " where not said.', examples=["'"]
    )
    escape: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="Before a quote inside a value; the quote itself where not said.",
        examples=["\\"],
    )
    encoding: str | None = Field(
        default=None,
        min_length=1,
        description="The character set: utf-8, utf-16, latin-1, cp1252, …",
        examples=["cp1252"],
    )
    nulls: list[str] | None = Field(
        default=None,
        description="Texts that stand for null where they are not quoted; nothing at all where not said.",
        examples=[["NA", "-"]],
    )
    decimal: str | None = Field(
        default=None, pattern="^[.,]$", description="The decimal point of numbers: . or ,.", examples=[","]
    )
    dates: str | None = Field(
        default=None, min_length=1, description="As %d.%m.%Y; ISO 8601 where not said.", examples=["%d.%m.%Y"]
    )
    timestamps: str | None = Field(
        default=None,
        min_length=1,
        description="As %d.%m.%Y %H:%M:%S; ISO 8601 where not said.",
        examples=["%d.%m.%Y %H:%M:%S"],
    )
    header: bool | list[str] | None = Field(
        default=None,
        description="Whether the first line has the names of columns, or these names.",
        examples=[["id", "name"]],
    )
    types: dict[str, str] | None = Field(
        default=None,
        description="Types of columns: text, bigint, decimal(p,s), double, boolean, date, timestamp, timestamptz, time, uuid, json.",
        examples=[{"price": "decimal(12,2)"}],
    )


class FileFormats(FileFormat):
    """A format for all files of a source, and others for some."""

    tables: dict[str, FileFormat] | None = Field(
        default=None,
        description="What is otherwise in the files of a table.",
        examples=[{"orders": {"delimiter": ";"}}],
    )


def with_format(url: str, formats: FileFormats | None) -> str:
    """A URL of files with what a spec says of them, as the option `declared`."""
    if formats is None:
        return url
    told = json.dumps(formats.model_dump(exclude_none=True), ensure_ascii=False)
    return f"{url}{'&' if '?' in url else '?'}declared={quote(told)}"
