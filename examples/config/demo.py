"""A central configuration and five components, in five formats: `make config`. Edited on both sides, with one conflict."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from examples.story import Terminal

HERE = Path(__file__).parent
SPECS = ("typed", "mailer", "nightly")
SECRET = "not for reports"


def edit(path: Path, old: str, new: str) -> None:
    """What people do."""
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new))


def told(folder: Path, syncline: Callable[..., str]) -> None:
    """The story, in an empty folder. It holds the documents to what they should be by itself."""
    for each in HERE.iterdir():
        if each.is_dir() and not each.name.startswith("__"):
            shutil.copytree(each, folder / each.name)
        elif each.suffix == ".yaml":
            shutil.copy(each, folder)
    said = [syncline("run", str(folder / f"{name}.yaml"), "--direct", "--yes") for name in SPECS]
    assert (folder / "web/app.yaml").read_text() == (
        "# the web component\nport: 8080   # which\nhosts: [a.example, b.example]\nlog:\n  json: true\n  level: info\nretries: 3\n"
    )
    assert (
        (folder / "nightly/app.env")
        .read_text()
        .startswith("# the nightly job\nPATH_OF_JOB=/srv/nightly\nNIGHTLY_HOUR=3 # o clock\n")
    )

    edit(folder / "centre.yaml", "level: info", "level: warning")  # goes out to all
    edit(folder / "centre.yaml", "port: 8080 ", "port: 9090 ")
    edit(folder / "worker/app.toml", "retries = 5", "retries = 7")  # comes back
    edit(folder / "web/app.yaml", "port: 8080", "port: 7070")  # against the centre's
    typed, web = str(folder / "typed.yaml"), str(folder / "typed.yaml@web")
    said.append(syncline("verify", typed, status=2))
    said.append(syncline("run", typed, "--direct", "--yes", status=5))
    assert "retries: 7       # mail servers are slow" in (folder / "centre.yaml").read_text()
    assert 'level = "warning"' in (folder / "worker/app.toml").read_text()
    assert "port: 7070   # which" in (folder / "web/app.yaml").read_text()
    said.append(syncline("conflicts", web, "list"))
    said.append(syncline("conflicts", web, "resolve", "--take", "source", "--all"))
    said.append(syncline("run", typed, "--direct", "--yes"))
    assert "port: 9090   # which" in (folder / "web/app.yaml").read_text()
    said += [syncline("verify", str(folder / f"{name}.yaml")) for name in SPECS]
    assert not any(SECRET in each for each in said)
    assert SECRET in (folder / "nightly/app.env").read_text()


if __name__ == "__main__":
    place = HERE.parents[1] / ".config"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    told(place, Terminal(place / "prefect").syncline)
