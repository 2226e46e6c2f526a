"""What both checkpoints add to a full copy: the same rows without rules, and with each way in which rules are looked at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import yaml

from benchmarks.command import Spent
from benchmarks.copying import WrongResult, prepare, run, spec_of
from benchmarks.server import Server

Table = dict[str, Any]

# Rules that every row keeps: ranges, texts, nulls and a set; three are critical, three are warnings.
RULES: Final = (
    {"type": "expect_column_values_to_be_between", "column": "visits", "min_value": 0, "max_value": 65535},
    {"type": "expect_column_values_to_match_regex", "column": "name", "regex": "^customer [0-9a-f]+$"},
    {"type": "expect_column_values_to_not_be_null", "column": "seen_at"},
    {
        "type": "expect_column_values_to_be_between",
        "column": "balance",
        "min_value": -10_000_000,
        "max_value": 10_000_000,
        "severity": "warning",
    },
    {
        "type": "expect_column_value_lengths_to_be_between",
        "column": "note",
        "min_value": 1,
        "max_value": 40,
        "severity": "warning",
    },
    {
        "type": "expect_column_values_to_be_in_set",
        "column": "active",
        "value_set": [True, False],
        "severity": "warning",
    },
)
LOADED: Final = (
    {"type": "expect_table_row_count_to_equal", "value": "$loaded"},
    *({name: value for name, value in rule.items() if name != "severity"} for rule in RULES),
)
FEW: Final = 200_000  # the default of checkpoint.max_rows: beyond, compiled rules stand for Great Expectations
NONE: Final = "full copy, no rules"
COMPILED: Final = "  compiled rules decide for every row"
PLANNED: Final = "  and Great Expectations looks at all rows to be written"
WHOLE: Final = "  loaded checkpoint alone, in SQL"
# what every run with rules pays once: pandas is there by then, as in the runs that are timed
IMPORT: Final = (
    "import pandas, time; a, b = time.perf_counter(), time.process_time(); import great_expectations; "
    "print(time.perf_counter() - a, time.process_time() - b)"
)
BOTH: Final = "  compiled rules, and the loaded checkpoint in SQL"


def ways(rows: int) -> dict[str, Table]:
    """By name: what the spec's table says beside its source and key."""
    expect = list(RULES)
    few, all_of_them = {"max_rows": min(FEW, rows - 1)}, {"max_rows": rows}
    return {
        NONE: {},
        COMPILED: {"expect": expect, "checkpoint": few},
        PLANNED: {"expect": expect, "checkpoint": all_of_them},
        WHOLE: {"loaded": list(LOADED)},
        BOTH: {"expect": expect, "loaded": list(LOADED), "checkpoint": few},
    }


@dataclass(frozen=True, slots=True)
class Guarding:
    """What a full copy cost with each way of looking at its rules, round by round.

    `imported` is what loading Great Expectations alone took in each round: seconds, and seconds of processor time.
    """

    rows: int
    imported: tuple[tuple[float, float], ...]
    spent: dict[str, tuple[Spent, ...]]

    def ratio(self, name: str, of: Callable[[Spent], float]) -> float:
        """To the run without rules: the median of the rounds' own ratios."""
        return median(
            of(with_) / of(without) for with_, without in zip(self.spent[name], self.spent[NONE], strict=True)
        )


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> Guarding:
    """Each round is one full copy a way, into a fresh target; every second round goes the other way round."""
    found: dict[str, list[Spent]] = {name: [] for name in ways(rows)}
    imported = []
    for number in range(rounds):
        imported.append(importing())
        told(f"checkpoints over {rows:,} rows, round {number + 1} of {rounds}")
        order = list(ways(rows).items())
        for name, table in order[:: -1 if number % 2 else 1]:
            prepare(server)
            with spec_with(server, table) as spec:
                spent = run(server, spec, {"source_rows": rows, "insert": rows, "quarantined": 0})
            hold_checked(name, table, rows, spent)
            found[name].append(spent)
    return Guarding(rows, tuple(imported), {name: tuple(spent) for name, spent in found.items()})


def importing() -> tuple[float, float]:
    """What loading Great Expectations takes in a process of its own: seconds, and seconds of processor time."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORT], check=True, capture_output=True, text=True)
    seconds, cpu = map(float, done.stdout.split())
    return seconds, cpu


@contextmanager
def spec_with(server: Server, table: Table) -> Iterator[Path]:
    with spec_of(server) as path:
        spec = yaml.safe_load(path.read_text())
        spec["tables"]["customer"] |= table
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        yield path


def hold_checked(name: str, table: Table, rows: int, spent: Spent) -> None:
    """WrongResult where the checkpoints did not look at all rules and rows, in the way that is timed."""
    looked = {point["name"]: point for point in spent.answer["checkpoints"]}
    wanted = {"planned": table.get("expect"), "loaded": table.get("loaded")}
    for point, rules in wanted.items():
        results = looked.get(point, {}).get("results", [])
        by = {each["by"] for each in results}
        great = point == "loaded" or table.get("checkpoint", {}).get("max_rows", 0) >= rows
        if len(results) != len(rules or ()) or (rules and by != {"Great Expectations" if great else "compiled rule"}):
            raise WrongResult(f"{name}: the {point} checkpoint looked at {len(results)} rules, by {by or 'nothing'}.")
        if any(not each["passed"] or each["checked"] not in (None, rows) for each in results):
            raise WrongResult(f"{name}: the {point} checkpoint did not pass over {rows:,} rows: {results}")
