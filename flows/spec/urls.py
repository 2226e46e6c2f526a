"""Where the databases are: URLs that do not show themselves, and names of secrets that hold one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import GetPydanticSchema, ValidationInfo
from pydantic_core import core_schema

from flows.spec.problems import Invalid
from transforms.vocabulary import ConnectionFailed, SpecError

_FILE_URL = re.compile(
    r"^(?P<head>(?:sqlite|duckdb|parquet|csv|jsonl|arrow|yaml|json|toml|ini|env)(?:\+\w+)?:///)(?P<file>[^?]*)(?P<tail>\?.*)?$",
    re.DOTALL,
)
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_BLOCK = re.compile(r"^[a-z0-9-]+$")


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that never shows itself. `resolve_url` hands it out."""

    value: str = field(repr=False)
    folder: Path = field(repr=False, default=Path())

    def __str__(self) -> str:
        return "(url)"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """The name of a Prefect Secret block that holds the URL."""

    block: str
    folder: Path = field(repr=False, default=Path())


def resolve_url(ref: Url | SecretRef) -> str:
    """The URL to connect with. Relative files and folders lie in the spec file's folder.

    The only place that asks Prefect for a secret. SpecError where the block is not there, ConnectionFailed where
    Prefect is not.
    """
    if isinstance(ref, SecretRef):
        return _anchored(_secret(ref.block), ref.folder)
    return _anchored(ref.value, ref.folder)


_PORTS = {"postgresql": 5432, "mysql": 3306}
_NAMES = {"postgres": "postgresql", "mariadb": "mysql"}


def place_of(ref: Url | SecretRef) -> tuple[object, ...]:
    """What two URLs of one database have in common, whoever connects to it and how: a file, or a server and the name there."""
    if isinstance(ref, SecretRef):
        return ("secret", ref.block)
    text = _anchored(ref.value, ref.folder)
    if match := _FILE_URL.match(text):
        try:
            there = Path(match["file"]).stat()
            return ("file", there.st_dev, there.st_ino)
        except (OSError, ValueError):
            return ("file", os.path.realpath(match["file"].replace("\0", "")))
    try:
        parsed = urlsplit(text)
        scheme = parsed.scheme.partition("+")[0].lower()
        scheme = _NAMES.get(scheme, scheme)
        return (scheme, parsed.hostname, parsed.port or _PORTS.get(scheme), parsed.path)
    except ValueError:
        return ("url", text)


def folder_of(info: ValidationInfo) -> Path:
    """What relative paths start from: the spec file's folder."""
    return Path((info.context or {}).get("folder", ""))


def _secret(block: str) -> str:
    import httpx
    from prefect.blocks.system import Secret

    try:
        value = Secret.load(block, _sync=True).get()  # type: ignore[call-arg, union-attr]
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        raise ConnectionFailed(
            f"The Prefect server that keeps the Secret block {block!r} does not answer: {error}.",
            fix="start it, or correct PREFECT_API_URL.",
        ) from error
    except ValueError as error:
        raise SpecError(
            f"There is no Secret block {block!r} on the Prefect server.",
            fix="create it in the Prefect UI under Blocks, or point PREFECT_API_URL at the server that has it.",
        ) from error
    if not isinstance(value, str) or not _SCHEME.match(value):
        raise SpecError(f"The Secret block {block!r} does not hold a database URL.", fix="store one, as text.")
    return value


def _anchored(url: str, folder: Path) -> str:
    match = _FILE_URL.match(url)
    if match is None or not match["file"] or match["file"].startswith((":", "file:", "md:")):
        return url
    file = folder.absolute() / match["file"]
    return f"{match['head']}{file.as_posix()}{match['tail'] or ''}"


def _read_url(value: Any, info: ValidationInfo) -> Url | SecretRef:
    if isinstance(value, Url | SecretRef):
        return value
    folder = folder_of(info)
    if isinstance(value, dict):
        block = value.get("secret")
        if set(value) != {"secret"} or not isinstance(block, str):
            raise Invalid("takes a URL as text, or {secret: name-of-a-prefect-block}")
        if not _BLOCK.match(block):
            raise Invalid("is no block name: those have lower-case letters, digits and dashes", "secret")
        return SecretRef(block, folder)
    if not isinstance(value, str):
        raise Invalid("takes a URL as text, or {secret: name-of-a-prefect-block}")
    if not _SCHEME.match(value):
        raise Invalid("is not a URL.", fix="write it like sqlite:///file.db or postgresql://user@host/database")
    return Url(value, folder)


def _shown(ref: Url | SecretRef) -> Any:
    return {"secret": ref.block} if isinstance(ref, SecretRef) else str(ref)


_URL_JSON_SCHEMA = {
    "anyOf": [
        {
            "type": "string",
            "description": "Such as sqlite:///file.db, duckdb:///file.db, parquet:///folder, postgresql://user@host/db, mysql://user@host/db.",
        },
        {
            "type": "object",
            "properties": {"secret": {"type": "string", "description": "The name of a Prefect Secret block."}},
            "required": ["secret"],
            "additionalProperties": False,
        },
    ]
}

UrlField = Annotated[
    Url | SecretRef,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.with_info_plain_validator_function(
            _read_url,
            serialization=core_schema.plain_serializer_function_ser_schema(_shown, when_used="json"),
            metadata={"pydantic_js_functions": [lambda _schema, _handler: _URL_JSON_SCHEMA]},
        )
    ),
]
