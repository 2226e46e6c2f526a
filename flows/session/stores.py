"""Where what a migration remembers lies: its ledger, and the store of its plans. Light to import: it knows no side and no rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.ledger.ledger import Ledger
from adapters.store.layout import Store
from flows.spec.model import Spec
from flows.spec.urls import resolve_url


def store_of(spec: Spec) -> Store:
    return Store(spec.state.store)


@contextmanager
def ledger_of(spec: Spec) -> Iterator[Ledger]:
    """The migration's ledger, closed at the end."""
    ledger = Ledger(resolve_url(spec.state.url))
    try:
        yield ledger
    finally:
        ledger.close()
