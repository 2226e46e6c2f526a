"""The way from a wheel to the first `verify`, as the READMEs tell it, in a bare folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.timeout(300)
def test_what_the_readmes_say_leads_from_a_wheel_to_a_proof(tmp_path: Path) -> None:
    pytest.importorskip("build")
    from examples.five_minutes import follow

    told: list[str] = []
    seconds = follow(tmp_path, told.append, direct=True)
    said = [line.partition("$ ")[2].split(" ")[1] for line in told if "$ syncline" in line]
    assert said == ["init", "check", "plan", "run", "verify"]
    assert seconds < 300
