"""Mapped rows that cannot be matched with a row of the target for sure: they are set aside before anything is compared."""

from __future__ import annotations

import pyarrow as pa

from flows.plan.reading.collisions import without_collisions
from flows.plan.reading.owns import without_foreign, without_taken
from flows.plan.reading.unproved import without_doubles
from flows.session.route import Route
from flows.session.session import Session
from transforms.mapping.aside import without_duplicates
from transforms.mapping.mapping import Mapped


def sifted(
    session: Session, route: Route, mapped: Mapped, found: pa.Table, outside: pa.Table, kept: pa.Table | None
) -> tuple[Mapped, pa.Table, pa.Table]:
    """Set aside rows whose key is another one's, and rows that are not the table's.

    In: all rows, on both sides, whose keys could meet; `outside` are keys of rows that the table does not own, `kept` those of
    rows that were set aside earlier. Out: what is mapped, the target's rows with a key of their own, and those without.
    """
    bound = route.table
    mapped = without_duplicates(mapped, bound.mapping, also=kept)
    mapped = without_foreign(bound, without_taken(route, mapped, outside))
    mapped, found, double = without_doubles(bound, mapped, found)
    return without_collisions(session, route, mapped, found, also=kept), found, double
