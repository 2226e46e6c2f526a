"""Who looks on while a plan is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from flows.session.retry import Policy
from transforms.mapping.mapping import Mapped, Noted
from transforms.vocabulary import ChangeSet, Reason


class Watch:
    """Sees what a plan sees, from several threads at once. This one looks away; an assessment has its own.

    `policy` is how windows are tried again whose fault may pass, None for as ever. `counts`: it must see each row once only.
    """

    policy: Policy | None = None
    counts: bool = False

    def noting(self, table: str, window: int) -> Noted | None:
        """What takes notes of the batches of a window, None where nobody listens."""
        return None

    def refused(self, table: str, window: int, rows: pa.Table, why: Sequence[Reason]) -> None:
        """Rows of a window, as they would be written, that the target would not take."""

    def decided(self, table: str, window: int, mapped: Mapped, found: pa.Table, changes: ChangeSet) -> None:
        """What became of a window: `mapped` has all rows set aside, `found` the target's rows as they are."""


UNWATCHED: Final = Watch()
