"""What a draft does not say: typed, weighed, in order, and added up."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from flows.results.untranslated import TITLES, Untranslated, in_order, summary, text_of
from transforms.vocabulary.features import KINDS, SEVERITIES, Behaviour, Feature, Loss, Noise

NAMES = st.sampled_from(["a", "b", "InnoDB", "x y"])
FEATURES = st.builds(
    Feature,
    st.sampled_from(list(KINDS)),
    st.lists(NAMES, max_size=2).map(tuple),
    st.dictionaries(st.sampled_from(["name", "sql", "why", "refers", "event", "rows"]), NAMES),
)
RECORDS = st.builds(Untranslated, st.none() | NAMES, FEATURES)


def test_every_kind_has_one_severity_a_title_and_words() -> None:
    assert list(KINDS) == [*get_args(Loss), *get_args(Behaviour), *get_args(Noise)]
    assert list(TITLES) == list(SEVERITIES)
    facts = {"name": "n", "sql": "s", "refers": "r", "why": "it is so"}
    assert all(text_of(Feature(kind, ("c",), facts)).endswith(": it is so") for kind in KINDS)


@given(st.lists(RECORDS))
def test_what_loses_something_stands_first_and_noise_last_whatever_the_order_was(found: list[Untranslated]) -> None:
    ordered = in_order(found)
    assert ordered == in_order(reversed(found))
    places = [SEVERITIES.index(each.feature.severity) for each in ordered]
    assert places == sorted(places)
    assert [severity for severity, _ in summary(found)] == list(
        dict.fromkeys(each.feature.severity for each in ordered)
    )


@given(st.lists(RECORDS))
def test_a_summary_has_a_line_for_each_kind_and_of_noise_for_each_name(found: list[Untranslated]) -> None:
    lines = [line for _, group in summary(found) for line in group]
    noise = {(each.feature.kind, each.feature.fact("name")) for each in found if each.feature.severity == "noise"}
    others = {each.feature.kind for each in found if each.feature.severity != "noise"}
    assert len(lines) == len(noise) + len(others)


def test_noise_of_many_tables_is_one_line() -> None:
    engines = [Untranslated(f"t{number}", Feature("engine", (), {"name": "MyISAM"})) for number in range(104)]
    remarks = [Untranslated("t1", Feature("comment", (name,), {"sql": "old"})) for name in ("a", "b")]
    assert summary([*engines, *remarks]) == [
        ("noise", ["storage engine MyISAM: 104 tables", "comment: 1 table, 2 columns"])
    ]


def test_a_summary_names_tables_and_counts_the_rest() -> None:
    checks = [Untranslated(f"t{number:02}", Feature("check", (), {"sql": "a > 0"})) for number in range(20)]
    views = [Untranslated(None, Feature("view", (), {"name": name})) for name in ("v", "w")]
    assert summary([*views, *checks]) == [
        ("loss", ["check: 20, in t00, t01, t02, t03, t04, t05 and 14 more"]),
        ("behaviour", ["view: v, w"]),
    ]
