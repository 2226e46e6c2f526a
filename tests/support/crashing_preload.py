"""What the processes of tests of crashes have imported before they are forked: half of what a small run takes."""

from contextlib import suppress

import crashing  # noqa: F401
import jinja2  # noqa: F401
import pandas  # noqa: F401

import adapters.sqlite.adapter
import flows.commands
import flows.evidence.page

with suppress(ImportError):  # extras
    import adapters.duckdb.adapter
    import adapters.mysql.adapter
    import adapters.parquet.adapter
    import adapters.postgres.adapter
    import adapters.postgres.writer  # noqa: F401

flows.evidence.page.template("report.html.j2")
