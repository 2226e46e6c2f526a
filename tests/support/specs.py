"""Specs as texts, and how tests load them or hear what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.spec.model import Spec, load_spec
from transforms.vocabulary import SpecError

DESIGN = """\
version: 1
name: nycflights
source: {url: "sqlite:///legacy.db", time_zone: America/New_York}   # zone of naive timestamps
target: {url: "duckdb:///core.db", schema: main}
state:  {url: "sqlite:///.syncline/ledger.db", store: ".syncline/store"}
defaults:
  delete: {policy: hard, max_ratio: 0.2}        # hard | soft | ignore; a plan that deletes more stops
  window: {rows: 100000}
  on_invalid: quarantine                        # or fail
  drift: fail                                   # or evolve: additive DDL only
tables:
  airport:                                      # a target table
    from: airports                              # a source table, or {query: "select …"}
    key: [faa]
    columns:
      airport_id: {generate: identity}          # a surrogate key of the target
      faa: faa                                  # rename
      name: {from: name}
      altitude_m: {expr: "alt * 0.3048", inverse: {alt: "altitude_m / 0.3048"}}   # SQL over the source columns
      kind: {from: kind, map: {A: large, B: small}, default: error}
      tz: {const: "UTC"}
  flight:
    from: flights
    key: [carrier, number, origin, departed_on]
    where: "year = 2013"                        # in the source's dialect, pushed down
    columns:
      carrier: carrier
      number: flight
      origin: origin
      departed_on: {expr: "make_date(year, month, day)"}
      dest_id: {lookup: {table: airport, match: {faa: dest}, take: airport_id}, missing: quarantine}
      score: {python: "rules.score", columns: [a, b]}        # pandas: DataFrame in, Series out
    ignore: [last_updated]                      # never compared
    expect:                                     # Great Expectations names and arguments
      - {type: expect_column_values_to_not_be_null, column: departed_on, severity: critical}
    loaded:                                     # after load, on the target
      - {type: expect_table_row_count_to_equal, value: "$source_rows"}
direction: one_way                              # or two_way
conflict: {resolve: newer_wins, clock: updated_at}   # source_wins | target_wins | newer_wins | merge | manual
"""

ROOT = Path(__file__).parents[2]

HEAD = """\
version: 1
name: m
source: {url: "sqlite:///a.db"}
target: {url: "sqlite:///b.db"}
"""
SMALL = HEAD + "tables:\n  t: {from: t, key: [id]}\n"


def write(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def load(folder: Path, text: str, **environ: str) -> Spec:
    return load_spec(write(folder, text), environ)


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(folder, text, **environ)
    assert caught.value.__cause__ is None or "secret" not in str(caught.value.__cause__)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def with_column(text: str) -> str:
    return f"{HEAD}tables:\n  t:\n    from: t\n    columns:\n      c: {text}\n"


def column(folder: Path, text: str) -> Any:
    return load(folder, with_column(text)).tables["t"].columns["c"]  # type: ignore[index]
