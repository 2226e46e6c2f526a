"""What a server was asked, remembered: each question is asked once, and again where its answer may have changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Subject = TypeVar("Subject", bound=Hashable)
Answer = TypeVar("Answer")


class Known(Generic[Subject, Answer]):
    """Answers by what they are about, for all threads of an adapter. None, which says that it is not there, is not remembered.

    Two threads that ask at once may both ask the server.
    """

    def __init__(self, ask: Callable[[Subject], Answer | None]) -> None:
        self._ask = ask
        self._guard = Lock()
        self._answers: dict[Subject, Answer] = {}

    def of(self, subject: Subject) -> Answer | None:
        """The answer, asked for where it is not known."""
        with self._guard:
            known = self._answers.get(subject)
        return self.anew(subject) if known is None else known

    def anew(self, subject: Subject) -> Answer | None:
        """The answer of now."""
        answer = self._ask(subject)
        if answer is None:
            self.forget(subject)
        else:
            with self._guard:
                self._answers[subject] = answer
        return answer

    def forget(self, subject: Subject) -> None:
        """Ask again the next time."""
        with self._guard:
            self._answers.pop(subject, None)

    def clear(self) -> None:
        """Forget all: what was asked about may be another one now."""
        with self._guard:
            self._answers.clear()
