"""Frozen records as JSON and back, by the types of their fields.

Law: `from_json(kind, to_json(kind, record)) == record`, for records of texts, numbers, times, Arrow schemas, reasons, tuples, mappings
and other records. What is no such record is Unreadable, which says where in the JSON.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

import pyarrow as pa

from transforms.vocabulary import End, Reason, reason_of

Record = TypeVar("Record")


class Unreadable(ValueError):
    """JSON that is not what it should be, and where: `tables[0].counts.insert is 'ten', and should be an int`."""

    def __init__(self, at: str, what: str) -> None:
        super().__init__(f"{at or 'all of it'} {what}")


def to_json(kind: type[Record], value: Record) -> Any:
    """A record as JSON has it: an object whose names are those of the fields."""
    return _form(cast(Any, kind)).write(value)


def from_json(kind: type[Record], value: Any, at: str = "") -> Record:
    """The record that was written. `at` is where the value stands. Errors: Unreadable, for unknown and missing fields too."""
    record: Record = _form(cast(Any, kind)).read(value, at)
    return record


class _Form(NamedTuple):
    """How values of a type are written, and how they are read, given where they stand."""

    write: Callable[[Any], Any]
    read: Callable[[Any, str], Any]


@cache
def _form(kind: Any) -> _Form:
    if kind in _SPECIAL:
        return _SPECIAL[kind]
    if kind in (int, float, str, bool, NoneType):
        return _Form(_same, partial(_plain, kind))
    if kind is Any:
        return _Form(_same, lambda value, at: value)
    if is_dataclass(kind):
        return _record(kind)
    match get_origin(kind), get_args(kind):
        case origin, labels if origin is Literal:
            return _Form(_same, partial(_label, labels))
        case origin, (inner, end) if origin is tuple and end is Ellipsis:
            return _sequence(_form(inner))
        case origin, inner if origin is tuple:
            return _pair(tuple(map(_form, inner)))
        case origin, (name, inner) if origin is Mapping:
            return _mapping(_form(name), _form(inner))
        case origin, (inner, nothing) if origin is UnionType and nothing is NoneType:
            return _optional(_form(inner))
    raise TypeError(f"{kind} has no form in JSON")


def _same(value: Any) -> Any:
    return value


def _plain(kind: type, value: Any, at: str) -> Any:
    if type(value) is not kind:  # True is no number here
        raise Unreadable(at, f"is {_shown(value)}, and should be {kind.__name__}")
    return value


def _label(labels: tuple[Any, ...], value: Any, at: str) -> Any:
    if value not in labels:
        raise Unreadable(at, f"is {_shown(value)}, and should be one of {', '.join(map(str, labels))}")
    return value


def _record(kind: Any) -> _Form:
    types = get_type_hints(kind)
    forms = {each.name: _form(types[each.name]) for each in fields(kind)}

    def write(record: Any) -> dict[str, Any]:
        return {name: form.write(getattr(record, name)) for name, form in forms.items()}

    def read(value: Any, at: str) -> Any:
        if not isinstance(value, dict):
            raise Unreadable(at, f"is {_shown(value)}, and should be an object")
        if odd := value.keys() ^ forms.keys():
            name = min(odd)
            raise Unreadable(f"{at}.{name}" if at else name, "is unknown" if name in value else "is missing")
        start = f"{at}." if at else ""
        return kind(**{name: form.read(value[name], f"{start}{name}") for name, form in forms.items()})

    return _Form(write, read)


def _sequence(inner: _Form) -> _Form:
    def read(value: Any, at: str) -> Any:
        return tuple(inner.read(each, f"{at}[{place}]") for place, each in enumerate(_plain(list, value, at)))

    return _Form(lambda value: list(map(inner.write, value)), read)


def _pair(inner: tuple[_Form, ...]) -> _Form:
    def read(value: Any, at: str) -> Any:
        if len(_plain(list, value, at)) != len(inner):
            raise Unreadable(at, f"has {len(value)} values, and should have {len(inner)}")
        return tuple(
            form.read(each, f"{at}[{place}]") for place, (form, each) in enumerate(zip(inner, value, strict=True))
        )

    return _Form(lambda value: [form.write(each) for form, each in zip(inner, value, strict=True)], read)


def _mapping(name: _Form, inner: _Form) -> _Form:
    def read(value: Any, at: str) -> Any:
        found = _plain(dict, value, at)
        return {name.read(key, f"a name in {at}"): inner.read(each, f"{at}.{key}") for key, each in found.items()}

    return _Form(lambda value: {name.write(key): inner.write(each) for key, each in value.items()}, read)


def _optional(inner: _Form) -> _Form:
    return _Form(
        lambda value: None if value is None else inner.write(value),
        lambda value, at: None if value is None else inner.read(value, at),
    )


def _special(what: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> _Form:
    """A type of its own form, of which `read` raises for whatever `write` does not make."""

    def checked(value: Any, at: str) -> Any:
        try:
            return read(value)
        except (ValueError, TypeError, KeyError, ArithmeticError, OSError, pa.ArrowException) as error:
            raise Unreadable(at, f"is {_shown(value)}, and should be {what}") from error

    return _Form(write, checked)


def _schema(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(b64decode(text, validate=True)))


_ENDS: Final[Mapping[str, tuple[Callable[[Any], str], Callable[[str], Any]]]] = {
    "int": (hex, partial(int, base=16)),  # in hexadecimal digits, of which Python takes any number
    "float": (float.hex, float.fromhex),
    "Decimal": (str, Decimal),
    "bytes": (bytes.hex, bytes.fromhex),
}


def _end_to_json(value: Any) -> list[str] | None:
    if value is None:
        return None
    name = type(value).__name__
    return [name, _ENDS[name][0](value)]


def _end(value: Any) -> Any:
    if value is None:
        return None
    name, text = value
    return _ENDS[name][1](text)


_SPECIAL: Final[Mapping[Any, _Form]] = {
    datetime: _special("a time", datetime.isoformat, datetime.fromisoformat),
    pa.Schema: _special("an Arrow schema", lambda schema: b64encode(schema.serialize()).decode(), _schema),
    Fraction: _special(
        "two numbers",
        lambda number: [hex(number.numerator), hex(number.denominator)],
        lambda parts: Fraction(*(int(part, 16) for part in parts)),
    ),
    Reason: _special("a reason", Reason.as_json, reason_of),
    End: _special("a number or bytes, with its type", _end_to_json, _end),
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
