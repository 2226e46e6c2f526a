"""Errors: what went wrong, where, and how to fix it."""

from __future__ import annotations


class SynclineError(Exception):
    """What went wrong, where, and how to fix it, in one or two lines."""


def message_of(error: BaseException) -> str:
    """What an error says, with the notes that were added on its way up, in one line."""
    text, notes = str(error), getattr(error, "__notes__", ())
    end = "." if notes and text[-1:].isalnum() else ""
    return " ".join([f"{text}{end}", *notes])


class SpecError(SynclineError):
    """The spec is wrong in itself, or does not fit the schemas it names.

    `problems` are those that lie in tables of the spec: (table, what is wrong), the table None for others.
    """

    def __init__(self, message: str, problems: tuple[tuple[str | None, str], ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class DriftError(SpecError):
    """The schemas are no longer as the latest run of the spec left them."""


class PlanError(SynclineError):
    """A plan could not be made, or may not be applied."""


class DataError(SynclineError):
    """A value cannot be carried, and the spec says `fail`."""


class RowRefused(DataError):
    """The target refused rows while they were written, or did not keep them: another choice of rows may go in.

    `reason` is the engine's own, and `columns` are those that it names.
    """

    def __init__(self, message: str, reason: str = "", columns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason or message
        self.columns = columns


class AccountingError(SynclineError):
    """A run could not account for every row."""


class BusyError(SynclineError):
    """Another run holds the migration."""


class ConnectionFailed(SynclineError):
    """A server cannot be reached or refused us."""


class TransientError(SynclineError):
    """A fault that may pass: a lost connection, a deadlock, a serialization failure."""


class ChangedMeanwhile(TransientError):
    """Rows were not as they had been a moment before: others were faster, or a trigger of the target changed them."""


class SnapshotLost(TransientError):
    """The state of a database that was being read is gone, with the session that held it. Only a new snapshot helps."""
