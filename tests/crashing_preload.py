"""What the processes of tests of crashes have imported before they are forked: half of what a small run takes."""

from contextlib import suppress

import crashing  # noqa: F401
import jinja2  # noqa: F401
import pandas  # noqa: F401

import adapters.sqlite
import flows.report_html
import flows.runs

with suppress(ImportError):  # extras
    import adapters.duckdb
    import adapters.mysql
    import adapters.postgres
    import adapters.postgres_write  # noqa: F401

flows.report_html._template()
