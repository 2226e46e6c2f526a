"""Rows of which both sides get a part, while somebody edits them at any time between plan and write: each edit counts, and counts once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Rows, Scenario, pair_name

from flows.apply import both_ways
from flows.commands import Status
from flows.session.stores import ledger_of

PAIRS = (("mysql", "duckdb"), ("postgresql", "sqlite"))


class Killed(BaseException):
    pass


def content(made: Scenario) -> list[Rows]:
    return [side.rows("t") for side in (made.source, made.target)]


def late(patch: pytest.MonkeyPatch, edit: Callable[[], None], *, dies: bool) -> None:
    """Somebody edits once the target is written, before the first row of the source is; the process may be gone then."""
    real = both_ways.refused_by_target

    def edited(*args: Any) -> Any:
        edit()
        if dies:
            raise Killed
        return real(*args)

    patch.setattr(both_ways, "refused_by_target", edited)


@pytest.mark.parametrize("dies", [False, True], ids=["undisturbed", "killed between the commits"])
@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_a_row_that_both_sides_get_a_part_of_comes_together_whenever_somebody_edits_it(
    pair: tuple[Engine, Engine],
    dies: bool,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Scenario.make(tmp_path, pair, request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (id integer PRIMARY KEY, v varchar(9), w varchar(9), n integer, u integer UNIQUE)")
    made.write(
        {"t": {"from": "t", "conflict": {"resolve": "merge", "columns": {"n": "sum"}}}},
        direction="two_way", initial="policy", defaults={"window": 4},
    )  # fmt: skip
    made.source.insert("t", [(number, "v", "w", 10, number) for number in range(1, 8)])
    assert made.run().status is Status.DONE
    made.source.execute("UPDATE t SET v = 'ours', n = 12", "INSERT INTO t VALUES (8, 'born', 'w', 1, 8)")
    made.target.execute("UPDATE t SET n = 7, u = u + 100", "INSERT INTO t VALUES (8, 'born', 'w', 2, 8)")
    planned = made.plan()
    made.source.execute("UPDATE t SET w = 'early', n = 13 WHERE id = 2")
    made.target.execute("UPDATE t SET w = 'early', n = 8 WHERE id = 3")
    before = content(made)

    def edit() -> None:
        made.source.execute(
            "UPDATE t SET w = 'late', n = 15 WHERE id IN (4, 8)",
            "UPDATE t SET v = 'mine', n = 15 WHERE id = 5",
            "DELETE FROM t WHERE id = 7",
            "INSERT INTO t VALUES (9, 'x', 'x', 0, 106)",
        )

    with monkeypatch.context() as patch:
        late(patch, edit, dies=dies)
        if dies:
            with pytest.raises(Killed):
                made.apply(planned.report.plan)
        else:
            assert made.apply(planned.report.plan).status is Status.CONFLICTS
    if not dies:
        ours, theirs = content(made)
        assert [side[1:3] for side in (ours, theirs)] == [side[1:3] for side in before], "on neither"
        assert ours[0] == theirs[0] == (1, "ours", "w", 9, 101)
    assert made.run().status is Status.CONFLICTS  # 7 was deleted and edited, and 6 cannot be what 9 is
    ours, theirs = ({row[0]: row for row in rows} for rows in content(made))
    wanted = {
        1: (1, "ours", "w", 9, 101), 2: (2, "ours", "early", 10, 102), 3: (3, "ours", "early", 10, 103),
        4: (4, "ours", "late", 12, 104), 5: (5, "mine", "w", 12, 105), 8: (8, "born", "late", 17, 8),
    }  # fmt: skip
    for rows in (ours, theirs):
        assert {number: rows[number] for number in wanted} == wanted
    assert (ours[6], ours.get(7), theirs[6], theirs[7]) == (
        (6, "ours", "w", 12, 6), None, (6, "ours", "w", 9, 106), (7, "ours", "w", 9, 107),
    )  # fmt: skip
    with ledger_of(made.spec) as ledger:
        open_ = {each.key: each.kind for each in ledger.conflicts("shop")}
    assert open_ == {"[6]": "unique", "[7]": "delete/update", "[9]": "unique"}
    made.source.execute("UPDATE t SET u = 9 WHERE id = 9")
    made.target.execute("DELETE FROM t WHERE id = 7")
    assert made.run().status is Status.DONE
    ours, theirs = ({row[0]: row for row in rows} for rows in content(made))
    assert ours == theirs == {**wanted, 6: (6, "ours", "w", 9, 106), 9: (9, "x", "x", 0, 9)}
    made.settled()
