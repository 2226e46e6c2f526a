"""`syncline run`, killed after the target has committed and before the source has: `python -m examples.crm.killed SPEC`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from adapters.sqlite.adapter import SqliteAdapter


def main() -> None:
    def dying(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)  # the source is SQLite, and is written after the target

    SqliteAdapter.apply = dying  # type: ignore[method-assign,assignment]
    from flows.cli.main import main as syncline

    syncline(["run", sys.argv[1], "--direct"])


if __name__ == "__main__":
    main()
