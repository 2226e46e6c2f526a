"""Which clients of a spec are there. They come and go: one that is away is passed over, and catches up when it is back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.session.side import both_open
from flows.spec.clients import clients_of, must_be_one, with_client
from flows.spec.model import load_spec
from transforms.vocabulary import ConnectionFailed, SpecError, message_of


@dataclass(frozen=True, slots=True)
class Present:
    """A client of a spec: how its spec is named, and why its database is not there, empty where it is."""

    name: str
    spec: Path
    away: str = ""


def chosen(spec: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The clients that are asked for, in the spec's order: all where none is named; none where the spec has none.

    Errors: SpecError for a name that is none of them, and for what is wrong with them.
    """
    known = clients_of(spec, os.environ)
    if names and not known:
        raise SpecError("it has no `clients:`, and --client asks for one.", fix="leave it out.", where=str(spec))
    for each in names:
        must_be_one(known, each, spec)
    return tuple(name for name in known if not names or name in names)


def present(spec: Path, names: Sequence[str]) -> Iterator[Present]:
    """Some clients, one after the other, each looked at when it is its turn. Errors: SpecError for what is wrong with a spec."""
    for name in names:
        own = with_client(spec, name)
        with both_open(load_spec(own)) as sides:
            try:
                with sides.source.adapter.snapshot():
                    away = ""
            except ConnectionFailed as error:
                away = message_of(error)
        yield Present(name, own, away)
