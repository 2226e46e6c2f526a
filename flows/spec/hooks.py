"""`before:` and `after:` of a spec and of its tables: what else happens around a run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from flows.spec.columns import Strict
from flows.spec.conflict import Span
from flows.spec.problems import Invalid, meant
from transforms.vocabulary import SIDES, SideName

End = Literal["done", "changes", "checkpoint", "quarantine", "conflicts", "failed"]
ENDS = get_args(End)
WAYS = ("source", "target", "command", "url", "block")


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _ends(value: Any) -> Any:
    for position, each in enumerate(some := _one_or_more(value)) if isinstance(value, str | list) else ():
        if each not in ENDS:
            path = (position,) if value is some else ()
            raise Invalid(f"is no way for a run to end. {meant(each, ENDS)}", *path)
    return some


def _address(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    try:
        parsed = urlsplit(text) if isinstance(text, str) else None
        fits = parsed is not None and parsed.scheme in ("http", "https") and bool(parsed.hostname)
    except ValueError:
        fits = False
    if not fits:
        raise Invalid(
            "is no address of a webhook.", fix="write it like https://host/path, or ${NAME} for one of the environment"
        )
    return value


Texts = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_one_or_more), Field(min_length=1)]


class Hook(Strict):
    """One thing that happens before or after: SQL on a side, a command, a webhook or a block of Prefect."""

    source: Texts | None = Field(
        default=None,
        examples=["UPDATE settings SET frozen = true"],
        description="SQL that is run on the source, and may write there: a statement or a list.",
    )
    target: Texts | None = Field(
        default=None,
        examples=[["SET statement_timeout = '30s'", "ANALYZE customer"]],
        description="SQL that is run on the target: a statement or a list.",
    )
    command: Texts | None = Field(
        default=None,
        examples=[["./notify.sh", "ops"]],
        description="A program and its arguments, run in the spec's folder with the outcome as JSON on its standard input.",
    )
    shell: bool = Field(default=False, description="The command is one text for the shell.")
    url: Annotated[SecretStr, BeforeValidator(_address)] | None = Field(
        default=None, examples=["${OPS_WEBHOOK}"], description="A webhook, which is sent the outcome as JSON by POST."
    )
    block: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+/[a-z0-9-]+$",
        examples=["slack-webhook/ops"],
        description="A notification or webhook block of Prefect, as TYPE/NAME: slack-webhook/ops.",
    )
    timeout: Span = Field(
        default=timedelta(minutes=1),
        examples=["30s"],
        description="How long a command or a webhook may take: 500ms, 30s, 10m.",
    )
    on: Annotated[list[End], BeforeValidator(_ends), Field(min_length=1)] | None = Field(
        default=None,
        description=f"After: at which ends; all if not given. One or several of {', '.join(ENDS)}.",
        examples=[["failed", "checkpoint"]],
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("command"), str) and value.get("shell") is not True:
            raise Invalid(
                "is one text, which only a shell takes apart.",
                "command",
                fix="write a list such as [./notify.sh, ops], or add `shell: true`",
            )
        if isinstance(value, dict) and value.get("shell") is True and not isinstance(value.get("command"), str):
            raise Invalid(
                "takes a command that is one text.", "shell", fix="write the command as a text, or remove `shell:`"
            )
        return value

    @model_validator(mode="after")
    def _one(self) -> Hook:
        given = [way for way in WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            said = f"has {' and '.join(given)}." if given else "says not what to do."
            raise Invalid(said, fix=f"give exactly one of {', '.join(WAYS)}")
        if "timeout" in self.model_fields_set and self.way not in ("command", "url"):
            raise Invalid(
                "is for commands and webhooks.",
                "timeout",
                fix="remove it; in SQL, set the engine's own limit as the first statement",
            )
        return self

    @property
    def way(self) -> str:
        """Which of WAYS it goes."""
        return next(way for way in WAYS if getattr(self, way) is not None)

    @property
    def side(self) -> SideName | None:
        """The side that its SQL is for; None where it has none."""
        return next((side for side in SIDES if side == self.way), None)

    @property
    def sql(self) -> list[str]:
        """The statements that it runs on its side."""
        return self.source or self.target or []

    def wanted(self, end: str) -> bool:
        """Whether it runs after such an end."""
        return self.on is None or end in self.on


def _hooks(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Hooks = Annotated[list[Hook], BeforeValidator(_hooks, json_schema_input_type=Hook | list[Hook])]


def problems_of(before: list[Hook]) -> Iterator[Invalid]:
    """What is wrong with hooks because of where they stand."""
    for position, hook in enumerate(before):
        if hook.on is not None:
            yield Invalid(
                "is for hooks that come after: nothing has ended yet.", "before", position, "on", fix="remove it"
            )


def shown_address(address: str) -> str:
    """As much of a webhook's address as people may see: often the rest of it is all that it takes to use it."""
    parsed = urlsplit(address)
    return address if "${" in address else f"{parsed.scheme}://{parsed.hostname}/…"


def without_addresses(document: dict[str, Any]) -> dict[str, Any]:
    """A spec as it was written, with no more of the addresses of webhooks than people may see."""
    tables = document["tables"]
    if isinstance(tables, dict):
        tables = {name: _hidden(table) if isinstance(table, dict) else table for name, table in tables.items()}
    return {**_hidden(document), "tables": tables}


def _hidden(part: dict[str, Any]) -> dict[str, Any]:
    def hidden(hook: Any) -> Any:
        return {**hook, "url": shown_address(str(hook["url"]))} if "url" in hook else hook

    hooks = {when: part[when] for when in ("before", "after") if when in part}
    return part | {
        when: hidden(some) if isinstance(some, dict) else [hidden(each) for each in some]
        for when, some in hooks.items()
    }
