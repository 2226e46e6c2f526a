"""Who is shown how far a run is."""

from __future__ import annotations

from collections.abc import Mapping


class Meter:
    """Is shown how far a run is. This one keeps silent; a terminal, a pipe and a Prefect run have their own.

    Work on a table goes by phases: look, read, plan, apply. Calls come from several threads.
    """

    silent = True
    """Nobody looks: what is only there to be shown need not be found out."""

    def foresee(self, what: str, tables: Mapping[str, int]) -> None:
        """About so many rows of each table will come to a phase; `expect` says it better once it begins."""

    def expect(self, table: str, what: str, rows: int) -> None:
        """About `rows` more rows of the table will be worked on now."""

    def advance(self, table: str, what: str, rows: int) -> None:
        """So many more rows are through."""

    def finish(self, table: str, what: str) -> None:
        """All rows of the table are through, however many were expected."""

    def step(self, number: int, of: int, what: str) -> None:
        """The work on a part begins, `number` (from 1) `of` so many, such as a day of a backfill: tables begin anew."""

    def notice(self, text: str) -> None:
        """Something a person may want to know while a run goes on."""

    def again(self) -> None:
        """Work begins anew: what was shown so far does not count."""

    def approves(self, question: str) -> bool:
        """Whether a person says yes to that; also where nobody is there to be asked."""
        return True
