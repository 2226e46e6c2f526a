"""Suites of a spec: checks in Great Expectations' names, written in place or in files beside the spec."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from flows.spec.columns import Strict
from flows.spec.problems import Invalid
from flows.spec.urls import folder_of


class Expectation(Strict):
    """A check, in the names and arguments of Great Expectations."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(
        pattern=r"^expect_\w+$|^unexpected_rows_expectation$",
        description="The rule; its arguments stand beside it.",
        examples=["expect_column_values_to_not_be_null"],
    )
    severity: Literal["critical", "warning", "info"] = Field(
        default="critical",
        description="critical: nothing is written. warning: rows that fail are set aside. info: it is reported.",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_exported(cls, value: Any) -> Any:
        """Great Expectations' own files have the arguments under `kwargs`, and marks of its own beside them."""
        if isinstance(value, dict) and isinstance(value.get("kwargs"), dict):
            own = {name: value[name] for name in ("type", "severity") if name in value}
            return {**value["kwargs"], **own}
        return value

    @property
    def arguments(self) -> dict[str, Any]:
        """What Great Expectations takes beside type and severity."""
        return dict(self.model_extra or {})

    def spelled(self, own: Callable[[str], str]) -> Expectation:
        """The same with columns as the target's catalog spells them."""
        from transforms.rules.rules import COLUMN_ARGUMENTS  # with DuckDB, which reading a spec does not need

        changed: dict[str, Any] = {}
        for place in (*COLUMN_ARGUMENTS, "column_set"):
            given = self.arguments.get(place)
            if isinstance(given, str):
                changed[place] = own(given)
            elif isinstance(given, list | tuple):
                changed[place] = [own(each) if isinstance(each, str) else each for each in given]
        changed = {place: value for place, value in changed.items() if value != self.arguments[place]}
        return Expectation.model_validate({**self.model_dump(), **changed}) if changed else self


def suite_files(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """The suite files that a spec names, as it was written."""
    found = set()
    tables = document.get("tables")
    for table in tables.values() if isinstance(tables, dict) else ():
        if not isinstance(table, dict):  # all tables that are not named
            continue
        for name in ("expect", "loaded"):
            found |= {folder / entry for entry in _entries((table or {}).get(name)) if isinstance(entry, str)}
    return sorted(found)


def _entries(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []


def _read(value: Any, info: ValidationInfo) -> Any:
    """A list of checks, or files of them: the checks of a file come where it stands, all but the first at the end."""
    if not isinstance(value, str | list):
        return value
    made, more = [], []
    for position, entry in enumerate(_entries(value)):
        if not isinstance(entry, str):
            made.append(entry)
            continue
        try:
            first, *others = _of_file(folder_of(info) / entry, entry)
        except Invalid as problem:
            raise problem.under(*([position] if isinstance(value, list) else [])) from None
        made.append(first)
        more += others
    return made + more


def _of_file(path: Path, name: str) -> list[Expectation]:
    """The checks of a file: a list of them, or a suite as Great Expectations exports it. Invalid where it is neither."""
    try:
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except OSError as error:
        raise Invalid(f"names the file {name}, which cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid(f"names the file {name}, which is neither YAML nor JSON: {error}") from error
    listed = whole.get("expectations") if isinstance(whole, dict) else whole
    if not isinstance(listed, list) or not listed:
        raise Invalid(
            f"names the file {name}, which is no suite.", fix="let it be a list of checks, or have `expectations:`"
        )
    return list(_checked(listed, name))


def _checked(listed: list[Any], name: str) -> Iterator[Expectation]:
    for position, entry in enumerate(listed):
        try:
            yield Expectation.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            at = ".".join([f"{name} [{position}]", *map(str, first["loc"])])
            raise Invalid(f"names a file with a mistake: {at}: {first['msg']}") from None


Suite = Annotated[list[Expectation], BeforeValidator(_read)]
