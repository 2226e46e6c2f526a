"""Files of JSON lines and of Arrow as tables."""

from __future__ import annotations

import json
import math
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from file_tables import T, kinds, read

from adapters.protocol import Source
from adapters.registry import open_source
from transforms.vocabulary import (
    INVALID,
    DataError,
    KeyRange,
    Relation,
    SnapshotLost,
    SpecError,
    reason_of,
    text_of,
)


def lines(folder: Path, *rows: str, **declared: Any) -> Source:
    (folder / "t.jsonl").write_bytes("\n".join(rows).encode("utf-8", "surrogateescape"))
    return open_source(
        f"jsonl:///{folder / 't.jsonl'}" + (f"?declared={quote(json.dumps(declared))}" if declared else "")
    )


def test_keys_of_json_lines_are_columns_with_exact_values(tmp_path: Path) -> None:
    source = lines(
        tmp_path,
        '{"id": 1, "n": 1.10, "big": 123456789012345678901234567890, "text": "a\\"é🎉\\nb", "yes": true, "list": [1, {"a": null}]}',
        "",
        '{"id": 2, "n": -3, "when": "2024-01-01", "x/y~z": "1", "yes": null, "mixed": "1", "r": 0.12345678901234567, "list": null}',
        '{"id": 3, "n": null, "mixed": 1, "text": ""}',
    )
    assert kinds(source) == {
        "id": "BIGINT", "n": "DECIMAL(18,1)", "big": "DECIMAL(30,0)", "text": "VARCHAR", "yes": "BOOLEAN", "list": "JSON",
        "when": "VARCHAR", "x/y~z": "VARCHAR", "mixed": "JSON", "r": "DOUBLE",
    }  # fmt: skip
    first, second, third = read(source)
    assert (first["n"], first["big"]) == (Decimal("1.1"), Decimal("123456789012345678901234567890"))
    assert (first["text"], first["yes"], json.loads(first["list"])) == ('a"é🎉\nb', True, [1, {"a": None}])
    assert (second["x/y~z"], second["mixed"], second["list"], second["r"]) == ("1", '"1"', None, 0.12345678901234567)
    assert (third["n"], third["mixed"], third["text"]) == (None, "1", "")


def test_json_lines_that_do_not_fit_are_set_aside_or_refused_with_their_line(tmp_path: Path) -> None:
    declared = {"types": {"n": "decimal(20,18)", "day": "date"}}
    rows = ('{"id": 1, "n": 0.5, "day": "2024-01-01"}', "", '{"id": 2, "n": 0.123456789012345678, "day": "01.01.24"}')
    good, bad = read(lines(tmp_path, *rows, **declared))
    assert (good["n"], good["day"], good[INVALID]) == (Decimal("0.5"), date(2024, 1, 1), None)
    assert "line 3 of" in text_of(reason_of(bad[INVALID]))  # a number that DuckDB read as a double may be another one
    torn = (
        "",
        '{"id": 1, "n": 0.5}',
        '{"id": 1',
        "[1]",
        '{"a": 1, "a": 2}',
        "",
        '{"id": 2, "n": "caf\udce9"}',
        "5",
        '{"id": 3, "n": {}}',
    )
    rows = read(lines(tmp_path, *torn, "", '{"id": 4}', types={"n": "int"}))
    assert [row["id"] for row in rows] == [None] * 5 + [1, 3, 4]
    found = {text_of(reason_of(row[INVALID])).replace(str(tmp_path), "") for row in rows if row[INVALID]}
    assert found == {
        'line 3 of /t.jsonl: {"id": 1 is not valid JSON',
        "line 4 of /t.jsonl: [1] is no object",
        'line 5 of /t.jsonl: {"a": 1, "a": 2} has a key twice',
        'line 7 of /t.jsonl: {"id": 2, "n": "caf??} is not valid in the file\'s encoding (a file in two encodings, or another one than declared)',
        "line 8 of /t.jsonl: 5 is no object",
        "column n: line 2 of /t.jsonl: 0.5 is not integer",
        "column n: line 9 of /t.jsonl: {} is not integer",
    }
    with pytest.raises(DataError, match="two columns called 'a' and 'A'"):
        read(lines(tmp_path, '{"a": 1}', '{"A": 1}'))
    with pytest.raises(DataError, match="is empty"):
        read(lines(tmp_path, ""))
    with pytest.raises(SpecError, match="no key 'x'"):
        read(lines(tmp_path, '{"a": 1}', types={"x": "int"}))


def test_arrow_files_are_read_in_their_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "u": pa.array([2**64 - 1, None], pa.uint64()),
            "ns": pa.array([1_000, 1_001], pa.timestamp("ns")),
            "span": pa.array([1_000, None], pa.duration("us")),
            "wide": pa.array([Decimal("1.5"), None], pa.decimal256(60, 2)),
            "list": pa.array([[1], None], pa.large_list(pa.int8())),
        }
    )
    there = tmp_path / "t" / "y=1"
    there.mkdir(parents=True)
    feather.write_feather(table, there / "a.arrow")
    source = open_source(f"arrow:///{tmp_path}")
    first, second = read(source)
    assert (first["kind"], first["u"], first["list"], first["y"]) == ("a", Decimal(2**64 - 1), "[1]", 1)
    assert "00:00:00.000001001" in second[INVALID]
    assert first["span"] == "00:00:00.001"
    shape = source.describe(T)
    assert shape is not None and (wide := shape.column("wide")) and wide.refused
    assert read(source, within=KeyRange((2,)))[0]["id"] == 2
    (there / "b.arrow").write_bytes((there / "a.arrow").read_bytes()[:-30])
    with pytest.raises(DataError, match="arrow is cut off"):
        source.describe(T)
    feather.write_feather(table.select(["id"]), there / "b.arrow")
    with pytest.raises(DataError, match="unlike columns"):
        source.describe(T)
    (there / "b.arrow").unlink()
    with pytest.raises(SnapshotLost), source.snapshot() as snapshot:
        assert snapshot.count(Relation(T)) == 2
        feather.write_feather(table, there / "a.arrow")
    fsspec.filesystem("memory").pipe("/arrows/t.arrow", (there / "a.arrow").read_bytes())
    assert len(read(open_source("arrow://memory://arrows/t.arrow"))) == 2


@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl", "csv"])
def test_numbers_that_json_does_not_have_are_set_aside(tmp_path: Path, kind: str) -> None:
    texts = ['[1.5,"NaN"]', "[NaN]", '{"a":-Infinity}', '["\\"inf", 2.5]', "[]"]
    if kind in ("parquet", "arrow"):
        values: list[Any] = [
            (["NaN"], [1.5]),
            ([], [math.nan]),
            ([], [-math.inf, 1.0]),
            (['"inf'], [2.5]),
            (None, None),
        ]
        kinds_ = pa.struct([("t", pa.list_(pa.string())), ("n", pa.list_(pa.float32()))])
        rows = pa.table({"id": range(5), "j": pa.array([{"t": t, "n": n} for t, n in values], kinds_)})
        (pq.write_table if kind == "parquet" else feather.write_feather)(rows, tmp_path / f"t.{kind}")
    elif kind == "jsonl":
        lines(tmp_path, *(f'{{"id": {at}, "j": {text}}}' for at, text in enumerate(texts)))
    else:
        doubled = [text.replace('"', '""') for text in texts]
        (tmp_path / "t.csv").write_text("id,j\n" + "".join(f'{at},"{text}"\n' for at, text in enumerate(doubled)))
    declared = quote(json.dumps({"types": {"j": "json"}}))
    source = open_source(f"{kind}:///{tmp_path / f't.{kind}'}" + (f"?declared={declared}" if kind == "csv" else ""))
    found = read(source)
    assert [row["id"] for row in found if not row[INVALID]] == [0, 3, 4]
    assert all(json.loads(row["j"]) is not None for row in found if not row[INVALID])
    told = [text_of(reason_of(row[INVALID])) for row in found if row[INVALID]]
    assert len(told) == 2 and all("JSON" in text.upper() and ("NaN" in text or "Infinity" in text) for text in told)
