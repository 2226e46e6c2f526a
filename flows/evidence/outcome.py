"""The evidence of a command, once it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.evidence.data_docs import with_data_docs
from flows.evidence.record import evidence, evident
from flows.results.outcome import Outcome
from flows.session.session import Session
from flows.session.stores import store_of


def with_evidence(
    outcome: Outcome,
    session: Session,
    kind: str,
    at: datetime,
    ranges: Sequence[Any] = (),
    data_docs: bool = False,
    undoes: Sequence[int] = (),
) -> Outcome:
    """The outcome with the page that its evidence made; a warning where the store cannot take it."""
    status, report = outcome.status.name.lower(), outcome.report
    told = evidence(session, report, kind, at, status, outcome.message, list(map(str, ranges)), undoes)
    report = evident(report, store_of(session.spec), told)
    if data_docs and report.page:
        report = with_data_docs(report, Path(report.page).parent, at)
    return replace(outcome, report=report)
