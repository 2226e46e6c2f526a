"""Which clients or targets of a spec are there, and how work goes over all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from adapters import interrupts
from adapters.pools import pool
from adapters.store.layout import Store
from flows.session.side import both_open
from flows.session.stores import store_of
from flows.spec.members import CLIENTS, Family, family, family_of, going_over, must_be_one, with_member
from flows.spec.model import Spec, load_spec
from transforms.vocabulary import ConnectionFailed, SpecError, SynclineError, message_of

Ended = TypeVar("Ended")
LOOKS_SECONDS = 0.2  # how often somebody looks whether a signal came


@dataclass(frozen=True)
class Chosen:
    """The clients or targets that are asked for, in the spec's order."""

    spec: Path
    family: Family
    names: tuple[str, ...]

    @property
    def word(self) -> str:
        return self.family.kind.word

    @property
    def migration(self) -> str:
        """What the migrations of all have in common; the file's name, where none of their specs can be read."""
        return family(self._any.name) if self._any is not None else self.spec.stem

    @property
    def store(self) -> Store | None:
        """Where what all leave behind lies; None where none of their specs can be read."""
        return store_of(self._any) if self._any is not None else None

    @cached_property
    def _any(self) -> Spec | None:
        with going_over(self.spec, self.family):
            for name in self.names:
                with suppress(SynclineError):
                    return load_spec(self.own(name))
        return None

    @property
    def come_and_go(self) -> bool:
        """Whether one that is away is passed over: a client catches up when it is back. A target has to be there."""
        return self.family.kind.key == CLIENTS

    def status_of(self, status: int, *, away: bool) -> int:
        """The exit status of one: that of its command, or what it means that it is away."""
        return 1 if away and not self.come_and_go else status

    def own(self, name: str) -> Path:
        """How the spec of one is named."""
        return with_member(self.spec, name)


def chosen(spec: Path, clients: Sequence[str], targets: Sequence[str]) -> Chosen | None:
    """Those that are asked for, all where none is named; None where the spec is of one source and one target.

    Errors: SpecError for a name that is none of them, and for what is wrong with them.
    """
    found = family_of(spec, os.environ)
    for word, names in (("client", clients), ("target", targets)):
        if names and (found is None or found.kind.word != word):
            raise SpecError(f"it has no `{word}s:`, and --{word} asks for one.", fix="leave it out.", where=str(spec))
    if found is None:
        return None
    asked = (*clients, *targets)
    for each in asked:
        must_be_one(found, each, spec)
    return Chosen(spec, found, tuple(name for name in found.names if not asked or name in asked))


def away(some: Chosen, name: str) -> str:
    """Why the database of one is not there; empty where it is. Errors: SpecError for what is wrong with its spec."""
    with both_open(load_spec(some.own(name))) as sides:
        try:
            with sides[some.family.kind.side].adapter.snapshot():
                return ""
        except ConnectionFailed as error:
            return message_of(error)


def each_of(some: Chosen, work: Callable[[str], Ended], workers: int = 1) -> Iterator[Ended]:
    """What `work` makes of each, as they end: one after the other, or `workers` at once, which share those of a run.

    Nobody is asked again who they are. What `work` raises ends all.
    """
    with going_over(some.spec, some.family, min(workers, len(some.names))):
        if workers == 1:
            yield from map(work, some.names)
            return
        with pool(workers, some.word) as threads:
            left = {threads.submit(copy_context().run, work, name) for name in some.names}
            while left:
                interrupts.check()
                done, left = wait(left, LOOKS_SECONDS, FIRST_COMPLETED)
                for future in done:
                    yield future.result()
