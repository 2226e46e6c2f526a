"""Documents: paths parse back to themselves, and any edit gives the document that somebody would have edited."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.documents.formats import Format, format_of
from adapters.documents.paths import Item, Name, Path, Place, parsed, spelled
from adapters.documents.tree import BadDocument, Keyed, Rows, Wrong, rows_from, settled, tree_of
from adapters.documents.values import Value, is_canonical

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "a b",
            "yes",
            "null",
            "1",
            "1.0",
            "2020-01-01",
            "# no",
            "- x",
            "a: b",
            "'q'",
            '"',
            " x ",
            "tab\t",
            "é\n",
            "l1\nl2\n",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
NAMES = st.one_of(st.sampled_from(["a", "b", "c d", "x.y", "", "é", "1", "true"]), TEXTS)
SCALARS = st.one_of(
    TEXTS.map(lambda text: Value("text", text)),
    st.integers(-(2**80), 2**80).map(lambda number: Value("int", str(number))),
    st.floats().map(lambda number: Value("float", repr(number))),
    st.booleans().map(lambda yes: Value("bool", str(yes).lower())),
    st.just(Value("null", None)),
    st.dates().map(lambda day: Value("date", day.isoformat())),
    st.datetimes().map(lambda when: Value("datetime", when.isoformat())),
)
STEPS = st.one_of(
    NAMES.map(Name),
    st.integers(0, 9).map(Place),
    st.builds(Item, NAMES, SCALARS.filter(is_canonical)),
    st.integers().map(lambda number: Name(str(number), "int")),
    st.booleans().map(lambda yes: Name(str(yes).lower(), "bool")),
)
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(NAMES, below, max_size=3)),
        max_leaves=6,
    ),
    max_size=4,
)
LISTS = Keyed()


@given(st.lists(STEPS, max_size=4).map(tuple))
def test_every_path_parses_back_to_itself(path: Path) -> None:
    assert parsed(spelled(path)) == path


@given(st.text(alphabet='ab".[]=!0\\ ', max_size=10))
def test_a_text_spells_one_path_or_none(text: str) -> None:
    path = parsed(text)
    assert path is None or spelled(path) == text


def leaves(tree: Any, path: Path = ()) -> Rows:
    """The rows of a tree of dicts and lists of values."""
    if isinstance(tree, Value):
        return {spelled(path): (path, tree)}
    steps = (
        [(Place(at), each) for at, each in enumerate(tree)]
        if isinstance(tree, list)
        else [(Name(k), v) for k, v in tree.items()]
    )
    found = {text: row for step, below in steps for text, row in leaves(below, (*path, step)).items()}
    return found or ({spelled(path): (path, Value("list" if isinstance(tree, list) else "map", None))} if path else {})


def fitting(form: Format, rows: Rows) -> Rows:
    """Those that the format can have, without gaps in lists."""
    some = {text: row for text, row in rows.items() if form.refusal(text, row[1]) is None}
    try:
        tree_of(some)
    except BadDocument:
        return {}
    return some


def written(form: Format, text: str, rows: Rows, spellings: Any = {}) -> tuple[str, Any]:  # noqa: B006 - only read
    return form.changed(text, rows, Wrong("it", text), LISTS, spellings)


def read(form: Format, text: str) -> Rows:
    return form.parse(text, Wrong("it", text), LISTS)


@pytest.mark.parametrize("scheme", ["yaml", "json", "toml", "ini", "env"])
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_any_document_becomes_any_other_and_values_come_back_to_the_byte(scheme: str, data: st.DataObject) -> None:
    form = format_of(scheme)
    shape = (
        DOCUMENTS
        if form.typed
        else st.dictionaries(NAMES, SCALARS | st.dictionaries(NAMES, SCALARS, max_size=3), max_size=4)
    )
    first = fitting(form, leaves(data.draw(shape)))
    second = fitting(form, leaves(data.draw(shape)))
    text, _ = written(form, "", first) if first or scheme != "json" else ("{}\n", {})
    assert read(form, text) == first
    other, _ = written(form, text, second)
    assert read(form, other) == second
    if scheme == "json":
        json.loads(other)
    if scheme == "toml":
        tomllib.loads(other)
    if scheme == "yaml":
        yaml.safe_load_all(other)
    changed = {
        path: (row[0], new)
        if form.refusal(path, new := data.draw(SCALARS)) is None and row[1].kind not in ("map", "list")
        else row
        for path, row in first.items()
    }
    edited, replaced = written(form, text, changed)
    assert read(form, edited) == changed
    assert written(form, edited, first, replaced)[0] == text


YAML = """\
# the head
server:            # who answers
  port: 0x1F90     # in hex
  host: 'web'

  tags: [a, 'b', # why
    c]
when: 2020-01-01 10:00:00 +2
nothing:
text: |
  one
   two

# the tail
"""
TOML = """\
# the head
port = 0x1F90 # in hex
[server]
host = 'web' # who answers
when = 1979-05-27 07:32:00Z
  [server.deep]
  list = [ 1, # one
    2 ]

[[item]]
name = "a"
# the tail
"""
INI = "; the head\nflag\n[server]\nport : 8080\ntext = one\n  two\n\n# the tail\n"
ENV = "# the head\nexport PORT=8080 # why\nHOST='web'\nTEXT=\"a\\nb\"\n# the tail\n"
JSON = '{\n\t"port":8080 ,\n\t"list": [1,2 , {"a":1e3}],\n\t"text": "\\u00e9"\n}'


@pytest.mark.parametrize(
    ("scheme", "text"), [("yaml", YAML), ("toml", TOML), ("ini", INI), ("env", ENV), ("json", JSON)]
)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_comments_order_and_layout_stay_where_values_change_and_undo_gives_the_bytes_back(
    scheme: str, text: str, data: st.DataObject
) -> None:
    form = format_of(scheme)
    rows = read(form, text)
    path = data.draw(st.sampled_from(sorted(rows)))
    value = data.draw(SCALARS.filter(lambda each: form.refusal(path, each) is None))
    changed = {**rows, path: (rows[path][0], value)}
    other, replaced = written(form, text, changed)
    assert read(form, other) == changed
    for word in ("the head", "the tail", "why", "who answers", "in hex"):
        assert word not in text or word in other
    assert written(form, other, rows, replaced)[0] == text
    gone = settled({each: row for each, row in rows.items() if each != path})
    if fitting(form, gone) == gone:
        less, _ = written(form, text, gone)
        assert read(form, less) == gone
        assert rows_from(gone.values()) == gone
