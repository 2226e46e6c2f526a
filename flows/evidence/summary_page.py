"""How a command ended with each of many clients or targets, as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from adapters.store.layout import Store
from flows.evidence.page import made_visible, template
from flows.results.summary import COUNTS, Summary

SUMMARY: Final = "summary.html"
TONES: Final = {
    "done": "good", "failed": "bad", "held by a checkpoint": "bad", "above the limit of quarantine": "bad", "away": "warn",
}  # fmt: skip


def summary_html(summary: Summary, at: datetime, store: Path) -> str:
    """The page. Reports that lie in the store are linked to from a folder beside theirs."""
    rows = list(_rows(summary, store))
    worst = "bad" if summary.status in (1, 3, 4) else "warn" if summary.status else "good"
    return made_visible(
        template("summary.html.j2").render(
            summary=summary, at=at.isoformat(), rows=rows, tone=worst, kinds=COUNTS,
            total={name: getattr(summary.total, name) for name in COUNTS},
        )
    )  # fmt: skip


def put_summary(summary: Summary, at: datetime, run_id: str, store: Store) -> Path:
    """Put the page in place; its path."""
    return store.write_evidence(run_id, SUMMARY, summary_html(summary, at, store.root).encode())


def _rows(summary: Summary, store: Path) -> Iterator[dict[str, Any]]:
    """Those that need somebody first."""
    for each in sorted(summary.each, key=lambda ended: ended.how == "done"):
        page = Path(each.page) if each.page else None
        inside = page is not None and page.is_relative_to(store / "evidence")
        link = None if page is None else f"../{page.parent.name}/{page.name}" if inside else page.absolute().as_uri()
        counts = None if each.counts is None else {name: getattr(each.counts, name) for name in COUNTS}
        yield {**each.as_dict(), "name": each.name, "tone": TONES.get(each.how, "warn"), "counts": counts, "link": link}
