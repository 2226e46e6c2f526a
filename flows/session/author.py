"""Who works here, for the history."""

from __future__ import annotations

import getpass


def author() -> str:
    """The user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
