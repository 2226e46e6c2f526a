"""One run of a migration at a time, over all its deployments: a global concurrency limit of Prefect's, which its UI shows.

The ledger's lease is what keeps two writers apart, wherever they come from. This one lets runs of deployments find each other before
they connect to anything: they wait, or end as Skipped, and whoever looks at *Concurrency* sees who is at work.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from transforms.vocabulary import BusyError

LEASE_SECONDS: Final = 60  # the shortest that Prefect grants: how long the place of a run that was killed stays taken
log = logging.getLogger(__name__)


def limit_name(migration: str) -> str:
    """What the limit of a migration is called."""
    return f"syncline-{migration}"


@contextmanager
def sole_run(migration: str, wait: float) -> Iterator[None]:
    """Be the only run of the migration's deployments inside. BusyError where another one is after `wait` seconds.

    Runs that no deployment started go on without: the ledger's lease holds for them too, as it does where Prefect's limits fail.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        yield
        return
    with ExitStack() as stack:
        try:
            _make_sure(limit_name(migration))
            held = concurrency(
                limit_name(migration),
                timeout_seconds=wait or None,
                max_retries=None if wait else 0,
                lease_duration=LEASE_SECONDS,
                strict=True,
                raise_on_lease_renewal_failure=False,
                holder=ConcurrencyLeaseHolder(type="flow_run", id=run.id),
            )
            stack.enter_context(held)
        except Exception as error:
            if _is_taken(limit_name(migration)):
                raise BusyError(
                    f"{migration} is in use by another run of its deployments.",
                    fix=f"wait for it (`wait`), or look at the concurrency limit {limit_name(migration)} in Prefect.",
                ) from None
            log.warning("Prefect's concurrency limit %s is of no use: %s", limit_name(migration), error)
        yield


def _make_sure(name: str) -> None:
    """Make the limit where it is not there; one that somebody has changed stays as it is."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


def _is_taken(name: str) -> bool:
    try:
        with get_client(sync_client=True) as client:
            limit = client.read_global_concurrency_limit_by_name(name)
            return limit.active_slots >= limit.limit
    except Exception:
        return False
