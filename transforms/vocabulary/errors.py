"""Errors: what went wrong, where, and how to fix it, as data; their text is for people alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self


def _text(what: str, fix: str, where: str = "") -> str:
    return " ".join(part for part in (f"{where}: {what}" if where else what, f"Fix: {fix}" if fix else "") if part)


class SynclineError(Exception):
    """What went wrong, how to fix it where that is known, and `where`: the place in a spec, such as `spec.yaml:6`.

    `what` and `fix` end with a full stop; `fix` begins in lower case. `str` puts all of it together, in one or two lines.
    Programs go by the class or by `code`, which stays when texts change.
    """

    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, fix: str = "", where: str = "") -> None:
        super().__init__(what)
        self.what, self.fix, self.where = what, fix, where

    def __str__(self) -> str:
        return _text(self.what, self.fix, self.where)

    def as_dict(self) -> dict[str, Any]:
        """`code`, `what`, `fix` and `where`, as JSON; texts that are not known are empty."""
        return {"code": self.code, "what": self.what, "fix": self.fix, "where": self.where}


def message_of(error: BaseException, fix: str = "") -> str:
    """What an error says, with the notes that were added on its way up, in one line. `fix` is for one that knows none."""
    text, notes = str(error), getattr(error, "__notes__", ())
    end = "." if notes and text[-1:].isalnum() else ""
    hint = [f"Fix: {fix}"] if fix and not getattr(error, "fix", "") else []
    return " ".join([f"{text}{end}", *notes, *hint])


@dataclass(frozen=True, slots=True)
class Problem:
    """One of the things that are wrong with a spec, and the table of the spec that it lies in, None for others."""

    what: str
    fix: str = ""
    where: str = ""
    table: str | None = None

    def __str__(self) -> str:
        return _text(self.what, self.fix, self.where)

    def within(self, where: str, about: str = "") -> Problem:
        """The same problem, said of something at `where`, such as a column, whose name and a colon may be `about`."""
        return replace(self, what=f"{about}{_text(self.what, '', self.where)}", where=where)

    def as_dict(self) -> dict[str, Any]:
        return {"table": self.table, "where": self.where, "what": self.what, "fix": self.fix}


class SpecError(SynclineError):
    """The spec is wrong in itself, or does not fit the schemas it names: in one way, or in several `problems`, a line each."""

    code = "spec"

    def __init__(self, what: str, *, fix: str = "", where: str = "", table: str | None = None) -> None:
        super().__init__(what, fix=fix, where=where)
        self.problems: tuple[Problem, ...] = (Problem(what, fix, where, table),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """One error for all of them, of which there is at least one."""
        known = tuple(problems)
        if len(known) == 1:
            (one,) = known
            return cls(one.what, fix=one.fix, where=one.where, table=one.table)
        whole = cls(
            "\n".join(_text(each.what, "", each.where) for each in known if each.what),
            fix="\n".join(dict.fromkeys(each.fix for each in known if each.fix)),
        )
        whole.problems = known
        return whole

    def of_table(self, name: str) -> list[Problem]:
        """The problems, which lie in this table of the spec."""
        return [replace(each, table=name) for each in self.problems]

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))

    def as_dict(self) -> dict[str, Any]:
        """As of every error; beside that, `problems`: each with `table`, `where`, `what` and `fix`."""
        return {**super().as_dict(), "problems": [each.as_dict() for each in self.problems]}


class DriftError(SpecError):
    """The schemas are no longer as the latest run of the spec left them."""

    code = "drift"


class PlanError(SynclineError):
    """A plan could not be made, or may not be applied. `path`: the file or folder of a plan that is missing or was changed."""

    code = "plan"

    def __init__(self, what: str, *, fix: str = "", where: str = "", path: str = "") -> None:
        super().__init__(what, fix=fix, where=where)
        self.path = path


class DataError(SynclineError):
    """A value cannot be carried, and the spec says `fail`."""

    code = "data"


class RowRefused(DataError):
    """The target refused rows while they were written, or did not keep them: another choice of rows may go in.

    `reason` is the engine's own, and `columns` and `constraint` are those that it names. `kind`: the row itself is wrong (`row`),
    one that it refers to or that refers to it stands against it (`reference`), or another one has a value that is unique (`double`).
    """

    code = "row_refused"

    def __init__(
        self,
        what: str,
        reason: str = "",
        columns: tuple[str, ...] = (),
        constraint: str = "",
        *,
        kind: Literal["row", "reference", "double"] = "row",
        fix: str = "",
        where: str = "",
    ) -> None:
        super().__init__(what, fix=fix, where=where)
        self.reason = reason or what
        self.columns = columns
        self.constraint = constraint
        self.kind = kind


class AccountingError(SynclineError):
    """A run could not account for every row."""

    code = "accounting"


class BusyError(SynclineError):
    """Another run holds the migration."""

    code = "busy"


class Declined(SynclineError):
    """Somebody was asked, and said no."""

    code = "declined"


class ConnectionFailed(SynclineError):
    """A server cannot be reached or refused us."""

    code = "connection"


class TransientError(SynclineError):
    """A fault that may pass: a lost connection, a deadlock, a serialization failure."""

    code = "transient"


class ChangedMeanwhile(TransientError):
    """Rows were not as they had been a moment before: others were faster, or a trigger of the target changed them."""

    code = "changed_meanwhile"


class SnapshotLost(TransientError):
    """The state of a database that was being read is gone, with the session that held it. Only a new snapshot helps."""

    code = "snapshot_lost"
