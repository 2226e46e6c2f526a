"""Rows that no feed tells of, and that are to be looked at again: people decided about them, or other rows stood against them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final

import pyarrow as pa

from adapters.ledger.ledger import Ledger
from adapters.ledger.records import Decision
from flows.plan.trees.changed import Changed
from flows.session.session import Session
from transforms import expressions
from transforms.keys import distinct

AGAINST: Final = ("unique", "foreign_key", "check", "no_inverse")
"""Why rows are open between both sides that other rows have to do with."""


def decisions(session: Session, ledger: Ledger, tried: set[Decision], most: int) -> Changed:
    """The rows that people decided about since this was asked last, at most so many. In: `tried`, which those are added to.

    What cannot be applied, since a side does not take it, waits for a feed that tells of the row, or for the next who follows.
    """
    waiting = ledger.open_rows.decisions(session.spec.name, waiting=True) if _both_ways(session) else []
    new = list(islice((each for each in waiting if each not in tried), most))
    tried.difference_update(tried.difference(waiting))
    tried.update(new)
    found: dict[str, set[str]] = {}
    for each in new:
        found.setdefault(each.table_name, set()).add(each.key)
    return _as_changed(session, found)


def held_back(session: Session, ledger: Ledger, most: int) -> Changed:
    """Rows that are open since other rows stood against them, at most so many of a table."""
    found: dict[str, set[str]] = {}
    for name in _both_ways(session):
        for rows in ledger.open_rows.rows(session.spec.name, name):
            kinds = zip(rows.column("key").to_pylist(), rows.column("kind").to_pylist(), strict=True)
            found.setdefault(name, set()).update(key for key, kind in kinds if kind in AGAINST)
            if len(found[name]) >= most:
                break
    return _as_changed(session, found)


def _both_ways(session: Session) -> list[str]:
    return [bound.name for bound in session.bound.tables if bound.two_way is not None]


def _as_changed(session: Session, found: Mapping[str, Collection[str]]) -> Changed:
    """In: by table, keys as JSON. One with a null, or that is none of the table's any more, is passed over."""
    made: dict[str, pa.Table] = {}
    for name in _both_ways(session):
        if not found.get(name):
            continue
        bound = session.bound.table(name)
        texts = pa.array(sorted(found[name]), pa.string())
        rows = expressions.from_json_keys(texts, bound.shape.schema(bound.key)).drop_null()
        if rows.num_rows:
            made[name] = distinct(rows)
    return Changed(target=made)
