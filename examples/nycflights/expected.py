"""What a first migration of the legacy database must do to each row, worked out a second time.

This shares nothing with Syncline and nothing with spec.yaml: it is pandas over sqlite3, and says the rules in its own
words, so that the two can be held against each other. A row is counted once, under the first reason that it has.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

AMBIGUOUS = "the local time occurs twice"
NO_AIRPORT = "no such airport"
NO_KEY = "the key is null"
TWICE = "the key occurs more than once"


@dataclass(frozen=True)
class Expected:
    """One target table after a first run. Law: source_rows = insert + the sum of quarantined."""

    source_rows: int
    insert: int
    quarantined: dict[str, int] = field(default_factory=dict)


def expected_counts(path: Path) -> dict[str, Expected]:
    """By target table: the rows of its source, those to insert, and those to quarantine by reason."""
    with closing(sqlite3.connect(path)) as database:
        airlines, airports, planes, flights, weather = (
            pd.read_sql_query(query, database)
            for query in (
                "SELECT carrier FROM airlines",
                "SELECT faa FROM airports",
                "SELECT tailnum FROM planes",
                "SELECT carrier, flight, origin, year, month, day, sched_dep_time, dep_delay, dest FROM flights",
                "SELECT origin, year, month, day, hour FROM weather",
            )
        )
    flight_key = ["carrier", "flight", "origin", "year", "month", "day"]
    midnight = _midnight(flights)
    hours, minutes = flights["sched_dep_time"] // 100, flights["sched_dep_time"] % 100
    scheduled = midnight + pd.to_timedelta(hours * 60 + minutes, "min")
    left = scheduled + pd.to_timedelta(flights["dep_delay"], "min")
    observed = _midnight(weather) + pd.to_timedelta(weather["hour"], "h")
    return {
        "airline": _count(airlines, ["carrier"], []),
        "airport": _count(airports, ["faa"], []),
        "plane": _count(planes, ["tailnum"], []),
        "flight": _count(
            flights,
            flight_key,
            [
                (_unsure(scheduled) | _unsure(left), AMBIGUOUS),
                (~_known(flights["origin"], airports) | ~_known(flights["dest"], airports), NO_AIRPORT),
            ],
        ),
        "weather": _count(weather, ["origin", "year", "month", "day", "hour"], [(_unsure(observed), AMBIGUOUS)]),
    }


def _count(rows: pd.DataFrame, key: list[str], faults: list[tuple[pd.Series, str]]) -> Expected:
    """A fault in a row comes before one that it has with others; all rows of a repeated key are set aside."""
    no_key = rows[key].isna().any(axis=1)
    good = pd.Series(True, index=rows.index)
    quarantined = {}
    for mask, reason in [*faults, (no_key, NO_KEY), (rows.duplicated(key, keep=False), TWICE)]:
        found = int((good & mask).sum())
        if found:
            quarantined[reason] = found
        good &= ~mask
    return Expected(len(rows), int(good.sum()), quarantined)


def _midnight(rows: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(rows[["year", "month", "day"]])


def _known(codes: pd.Series, airports: pd.DataFrame) -> pd.Series:
    """A null code is not missing: it refers to nothing."""
    return codes.isin(airports["faa"]) | codes.isna()


def _unsure(local: pd.Series) -> pd.Series:
    """Local times of New York that a clock change repeats or skips, and so are no instant."""
    instants = local.dt.tz_localize("America/New_York", ambiguous="NaT", nonexistent="NaT")
    unsure: pd.Series = instants.isna() & local.notna()
    return unsure
