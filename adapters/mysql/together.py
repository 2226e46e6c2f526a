"""Windows of several tables in one transaction of MariaDB or MySQL, whose foreign keys hold at each statement."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pymysql

from adapters.mysql.catalog import Described
from adapters.mysql.connection import Connection, Connections, run
from adapters.mysql.markers import Markers, mark
from adapters.mysql.writer import Window
from adapters.sql.savepoint import savepoint
from transforms.vocabulary import Applied, ChangeSet, Marker, TableShape


class Joint:
    """See the protocol. `described_of` knows the catalog's rows of a table; Errors: of tables without transactions."""

    def __init__(
        self,
        connection: Connection,
        connections: Connections,
        markers: Markers,
        described_of: Callable[[TableShape], Described],
    ) -> None:
        self._connection, self._connections = connection, connections
        self._markers, self._described_of = markers, described_of

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        trial: bool = False,
    ) -> Applied:
        if marker is not None:
            self._markers.make_table()
        described = self._described_of(shape)
        with (
            self._connections.translated(f"Writing {changes.table}"),
            savepoint(partial(run, self._connection), "syncline_window", pymysql.Error, trial=trial),
        ):
            if marker is not None and not mark(self._connection, marker):
                return Applied(already=True)
            window = Window(self._connection, changes, described)
            return window.as_left(window.change())

    def hold(self) -> None:
        """No foreign key waits."""
