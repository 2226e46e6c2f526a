"""Rows and names that would steer a terminal, a browser or a Markdown page: they are shown, and do nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from scenario import Scenario

from flows.cli.main import main
from flows.cli.terminal.rows import console, show_rows
from flows.results.visible import as_code, in_json, in_markdown, visible

HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[bold]b[/bold]", "[/]", ":smile:", "\x1b[2J\x1b]0;t\x07",
    "\x9b2J", "a|b", "`x` ``y``", "${jndi:ldap://x}", "one\ntwo\rthree", "‮abc⁦d", "[x](javascript:alert(1))", "{{ 7 * 7 }}",
    '"><svg onload=alert(1)>', "=1+1", "%s %(x)s {0}", "\x7f",
)  # fmt: skip
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
NAME = 'a"<b>[bold]\x1b[1m|`‮'


@given(st.text())
def test_visible_text_steers_nothing_and_keeps_what_is_visible(text: str) -> None:
    shown = visible(text)
    assert not STEERING.search(shown)
    assert visible(shown) == shown
    if text.isprintable():
        assert shown == text
    shown.encode()


@given(st.dictionaries(st.text(), st.text()))
def test_json_is_the_same_value_and_steers_nothing(value: dict[str, str]) -> None:
    text = in_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(text) == value
    assert not STEERING.search(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_has_no_markup_of_a_rows(text: str) -> None:
    shown = in_markdown(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert not re.search(r"(?<!\\)[`*_\[\]|]", shown)
    code = as_code(text)
    fence = re.match("`+", code)
    assert fence
    assert not re.search(f"(?<!`){fence[0]}(?!`)", code[len(fence[0]) : -len(fence[0])])


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_shows_what_a_row_holds(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    show_rows(text, (text, "b"), [(text, 1)], empty="")
    console().print(Text(visible(text), style="bold"))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert not STEERING.search(shown)
    assert shown.count(visible(" ".join(text.split()))) >= 1


class _Page(HTMLParser):
    """What a browser would run or load."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "object", "embed", "base", "form", "link"):
            self.active.append(tag)
        for name, value in attributes:
            link = name in ("href", "src", "action", "formaction", "xlink:href")
            if name.startswith("on") or (link and not (value or "").startswith("#")):
                self.active.append(f"{tag} {name}={value}")


@pytest.fixture
def hostile(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    quoted = f'"{NAME.replace(chr(34), chr(34) * 2)}"'
    shop.source.execute(f"CREATE TABLE {quoted} (k text PRIMARY KEY, {quoted} text, n text)")
    with shop.source.connected() as run:
        for number, text in enumerate(HOSTILE):
            run(f"INSERT INTO {quoted} VALUES (?, ?, ?)", (text, text, text if number % 2 else "1"))
    columns = {"k": "k", NAME: NAME, "n": {"from": "n", "cast": "bigint"}}
    rules = [{"type": "expect_column_values_to_match_regex", "column": NAME, "regex": "^x", "severity": "info"}]
    shop.write({NAME: {"from": NAME, "key": ["k"], "columns": columns, "expect": rules}})
    return shop


def test_hostile_rows_do_nothing_in_any_output(hostile: Scenario, tmp_path: Path) -> None:
    def said(*arguments: Any) -> Result:
        done = CliRunner().invoke(main, [str(each) for each in arguments])
        assert "unexpected" not in done.output, done.output
        assert not STEERING.search(done.output), (arguments, STEERING.search(done.output))
        return done

    commands: tuple[tuple[Any, ...], ...] = (
        ("check",), ("plan",), ("run", "--direct"), ("verify",), ("history",), ("show", 1), ("log", NAME, "--key", HOSTILE[0]),
        ("asof", 1, NAME), ("diff", 0, 1), ("quarantine", "list"), ("quarantine", "show"), ("drift",), ("report",),
    )  # fmt: skip
    for name, *rest in commands:
        said(name, hostile.path, *rest)
        asked = said(name, hostile.path, *rest, "--json")
        json.loads(asked.stdout)
    said("log", hostile.path, HOSTILE[5], "--key", HOSTILE[5])  # an error that names them
    pages = list((tmp_path / "store").rglob("report.html"))
    assert pages
    for path in pages:
        page = _Page()
        page.feed(path.read_text())
        assert page.active == []
        bidi = dict.fromkeys((0x202E, 0x2066, 0x2028))  # each value is isolated from its surroundings
        assert not STEERING.search(path.read_text().translate(bidi))
