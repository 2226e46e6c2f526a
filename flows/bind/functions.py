"""Functions of `python:` columns, loaded from the folder of the spec."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from flows.spec.problems import meant
from transforms.vocabulary import SpecError


def load_function(dotted: str, folder: Path) -> Callable[..., Any]:
    """`module.function` of a file beside the spec, else of an installed module.

    Errors: SpecError where the module cannot be imported or has no such function.
    """
    module_name, _, name = dotted.rpartition(".")
    file = folder.joinpath(*module_name.split(".")).with_suffix(".py")
    try:
        module = _from_file(file) if file.is_file() else importlib.import_module(module_name)
    except Exception as error:
        raise SpecError(
            f"python: {module_name} cannot be imported: {type(error).__name__}: {error}.",
            fix=f"put {file.name} beside the spec.",
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise SpecError(f"python: {module_name} has no function {name}. {meant(name, dir(module))}")
    found: Callable[..., Any] = function
    return found


def _from_file(file: Path) -> ModuleType:
    """The file's module under a name of its own, so that two specs may both have a rules.py; loaded once."""
    name = f"_syncline_{hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:12]}_{file.stem}"
    if name not in sys.modules:
        described = importlib.util.spec_from_file_location(name, file)
        assert described is not None
        assert described.loader is not None
        module = importlib.util.module_from_spec(described)
        described.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]
