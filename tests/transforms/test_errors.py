"""Errors are data: each has what, fix and a code, and the text is made of them."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import adapters
import flows
import transforms
from transforms.vocabulary import Problem, SpecError, SynclineError


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
