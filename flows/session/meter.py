"""Who is shown how far a run is."""

from __future__ import annotations


class Meter:
    """Is shown how far a run is. This one keeps silent; a terminal and a Prefect run have their own."""

    def expect(self, table: str, what: str, rows: int) -> None:
        """About `rows` rows of the table will be worked on; `what` is read, plan or apply."""

    def advance(self, table: str, what: str, rows: int) -> None:
        """So many more rows are through. Called from several threads."""

    def notice(self, text: str) -> None:
        """Something a person may want to know while a run goes on."""

    def again(self) -> None:
        """Work begins anew: what was shown so far does not count."""
