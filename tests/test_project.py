"""What the project promises about itself: the wheel, the rooms, the lock, the sizes."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("flows", "adapters", "transforms")
PROJECT = ("README.md.j2", "env.example.j2", "gitignore.j2", "legacy.sql", "prefect.yaml.j2")
PAGES = ("page.css.j2", "report.html.j2", "summary.html.j2")
DATA = {*(f"flows/evidence/{name}" for name in PAGES), *(f"flows/scaffold/project/{name}" for name in PROJECT)}
"""What the packages read beside their modules."""


def test_the_wheel_holds_exactly_the_three_packages(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(ROOMS)
    assert {name for name in names if name.split("/")[0] in ROOMS and not name.endswith(".py")} == DATA
    shipped = {name for name in names if name.endswith(".py")}
    assert shipped == {str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py")}


def test_the_rooms_import_in_one_direction() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_module_fits_in_one_reading() -> None:
    long = {
        str(path): lines
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_the_lock_has_names_versions_and_hashes_only() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = re.compile(r"^[a-z0-9._-]+==[^ ]+( ; .+)? \\$|^    --hash=sha256:[0-9a-f]{64}( \\)?$")
    assert [line for line in lines if not pinned.match(line)] == []


def test_every_make_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z]+):", text, re.MULTILINE)
    explained = re.findall(r"^([a-z]+):.*## ", text, re.MULTILINE)
    assert set(targets) == set(explained)
    assert {"env", "demo", "test", "lint", "bench", "help"} <= set(targets)


def test_every_path_that_the_documentation_names_is_there() -> None:
    """Paths of this project's own folders: `flows/plan/decide.py`, `tests/laws/`."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")]
    named = re.compile(r"`((?:flows|adapters|transforms|tests|docs|examples|benchmarks)/[\w./*-]*)`")
    lost = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in pages
        for path in named.findall(page.read_text())
        if not (any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists())
    ]
    assert lost == []


def test_every_link_of_the_documentation_leads_to_a_file() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")]
    link = re.compile(r"\]\((?!\w+:)([^)#]+)(?:#[^)]*)?\)")
    lost = [
        f"{page.relative_to(ROOT)}: {to}"
        for page in pages
        for to in link.findall(page.read_text())
        if not (page.parent / to).exists()
    ]
    assert lost == []


def test_every_link_into_a_page_leads_to_a_heading_or_an_anchor() -> None:
    def slug(title: str) -> str:
        """As the site has it."""
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", words).strip())

    def anchors(page: Path) -> set[str]:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        return {slug(each) for each in headings} | set(re.findall(r'<a id="([^"]+)">', text))

    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")]
    lost = [
        f"{page.relative_to(ROOT)}: {to}#{place}"
        for page in pages
        for to, place in re.findall(r"\]\((?!\w+:)([^)#]*)#([^)]+)\)", page.read_text())
        if place not in anchors(page.parent / to if to else page)
    ]
    assert lost == []


def test_every_page_is_on_the_site() -> None:
    def pages(nav: list[Any]) -> Iterator[str]:
        for entry in nav:
            inner = entry if isinstance(entry, str) else next(iter(entry.values()))
            yield from pages(inner) if isinstance(inner, list) else [inner]

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(pages(nav)) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


def test_the_first_page_has_every_page_in_the_order_of_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2]
    listed = re.findall(r"(\w+\.md)$", nav, re.MULTILINE)
    text = (ROOT / "docs" / "index.md").read_text().partition("## Begin")[2]
    assert ["index.md", *dict.fromkeys(re.findall(r"\]\((\w+\.md)", text))] == listed


def test_fixtures_of_one_file_are_not_those_of_all() -> None:
    """A test file that names a plugin gives its autouse fixtures to every other file: a server was started for each."""
    named = [path for path in (ROOT / "tests").glob("*/*.py") if re.search("^pytest_plugins", path.read_text(), re.M)]
    assert not named
