"""The tables of docs/two_ways.md: what each policy makes of a row that both sides changed, and each rule of a field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from two_way_cases import case_of
from two_way_memory import Sides

from transforms.vocabulary import DataError

ROOT = Path(__file__).resolve().parents[2]
PAGES = {ROOT / "docs" / "two_ways.md": ("policies", "rules")}
ROW = "id* integer, name text, price integer, seen timestamp"
CLOCK = {"clock": "seen"}
POLICIES = {
    "`merge`": {"resolve": "merge", **CLOCK},
    "`source_wins`": {"resolve": "source_wins"},
    "`newer_wins`": {"resolve": "newer_wins", **CLOCK},
    "`newer_wins`, `by: field`": {"resolve": "newer_wins", "by": "field", **CLOCK},
    "`manual`": {"resolve": "manual"},
    "`fail`": {"resolve": "fail"},
}
SITUATIONS = {
    "one side edited it": "1 | cup, 4, 09:00 | mug, 4, 10:00 | . | gone",
    "both edited it alike": "1 | cup, 4, 09:00 | mug, 4, 10:00 | mug, 4, 10:00 | gone",
    "the source edited the name, the target later the price": "1 | cup, 4, 09:00 | mug, 4, 10:00 | cup, 5, 11:00 | gone",
    "both edited the name, the target later": "1 | cup, 4, 09:00 | mug, 4, 10:00 | jug, 4, 11:00 | gone",
    "both edited the name at the same time": "1 | cup, 4, 09:00 | mug, 4, 10:00 | jug, 4, 10:00 | gone",
    "the source deleted it, the target did nothing": "1 | cup, 4, 09:00 | - | . | gone",
    "the source deleted it, the target edited it": "1 | cup, 4, 09:00 | - | jug, 4, 10:00 | gone",
    "the target deleted it, the source edited it": "1 | cup, 4, 09:00 | mug, 4, 10:00 | - | gone",
    "both created it, the target later": "1 | - | mug, 4, 10:00 | jug, 5, 11:00 | gone",
}
RULES = {
    "`source_wins`, `target_wins`": ("text", "source_wins", "cup", "mug", "jug"),
    "`newer`": ("text", "newer", "cup", "mug at 10:00", "jug at 11:00"),
    "`larger`": ("integer", "larger", "3", "5", "4"),
    "`smaller`": ("integer", "smaller", "3", "5", "4"),
    "`sum`": ("integer", "sum", "10", "12", "7"),
    "`union` of texts": ("text", "union", "'b,a'", "'b,a,z'", "'b,a,c'"),
    '`{union: ";"}`': ("text", {"union": ";"}, "a", "a;z", "a;c"),
    "`union` of JSON arrays": ("json", "union", "'[1, 2]'", "'[1, 2, 9]'", "'[1, 2, 3]'"),
    "`longer`": ("text", "longer", "n", "note", "no"),
    '`{joined: " / "}`': ("text", {"joined": " / "}, "n", "tea", "rye"),
    "`longer` against a null": ("text", "longer", "n", "null", "no"),
    "`manual`": ("text", "manual", "cup", "mug", "jug"),
}


def page_parts() -> dict[str, str]:
    """The tables by the names of the places where they stand."""
    return {"policies": _policies(), "rules": _rules()}


def replaced(text: str, parts: dict[str, str]) -> str:
    """A page with tables between `<!-- NAME: … -->` and `<!-- end -->`."""
    for name, table in parts.items():
        before, begin, rest = text.partition(f"<!-- {name}: ")
        assert begin, f"there is no place for {name}"
        mark, _, behind = rest.partition(" -->\n")
        _, end, after = behind.partition("<!-- end -->")
        text = f"{before}{begin}{mark} -->\n{table}\n{end}{after}"
    return text


def _policies() -> str:
    lines = [("a row", *POLICIES)]
    lines += [(said, *(_becomes(row, policy) for policy in POLICIES.values())) for said, row in SITUATIONS.items()]
    return _table(lines)


def _becomes(row: str, policy: dict[str, object]) -> str:
    case = case_of({"case": "", "columns": ROW, "policy": policy, "rows": row})
    (table,), (line,) = case.tables.values(), case.tables["t"].rounds[0]
    sides = Sides(case, table)
    try:
        outcome = sides.synchronize()
    except DataError:
        return "the run stops"
    if outcome.conflicts.num_rows:
        return "open"
    made = sides.source.to_pylist()
    mark = " \\*" if outcome.overruled.num_rows else ""
    if not made:
        return f"deleted on both{mark}"
    values = tuple(made[0][name] for name in table.others)
    if values == line.source == line.target:
        return "nothing to do"
    if values == line.source:
        return f"the source's{mark}"
    return f"the target's{mark}" if values == line.target else "both edits"


def _rules() -> str:
    lines: list[Sequence[str]] = [("rule", "both agreed on", "the source has", "the target has", "both get")]
    for said, (kind, rule, *texts) in RULES.items():
        lines.append((said, *(f"`{_shown(text)}`" for text in texts), _field(kind, rule, texts)))
    return _table(lines)


def _field(kind: str, rule: object, texts: Iterable[str]) -> str:
    times = [part for text in texts for part in [text.partition(" at ")[2] or "09:00"]]
    values = [text.partition(" at ")[0] for text in texts]
    agreed, source, target = (f"{value}, {time}" for value, time in zip(values, times, strict=True))
    case = case_of(
        {
            "case": "",
            "columns": f"id* integer, v {kind}, seen timestamp",
            "policy": {"resolve": "merge", **CLOCK, "columns": {"v": rule}},
            "rows": f"1 | {agreed} | {source} | {target} | gone",
        }
    )
    sides = Sides(case, case.tables["t"])
    if sides.synchronize().conflicts.num_rows:
        return "open"
    (row,) = sides.source.to_pylist()
    (other,) = sides.target.to_pylist()
    assert row == other
    return f"`{row['v']}`"


def _shown(text: str) -> str:
    return text.replace("'", "")


def _table(lines: Sequence[Sequence[str]]) -> str:
    def listed() -> Iterator[str]:
        for number, line in enumerate(lines):
            yield f"| {' | '.join(line)} |"
            if not number:
                yield "|---" * len(line) + "|"

    return "\n".join(listed())
