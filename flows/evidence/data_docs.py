"""Great Expectations' Data Docs of a run, beside its evidence. Off unless asked for: the report page is the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from adapters.expectations import data_docs
from adapters.expectations.data_docs import Page
from adapters.expectations.run import GREAT_EXPECTATIONS, NUMBERS
from flows.bind.rules import totals
from flows.results.tables import Report
from transforms.vocabulary import Notice, SynclineError

FOLDER: Final = "data_docs"
ABOUT: Final = {"planned": "rows about to be written", "loaded": "the target after the load"}
NOTHING: Final = "There are no Data Docs: no rule was looked at, so there is nothing to show."


def with_data_docs(report: Report, evidence: Path, at: datetime) -> Report:
    """The report with the index of the Data Docs made of its checkpoints in the folder `evidence`.

    The rows may be in by now: where no Data Docs can be made, that is a warning.
    """
    pages = []
    for point in report.checkpoints:
        counts = next(told.counts for told in report.tables if told.name == point.table)
        results = tuple(replace(each, arguments=_known(each.arguments, totals(counts))) for each in point.results)
        if results:
            masks = " by compiled rules" if any(each.by != GREAT_EXPECTATIONS for each in results) else ""
            pages.append(Page(f"{point.table} {point.name}{masks}", ABOUT[point.name], results))
    if not pages:
        return replace(report, warnings=(*report.warnings, Notice("no_data_docs", NOTHING)))
    try:
        return replace(report, data_docs=str(data_docs.write(evidence / FOLDER, pages, report.run_id, at)))
    except SynclineError as error:
        return replace(report, warnings=(*report.warnings, Notice("no_data_docs", str(error))))


def _known(arguments: Mapping[str, Any], known: Mapping[str, int]) -> dict[str, Any]:
    """The arguments with the numbers that totals such as $source_rows stood for."""
    made = dict(arguments)
    for name in NUMBERS:
        value = made.get(name)
        if isinstance(value, str) and value.removeprefix("$") in known:
            made[name] = known[value.removeprefix("$")]
    return made
