"""One table of all types: each row holds one value, and row 0 none."""

from __future__ import annotations

from scenario import Side
from type_samples import Sample
from type_values import quoted

TABLE = "types"


def rows_of(samples: tuple[Sample, ...]) -> list[tuple[int, Sample, str]]:
    """A row for each value: its number, the type whose column has it, and the value."""
    pairs = [(sample, each) for sample in samples for each in sample.values]
    return [(number, sample, each) for number, (sample, each) in enumerate(pairs, 1)]


def fill(side: Side, samples: tuple[Sample, ...]) -> None:
    """One table of all types, and in each row one value; row 0 has none."""
    columns = ", ".join(f"{quoted(each.name)} {each.native}" for each in samples)
    inserts = [
        f"INSERT {'IGNORE ' * sample.forced}INTO {TABLE} (id, {quoted(sample.name)}) VALUES ({number}, {each})"
        for number, sample, each in rows_of(samples)
    ]
    side.execute(
        *(each.setup for each in samples if each.setup),
        f"CREATE TABLE {TABLE} (id integer PRIMARY KEY, {columns})",
        f"INSERT INTO {TABLE} (id) VALUES (0)",
        *inserts,
    )
