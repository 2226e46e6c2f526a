"""The tables of policies and rules are what reconciling does: `UPDATE_DOCS=1` writes them anew."""

from __future__ import annotations

import os

from policy_table import PAGE, page_parts, replaced


def test_the_page_says_what_each_policy_makes_of_a_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = replaced(page, page_parts())
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(found, encoding="utf-8")
        page = found
    assert page == found, "docs/two_ways.md is out of date: run the tests once with UPDATE_DOCS=1"
