"""The tables of policies and rules are what reconciling does: `UPDATE_DOCS=1` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from policy_table import PAGES, page_parts, replaced


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_says_what_each_policy_makes_of_a_row(page: Path) -> None:
    text, parts = page.read_text(encoding="utf-8"), page_parts()
    found = replaced(text, {name: parts[name] for name in PAGES[page]})
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(found, encoding="utf-8")
        text = found
    assert text == found, f"{page.name} is out of date: run the tests once with UPDATE_DOCS=1"
