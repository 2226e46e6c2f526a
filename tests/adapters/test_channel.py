"""What a channel promises (adapters/feeds/channel.py), on a real server."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg
import pytest

from adapters.registry import open_channel
from transforms.vocabulary import TransientError


def test_what_is_committed_on_a_channel_is_heard_at_once_and_in_order(postgres_url: str) -> None:
    channel = open_channel(postgres_url, "A channel")
    assert channel is not None
    with closing(channel), psycopg.connect(postgres_url) as other:
        channel.open()
        channel.open()
        began = time.monotonic()
        assert not channel.wait(0.05)
        assert channel.take(9) == []
        assert time.monotonic() - began < 1
        for number in range(5):
            other.execute(f"""NOTIFY "A channel", '{number}'""".encode())
        assert not channel.wait(0), "it is not committed yet"
        other.execute("NOTIFY another")
        other.commit()
        assert channel.wait(5)
        assert channel.wait(5), "it is there until it is taken"
        assert [*channel.take(3), *channel.take(3), *channel.take(3)] == ["0", "1", "2", "3", "4"]
        other.execute("""NOTIFY "A channel", 'no'""")
        other.rollback()
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
        )
        with pytest.raises(TransientError):
            channel.wait(5)


@pytest.mark.parametrize("url", ["sqlite:///there.db", "duckdb:///there.db", "mysql://u@h/d"])
def test_others_have_no_channels(url: str) -> None:
    assert open_channel(url, "one") is None
