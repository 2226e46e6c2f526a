"""YAML with anchors, aliases and merge keys: read as what it means, and changed without breaking one of them."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from adapters.documents.formats import format_of
from adapters.documents.paths import parsed
from adapters.documents.tree import BadDocument, Keyed, Rows, Wrong
from adapters.documents.values import Value

YAML = format_of("yaml")
TEXT = """\
# what all have
usual: &usual   # here
  port: &port 80
  tls: {on: true, names: [a, b]}
more: &more
  port: 1
  level: info
web:
  <<: [*usual, *more]   # both
  host: w
worker: {<<: *usual, port: 90, name: &n "x"}
copy: *usual
ports: [*port, 81, *port]
last: *n
"""


def read(text: str) -> Rows:
    return YAML.parse(text, Wrong("t.yaml", text), Keyed())


def change(text: str, changes: dict[str, Any]) -> str:
    """The text with some values by their paths; None takes one away."""
    rows = dict(read(text))
    for path, value in changes.items():
        if value is None:
            del rows[path]
        else:
            kind = "int" if isinstance(value, int) else "text"
            rows[path] = (parsed(path) or (), Value(kind, str(value)))
    return YAML.changed(text, rows, Wrong("t.yaml", text), Keyed(), {})[0]


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {
            key: one for name, below in tree.items() for key, one in leaves(below, f"{path}.{name}".strip(".")).items()
        }
    if isinstance(tree, list):
        return {key: one for at, below in enumerate(tree) for key, one in leaves(below, f"{path}[{at}]").items()}
    return {path: str(tree).lower() if isinstance(tree, bool) else str(tree)}


def test_values_are_those_that_aliases_and_merges_stand_for() -> None:
    known = leaves(yaml.safe_load(TEXT.replace("on:", "'on':")))
    assert {path: value.text for path, (_, value) in read(TEXT).items()} == known
    assert known["web.port"] == "80" and known["web.level"] == "info" and known["worker.port"] == "90"


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({"web.host": "v"}, "host: w", "host: v"),
        ({"worker.port": 91}, "port: 90", "port: 91"),
        ({"last": None}, "last: *n\n", ""),
        ({"ports[1]": 82}, "*port, 81", "*port, 82"),
        ({"web.level": "debug"}, "  host: w\n", "  host: w\n  level: debug\n"),  # an override
        ({"worker.tls.on": "no"}, 'name: &n "x"}', 'name: &n "x", tls: {"on": "no", names: [a, b]}}'),
        ({"worker.name": "y", "last": "y"}, '&n "x"', '&n "y"'),  # what repeats it is to change, too
        ({"more.level": "debug", "web.level": "debug"}, "level: info", "level: debug"),
        (dict.fromkeys(("usual.port", "web.port", "copy.port", "ports[0]", "ports[2]"), 8), "&port 80", "&port 8"),
    ],
)  # fmt: skip
def test_a_change_leaves_anchors_and_aliases_whole(changes: dict[str, Any], before: str, after: str) -> None:
    assert change(TEXT, changes) == TEXT.replace(before, after, 1)


@pytest.mark.parametrize(
    ("changes", "line", "what"),
    [
        ({"copy.port": 8}, 12, "copy comes from *usual"),
        ({"last": "z"}, 14, "last comes from *n"),
        ({"ports[0]": 7}, 13, "ports[0] comes from *port"),
        ({"web.level": None}, 9, "web.level comes from <<"),
        ({"worker.port": None}, 11, "worker.port comes from <<"),
        ({"usual.port": 8}, 9, "web.port comes from <<"),
        ({path: None for path in read(TEXT) if path.startswith("more.")}, 9, "comes from <<"),
    ],
)  # fmt: skip
def test_what_only_repeats_cannot_change_alone(changes: dict[str, Any], line: int, what: str) -> None:
    with pytest.raises(BadDocument) as caught:
        change(TEXT, changes)
    assert caught.value.where == f"t.yaml:{line}" and what in str(caught.value)


def test_any_change_is_made_exactly_or_refused() -> None:
    chance, made = random.Random(5), 0
    paths = list(read(TEXT))
    for _ in range(300):
        changes = {path: chance.choice([None, 5, "v"]) for path in chance.sample(paths, chance.choice([1, 2, 3]))}
        try:
            after = change(TEXT, changes)
        except BadDocument as error:
            assert "comes from" in str(error) or "no item" in str(error), (changes, error)
            continue
        made += 1
        assert "# what all have" in after and {path for path, value in changes.items() if value is None}.isdisjoint(
            read(after)
        )
    assert made > 30


def test_aliases_that_go_in_a_circle_or_explode_are_refused() -> None:
    with pytest.raises(BadDocument, match="deep"):
        read("a: &a [*a]\n")
    text = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(BadDocument, match="aliases repeat more than"):
        read(text)
