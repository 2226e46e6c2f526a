"""What the processes of tests of crashes have imported before they are forked."""

import crashing  # noqa: F401

import flows.runs  # noqa: F401
