"""A working day in the legacy database, and what each target table must show after it.

Mistakes that are really in the airports are mended as far as the row itself shows how (a lost sign, swapped
coordinates, a zone 'NA'), one airport has its present name, and one of the four that were missing is entered; the
other three come later, by `enter_missing_airports`. The other edits are made up, the particulars of the new plane among
them. All rows are chosen by rule, so that every run edits the same ones, and every count is taken from the rows that
were in fact edited.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

Changes = dict[str, dict[str, int]]

# A flight to an airport that is not known is in quarantine: editing it would not show in the target.
_KNOWN = "dest IN (SELECT faa FROM airports)"

_MENDED = [
    # DVT and MYF lost the sign of their longitude, and so got a zone in China
    "UPDATE airports SET lon = -lon, tz = -7, dst = 'N', tzone = 'America/Phoenix' WHERE faa = 'DVT' AND lon > 0",
    "UPDATE airports SET lon = -lon, tz = -8, tzone = 'America/Los_Angeles' WHERE faa = 'MYF' AND lon > 0",
    # EEN in New Hampshire has latitude and longitude the wrong way round
    "UPDATE airports SET lat = lon, lon = -lat, tzone = 'America/New_York' WHERE faa = 'EEN' AND lat > lon",
    "UPDATE airports SET tzone = 'America/New_York' WHERE faa = 'LRO' AND tzone = 'NA'",
    "UPDATE airports SET tzone = 'America/Yakutat' WHERE faa = 'YAK' AND tzone = 'NA'",
    "UPDATE airports SET name = 'Harry Reid Intl' WHERE faa = 'LAS' AND name = 'Mc Carran Intl'",
]

_MISSING = [  # feet, hours from UTC, no daylight saving time
    ("SJU", "Luis Munoz Marin Intl", 18.4394, -66.001801, 9, -4, "N", "America/Puerto_Rico"),
    ("BQN", "Rafael Hernandez", 18.4949, -67.129402, 237, -4, "N", "America/Puerto_Rico"),
    ("STT", "Cyril E King", 18.3373, -64.973396, 23, -4, "N", "America/St_Thomas"),
]


def edit_legacy(path: Path) -> Changes:
    """Edit the database that `make_legacy` built, once, and count by target table and operation what that changes.

    All in one transaction: a failure leaves the database as it was.
    """
    with closing(sqlite3.connect(path)) as database, database:
        if _ids(database, "SELECT id FROM flights WHERE year = 2014"):
            raise ValueError(f"{path} has been edited already. Fix: build it afresh with make_legacy.")
        airport = _airports(database)
        flight, plane = _flights_and_planes(database)
        weather = _weather(database)
        arrived = _airport_that_was_missing(database)
    flight["insert"] += arrived
    return {"airline": _changes(), "airport": airport, "plane": plane, "flight": flight, "weather": weather}


def enter_missing_airports(path: Path) -> dict[str, int]:
    """Enter San Juan, Aguadilla and St. Thomas; returns how many flights wait in quarantine for each."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany("INSERT INTO airports VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _MISSING)
        return {faa: len(_ids(database, "SELECT id FROM flights WHERE dest = ?", faa)) for faa, *_ in _MISSING}


def _airports(database: sqlite3.Connection) -> dict[str, int]:
    return _changes(insert=1, update=sum(database.execute(statement).rowcount for statement in _MENDED))


def _airport_that_was_missing(database: sqlite3.Connection) -> int:
    """Enter Ponce in Puerto Rico, which lets its flights out of quarantine; returns how many."""
    database.execute(
        "INSERT INTO airports VALUES ('PSE', 'Mercedita', 18.008306, -66.563028, 29, -4, 'N', 'America/Puerto_Rico')"
    )
    return len(_ids(database, "SELECT id FROM flights WHERE dest = 'PSE'"))


def _flights_and_planes(database: sqlite3.Connection) -> tuple[dict[str, int], dict[str, int]]:
    delayed = _ids(database, f"SELECT id FROM flights WHERE {_KNOWN} AND arr_delay IS NOT NULL AND id % 2000 = 7")
    _each(database, "UPDATE flights SET arr_delay = arr_delay + 5 WHERE id = ?", delayed)

    cancelled = _ids(database, f"SELECT id FROM flights WHERE {_KNOWN} AND air_time IS NOT NULL AND id % 16000 = 11")
    _each(
        database,
        "UPDATE flights SET dep_time = NULL, dep_delay = NULL, arr_time = NULL, arr_delay = NULL, air_time = NULL"
        " WHERE id = ?",
        cancelled,
    )

    withdrawn = _ids(database, f"SELECT id FROM flights WHERE {_KNOWN} AND id % 7000 = 13")
    _each(database, "DELETE FROM flights WHERE id = ?", withdrawn)

    linked, unlinked, plane = _planes(database)

    new_year = database.execute(
        "INSERT INTO flights SELECT NULL, 2014, 1, 1, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time,"
        " arr_delay, carrier, flight, tailnum, origin, dest, air_time, distance FROM flights"
        f" WHERE month = 12 AND day = 31 AND {_KNOWN} ORDER BY id LIMIT 60"
    ).rowcount
    updated = delayed | cancelled | linked | unlinked
    return _changes(insert=new_year, update=len(updated - withdrawn), delete=len(withdrawn)), plane


def _planes(database: sqlite3.Connection) -> tuple[set[int], set[int], dict[str, int]]:
    """Enter one plane and strike one off: the references of their flights to known airports change with them."""
    entered = _one(
        database,
        "SELECT tailnum FROM flights WHERE tailnum <> 'NA' AND tailnum NOT IN (SELECT tailnum FROM planes)"
        " GROUP BY tailnum HAVING count(*) >= 20 ORDER BY count(*), tailnum LIMIT 1",
    )
    struck = _one(
        database,
        "SELECT tailnum FROM flights JOIN planes USING (tailnum)"
        " GROUP BY tailnum HAVING count(*) >= 5 ORDER BY count(*), tailnum LIMIT 1",
    )
    of_plane = f"SELECT id FROM flights WHERE {_KNOWN} AND tailnum = ?"
    linked, unlinked = _ids(database, of_plane, entered), _ids(database, of_plane, struck)
    database.execute(
        "INSERT INTO planes VALUES"
        " (?, NULL, 'Fixed wing multi engine', 'BOEING', '737-800', 2, 160, NULL, 'Turbo-fan')",
        [entered],
    )
    database.execute("DELETE FROM planes WHERE tailnum = ?", [struck])
    # 432 is the speed of eight planes of very different kinds: somebody's default
    unsure = database.execute("UPDATE planes SET speed = NULL WHERE speed = 432").rowcount
    return linked, unlinked, _changes(insert=1, update=unsure, delete=1)


def _weather(database: sqlite3.Connection) -> dict[str, int]:
    mended = database.execute("UPDATE weather SET wind_speed = NULL WHERE wind_speed > 1000").rowcount
    mended += database.execute(
        "UPDATE weather SET precip = precip + 0.1 WHERE month = 7 AND day = 4 AND wind_speed <= 1000"
    ).rowcount
    dropped = database.execute("DELETE FROM weather WHERE month = 6 AND day = 15 AND hour = 12").rowcount
    late = database.execute(
        "INSERT INTO weather SELECT origin, year, month, 31, hour, temp, dewp, humid, wind_dir, wind_speed, wind_gust,"
        " precip, pressure, visib FROM weather WHERE month = 12 AND day = 30"
    ).rowcount
    return _changes(insert=late, update=mended, delete=dropped)


def _changes(insert: int = 0, update: int = 0, delete: int = 0) -> dict[str, int]:
    return {"insert": insert, "update": update, "delete": delete}


def _ids(database: sqlite3.Connection, query: str, *values: str) -> set[int]:
    return {number for (number,) in database.execute(query, values)}


def _one(database: sqlite3.Connection, query: str) -> str:
    (text,) = database.execute(query).fetchone()
    return str(text)


def _each(database: sqlite3.Connection, statement: str, ids: set[int]) -> None:
    database.executemany(statement, [(number,) for number in sorted(ids)])
