"""An engine that is only read: six methods, and a snapshot of four, are enough for all that a migration does."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest
import yaml
from arrow_source.adapter import ArrowSource
from policy_table import replaced
from scenario import Scenario, counts

from adapters import registry
from adapters.protocol import Catalog, Source
from adapters.registry import Engine, open_source, open_target
from flows.check.assess import assess
from flows.commands import Status
from flows.scaffold.draft import Asked, scaffold
from transforms.vocabulary import SpecError

TABLE = {
    "from": "goods",
    "key": "id",
    "columns": {"id": "id", "label": {"expr": "upper(name)"}, "price": {"from": "price", "cast": "numeric(9,2)"}},
    "create": {"columns": {"label": {"type": "varchar(40)"}}},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Arrow files, and the scheme that opens it."""
    monkeypatch.setitem(registry.SOURCES, "feather", Engine("arrow_source", "ArrowSource"))
    files = tmp_path / "files"
    files.mkdir()
    return files


def put(folder: Path, ids: list[int]) -> None:
    names = [f"row {each}" for each in ids]
    rows = pa.table({"id": pa.array(ids, pa.int64()), "name": names, "price": [f"{each}.50" for each in ids]})
    feather.write_feather(rows, folder / "goods.arrow")


@pytest.mark.parametrize("order", ["ascending", "mixed"])
def test_a_source_of_few_methods_is_planned_run_backfilled_and_verified(
    folder: Path, tmp_path: Path, order: str, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    ids = list(range(1, 31))
    put(folder, ids if order == "ascending" else ids[::-1])
    document = small.document({"goods": TABLE}, defaults={"window": {"rows": 7}})
    small.path.write_text(yaml.safe_dump(document | {"source": {"url": f"feather://{folder}"}}))
    outcome = small.run()
    assert outcome.status == Status.DONE
    assert counts(outcome, "goods")["insert"] == 30
    assert small.target.rows("goods", "count(*), min(label), max(price)") == [(30, "ROW 1", 30.5)]
    small.settled()

    put(folder, [*range(2, 10), *range(11, 32)] if order == "ascending" else [*range(31, 10, -1), *range(9, 1, -1)])
    assert small.plan().status == Status.CHANGES
    if order == "ascending":
        small.backfill("goods.id:30..40")
        assert small.target.rows("goods", "max(id), count(*)") == [(31, 31)]
    assert small.run().status == Status.DONE
    assert small.target.rows("goods", "min(id), max(id), count(*)") == [(2, 31, 29)]
    small.settled()
    assert [table.name for table in assess(small.spec, datetime.now(UTC)).tables] == ["goods"]


def test_what_is_only_read_is_no_target_and_says_nothing_of_how_it_was_made(folder: Path) -> None:
    put(folder, [1])
    url = f"feather://{folder}"
    source = open_source(url)
    assert isinstance(source, ArrowSource) and isinstance(source, Source) and not isinstance(source, Catalog)
    with pytest.raises(SpecError, match="No adapter knows the URL"):
        open_target(url)
    with pytest.raises(SpecError, match="no spec can be drafted from it"):
        scaffold(Asked(url, "sqlite:///new.db", folder))


def test_the_page_on_engines_shows_the_smallest_source_as_it_is() -> None:
    """`UPDATE_DOCS=1` writes it anew."""
    root = Path(__file__).resolve().parents[2]
    page, adapter = root / "docs" / "add_engine.md", root / "tests" / "support" / "arrow_source" / "adapter.py"
    text = page.read_text(encoding="utf-8")
    made = replaced(text, {"adapter": f"```python\n{adapter.read_text(encoding='utf-8')}```"})
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(made, encoding="utf-8")
        text = made
    assert text == made, "docs/add_engine.md is out of date: run the test once with UPDATE_DOCS=1"
