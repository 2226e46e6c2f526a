"""A channel of PostgreSQL (NOTIFY) that is listened on: what other programs say there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors, sql

from adapters.postgres.connection import Connections
from transforms.vocabulary import SpecError


def channel(url: str, name: str) -> PostgresChannel:
    return PostgresChannel(url, name)


class PostgresChannel:
    """A Channel (see the protocol) with a connection of its own, outside of transactions."""

    def __init__(self, url: str, name: str) -> None:
        self._connections, self._name = Connections(url), name
        self._connection: psycopg.Connection[Any] | None = None
        self._heard: list[str] = []

    def open(self) -> None:
        self._listening()

    def wait(self, seconds: float) -> bool:
        if not self._heard:
            self._hear(seconds, 1)
        return bool(self._heard)

    def take(self, most: int) -> list[str]:
        if len(self._heard) < most:
            self._hear(0, most - len(self._heard))
        taken, self._heard = self._heard[:most], self._heard[most:]
        return taken

    def say(self, texts: Sequence[str]) -> None:
        said = "SELECT pg_catalog.pg_notify(%s, text) FROM pg_catalog.unnest(%s::text[]) text"
        with self._connections.begin("Speaking on a channel") as connection:
            connection.execute(said, (self._name, list(texts)))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._connections.close()

    def _hear(self, seconds: float, most: int) -> None:
        with self._connections.translated("Listening on a channel"):
            told = self._listening().notifies(timeout=seconds, stop_after=most)
            self._heard += [each.payload for each in told]

    def _listening(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            with self._connections.translated("Listening on a channel"):
                connection = self._connections.own()
                try:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._name)))
                except errors.ReadOnlySqlTransaction as error:
                    connection.close()
                    raise SpecError(
                        f"{self._connections.url} is a standby, on which nobody can listen.",
                        fix="follow its primary, or leave `follow: {listen: …}` out.",
                    ) from error
                except BaseException:
                    connection.close()
                    raise
                self._connection = connection
        return self._connection
