"""What is wrong with a spec, in the words of its author: file, line, key, and what to write instead."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from flows.spec.document import Document, dotted
from transforms.vocabulary import SpecError

_KINDS = {
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
}


def misfits(problems: Iterable[tuple[str | None, str]]) -> SpecError:
    """All problems of a spec, a line for each, each with the table of the spec that it lies in."""
    found = tuple(problems)
    return SpecError("\n".join(text for _, text in found), found)


class Problem(ValueError):
    """What is wrong at `path`, which starts at the value under validation."""

    def __init__(self, message: str, *path: Any) -> None:
        super().__init__(message)
        self.found = [(path, message)]

    @classmethod
    def under(cls, inner: Problem, *path: Any) -> Problem:
        """The same problem, seen from further up."""
        moved = cls(str(inner))
        moved.found = [((*path, *below), message) for below, message in inner.found]
        return moved

    @classmethod
    def of_all(cls, problems: Iterable[Problem]) -> Problem | None:
        """One exception for all of them, None where there are none."""
        found = [each for problem in problems for each in problem.found]
        if not found:
            return None
        whole = cls(found[0][1])
        whole.found = found
        return whole


def meant(word: object, known: Iterable[str]) -> str:
    """`Did you mean …?` where something is close, in any case, else what there is."""
    names = sorted(known)
    near = get_close_matches(str(word).casefold(), {name.casefold() for name in names}, n=1, cutoff=0.6)
    close = get_close_matches(str(word), [name for name in names if name.casefold() in near], n=1, cutoff=0)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(names)}."


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> SpecError:
    """All errors, one line each, in the order of the file's lines."""
    found: dict[tuple[str | None, str], int] = {}
    for each in error.errors(include_input=False, include_url=False):
        base = tuple(part for part in each["loc"] if part != "[key]")
        for path, message in _messages(base, dict(each), document, model):
            name = dotted(path) or "the spec"
            where = f"{document.where(*path)}: " if document.lined else ""
            table = str(path[1]) if path[:1] == ("tables",) and len(path) > 1 else None
            found.setdefault((table, f"{where}{name} {document.hidden(message)}"), document.line(*path))
    return misfits(sorted(found, key=lambda problem: found[problem]))


def _messages(
    base: tuple[Any, ...], each: dict[str, Any], document: Document, model: type[BaseModel]
) -> list[tuple[tuple[Any, ...], str]]:
    kind, context = each["type"], each.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Problem):
        return [((*base, *path), _full_stop(message)) for path, message in cause.found]
    written = document.written(base)
    if kind == "extra_forbidden":
        return [(base, f"is not a known key. {meant(base[-1], known_keys(model, base[:-1]))}")]
    if kind == "missing":
        return [(base, f"is missing. Fix: add `{base[-1]}:`.")]
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(_annotation(model, base))] or [context["expected"]]
        hint = get_close_matches(str(written), choices, n=1, cutoff=0.5)
        said = " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]
        return [(base, f"must be {said}, not {written!r}." + (f" Did you mean {hint[0]}?" if hint else ""))]
    if kind == "string_type":
        quote = (written is not None and not isinstance(written, dict | list)) or "[key]" in each["loc"]
        return [(base, "must be text." + (" Fix: put it in quotes." if quote else ""))]
    said = _KINDS.get(kind) or str(each["msg"]).replace("Input should be", "must be").replace(
        "String should match pattern", "must match"
    ).removeprefix("Value error, ")
    shown = isinstance(written, str | int | float) and not isinstance(written, bool)
    return [(base, _full_stop(f"{said}, not {written!r}" if shown else said))]


def _full_stop(message: str) -> str:
    return message if message.endswith((".", "?", "!")) else f"{message}."


def known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys that may stand at `path` of a document of that model."""
    found = _annotation(model, path)
    return [field.alias or name for name, field in found.model_fields.items()] if _is_model(found) else []


def _annotation(model: type[BaseModel], path: tuple[Any, ...]) -> Any:
    found: Any = model
    for part in path:
        found = _plain(found)
        if _is_model(found):
            by_key = {field.alias or name: field.annotation for name, field in found.model_fields.items()}
            found = by_key.get(part)
        elif get_origin(found) in (dict, Mapping):
            found = get_args(found)[1]
        elif get_origin(found) in (list, tuple):
            found = get_args(found)[0]
        else:
            return None
    return _plain(found)


def _plain(annotation: Any) -> Any:
    """Without Annotated and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            rest = [each for each in get_args(annotation) if each is not type(None)]
            literals = [each for each in rest if get_origin(each) is Literal]
            annotation = literals[0] if literals else rest[0]
        else:
            return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
