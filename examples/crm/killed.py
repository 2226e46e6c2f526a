"""`syncline run`, killed after the target has committed and before the source has: `python -m examples.crm.killed SPEC`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from flows.apply import both_ways


def main() -> None:
    apply, calls = both_ways.apply, iter(("target", "source"))

    def dying(*given: Any, **options: Any) -> Any:
        if next(calls) == "source":
            os.kill(os.getpid(), signal.SIGKILL)
        return apply(*given, **options)

    both_ways.apply = dying  # type: ignore[attr-defined]
    from flows.cli.main import main as syncline

    syncline(["run", sys.argv[1], "--direct"])


if __name__ == "__main__":
    main()
