"""From nothing to the first `verify`, by the README alone: `python -m examples.five_minutes [FOLDER]`.

In a bare folder it makes an environment of its own with a wheel of this tree, follows the commands of the README's first minute
and then those of the README that `syncline init` makes, as they stand there, and says after each how long it has taken. What the
wheel needs is taken from the environment that runs this, so that no package index is asked: with one, that is a minute more.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from examples.quickstart.make import TABLES
from examples.story import ROOT, DemoFailed, quiet_prefect

FIRST_MINUTE = re.compile(r"## The first minute\n+```sh\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^    (syncline [^#\n]+?) *(?:#.*)?$", re.MULTILINE)
CHANGES = 2  # the status of `plan` where rows are to change


def main() -> int:
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as made:
        try:
            seconds = follow(Path(given[0] if given else made), print)
        except DemoFailed as error:
            print(f"The five minutes failed: {error}", file=sys.stderr)
            return 1
    print(f"{seconds:.1f} s from a wheel to the first verify.")
    return 0


def follow(folder: Path, say: Callable[[str], None], *, direct: bool = False) -> float:
    """Do it all in a bare folder: how many seconds until `verify` had proved both sides equal.

    `direct`: `run` does without Prefect, whose temporary server takes longest of all. Errors: DemoFailed.
    """
    wheel = build(folder / "dist")
    began = time.monotonic()
    programs = install(wheel, folder / "venv")
    say(f"{time.monotonic() - began:5.1f} s  installed {wheel.name}")
    with closing(sqlite3.connect(folder / "old.db")) as legacy:
        legacy.executescript(TABLES)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= quiet_prefect(folder / "prefect") | {"PATH": f"{programs}:{os.environ['PATH']}"}
    place = folder
    for told in commands(folder):
        command = f"{told} --direct" if direct and told.startswith("syncline run") else told
        done = subprocess.run(
            ["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        if done.returncode not in (0, CHANGES if command.startswith("syncline plan") else 0):
            raise DemoFailed(f"{command} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
        if moved := re.match(r"cd (\S+)", command):
            place /= moved[1]
        say(f"{time.monotonic() - began:5.1f} s  $ {command}")
        if command.startswith("syncline verify"):
            if "Equal: " not in done.stdout:
                raise DemoFailed(f"verify does not say that both sides are equal: {done.stdout[-500:]}")
            return time.monotonic() - began
    raise DemoFailed("Neither README says to verify.")


def commands(folder: Path) -> Iterator[str]:
    """What both READMEs say to type, the second of which is there once `init` has been; with the URLs of two files in the folder."""
    first = FIRST_MINUTE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    if first is None:
        raise DemoFailed("The README has no first minute.")
    urls = {"SOURCE_URL": f"sqlite:///{folder}/old.db", "TARGET_URL": f"duckdb:///{folder}/new.db"}
    for line in first[1].splitlines():
        command = line.partition("#")[0].strip()
        yield " ".join(urls.get(word, word) for word in command.split(" "))
    (made,) = folder.glob("*/README.md")
    yield from COMMAND.findall(made.read_text(encoding="utf-8"))


def build(folder: Path) -> Path:
    """A wheel of this tree, built by what is installed here."""
    _must([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, place: Path) -> Path:
    """An environment with the wheel, beside the packages of this one; returns the folder of its programs."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise DemoFailed("uv is not installed here. Fix: make env.")
    _must([uv, "venv", "--offline", "--quiet", "--python", sys.executable, str(place)])
    _must(
        [uv, "pip", "install", "--offline", "--quiet", "--no-deps", "--python", str(place / "bin/python"), str(wheel)]
    )
    (own,) = place.glob("lib/python*/site-packages")
    (own / "others.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n", encoding="utf-8"
    )  # behind what is the place's own
    here = _must([str(place / "bin/python"), "-I", "-c", "import flows; print(flows.__file__)"])
    if not here.startswith(str(own)):
        raise DemoFailed(f"Not the wheel is tried, but {here.strip()}.")
    return place / "bin"


def _must(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoFailed(f"{' '.join(command)} failed: {done.stdout[-800:]}{done.stderr[-800:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
