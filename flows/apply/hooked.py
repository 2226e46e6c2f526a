"""The hooks of one command: what comes before it and before its rows, and after them whatever becomes of it.

Law: no row is written before every hook has done what it was asked for that comes before; every hook that comes after runs once
the command has begun, unless it is killed or interrupted, or another one holds the migration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from adapters import interrupts
from adapters.store.manifest import PlannedHook
from adapters.store.plans import Plan
from flows.apply.load import Loading, Writing
from flows.results.outcome import Outcome, Status
from flows.results.shares import DONE_TO
from flows.results.tables import Report
from flows.session.hooks import HookFailed, fitting, hooks_of, listed, name_of, planned, run_hook
from flows.session.meter import Meter
from flows.session.session import Job, Session
from flows.spec.model import Spec
from transforms.vocabulary import BusyError, Notice, PlanError, message_of

When = Literal["before", "after"]
FAILED: Final = "failed"
ENDS: Final[Mapping[Status, str]] = {status: status.name.lower() for status in Status} | {Status.ERROR: FAILED}
STAYS: Final = "What was written stays."


@dataclass
class Hooked:
    """The hooks of a command of a spec. `wanted`: there are to be any. The command calls `whole` around all that it does, and `inside`
    around what it does once it has the migration to itself."""

    spec: Spec
    command: str
    run_id: str
    meter: Meter
    wanted: bool = True
    _begun: bool = False
    _over: bool = False
    _failed: list[HookFailed] = field(default_factory=list)

    def whole(self, work: Callable[[], Outcome]) -> Outcome:
        """What `work` comes to. An error that ends it before `inside` is told to the hooks that come after, too."""
        if not self.wanted:
            return work()
        fitting(self.spec)
        try:
            return work()
        except BusyError:
            raise  # whoever is at work has hooks of their own
        except Exception as error:
            self._after_failure(error)
            raise

    def inside(self, work: Callable[[], Outcome], *, ends: bool = True) -> Outcome:
        """What `work` comes to, between the hooks of the run: those that come after run where it `ends` the command. Errors: HookFailed
        where one that comes before fails: nothing is done."""
        if not self.wanted:
            return work()
        try:
            if not self._begun:
                self._begun = True
                self._before(None, self.spec, None)
            outcome = work()
        except Exception as error:
            self._after_failure(error)
            raise
        if not ends:
            return outcome
        self._over = True
        self._failed += self._after(None, self.spec, ENDS[outcome.status], outcome.message, outcome.report)
        return self._told(outcome)

    def writing(self, inner: Writing) -> Writing:
        """What writes a plan, between the hooks of the tables that the plan names."""

        def write(plan: Plan, report: Report, job: Job, loading: Loading) -> tuple[Outcome, Session]:
            tables = list(dict.fromkeys(each.table for each in plan.manifest.hooks if each.table is not None))
            if not self.wanted or not tables:
                return inner(plan, report, job, loading)
            try:
                for name in tables:
                    self._before(name, loading.spec, report)
                outcome, session = inner(plan, report, job, loading)
            except Exception as error:
                if interrupts.received() is None:
                    for name in tables:
                        _note(error, self._after(name, loading.spec, FAILED, message_of(error), report))
                raise
            end, told = ENDS[outcome.status], outcome.report
            failed = [each for name in tables for each in self._after(name, loading.spec, end, outcome.message, told)]
            self._failed += failed
            return replace(outcome, report=replace(told, warnings=(*told.warnings, *_notices(failed)))), session

        return write

    def must_be_planned(self, plan: Plan, spec: Spec) -> None:
        """Errors: PlanError where the spec has other hooks by now than a plan says."""
        if plan.manifest.hooks != listed(spec, plan.manifest.tables):
            raise PlanError(
                f"The hooks of {spec.path} are others than when {plan.folder} was planned. Nothing was written.",
                fix="plan again.",
            )

    def _before(self, table: str | None, spec: Spec, report: Report | None) -> None:
        for failed in self._run("before", table, spec, None, "", report):
            raise HookFailed(f"{failed.what} Nothing was written.", fix=f"see to it, or take it out of {spec.path}.")

    def _after(self, table: str | None, spec: Spec, end: str, message: str, report: Report | None) -> list[HookFailed]:
        return list(self._run("after", table, spec, end, message, report))

    def _after_failure(self, error: Exception) -> None:
        if not self._over and interrupts.received() is None:
            self._over = True
            _note(error, self._after(None, self.spec, FAILED, message_of(error), None))

    def _run(
        self, when: When, table: str | None, spec: Spec, end: str | None, message: str, report: Report | None
    ) -> Iterator[HookFailed]:
        """Run the hooks of the run or a table, one after the other; those that failed."""
        for hook in hooks_of(spec, when, table):
            if end is None or hook.wanted(end):
                shown = planned(spec, hook, when, table)
                self.meter.notice(name_of(shown))
                try:
                    run_hook(spec, hook, shown, self._facts(shown, end, message, report))
                except HookFailed as failed:
                    yield failed

    def _facts(self, shown: PlannedHook, end: str | None, message: str, report: Report | None) -> dict[str, Any]:
        """What a hook is told: names, counts and messages, and no other values of rows."""
        of = f" of {shown.table}" if shown.table is not None else ""
        subject = f"{self.spec.name}: {self.command}{of} {end or 'begins'}"
        total = None if report is None else report.total
        said = [] if total is None or end is None else [f"{getattr(total, op)} {word}" for op, word in _DONE.items()]
        counts = f": {', '.join(said)}." if said and end not in (None, FAILED) else "."
        return {
            "format": 1,
            "when": shown.when,
            "table": shown.table,
            "migration": self.spec.name,
            "member": self.spec.member,
            "command": self.command,
            "run_id": self.run_id,
            "spec": str(self.spec.path.absolute()),
            "status": end,
            "message": message,
            "began": self._begun,
            "version": None if report is None else report.version,
            "plan": None if report is None else report.plan,
            "report": None if report is None else report.page,
            "total": None if total is None else total.as_dict(),
            "tables": {} if report is None else {each.name: each.counts.as_dict() for each in report.tables},
            "subject": subject,
            "text": f"{subject}{counts} {message}".strip(),
        }

    def _told(self, outcome: Outcome) -> Outcome:
        """The outcome with what failed that came after: it takes nothing back, and has an exit status of its own."""
        if not self._failed:
            return outcome
        notices = [each for each in _notices(self._failed) if each not in outcome.report.warnings]
        report = replace(outcome.report, warnings=(*outcome.report.warnings, *notices))
        status = Status.HOOK if outcome.status is Status.DONE else outcome.status
        said = [outcome.message, *(each.what for each in self._failed), STAYS]
        return Outcome(report, status, " ".join(each for each in said if each))


_DONE: Final = {**DONE_TO, "quarantined": "in quarantine"}


def _notices(failed: list[HookFailed]) -> list[Notice]:
    return [Notice("hook_failed", each.what) for each in failed]


def _note(error: Exception, failed: list[HookFailed]) -> None:
    """What failed besides, behind what went wrong first."""
    for each in failed:
        error.add_note(each.what)
