"""The pictures of Prefect's UI in the documentation: each moment has one, and none is large."""

from __future__ import annotations

import re
from pathlib import Path

from examples.prefect.pictures import MOMENTS, PICTURES

LARGEST = 120_000  # bytes


def test_the_page_shows_a_small_picture_of_each_moment() -> None:
    page = (PICTURES.parent / "prefect.md").read_text(encoding="utf-8")
    shown = {name: about for about, name in re.findall(r"!\[(.+?)\]\(pictures/(\w+)\.png\)", page)}
    assert shown == {name: about.replace("`", "") for name, about in MOMENTS.items()}
    assert {each.stem for each in Path(PICTURES).glob("*.png")} == set(MOMENTS)
    assert [each.name for each in PICTURES.glob("*.png") if each.stat().st_size > LARGEST] == []
