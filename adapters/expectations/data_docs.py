"""Great Expectations' own Data Docs: a page for each checkpoint, and an index, out of results that are there already."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from adapters import private
from adapters.expectations.frames import plain
from adapters.expectations.run import Checked, loaded_quietly
from transforms.vocabulary import SynclineError

INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class Page:
    """The results of one checkpoint; `title` names it, and `about` is said of it."""

    title: str
    about: str
    results: tuple[Checked, ...]


def write(folder: Path, pages: Sequence[Page], run: str, at: datetime) -> Path:
    """Make the site in `folder`, in place of one that is there; the path of its index.

    In: the results as they are, with numbers in place of names of totals; none of them is evaluated again. Of rows the
    pages hold what was observed, such as a smallest value, and no failing rows. They load styles and a logo from the web.
    Errors: SynclineError where it cannot be made.
    """
    loaded_quietly()
    try:
        shutil.rmtree(folder, ignore_errors=True)
        private.make_folder(folder)
        _build(folder, pages, run, at)
        private.narrow_all(folder)
    except Exception as error:  # a library's, with any of its own errors
        raise SynclineError(
            f"Data Docs could not be written to {folder}: {' '.join(str(error).split()) or type(error).__name__}.",
            fix="free space, or run without --data-docs; report.html has the same results.",
        ) from error
    return folder / INDEX


def _build(folder: Path, pages: Sequence[Page], run: str, at: datetime) -> None:
    import great_expectations as gx
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )
    from great_expectations.render.renderer.site_builder import SiteBuilder

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    # A name that begins with a word: Great Expectations tries to read it as a date, and drops the page where that fails oddly,
    # as it does for some of our own ("20261128T170300-9856ad" is a zone that no clock has).
    run_id = RunIdentifier(run_name=f"run-{run}", run_time=at)
    names: set[str] = set()
    for page in pages:
        title, about = _file_name(page.title, names), _file_name(page.about, set())
        results = [_result(each) for each in page.results]
        configs = [result.expectation_config for result in results]
        suite = ExpectationSuite(name=title, expectations=[each.to_domain_obj() for each in configs if each])
        context.suites.add(suite)
        passed = sum(each.passed for each in page.results)
        whole = ExpectationSuiteValidationResult(
            success=passed == len(results),
            results=results,
            suite_name=title,
            statistics={
                "evaluated_expectations": len(results),
                "successful_expectations": passed,
                "unsuccessful_expectations": len(results) - passed,
                "success_percent": 100 * passed / len(results) if results else None,
            },
            meta={"run_id": run_id, "active_batch_definition": {"data_asset_name": about}},
        )
        key = ValidationResultIdentifier(ExpectationSuiteIdentifier(title), run_id, about)
        context.validation_results_store.set(key, whole)
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.absolute())}
    environment = {"root_directory": str(folder.absolute())}
    SiteBuilder(
        context, backend, site_name="Syncline", show_how_to_buttons=False, runtime_environment=environment
    ).build()
    if (made := sum(1 for _ in (folder / "validations").rglob("*.html"))) != len(pages):
        raise ValueError(f"{made} of {len(pages)} pages were made")  # the library only logs what it could not show


def _file_name(title: str, taken: set[str]) -> str:
    """The title as Great Expectations names files after it, unlike those that are taken."""
    plain_title = name = re.sub(r"[^\w.-]+", "_", title).strip("._") or "checkpoint"
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain_title}_{number}"
    taken.add(name.casefold())
    return name


def _result(checked: Checked) -> Any:
    """A result in Great Expectations' own form, without failing rows."""
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    found: dict[str, Any] = {}
    if checked.observed is not None:
        found["observed_value"] = checked.observed
    if checked.unexpected is not None:
        rows = checked.checked or 0
        found |= {"element_count": rows, "unexpected_count": checked.unexpected}
        found["unexpected_percent"] = 100 * checked.unexpected / rows if rows else 0.0
    return ExpectationValidationResult(
        success=checked.passed,
        expectation_config=ExpectationConfiguration(
            type=checked.type,
            kwargs=plain(checked.arguments),
            severity=FailureSeverity(checked.severity),
        ),
        result=found,
    )
