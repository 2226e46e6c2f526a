"""`documents:` of a spec: what holds for YAML, JSON, TOML, INI and .env files, on either side."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from pydantic import Field

from flows.spec.columns import Strict
from transforms.vocabulary import SpecError

SCHEMES = ("yaml", "json", "toml", "ini", "env")


class ListKey(Strict):
    """What the items of a list are known by."""

    by: str = Field(description="A name that every item has, with another value in each.", examples=["name"])


class Documents(Strict):
    """In patterns of paths * stands for any characters."""

    lists: dict[str, ListKey] = Field(
        default={},
        description="Lists that go by a key, and not by place: patterns of paths.",
        examples=[{"services.*": {"by": "name"}}],
    )
    secret: list[str] = Field(
        default=[], description="Values that are never shown: patterns of paths.", examples=[["*.password"]]
    )


def with_documents(url: str, told: Documents | None, store: Path, where: str) -> str:
    """A URL of a document with what a spec says of it, as the option `declared`; another URL as it is.

    SpecError where values are secret and the side is none of documents: it would get what stands for them.
    """
    if told is None:
        return url
    if url.partition("://")[0] not in SCHEMES:
        if told.secret:
            raise SpecError(
                "values of documents are secret, and one of the sides is no document: it would hold what stands for them.",
                fix="bring secrets from document to document alone, and leave them out here by `where`.",
                where=where,
            )
        return url
    lists = {pattern: key.by for pattern, key in told.lists.items()}
    text = json.dumps({"lists": lists, "secret": told.secret, "vault": str(store / "secrets.jsonl")})
    return f"{url}{'&' if '?' in url else '?'}declared={quote(text)}"
