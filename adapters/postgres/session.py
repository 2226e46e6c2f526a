"""What a session on PostgreSQL is set to, whatever server, database and role say: it sees and writes the same everywhere."""

from __future__ import annotations

from typing import Final

from adapters.protocol import RowSecurity
from transforms.vocabulary import ConnectionFailed

SUPPORTED: Final = (15, 18)
"""The oldest major version that is taken, and the newest that is tested."""

SESSION: Final = {
    "TimeZone": "UTC",
    "timezone_abbreviations": "Default",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "xmlbinary": "base64",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "quote_all_identifiers": "off",
    "transform_null_equals": "off",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "client_encoding": "UTF8",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "gin_fuzzy_search_limit": "0",  # or an index would leave out rows
}
"""The settings on which texts and rows depend: the same in every session, so that what is read can be written back."""

FREE: Final = {
    "default_transaction_read_only": "off",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",  # a session that holds a snapshot open, or a migration's lock, only waits
    "idle_session_timeout": "0",
    "exit_on_error": "off",
}
"""Limits that are lifted as far as the server has them, unless the URL itself sets them (options=-c name=value)."""

USUAL_ZONE: Final = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone'"
"""What server, database and role say: a session's own setting is another."""

PLAIN_PATH: Final = """
SELECT CASE WHEN 'pg_catalog' OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(false)) THEN
    pg_catalog.set_config('search_path', pg_catalog.array_to_string(ARRAY(
        SELECT pg_catalog.quote_ident(s.name) FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) s (name)
        WHERE s.name OPERATOR(pg_catalog.<>) 'pg_catalog'), ', '), false) END,
    pg_catalog.current_setting('quote_all_identifiers') OPERATOR(pg_catalog.=) 'on'"""
"""A path that names pg_catalog lets schemas before it put other functions in place of PostgreSQL's own: without its
name, it comes first. Answers with the path that was set, null where it stays, and whether identifiers are all quoted."""


def settled(*, read_only: bool, rls: RowSecurity) -> str:
    """The statement that sets a session up; it answers whether triggers and foreign keys are switched off all the same.

    What is committed stays committed though the server dies at once, and triggers work as they are meant to, as far as
    the user may say so.
    """
    free = dict(FREE)
    fixed = SESSION | {"row_security": "on" if rls == "accept" else "off"}
    if read_only:
        fixed["default_transaction_read_only"] = "on"
        del free["default_transaction_read_only"]
    always = ", ".join(f"pg_catalog.set_config('{name}', '{value}', false)" for name, value in fixed.items())
    limits = ", ".join(f"('{name}', '{value}')" for name, value in free.items())
    return f"""
SELECT {always},
    (SELECT count(pg_catalog.set_config(s.name, v.value, false))
     FROM (VALUES {limits}) v (name, value) JOIN pg_catalog.pg_settings s ON s.name = v.name AND s.source <> 'client'),
    (SELECT count(pg_catalog.set_config(s.name, 'local', false)) FROM pg_catalog.pg_settings s
     WHERE s.name = 'synchronous_commit' AND s.setting = 'off'),
    (SELECT count(pg_catalog.set_config(s.name, 'origin', false)) FROM pg_catalog.pg_settings s
     WHERE s.name = 'session_replication_role' AND s.setting <> 'origin'
       AND pg_catalog.current_setting('is_superuser') = 'on'),
    pg_catalog.current_setting('session_replication_role') = 'replica'"""  # noqa: S608


def must_be_supported(url: str, version: int) -> None:
    """Refuse a server that is too old. In: its number, such as 150018."""
    major, minor = divmod(version, 10_000)
    if major < SUPPORTED[0]:
        raise ConnectionFailed(
            f"{url} is PostgreSQL {major}.{minor}, which is too old: Syncline takes {SUPPORTED[0]} to {SUPPORTED[1]}.",
            fix="upgrade the server.",
        )
