"""What a spec says of changes that go both ways: settings of both levels, short forms, and what does not fit together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from flows.spec.json_schema import json_schema
from tests.support.specs import HEAD, SMALL, load, problems

TABLE = HEAD + "tables:\n  t:\n    from: t\n    key: [id]\n"


def test_the_defaults_write_nothing_on_the_source_and_report_a_first_meeting(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALL)
    policy = spec.conflict_of("t")
    assert (spec.writes_source, spec.two_way("t"), spec.initial_of("t")) == (False, False, "report")
    assert (policy.resolve, policy.by, policy.clock, policy.skew, policy.tie) == (
        "merge",
        None,
        None,
        timedelta(),
        "manual",
    )
    assert (policy.delete, policy.create, policy.columns) == (None, None, {})


def test_a_table_overrides_direction_initial_and_conflict_setting_by_setting(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        TABLE + "    conflict: {delete: update_wins, clock: {source: b, target: c}}\n    initial: newer\n"
        "  u: {from: u, direction: one_way}\n"
        "direction: two_way\ninitial: source\nconflict: {resolve: newer_wins, clock: a, skew: 500ms, tie: source}\n",
    )
    own, whole = spec.conflict_of("t"), spec.conflict_of("u")
    assert (spec.two_way("t"), spec.two_way("u"), spec.writes_source) == (True, False, True)
    assert (spec.initial_of("t"), spec.initial_of("u")) == ("newer", "source")
    assert (own.resolve, own.delete, own.skew, own.tie) == (
        "newer_wins",
        "update_wins",
        timedelta(milliseconds=500),
        "source",
    )
    assert own.clock is not None
    assert whole.clock is not None
    assert (own.clock.source, own.clock.target) == ("b", "c")
    assert (whole.clock.source, whole.clock.target, whole.delete) == ("a", "a", None)


def test_one_table_alone_may_go_both_ways(tmp_path: Path) -> None:
    spec = load(tmp_path, TABLE + "    direction: two_way\n  u: {from: u}\n")
    assert (spec.direction, spec.two_way("t"), spec.two_way("u"), spec.writes_source) == ("one_way", True, False, True)


@pytest.mark.parametrize(
    ("written", "name", "separator", "function"),
    [
        ("sum", "sum", None, None),
        ("union", "union", None, None),
        ('{union: ";"}', "union", ";", None),
        ('{joined: " / "}', "joined", " / ", None),
        ("{python: rules.merge}", "python", None, "rules.merge"),
        ("{kind: longer}", "longer", None, None),
    ],
)
def test_rules_are_names_or_names_with_a_setting(
    tmp_path: Path, written: str, name: str, separator: str | None, function: str | None
) -> None:
    rule = load(tmp_path, TABLE + f"    conflict: {{columns: {{x: {written}}}}}\n").conflict_of("t").columns["x"]
    assert (rule.name, rule.separator, rule.python) == (name, separator, function)


def test_on_source_and_inverse_are_constants_and_sql(tmp_path: Path) -> None:
    table = load(
        tmp_path,
        TABLE + '    columns: {id: id, m: {expr: "ft * 0.3", inverse: {ft: "m / 0.3"}}}\n'
        '    on_source: {made_by: {const: sync}, note: {const: null}, made_on: {expr: "today()"}}\n',
    ).tables["t"]
    assert {name: (each.const, each.expr) for name, each in table.on_source.items()} == {
        "made_by": ("sync", None), "note": (None, None), "made_on": (None, "today()"),
    }  # fmt: skip
    assert (table.columns or {})["m"].inverse == {"ft": "m / 0.3"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("conflict: {resolve: newest}", "tables.t.conflict.resolve must be source_wins, target_wins, newer_wins, merge, manual or fail"),
        ("conflict: {resolve: newer_wins}", "tables.t.conflict.resolve is newer_wins, which needs a clock. Fix: add `clock:`"),
        ("conflict: {create: newer_wins}", "tables.t.conflict.create is newer_wins, which needs a clock."),
        ("conflict: {by: row}", "tables.t.conflict.by is row, and merge decides field by field. Fix: remove it"),
        ("conflict: {skew: 5s}", "tables.t.conflict.skew has a meaning only together with a clock."),
        ("conflict: {tie: source}", "tables.t.conflict.tie has a meaning only together with a clock."),
        ("conflict: {clock: a, skew: 5}", "tables.t.conflict.skew must be a time such as 500ms, 5s, 2m or 1h"),
        ("conflict: {clock: a, skew: -5s}", "tables.t.conflict.skew must be a time such as"),
        ("conflict: {clock: {source: a}}", "tables.t.conflict.clock.target is missing."),
        ("conflict: {columns: {x: summ}}", "tables.t.conflict.columns.x is no rule. Did you mean sum?"),
        ("conflict: {columns: {x: python}}", 'tables.t.conflict.columns.x needs a function. Fix: write {python: "module.function"}'),
        ("conflict: {columns: {x: {}}}", "tables.t.conflict.columns.x takes one rule."),
        ('conflict: {columns: {x: {union: ",", joined: " "}}}', "tables.t.conflict.columns.x takes one rule."),
        ("conflict: {columns: {x: {python: merge}}}", "tables.t.conflict.columns.x.python must match"),
        ("conflict: {delete: keep}", "tables.t.conflict.delete must be delete_wins, update_wins or manual"),
        ("conflict: {colums: {x: sum}}", "tables.t.conflict.colums is not a known key. Did you mean columns?"),
        ("initial: merge", "tables.t.initial must be policy, source, target, newer or report"),
        ("direction: both", "tables.t.direction must be one_way or two_way"),
        ("on_source: {made_by: sync}", "tables.t.on_source.made_by must say what the column gets. Fix: write {const: sync}"),
        ("on_source: {made_by: {}}", "tables.t.on_source.made_by takes one of const and expr."),
        ("columns: {id: id, m: {expr: a, inverse: {a: 1}}}", "tables.t.columns.m.inverse.a must be text. Fix: put it in quotes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_said_with_its_line(tmp_path: Path, settings: str, said: str) -> None:
    lines = problems(tmp_path, TABLE + f"    {settings}\n")
    assert [line for line in lines if line.startswith(f"spec.yaml:9: {said}")], lines


def test_problems_of_the_migration_itself_are_said_once(tmp_path: Path) -> None:
    text = SMALL + "  u: {from: u}\nconflict: {resolve: newer_wins, columns: {a: sum}}\n"
    assert problems(tmp_path, text) == [
        "spec.yaml:8: conflict.columns are rules for columns of a table. Fix: move them to tables.….conflict.",
        "spec.yaml:8: conflict.resolve is newer_wins, which needs a clock. Fix: add `clock:` and a timestamp column.",
    ]


def test_a_clock_of_each_table_is_enough_for_newer_wins(tmp_path: Path) -> None:
    spec = load(tmp_path, TABLE + "    conflict: {clock: a}\nconflict: {resolve: newer_wins}\n")
    assert spec.conflict_of("t").resolve == "newer_wins"


def test_the_digest_covers_the_functions_of_rules(tmp_path: Path) -> None:
    text = TABLE + "    conflict: {columns: {x: {python: rules.merge}}}\n"
    without = load(tmp_path, text).digest
    (tmp_path / "rules.py").write_text("def merge(base, source, target): return source\n")
    before = load(tmp_path, text).digest
    (tmp_path / "rules.py").write_text("def merge(base, source, target): return target\n")
    assert len({without, before, load(tmp_path, text).digest}) == 3


def test_the_schema_for_editors_knows_the_short_forms() -> None:
    parts = json_schema()["$defs"]
    assert parts["Clocks"]["anyOf"][0]["type"] == "string"
    assert "sum" in parts["RuleSpec"]["anyOf"][0]["enum"]
