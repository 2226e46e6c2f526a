"""A central configuration and five components: the whole story of `make config`, its commands in this process."""

from __future__ import annotations

from pathlib import Path

import command_line
import pytest

from examples.config.demo import told


def test_five_components_are_kept_in_step_with_the_centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told(tmp_path, lambda *arguments, status=0: command_line.syncline(*arguments, status=status).output)
