"""What a channel promises: texts that other programs send through a database, as soon as they are committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Channel(Protocol):
    """A channel of one name. Nothing is kept for who does not listen. Used by one thread.

    Every method raises ConnectionFailed or TransientError where the server cannot be reached, or was lost since: what is sent until
    the channel is opened anew is never heard.
    """

    def open(self) -> None:
        """Listen from now on. Idempotent. SpecError where the server does not let anybody listen."""

    def wait(self, seconds: float) -> bool:
        """Whether there is something to take, as soon as there is, and after `seconds` at the latest."""

    def take(self, most: int) -> list[str]:
        """The next texts, at most so many, in the order in which they were committed; it does not wait."""

    def say(self, texts: Sequence[str]) -> None:
        """Send texts to whoever listens, all at once; nobody has to."""

    def close(self) -> None:
        """Listen no more. Idempotent."""
