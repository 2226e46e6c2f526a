"""What the flows' forms take, and that commands which only read never load Prefect."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.exceptions import ParameterTypeError

from flows.backfill import backfill
from flows.bind.ranges import PATTERN, parse_range
from flows.migrate import apply, migrate
from flows.orchestration.run import RANGE
from flows.spec.model import Spec, load_spec
from flows.verify import verify
from transforms.vocabulary import SpecError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    file = tmp_path / "spec.yaml"
    sides = "source: {url: 'sqlite:///source.db'}\ntarget: {url: 'sqlite:///target.db'}"
    file.write_text(f"version: 1\nname: shop\n{sides}\ntables: {{item: {{from: things, key: [id]}}}}\n")
    return load_spec(file)


def test_read_only_commands_never_import_prefect() -> None:
    modules = "flows.cli.main, flows.commands, flows.plan.build, flows.cli.terminal.report, flows.cli.launch"
    probe = f"import sys, {modules}; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT).returncode == 0


def test_parameters_are_documented_typed_and_checked_before_anything_runs() -> None:
    for each in (migrate, backfill, verify, apply):
        for name, field in each.parameters.properties.items():
            assert field.get("description"), f"{each.name}.{name} has no help"
            assert field.get("type"), f"{each.name}.{name} is a union, which the UI shows as raw JSON"
    assert backfill.parameters.properties["range"]["pattern"] == RANGE
    assert migrate.parameters.properties["ranges"]["items"]["pattern"] == RANGE
    for wrong in ({"range": "january"}, {"range": "a.b:1..2", "every": "often"}):
        with pytest.raises(ParameterTypeError):
            backfill.validate_parameters({"spec": "spec.yaml", **wrong})


@pytest.mark.parametrize("text", ["item.id:1..2", "item.id:1..", "item.id:..2", "item.sold_on:2013-01-01 10:00..2014"])
def test_the_form_checks_ranges_as_the_command_line_does(text: str, spec: Spec) -> None:
    assert re.match(RANGE, text)
    assert str(parse_range(text, spec)) == text


@pytest.mark.parametrize("text", ["item.id:..", "item:1..2", "item.id:1.2", "item.id=1..2", ".id:1..2", ""])
def test_neither_takes_what_is_no_range(text: str, spec: Spec) -> None:
    assert not re.match(RANGE, text)
    assert not re.match(PATTERN, text) or text == "item.id:.."
    with pytest.raises(SpecError):
        parse_range(text, spec)
