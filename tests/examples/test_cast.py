"""The recorded session says what the commands say now, but for times, runs and rates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_the_recorded_session_is_what_the_commands_say_on_a_terminal_of_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from examples import cast

    kept = cast.CAST.read_text(encoding="utf-8")
    header, events = json.loads(kept.splitlines()[0]), cast.read(kept)
    assert (header["version"], header["width"], header["height"]) == (2, 80, 24)
    assert [at for at, _ in events] == sorted(at for at, _ in events)
    page = cast.TRANSCRIPT.search(cast.PAGE.read_text(encoding="utf-8"))
    assert page is not None and page[0] == cast.screen(events)

    again = cast.masked(cast.screen(list(cast.record(tmp_path / "shop"))))
    assert again == cast.masked(page[0])
    shown = [
        line for line in again.splitlines() if not line.startswith(("Version ", "Equal: ")) and "Apply with" not in line
    ]
    assert [
        line for line in shown if len(line) > 80 and "=" not in line
    ] == []  # what is longer is one line of values or of prose


def test_what_was_drawn_over_is_not_on_the_screen() -> None:
    from examples.cast import screen

    assert (
        screen([(0, "$ a\r\nbar 1\r\n"), (1, "\x1b[1A\x1b[2Kbar 2"), (2, "\r\x1b[2K"), (3, "\x1b[1mdo\x1b[0mne\r\n")])
        == "$ a\ndone\n\n"
    )
