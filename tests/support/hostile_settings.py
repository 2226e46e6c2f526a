"""What servers, databases and roles may be set to, all at once, and what no session of Syncline's may be touched by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scenario import Side

POSTGRESQL = {
    "TimeZone": "Asia/Kolkata",
    "timezone_abbreviations": "India",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "xmloption": "document",
    "xmlbinary": "hex",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "escape_string_warning": "on",
    "backslash_quote": "on",
    "quote_all_identifiers": "on",
    "transform_null_equals": "on",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "default_transaction_read_only": "on",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "1",
    "exit_on_error": "on",
    "gin_fuzzy_search_limit": "1",
    "synchronous_commit": "off",
    "session_replication_role": "replica",
    "check_function_bodies": "off",
    "row_security": "off",
    "enable_indexscan": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_nestloop": "off",
    "enable_partition_pruning": "off",
    "join_collapse_limit": "1",
    "search_path": "evil, pg_catalog, {schema}",
}
EVIL = (
    "CREATE SCHEMA IF NOT EXISTS evil",
    "CREATE FUNCTION evil.never(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false'",
    "CREATE FUNCTION evil.never(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false'",
    *(
        f"CREATE OPERATOR evil.{name} (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = evil.never)"
        for name in ("=", "<>", "<", ">=")
        for kind in ("int", "text")
    ),
    "CREATE FUNCTION evil.now() RETURNS timestamptz IMMUTABLE LANGUAGE sql AS $$SELECT timestamptz 'epoch'$$",
    "CREATE FUNCTION evil.trim_scale(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT 0::numeric'",
    "CREATE FUNCTION evil.to_regclass(text) RETURNS regclass IMMUTABLE LANGUAGE sql AS 'SELECT NULL::regclass'",
    "CREATE DOMAIN evil.text AS varchar(1)",
    "CREATE AGGREGATE evil.count(*) (SFUNC = pg_catalog.int8inc, STYPE = bigint, INITCOND = 1000)",
    "CREATE AGGREGATE evil.max(int) (SFUNC = pg_catalog.int4smaller, STYPE = int)",
    "CREATE VIEW evil.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE pg_catalog.random() > 2",
    "CREATE VIEW evil.pg_attribute AS SELECT attrelid, attname, attnum, atttypid FROM pg_catalog.pg_attribute WHERE pg_catalog.random() > 2",
)

MARIADB = {
    "autocommit": "0",
    "character_set_client": "latin1",
    "character_set_connection": "latin1",
    "character_set_results": "latin1",
    "check_constraint_checks": "0",
    "collation_connection": "'latin1_german2_ci'",
    "completion_type": "'CHAIN'",
    "default_regex_flags": "'EXTENDED'",
    "default_storage_engine": "'MyISAM'",
    "default_week_format": "7",
    "div_precision_increment": "0",
    "explicit_defaults_for_timestamp": "0",
    "foreign_key_checks": "0",
    "group_concat_max_len": "4",
    "idle_transaction_timeout": "1",
    "idle_readonly_transaction_timeout": "1",
    "idle_write_transaction_timeout": "1",
    "innodb_strict_mode": "0",
    "lc_messages": "'de_DE'",
    "lc_time_names": "'de_DE'",
    "max_error_count": "0",
    "max_join_size": "1",
    "max_recursive_iterations": "1",
    "max_sort_length": "8",
    "max_statement_time": "0.001",
    "old_mode": "'ZERO_DATE_TIME_CAST'",
    "sql_auto_is_null": "1",
    "sql_big_selects": "0",
    "sql_if_exists": "1",
    "sql_mode": (
        "'ANSI,ORACLE,REAL_AS_FLOAT,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES,EMPTY_STRING_IS_NULL,HIGH_NOT_PRECEDENCE,"
        "NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_UNSIGNED_SUBTRACTION,TIME_ROUND_FRACTIONAL,SIMULTANEOUS_ASSIGNMENT,ONLY_FULL_GROUP_BY'"
    ),
    "sql_notes": "0",
    "sql_quote_show_create": "0",
    "sql_safe_updates": "1",
    "sql_select_limit": "1",
    "standard_compliant_cte": "0",
    "system_versioning_asof": "'2001-01-01'",
    "time_zone": "'+05:30'",
    "tx_isolation": "'SERIALIZABLE'",
    "tx_read_only": "1",
    "unique_checks": "0",
    "wait_timeout": "1",
    "init_connect": "'SET timestamp = 1, insert_id = 77, sql_mode = ALLOW_INVALID_DATES'",
}


def hostile_postgres(side: Side, role: str) -> Side:
    """The same database for a role to which it is hostile. Others see nothing of it."""
    name = side.ask("SELECT current_database()")[0][0]
    with side.connected() as run:
        for statement in EVIL if not run("SELECT to_regnamespace('evil')").fetchone()[0] else ():
            run(statement)
        for setting, value in POSTGRESQL.items():
            spelled = value.format(schema=side.schema) if setting == "search_path" else f"'{value}'"
            run(f"ALTER ROLE {role} IN DATABASE {name} SET {setting} = {spelled}")
    return Side(side.engine, side.place.replace("postgres:@", f"{role}:@"), side.schema)


@contextmanager
def hostile_mariadb(side: Side) -> Iterator[None]:
    """The whole server is hostile to whoever connects meanwhile."""
    before = {name: side.ask(f"SELECT @@GLOBAL.{name}")[0][0] for name in MARIADB}
    with side.connected() as run:
        try:
            for name, value in MARIADB.items():
                run(f"SET GLOBAL {name} = {value}")
            yield
        finally:
            run("SET SESSION sql_select_limit = 18446744073709551615")
            for name, value in before.items():
                spelled = f"'{value}'" if isinstance(value, str) else value
                run(f"SET GLOBAL {name} = {'DEFAULT' if name == 'system_versioning_asof' else spelled}")
