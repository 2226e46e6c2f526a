"""What is wrong with a spec, in the words of its author: file, line, key, and what to write instead."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from flows.spec.document import Document, dotted
from transforms.vocabulary import Problem, SpecError

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


class Fault(NamedTuple):
    """What is wrong at `path`. The text goes on from the path's own: `tables.t.key` + `is empty`."""

    path: tuple[Any, ...]
    what: str
    fix: str = ""


class Invalid(ValueError):
    """What is wrong at `path`, which starts at the value under validation. A full stop is added to `what` and `fix`."""

    def __init__(self, what: str, *path: Any, fix: str = "") -> None:
        super().__init__(what)
        self.faults = [Fault(path, what, fix)]

    def under(self, *path: Any) -> Invalid:
        """The same, with paths that start further up."""
        moved = Invalid(str(self))
        moved.faults = [fault._replace(path=(*path, *fault.path)) for fault in self.faults]
        return moved

    @classmethod
    def of_all(cls, several: Iterable[Invalid]) -> Invalid | None:
        """One exception for all of them, None where there are none."""
        faults = [fault for each in several for fault in each.faults]
        if not faults:
            return None
        whole = cls(faults[0].what)
        whole.faults = faults
        return whole


def problem(fault: Fault, table: str | None, where: str = "") -> Problem:
    """A fault of a spec, at its full path, as a sentence."""
    what = f"{dotted(fault.path) or 'the spec'} {_full_stop(fault.what)}"
    return Problem(what, fault.fix and _full_stop(fault.fix), where, table)


def meant(word: object, known: Iterable[str]) -> str:
    """`Did you mean …?` where something is close, in any case, else what there is."""
    names = sorted(known)
    close = closest(word, names)
    return f"Did you mean {close}?" if close is not None else f"Known: {', '.join(names)}."


def closest(word: object, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, in any case; None where none is like it."""
    names = sorted(known)
    near = get_close_matches(str(word).casefold(), {name.casefold() for name in names}, n=1, cutoff=0.6)
    return next(iter(get_close_matches(str(word), [each for each in names if each.casefold() in near], 1, 0)), None)


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> SpecError:
    """All errors, one line each, in the order of the file's lines."""
    lines: dict[Problem, int] = {}
    for each in error.errors(include_input=False, include_url=False):
        base = tuple(part for part in each["loc"] if part != "[key]")
        for path, what, fix in _faults(base, dict(each), document, model):
            path = _written_path(path)
            shown = Fault(path, document.hidden(what), document.hidden(fix))
            table = str(path[1]) if path[:1] == ("tables",) and len(path) > 1 else None
            where = document.where(*path) if document.lined else ""
            lines.setdefault(problem(shown, table, where), document.line(*path))
    return SpecError.of(sorted(lines, key=lambda each: lines[each]))


def _written_path(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """A path of the model as the file has it: a list of sources stands behind `from:` itself."""
    return (*path[:3], *path[4:]) if path[:1] == ("tables",) and path[2:4] == ("from", "parts") else path


def _faults(base: tuple[Any, ...], each: dict[str, Any], document: Document, model: type[BaseModel]) -> list[Fault]:
    kind, context = each["type"], each.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Invalid):
        return cause.under(*base).faults
    written = document.written(_written_path(base))
    if kind == "extra_forbidden":
        return [Fault(base, f"is not a known key. {meant(base[-1], known_keys(model, base[:-1]))}")]
    if kind == "missing":
        return [Fault(base, "is missing", f"add `{base[-1]}:`")]
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(_annotation(model, base))] or [context["expected"]]
        hint = get_close_matches(str(written), choices, n=1, cutoff=0.5)
        said = " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]
        return [Fault(base, f"must be {said}, not {written!r}." + (f" Did you mean {hint[0]}?" if hint else ""))]
    if kind == "string_type":
        quote = (written is not None and not isinstance(written, dict | list)) or "[key]" in each["loc"]
        return [Fault(base, "must be text", "put it in quotes" if quote else "")]
    said = _KINDS.get(kind) or str(each["msg"]).replace("Input should be", "must be").replace(
        "String should match pattern", "must match"
    ).removeprefix("Value error, ")
    shown = isinstance(written, str | int | float) and not isinstance(written, bool)
    return [Fault(base, f"{said}, not {written!r}" if shown else said)]


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
