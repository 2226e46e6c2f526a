"""Runs that are cut off while they write, as by a disk that is full, and a small migration for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Scenario

from flows import commands
from flows.apply import windows as applying
from flows.plan.request import Request
from transforms.vocabulary import SynclineError

FULL = "the disk is full"


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, error: Exception) -> None:
    """The window whose commit comes as the `number`-th fails, and no later one gets in."""
    commits = iter(range(1, 1000))
    original = applying.archive.note

    def failing(*args: Any) -> None:
        if next(commits) >= number:
            raise error
        original(*args)

    monkeypatch.setattr(applying.archive, "note", failing)


@contextmanager
def full_disk_at(number: int) -> Iterator[None]:
    """What is run inside fails at its `number`-th commit, and says that the disk is full."""
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, number, SynclineError(FULL))
        with pytest.raises(SynclineError, match=FULL):
            yield


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Ten rows in windows of two, into a table that is there."""
    made = Scenario.make(tmp_path, getattr(request, "param", RING[0]), request)
    made.source.execute("CREATE TABLE goods (no integer PRIMARY KEY, title varchar(40))")
    made.source.insert("goods", [(i, f"title {i}") for i in range(10)])
    made.target.execute("CREATE TABLE item (no integer PRIMARY KEY, title varchar(40))")
    write(made)
    return made


def write(shop: Scenario, **defaults: Any) -> None:
    shop.write({"item": {"from": "goods"}}, defaults={"window": 2, "delete": {"max_ratio": 1.0}, **defaults})


def one_by_one(shop: Scenario, **asked: Any) -> Request:
    """What a run is asked for whose windows are written one after the other."""
    return replace(shop.request("run"), workers=1, **asked)


def cut_off(shop: Scenario, windows: int = 2) -> None:
    """A run that fails after so many windows are in."""
    with full_disk_at(windows + 1):
        commands.run(one_by_one(shop))
    assert shop.target.count("item") == 2 * windows
