"""Commands as Prefect flow runs in the command's own process, against PREFECT_API_URL or an API of their own.

Prefect is imported only once its environment is set, and stays out of the way: standard error shows our progress and one
line for an error, not Prefect's log. That goes to the API; PREFECT_LOGGING_LEVEL brings it back to the terminal too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from adapters import interrupts
from adapters.store.plans import Plan
from flows.commands import Outcome
from flows.plan.request import Request
from flows.results import silence
from flows.session.meter import Meter
from transforms.vocabulary import SynclineError

QUIET: Final = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a new database takes 15 s, on a busy machine far more
}
MUTED: Final = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the console alone: the API gets the log as ever
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "DASK_LOGGING__DISTRIBUTED": "error",
}


class PrefectUnreachable(SynclineError):
    """Prefect's API cannot be reached, or cannot be started."""

    code = "prefect_unreachable"


def run_in_prefect(request: Request, meter: Meter) -> Outcome:
    """Plan and apply as a run of the flow `migrate`."""

    def start() -> Any:
        from flows.migrate import migrate

        return migrate(
            str(request.spec.path),
            list(request.tables),
            [str(text) for text in request.ranges],
            list(request.trees.texts) if request.trees is not None else [],
            with_parents=request.trees is not None and request.trees.with_parents,
            data_docs=request.data_docs,
            allow_deletes=request.allow_deletes,
            full=request.full,
            afresh=request.afresh,
        )

    return _in_prefect(start, request.spec.name, request, meter)


def backfill_in_prefect(request: Request, every: str | None, meter: Meter, *, again: bool = False) -> Outcome:
    """Fill a range as a run of the flow `backfill`."""

    def start() -> Any:
        from flows.backfill import backfill

        return backfill(
            str(request.spec.path),
            str(request.ranges[0]),
            every or "",
            data_docs=request.data_docs,
            again=again,
            allow_deletes=request.allow_deletes,
        )

    return _in_prefect(start, request.spec.name, request, meter)


def apply_in_prefect(folder: Path, meter: Meter, wait: float = 0, data_docs: bool = False) -> Outcome:
    """Apply a plan as a run of the flow `apply`; the plan of an undo, too."""

    def start() -> Any:
        from flows.migrate import apply

        return apply(str(folder), wait, data_docs)

    return _in_prefect(start, Plan.open(folder).manifest.migration, None, meter)


def send_event(migration: str, tables: Sequence[str], rows: Sequence[str]) -> None:
    """Tell the server at PREFECT_API_URL that a source has changed. Errors: PrefectUnreachable."""
    _prepare()

    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    from flows.orchestration.events import changed

    if not PREFECT_API_URL.value():
        raise PrefectUnreachable(
            "There is no Prefect server to tell: PREFECT_API_URL is not set.", fix="set it to the URL of its API."
        )
    try:
        with get_client(sync_client=True) as client:
            event = changed(migration, tables, rows).model_dump(mode="json")
            client.request("POST", "/events", json=[event]).raise_for_status()
    except Exception as error:
        if not _is_prefects(error):
            raise
        raise _unreachable("cannot be reached", error) from error


def _in_prefect(start: Callable[[], Any], migration: str, request: Request | None, meter: Meter) -> Outcome:
    """The outcome of the flow; an error of ours as it was raised, and PrefectUnreachable where Prefect failed."""
    meter.notice("Starting Prefect …")  # which takes seconds, as importing it does
    _prepare()

    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        meter.notice("PREFECT_API_URL names no server: a temporary one starts for this run. --direct does without.")
    with silence.doing("Prefect is starting"):
        _reach()

    from prefect import tags
    from prefect.exceptions import CancelledRun, FailedRun

    from flows.orchestration.run import Handed, handing
    from flows.orchestration.tasks import WindowsFailed

    handed = Handed(request, meter)
    try:
        with handing(handed), tags("syncline", migration):
            start()
    except CancelledRun:
        interrupts.check()  # the flow has told Prefect of the signal by which this process ends now
    except WindowsFailed as error:
        if isinstance(error.__cause__, SynclineError):
            raise error.__cause__ from None
        raise
    except SynclineError:
        raise
    except FailedRun as error:
        if handed.outcome is None:
            raise SynclineError(
                f"The Prefect run failed: {error}", fix="look at it in the Prefect UI, or run with --direct."
            ) from error
    except Exception as error:
        if not _is_prefects(error):
            raise
        if handed.outcome is None:
            raise _unreachable("failed during the run", error) from error
    if handed.outcome is None:
        raise PrefectUnreachable(
            "The Prefect run ended without an outcome: it was cancelled or paused.",
            fix=("look at it in the Prefect UI, or run with --direct."),
        )
    return handed.outcome


def _prepare() -> None:
    """Set Prefect's environment, as far as the user has not."""
    settings = QUIET if os.environ.get("PREFECT_LOGGING_LEVEL") else {**QUIET, **MUTED}
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_LOGGING_LEVEL"):
        import prefect  # noqa: F401 - its log is set up on import

        # a Secret block in the spec may have brought Prefect in before the environment was set
        for logger in (logging.getLogger(), logging.getLogger("prefect")):
            for handler in logger.handlers:
                if type(handler).__module__.startswith("prefect.") and "Console" in type(handler).__name__:
                    handler.setLevel(logging.CRITICAL)


def _reach() -> None:
    """Ask the API for a sign of life, starting one of our own where none is named."""
    from prefect.client.orchestration import get_client

    interrupts.at_sudden_end(_end_temporary_server)
    try:
        # the terminal sends Ctrl-C to the server too, and a run could not tell a server that is gone how it ended
        with interrupts.kept_from_children(), get_client(sync_client=True) as client:
            error = client.api_healthcheck()
    except Exception as failed:
        error = failed
    if error is not None:
        raise _unreachable("cannot be reached", error) from error


def _end_temporary_server() -> None:
    from prefect.server.api.server import SubprocessASGIServer

    for server in SubprocessASGIServer._instances.values():
        if server.server_process is not None:
            server.server_process.terminate()


def _unreachable(how: str, error: Exception) -> PrefectUnreachable:
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    why = " ".join(str(error).split()) or type(error).__name__
    if not url:
        return PrefectUnreachable(
            f"Prefect's own temporary API {how} ({why}).", fix="run with --direct, or set PREFECT_API_URL to a server."
        )
    where = urlsplit(str(url))._replace(query="", fragment="")
    shown = where._replace(netloc=where.netloc.rpartition("@")[2]).geturl()
    return PrefectUnreachable(
        f"Prefect's API at {shown} {how} ({why}).", fix="start it, correct PREFECT_API_URL, or run with --direct."
    )


def _is_prefects(error: BaseException) -> bool:
    """Whether a fault is Prefect's or of the way to it, and not ours."""
    import httpx
    from prefect.exceptions import PrefectException

    return isinstance(error, httpx.HTTPError | PrefectException)
