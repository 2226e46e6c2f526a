"""Every line of a file of CSV is a row, part of one, or set aside under its own number, whatever lies between."""

from __future__ import annotations

import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest
from file_tables import T, read

from adapters.files import lines
from adapters.registry import open_source
from transforms.vocabulary import INVALID, reason_of, text_of

PIECES = {  # a row, how it is set aside
    "{},{},plain": "", '{},{},"two\n\nlines ""q"""': "", "{},{},mid\"dle": "", '"{}","{}",': "",
    "{},x,a": "is not integer", '{},x,"a\nb\n"': "is not integer",
    "{}": "fewer fields", "{},{},a,b": "more fields", '{},{},"a\n",b': "more fields",
    '{},{},"a" b': "a quote", '{},{},caf\udce9': "encoding", '{},{},"\n\udcff"': "encoding",
}  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_each_line_is_accounted_for_under_its_own_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(lines, "CHUNK_BYTES", chance.choice([7, 64, 4096]))  # rows go over the ends of chunks
    end = chance.choice(["\n", "\r\n"])
    head = chance.choice(["id,n,t", '"id","n","t"'])
    text, line, good, aside = ("\ufeff" if seed % 3 == 0 else "") + head + end, 2, [], {}
    for number in range(60):
        empty = chance.choice([0, 0, 0, 1, 2])
        piece, how = chance.choice(list(PIECES.items()))
        row = piece.format(number, number).replace("\n", end)
        text, line = text + end * empty + row + end, line + empty
        if how:
            aside[line] = how
        if how in ("", "is not integer"):
            good.append(number)
        line += row.count("\n") + 1
    text = text.removesuffix(end) if seed % 2 else text + end
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    types = quote(json.dumps({"delimiter": ",", "types": {"id": "bigint", "n": "int"}}))
    rows = read(open_source(f"csv:///{path}?declared={types}"))
    assert [row["id"] for row in rows if row["id"] is not None] == good and T.name == "t"
    told = [text_of(reason_of(row[INVALID])).removeprefix("column n: ") for row in rows if row.get(INVALID)]
    found = {int(each.split(" of ")[0].split()[1]): each for each in told}
    assert found.keys() == aside.keys() and len(told) == len(aside)
    assert all(how in found[place] for place, how in aside.items())
