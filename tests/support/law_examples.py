"""How many examples of a law are drawn: few with all other tests, `SYNCLINE_EXAMPLES` of them where it is set.

An example that migrates databases takes a tenth of a second or more. Few are always the same ones, as the profile of the suite
says; the first of them is the simplest that there is. Those that are asked for are others each time.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings

ASKED = os.environ.get("SYNCLINE_EXAMPLES")


def examples(count: int, **more: Any) -> settings:
    """So many of them with all other tests."""
    return settings(max_examples=int(ASKED or count), deadline=None, **more)


def slow_examples(count: int) -> settings:
    """The same where one takes seconds: too long to look for a smaller one."""
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return examples(count, phases=phases, suppress_health_check=list(HealthCheck))
