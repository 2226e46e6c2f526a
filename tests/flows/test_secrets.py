"""A password is planted in every place that may hold one, every command is made to fail in every way, and nothing shows it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from canary import CANARY, PLAIN, everything_said, excerpt, files_of, leaks, opened_by_canary, write_spec

# where a URL holds it; @ stands for host, port and database
URLS = {
    "user info": "{scheme}://me:{coded}@{place}",
    "plain user info": "{scheme}://me:{plain}@{place}",
    "unescaped user info": "{scheme}://me:{raw}@{place}",
    "user info with a blank": "{scheme}://me:c4n ryp:w@{place}",
    "query with a blank": "{scheme}://me@{place}?password=c4n p:w",
    "query": "{scheme}://me@{place}?password={coded}",
    "key of TLS": "{scheme}://me@{place}?sslpassword={coded}",
    "other query": "{scheme}://me@{place}?ssl_key_password={coded}",
    "query with a bad option": "{scheme}://me:{coded}@{place}?nonsense=1&connect_timeout=never",
    "no port": "{scheme}://me:{coded}@127.0.0.1:port/db",
    "no scheme": "{scheme}x://me:{coded}@{place}",
    "broken brackets": "{scheme}://me:{coded}@[::1/db",
}
PLACES = {"no host": "nowhere.invalid:1/db", "nobody there": "127.0.0.1:1/db"}


def url_of(form: str, scheme: str, place: str) -> str:
    return URLS[form].format(scheme=scheme, place=place, coded=quote(CANARY, safe=""), plain=PLAIN, raw="c4n@ry/p:w%d")


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG)
    yield caplog


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize("form", URLS)
def test_a_password_in_a_url_is_never_shown(
    form: str, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    shown: list[tuple[Any, ...]] = []
    file = tmp_path / "spec.yaml"
    for number, place in enumerate(PLACES.values()):
        url = url_of(form, scheme, place)
        monkeypatch.setenv("SHOP", url)
        unread = ({"source": {"url": url, "nonsense": 1}}, {"name": "x y"})  # nobody goes there: one place is enough
        for broken in ({}, {"state": {"url": url}}, *(unread if not number else ())):
            spec: dict[str, Any] = {
                "version": 1, "name": "shop", "source": {"url": "${SHOP}"}, "target": {"url": url},
                "tables": {"t": {"from": "t", "key": ["k"]}}, **broken,
            }  # fmt: skip
            file.write_text(yaml.safe_dump(spec))
            for command in (
                ("check",),
                ("run", "--direct"),
                ("history",),
                ("run", "--direct", "--debug"),
                ("plan", "--json"),
            ):
                said = everything_said((command[0], file, *command[1:]), log)
                assert command[0] == "history" or "error: " in said or "Traceback" in said, command
                if found := leaks(said):
                    shown.append((command, list(broken), place, found, excerpt(said, found)))
        said = everything_said(("scaffold", url, "sqlite:///x.db", "-o", tmp_path / "draft.yaml"), log)
        if found := leaks(said):
            shown.append(("scaffold", place, found, excerpt(said, found)))
    file.unlink()
    shown += [(path, leaks(text)) for path, text in files_of(tmp_path) if leaks(text)]
    assert shown == []


def test_a_password_that_opens_a_database_is_nowhere_afterwards(
    mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """A whole life of a migration on a server that asks for the password."""
    file = tmp_path / "spec.yaml"
    write_spec(file, "${SHOP}")
    with opened_by_canary(mariadb_url) as (url, execute):
        monkeypatch.setenv("SHOP", url)
        said = [
            everything_said((command[0], file, *command[1:]), log)
            for command in (
                ("check",), ("plan",), ("run", "--direct"), ("verify", "--json"), ("history",), ("quarantine", "show"),
                ("report",), ("drift",),
            )
        ]  # fmt: skip
        execute("ALTER USER 'canary' IDENTIFIED BY 'another'")
        said += [everything_said((command, file, "--debug"), log) for command in ("check", "verify")]
    assert "Version 1" in said[2]
    assert "denied" in said[-1]
    said += [text for _, text in files_of(tmp_path)]
    assert [(leaks(text), text[:1500]) for text in said if leaks(text)] == []
