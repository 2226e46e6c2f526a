"""Errors are data: each has what, fix and a code, and the text is made of them."""

from __future__ import annotations

import ast
import importlib
import pickle
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapters
import flows
import transforms
from transforms.vocabulary import Problem, SpecError, SynclineError, TransientError


def _every(of: type[SynclineError]) -> Iterator[type[SynclineError]]:
    yield of
    for each in of.__subclasses__():
        yield from _every(each)


@pytest.fixture(scope="module")
def classes() -> list[type[SynclineError]]:
    for room in (adapters, flows, transforms):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
    return [each for each in _every(SynclineError) if each.__module__.startswith(("adapters", "flows", "transforms"))]


def test_every_error_says_what_and_fix_and_keeps_them_on_its_way_through_a_worker(
    classes: list[type[SynclineError]],
) -> None:
    for made in classes:
        error = pickle.loads(pickle.dumps(made("The disk is full.", fix="free space.")))
        assert type(error) is made
        assert (error.what, error.fix, error.code) == ("The disk is full.", "free space.", made.code)
        assert str(error) == "The disk is full. Fix: free space."
        assert str(made("The disk is full.")) == "The disk is full."


def test_a_code_is_that_of_one_class(classes: list[type[SynclineError]]) -> None:
    public = [each for each in classes if not each.__name__.startswith("_")]
    assert len({each.code for each in public}) == len(public)


def test_several_problems_are_one_error_with_a_line_and_a_record_each() -> None:
    one, other = (
        Problem("key is empty.", "name one.", "spec.yaml:6", "t"),
        Problem("two_way is odd.", "", "spec.yaml:2"),
    )
    whole = pickle.loads(pickle.dumps(SpecError.of([one, other.within("spec.yaml:1", "direction: ")])))
    assert (
        str(whole) == "spec.yaml:6: key is empty. Fix: name one.\nspec.yaml:1: direction: spec.yaml:2: two_way is odd."
    )
    assert (whole.what, whole.fix) == (
        "spec.yaml:6: key is empty.\nspec.yaml:1: direction: spec.yaml:2: two_way is odd.",
        "name one.",
    )
    assert [each.table for each in whole.problems] == ["t", None]
    assert whole.as_dict()["problems"][0] == {
        "table": "t",
        "where": "spec.yaml:6",
        "what": "key is empty.",
        "fix": "name one.",
    }


def test_one_problem_alone_is_the_error_itself() -> None:
    alone = SpecError.of([Problem("key is empty.", "name one.", "spec.yaml:6", "t")])
    assert (alone.what, alone.fix, alone.where) == ("key is empty.", "name one.", "spec.yaml:6")
    assert str(alone) == "spec.yaml:6: key is empty. Fix: name one."


DEFECT = "defect: please report it"
SAYS_ITSELF = ("refused", "unwritable", "_copied")  # texts that end with what would help


def test_whatever_is_refused_says_what_to_do_about_it(classes: list[type[SynclineError]]) -> None:
    """Each place that raises an error of ours gives a fix, unless it is our own mistake, or wraps an error that has one."""
    ours = {each.__name__ for each in classes if not issubclass(each, TransientError)}  # whose fix is to run again
    ours -= {"_Tried", "_Once", "_Circle"}  # which nobody sees
    silent = []
    for room in (adapters, flows, transforms):
        for path in sorted(Path(next(iter(room.__path__))).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(source)):
                made = node.exc if isinstance(node, ast.Raise) else None
                if not (isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id in ours):
                    continue
                text = ast.get_source_segment(source, made) or ""
                fixed = any(each.arg in ("fix", None) for each in made.keywords) or "Fix:" in text or "meant(" in text
                handed_on = not made.args or not isinstance(made.args[0], ast.JoinedStr | ast.Constant)
                if not (fixed or handed_on or DEFECT in text or any(word in text for word in SAYS_ITSELF)):
                    silent.append(f"{path.name}:{node.lineno}: {' '.join(text.split())}")
    assert not silent, "\n".join(silent)
