"""Targets of another design than the source: a value fits exactly, or its row is set aside, or a cast is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, balanced, quarantine
from type_values import told

from flows import commands
from transforms.vocabulary import SpecError


class Aside(str):
    """What the reason of a row says that is set aside."""


@dataclass(frozen=True)
class Case:
    """Values of a source type (SQL, as it is written there) and what a target column of another type holds of them.

    `cast` is what the spec says of the column. `asked` says that it has to: without it the refusal suggests a cast.
    `expr` is what is read in place of the column, as `{}`.
    """

    source: str
    target: str
    becomes: dict[str, str | Aside]
    cast: Any = None
    asked: bool = False
    setup: str = ""
    expr: str = ""
    suggested: str = field(default="")


def asked(source: str, target: str, cast: Any, becomes: dict[str, str | Aside], suggested: str = "") -> Case:
    return Case(
        source, target, becomes, cast, True, suggested=suggested or (cast if isinstance(cast, str) else cast["type"])
    )


ROUNDED = Aside("without rounding")
KEPT = Aside("keeps as it is")
LOSS = Aside("without loss")
ZONED = {"type": "timestamptz", "time_zone": "Europe/Vienna"}
MOOD = "CREATE TYPE mood AS ENUM ('sad', 'ok')"

SQLITE_TO_POSTGRESQL = (
    asked("INTEGER", "boolean", "boolean", {"0": "false", "1": "true", "2": Aside("neither 0 nor 1"), "-1": Aside("neither 0 nor 1")}),
    Case("INTEGER", "integer", {"2147483647": "2147483647", "2147483648": LOSS}),
    Case("INTEGER", "smallint", {"-32768": "-32768", "32768": LOSS}),
    Case("INTEGER", "numeric(3,-2)", {"99900": "99900", "100": "100", "150": ROUNDED, "100000": ROUNDED}),
    Case("INTEGER", "double precision", {"9007199254740992": "9.007199254740992e+15", "9007199254740993": LOSS}),
    Case("INTEGER", "positive", {"1": "1", "0": KEPT}, setup="CREATE DOMAIN positive AS integer CHECK (VALUE > 0)"),
    asked("INTEGER", "text", "text", {"0": "0", "-12": "-12"}),
    Case("REAL", "real", {"0.5": "0.5", "0.1": ROUNDED, "1e39": ROUNDED, "16777217.0": ROUNDED}),
    asked("REAL", "numeric(5,2)", "numeric(5,2)", {"1.25": "1.25", "0.1": "0.10", "1.239": ROUNDED, "9e999": ROUNDED}),
    asked("REAL", "integer", "integer", {"2.0": "2", "2.5": LOSS}),
    Case("DECIMAL(10,2)", "integer", {"1": "1", "1.5": LOSS, "99999999": "99999999"}),
    Case("DECIMAL(10,2)", "numeric(4,1)", {"1.5": "1.5", "1.25": LOSS, "1000": LOSS}),
    asked("DECIMAL(10,2)", "double precision", "double", {"1.1": "1.1", "99999999.99": "99999999.99"}),
    Case("DECIMAL_TEXT(38,10)", "numeric(10,2)", {"'1.10'": "1.10", "'1.239'": LOSS, "'1234567890'": LOSS}),
    Case("DECIMAL_TEXT", "numeric(60,2)", {"1.1": "1.10", "'123456789012345678901234567890.12'": "123456789012345678901234567890.12", "1.239": ROUNDED}),
    asked("NUMERIC", "integer", "integer", {"7": "7", "7.5": LOSS}),
    Case("TEXT", "character varying(3)", {"'abc'": "abc", "'é🎉x'": "é🎉x", "'abcd'": Aside("longer than the 3 characters")}),
    Case("TEXT", "character(3)", {"'ab'": "ab", "'abcd'": Aside("longer than the 3 characters"), "'a  '": "a"}),
    Case("TEXT", "name", {f"'{'é' * 31}x'": "é" * 31 + "x", f"'{'é' * 32}'": Aside("longer than the 63 bytes")}),
    Case("TEXT", "mood", {"'sad'": "sad", "'happy'": Aside("not one of the values"), "''": Aside("not one of the values")}, setup=MOOD),
    Case("TEXT", "uuid", {"'FFFFFFFF-ffff-ffff-ffff-ffffffffffff'": "ffffffff-ffff-ffff-ffff-ffffffffffff", "'none'": Aside("is not a UUID")}),
    Case("TEXT", "inet", {"'10.0.0.1'": "10.0.0.1/32", "'::1'": "::1/128", "'10.0.0.1/32'": "10.0.0.1/32", "'10.0.0.256'": KEPT, "''": KEPT}),
    Case("TEXT", "cidr", {"'10.0.0.0/8'": "10.0.0.0/8", "'10.0.0.1/8'": KEPT}),
    Case("TEXT", "jsonb", {"'{\"b\":1,\"a\":2.50}'": '{"a": 2.50, "b": 1}', "'{'": KEPT, "'{\"u\": \"\\u0000\"}'": KEPT}),
    Case("JSON_TEXT", "jsonb", {"'{\"u\": \"\\u0000\"}'": KEPT, "'[1e200000]'": KEPT, "'[1e3, \"\\u00e9\"]'": '[1000, "é"]'}),
    Case("TEXT", "json", {"' [1]'": " [1]", "'[1'": KEPT}),
    Case("TEXT", "interval", {"'1 mon -2 days'": "1 mon -2 days", "'1 month'": KEPT, "'soon'": KEPT, "'100:00:00'": "100:00:00"}),
    Case("TEXT", "interval(0)", {"'00:00:01'": "00:00:01", "'00:00:01.5'": KEPT}),
    Case("TEXT", "bit(3)", {"'101'": "101", "'10'": KEPT, "'1011'": KEPT, "'abc'": KEPT}),
    Case("TEXT", "integer[]", {"'{1,2}'": "{1,2}", "'{1,x}'": KEPT, "'1,2'": KEPT}),
    Case("TEXT", "numeric(3,1)[]", {"'{1.2}'": "{1.2}", "'{1.25}'": KEPT}),
    Case("TEXT", "int4range", {"'[1,2]'": "[1,3)", "'[2,1]'": KEPT}),
    Case("TEXT", "money", {"'$1.00'": "$1.00", "'$1.005'": KEPT}),
    asked("TEXT", "integer", "integer", {"'12'": "12", "'12a'": LOSS, "''": LOSS}),
    asked("TEXT", "boolean", "boolean", {"'true'": "true", "'f'": "false", "'maybe'": Aside("neither 0 nor 1")}),
    asked("TEXT", "date", "date", {"'2024-02-29'": "2024-02-29", "'2023-02-29'": LOSS}),
    asked("TEXT", "timestamp", "timestamp", {"'2024-02-29 12:00:00.5'": "2024-02-29 12:00:00.5", "'noon'": LOSS}),
    asked("TEXT", "time", "time", {"'12:30:00'": "12:30:00", "'25:00:00'": LOSS}),
    Case("TEXT", "numeric", {"'1.10'": "1.1", "'1e-20'": "0.00000000000000000001", "'one'": Aside("is not a number")}),
    asked("BLOB", "text", "text", {"x'616263'": "abc", "x'ff'": LOSS, "x'6100'": Aside("NUL character")}),
    Case("TIMESTAMP", "timestamp(0)", {"'2024-01-01 00:00:00'": "2024-01-01 00:00:00", "'2024-01-01 00:00:00.5'": Aside("0 digits")}),
    asked("TIMESTAMP", "timestamptz", ZONED, {
        "'2024-07-01 12:00:00'": "2024-07-01 10:00:00+00", "'2024-03-31 02:30:00'": Aside("does not exist"), "'2024-10-27 02:30:00'": Aside("occurs twice"),
    }),
    asked("TIMESTAMP", "date", "date", {"'2024-01-01 00:00:00'": "2024-01-01", "'2024-01-01 12:00:00'": LOSS}),
    asked("DATE", "timestamp", "timestamp", {"'2024-01-01'": "2024-01-01 00:00:00"}),
    Case("TIME", "time(0)", {"'12:30:00'": "12:30:00", "'12:30:00.5'": Aside("0 digits")}),
    asked("TIME", "interval", "interval", {"'12:30:00'": "12:30:00"}),
    asked("BOOLEAN", "integer", "integer", {"0": "0", "1": "1"}),
    asked("BOOLEAN", "text", "text", {"0": "false", "1": "true"}),
)  # fmt: skip

POSTGRESQL_TO_SQLITE = (
    Case("bigint", "DECIMAL(20,0)", {"123456789012345": "123456789012345", "1234567890123456789": "1234567890123456789", str(2**63 - 1): str(2**63 - 1)}),
    Case("numeric(20,0)", "DECIMAL(20,0)", {str(2**63 - 1): str(2**63 - 1), str(2**63 + 1): KEPT, "9" * 20: KEPT}),
    Case("numeric", "NUMERIC", {"1.1": "1.1", "123456789012345678": "123456789012345678", "0.1234567890123456": KEPT}),
    Case("numeric", "DECIMAL(10,2)", {"1.10": "1.1", "1.239": LOSS}),
    Case("text", "JSON_TEXT", {"'[1]'": "[1]", "'[1'": KEPT}),
    Case("text", "JSON", {"'[1]'": "[1]", "'12'": "12", "'1234567890.123456789'": KEPT}),
    Case("text", "INTERVAL", {"'1 mon'": "1 mon", "'soon'": KEPT, "''": KEPT}),
    Case("text", "UUID", {"'none'": Aside("is not a UUID")}),
    Case("interval", "TEXT", {"'36 hours'": "36:00:00", "'-1 mons +2 days'": "-1 mons +2 days"}),
    asked("timestamptz", "TIMESTAMP", {"type": "timestamp", "time_zone": "UTC"}, {"'2024-07-01 12:00:00+02'": "2024-07-01 10:00:00"}),
    asked("double precision", "INTEGER", "bigint", {"2": "2", "2.5": LOSS, "'NaN'": LOSS}),
    asked("boolean", "INTEGER", "bigint", {"true": "1", "false": "0"}),
    asked("integer", "TEXT", "text", {"7": "7"}),
    asked("timestamp", "TEXT", "text", {"'294246-12-31'": "294246-12-31 00:00:00", "'infinity'": "infinity", "'0044-03-15 BC'": "-0043-03-15 00:00:00"}),
)  # fmt: skip

POSTGRESQL_TO_DUCKDB = (
    Case("bigint", "TINYINT", {"127": "127", "128": LOSS}),
    Case("bigint", "UBIGINT", {"9223372036854775807": "9223372036854775807", "-1": Aside("outside the range")}),
    Case("numeric(20,0)", "UBIGINT", {"18446744073709551615": "18446744073709551615", "18446744073709551616": Aside("outside the range")}),
    Case("numeric", "HUGEINT", {str(2**127 - 1): str(2**127 - 1), str(2**127): KEPT, "1.5": ROUNDED, "'NaN'": ROUNDED, "'Infinity'": ROUNDED}),
    Case("numeric", "DECIMAL(5,1)", {"1.10": "1.1", "1.15": LOSS, "'NaN'": LOSS}),
    Case("double precision", "FLOAT", {"0.5": "0.5", "0.1": ROUNDED, "'NaN'": "nan"}),
    Case("timestamp", "TIMESTAMP_S", {"'2024-01-01'": "2024-01-01 00:00:00", "'2024-01-01 00:00:00.001'": Aside("0 digits"), "'infinity'": "infinity"}),
    Case("timestamp", "TIMESTAMP_MS", {"'2024-01-01 00:00:00.001'": "2024-01-01 00:00:00.001", "'2024-01-01 00:00:00.0001'": Aside("3 digits")}),
    Case("text", "ENUM('a', 'b')", {"'a'": "a", "'c'": Aside("not one of the values")}),
    Case("text", "UUID", {"'none'": Aside("is not a UUID")}),
    Case("text", "JSON", {"'[1]'": "[1]", "'[1'": KEPT}),
    Case("text", "INTERVAL", {"'-1 mons +2 days'": "-1 month 2 days", "'1 month'": KEPT, "'soon'": KEPT}),
    Case("interval", "INTERVAL", {"'1 year -1 day'": "1 year -1 day", "'infinity'": KEPT}),
    Case("text", "INTEGER[]", {"'[1, 2]'": "[1, 2]", "'[1.5]'": KEPT, "'{1}'": KEPT}),
    Case("text", "BIT", {"'101'": "101", "''": KEPT, "'2'": KEPT}),
    Case("text", "TIME WITH TIME ZONE", {"'12:00:00+02'": "12:00:00+02", "'12:00'": KEPT}),
    asked("text", "BLOB", "bytea", {"'é'": "C3A9"}),
    asked("date", "TIMESTAMP", "timestamp", {"'2024-01-01'": "2024-01-01 00:00:00"}),
)  # fmt: skip

DUCKDB_TO_POSTGRESQL = (
    Case("UBIGINT", "bigint", {"9223372036854775807": "9223372036854775807", "9223372036854775808": LOSS}),
    Case("UBIGINT", "numeric(20,0)", {"18446744073709551615": "18446744073709551615"}),
    Case("HUGEINT", "numeric(38,0)", {"9" * 38: "9" * 38, str(2**127 - 1): LOSS}),
    asked("HUGEINT", "bigint", "bigint", {"12": "12", str(2**63): LOSS}),
    Case("UINTEGER", "integer", {"2147483647": "2147483647", "2147483648": LOSS}),
    asked("TIMESTAMP_NS", "timestamp", "timestamp", {"'2024-01-01 00:00:00.000001'": "2024-01-01 00:00:00.000001", "'2024-01-01 00:00:00.000000001'": LOSS}),
    Case("TIME WITH TIME ZONE", "timetz", {"'12:00:00+02'": "12:00:00+02", "'23:59:59.999999-15:59'": "23:59:59.999999-15:59"}),
    Case("INTERVAL", "text", {"INTERVAL '-1 month 2 days'": "-1 mons +2 days"}),
    asked("INTERVAL", "time", "time", {"INTERVAL '12:30:00'": "12:30:00", "INTERVAL '100:00:00'": LOSS, "INTERVAL '1 day'": LOSS}),
    Case("ENUM('sad', 'glad')", "mood", {"'sad'": "sad", "'glad'": Aside("not one of the values")}, setup=MOOD),
    Case("INTEGER[]", "integer[]", {"[1, 2]": KEPT}, ),
    Case("VARCHAR", "text", {"'a' || chr(0)": Aside("NUL character")}),
    Case("DATE", "date", {"'5881580-07-10'": Aside("outside the range"), "'infinity'": "infinity"}),
)  # fmt: skip

OUTSIDE = Aside("outside the range")

MYSQL_TO_POSTGRESQL = (
    Case("bigint unsigned", "bigint", {"9223372036854775807": "9223372036854775807", "9223372036854775808": LOSS}),
    Case("bigint unsigned", "numeric(20,0)", {"18446744073709551615": "18446744073709551615"}),
    asked("tinyint(1)", "boolean", "boolean", {"0": "false", "1": "true", "2": Aside("neither 0 nor 1"), "-1": Aside("neither 0 nor 1")}),
    asked("bit(1)", "boolean", "boolean", {"b'0'": "false", "b'1'": "true"}),
    Case("bit(8)", "integer", {"b'11111111'": "255"}),
    Case("year", "integer", {"'1901'": "1901", "'0000'": "0"}),
    Case("decimal(65,30)", "numeric(65,30)", {"'-1.5'": "-1.500000000000000000000000000000", "'" + "9" * 35 + "'": "9" * 35 + "." + "0" * 30}),
    Case("decimal(65,30)", "numeric(38,2)", {"'1.25'": "1.25", "'1.125'": LOSS}),
    asked("decimal(10,2)", "double precision", "double", {"'1.1'": "1.1"}),
    Case("float", "real", {"0.1": "0.10000000149011612"}),
    Case("float", "double precision", {"0.1": "0.10000000149011612"}),
    Case("time", "interval", {"'100:00:00'": "100:00:00", "'-05:00:00'": "-05:00:00"}),
    Case("time(6)", "time", {"'23:59:59.999999'": "23:59:59.999999", "'24:00:00'": Aside("no time of day"), "'-00:00:01'": Aside("no time of day")}),
    Case("datetime(6)", "timestamp(0)", {"'2024-01-01 00:00:00'": "2024-01-01 00:00:00", "'2024-01-01 00:00:00.5'": Aside("0 digits")}),
    asked("datetime", "timestamptz", ZONED, {"'2024-07-01 12:00:00'": "2024-07-01 10:00:00+00", "'2024-03-31 02:30:00'": Aside("does not exist")}),
    asked("timestamp", "timestamp", {"type": "timestamp", "time_zone": "Europe/Vienna"}, {"'2024-07-01 10:00:00'": "2024-07-01 12:00:00"}),
    Case("varchar(10)", "character varying(3)", {"'abc'": "abc", "'abcd'": Aside("longer than the 3 characters")}),
    Case("varchar(40)", "uuid", {"'FFFFFFFF-ffff-ffff-ffff-ffffffffffff'": "ffffffff-ffff-ffff-ffff-ffffffffffff", "'none'": Aside("is not a UUID")}),
    Case("varchar(40)", "inet", {"'10.0.0.1'": "10.0.0.1/32", "'10.0.0.256'": KEPT}),
    Case("inet6", "inet", {"'2001:db8::1'": "2001:db8::1/128"}),
    Case("text", "jsonb", {"'[1]'": "[1]", "'[1'": KEPT}),
    Case("json", "jsonb", {"'{\"b\":1,\"a\":2.50}'": '{"a": 2.50, "b": 1}', "'{\"u\":\"\\u0000\"}'": KEPT}),
    Case("enum('sad','glad')", "mood", {"'sad'": "sad", "'glad'": Aside("not one of the values")}, setup=MOOD),
    Case("set('a','b c')", "text[]", {"'a,b c'": '{a,"b c"}', "''": "{}"}, expr="CASE WHEN {0} = '' THEN [] ELSE string_split({0}, ',') END"),
    Case("set('a','b c')", "text", {"'a,b c'": "a,b c", "''": ""}),
    Case("text", "text", {"concat('a', char(0))": Aside("NUL character")}),
    Case("date", "date", {"'0000-00-00'": Aside("0000-00-00"), "'2024-02-00'": Aside("2024-02-00"), "'0001-01-01'": "0001-01-01"}),
)  # fmt: skip

POSTGRESQL_TO_MYSQL = (
    Case("bigint", "tinyint", {"-128": "-128", "128": LOSS}),
    Case("bigint", "mediumint unsigned", {"16777215": "16777215", "16777216": OUTSIDE, "-1": LOSS}),
    Case("numeric(20,0)", "bigint unsigned", {"18446744073709551615": "18446744073709551615", "18446744073709551616": LOSS, "-1": LOSS}),
    Case("numeric", "decimal(65,30)", {"1.1": "1.100000000000000000000000000000", "1e-31": ROUNDED, "1e35": ROUNDED, "'NaN'": ROUNDED}),
    Case("numeric(10,2)", "decimal(10,2) unsigned", {"1.1": "1.10", "-0.01": OUTSIDE}),
    Case("double precision", "double", {"0.1": "0.1", "'NaN'": Aside("NaN"), "'Infinity'": OUTSIDE, "5e-324": "5e-324"}),
    Case("double precision", "float", {"0.5": "0.5", "0.1": ROUNDED}),
    Case("integer", "year", {"1901": "1901", "0": "0000", "1900": Aside("year"), "2156": OUTSIDE}),
    Case("boolean", "tinyint(1)", {"true": "1", "false": "0"}),
    Case("boolean", "bit(1)", {"true": "1", "false": "0"}),
    Case("bigint", "bit(3)", {"7": "7", "8": OUTSIDE, "-1": LOSS}),
    Case("date", "date", {"'0001-01-01'": "0001-01-01", "'0044-03-15 BC'": OUTSIDE, "'infinity'": OUTSIDE}),
    Case("timestamp", "datetime", {"'2024-01-01'": "2024-01-01 00:00:00", "'2024-01-01 00:00:00.5'": Aside("0 digits"), "'infinity'": OUTSIDE}),
    Case("timestamptz", "timestamp(6)", {"'2038-01-19 03:14:07.999999+00'": "2038-01-19 03:14:07.999999", "'2150-01-01+00'": OUTSIDE, "'1970-01-01+00'": OUTSIDE}),
    Case("interval", "time(6)", {"'100:00:00.000001'": "100:00:00.000001", "'-05:00:00'": "-05:00:00.000000", "'1 mon'": Aside("no span"), "'839:00:00'": OUTSIDE}),
    Case("time", "time(0)", {"'12:30:00'": "12:30:00", "'12:30:00.5'": Aside("0 digits")}),
    Case("text", "varchar(3)", {"'é🎉x'": "é🎉x", "'abcd'": Aside("longer than the 3 characters")}),
    Case("text", "char(5)", {"'ab  '": "ab", "'abcdef'": Aside("longer than the 5 characters")}),
    Case("text", "tinytext", {"repeat('x', 255)": "x" * 255, "repeat('é', 128)": Aside("longer than the 255 bytes")}),
    Case("text", "varchar(9) CHARACTER SET latin1", {"'é€'": "é€", "'ł'": Aside("character set")}),
    Case("text", "varchar(9) CHARACTER SET utf8mb3", {"'ł'": "ł", "'🎉'": Aside("character set")}),
    Case("text", "enum('a','b')", {"'a'": "a", "'c'": Aside("not one of the values")}),
    Case("text", "set('a','b')", {"'a,b'": "a,b", "'a,c'": KEPT, "''": "", "'b,a'": KEPT}),
    Case("text", "json", {"'[1]'": "[1]", "'[1'": KEPT}),
    Case("text", "uuid", {"'none'": Aside("is not a UUID")}),
    Case("text", "inet6", {"'::1'": "::1", "'1.2.3'": KEPT}),
    Case("bytea", "varbinary(3)", {"'\\x00ff20'": "00FF20", "'\\x00000000'": Aside("longer than the 3 bytes")}),
    Case("bytea", "binary(3)", {"'\\x00ff20'": "00FF20", "'\\x61'": Aside("keeps as it is")}),
)  # fmt: skip

CASES: dict[tuple[Engine, Engine], tuple[Case, ...]] = {
    ("sqlite", "postgresql"): SQLITE_TO_POSTGRESQL,
    ("postgresql", "sqlite"): POSTGRESQL_TO_SQLITE,
    ("postgresql", "duckdb"): POSTGRESQL_TO_DUCKDB,
    ("duckdb", "postgresql"): DUCKDB_TO_POSTGRESQL,
    ("mysql", "postgresql"): MYSQL_TO_POSTGRESQL,
    ("postgresql", "mysql"): POSTGRESQL_TO_MYSQL,
}


def columns_of(cases: tuple[Case, ...]) -> dict[str, Case]:
    return {f"c{number}": case for number, case in enumerate(cases)}


def rows_of(cases: tuple[Case, ...]) -> list[tuple[int, str, str]]:
    pairs = [(name, each) for name, case in columns_of(cases).items() for each in case.becomes]
    return [(number, name, each) for number, (name, each) in enumerate(pairs)]


def fill(scenario: Scenario, cases: tuple[Case, ...]) -> None:
    for side, kind in ((scenario.source, "source"), (scenario.target, "target")):
        columns = ", ".join(f"{name} {getattr(case, kind)}" for name, case in columns_of(cases).items())
        setups = dict.fromkeys(case.setup for case in cases if case.setup and side is scenario.target)
        side.execute(*setups, f"CREATE TABLE t (id integer PRIMARY KEY, {columns})")
    scenario.source.execute(
        *(f"INSERT INTO t (id, {name}) VALUES ({number}, {each})" for number, name, each in rows_of(cases))
    )


def spec(scenario: Scenario, cases: tuple[Case, ...], *, casts: bool) -> None:
    columns: dict[str, Any] = {"id": "id"}
    for name, case in columns_of(cases).items():
        columns[name] = {"expr": case.expr.format(name)} if case.expr else {"from": name}
        columns[name] |= {"cast": case.cast} if casts and case.cast else {}
    scenario.write({"t": {"from": "t", "columns": columns}})


def refused(scenario: Scenario) -> dict[str, str]:
    """The columns that are refused, and the cast that each refusal suggests."""
    try:
        commands.plan(scenario.request())
    except SpecError as error:
        found = [re.search(r": (c\d+): .*`cast: (.*?)`", line) for line in str(error).splitlines()]
        return {each[1]: each[2] for each in found if each}
    return {}


def check(scenario: Scenario, cases: tuple[Case, ...]) -> None:
    fill(scenario, cases)
    named = columns_of(cases)
    spec(scenario, cases, casts=False)
    suggested = refused(scenario)
    assert suggested.keys() == {name for name, case in named.items() if case.asked}
    assert {name for name, cast in suggested.items() if named[name].suggested not in cast} == set()
    spec(scenario, cases, casts=True)
    balanced(commands.run(scenario.request()))
    assert balanced(commands.plan(scenario.request("plan"))).report.total.changes == 0
    assert balanced(commands.verify(scenario.request("verify"))).report.total.changes == 0
    found = told(scenario.target, "t", list(named))
    reasons = {key[0]: reason for _, key, reason in quarantine(scenario)}
    wrong = []
    for number, name, literal in rows_of(cases):
        case = named[name]
        wanted = case.becomes[literal]
        got = reasons.get(number) if isinstance(wanted, Aside) else found.get(number, {}).get(name)
        if not (wanted in str(got) if isinstance(wanted, Aside) else wanted == got):
            wrong.append(
                (
                    f"{case.source} to {case.target}",
                    literal[:60],
                    wanted[:60],
                    str(got or reasons.get(number) or found.get(number, {}).get(name))[:120],
                )
            )
    assert wrong == []
    assert found.keys() | reasons.keys() == {number for number, _, _ in rows_of(cases)}


@pytest.mark.parametrize("pair", CASES, ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def test_a_redesigned_column_holds_what_fits_and_names_the_rest(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    check(Scenario.make(tmp_path, pair, request), CASES[pair])


@pytest.mark.parametrize(("column", "cast"), [("n", "timestamp"), ("n", "date"), ("d", "bigint")])
def test_a_number_becomes_no_time_unless_it_is_said_what_it_counts(
    column: str, cast: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = Scenario.make(tmp_path, ("sqlite", "duckdb"), request)
    scenario.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, d DATE)")
    scenario.write({"t": {"from": "t", "columns": {"id": "id", "c": {"from": column, "cast": cast}}}})
    with pytest.raises(SpecError, match=r"unless it is said what is counted.*Fix: say it in an `expr`"):
        commands.plan(scenario.request("plan"))


def test_a_type_whose_texts_do_not_tell_all_is_taken_apart_in_a_query(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = Scenario.make(tmp_path, ("duckdb", "postgresql"), request)
    scenario.source.execute(
        'CREATE TABLE t (id INTEGER PRIMARY KEY, u UNION(a INTEGER, b VARCHAR), l UNION(a INTEGER)[], "UNION(" INTEGER)',
        "INSERT INTO t VALUES (1, 1, [], 7), (2, '1'::VARCHAR, [], 7)",
    )
    scenario.write({"t": {"from": "t"}})
    with pytest.raises(SpecError) as error:
        commands.plan(scenario.request("plan"))
    assert [re.search(r": (\w): the source column", line)[1] for line in str(error.value).splitlines()] == ["u", "l"]
    query = "SELECT id, union_extract(u, 'a') AS a, union_extract(u, 'b') AS b, \"UNION(\" AS n FROM t"
    scenario.write({"t": {"from": {"query": query}, "key": ["id"]}})
    balanced(commands.run(scenario.request()))
    assert scenario.target.rows("t") == [(1, 1, None, 7), (2, None, "1", 7)]


@pytest.mark.parametrize("target", ["sqlite", "duckdb", "postgresql"])
def test_json_is_no_key_unless_it_is_made_a_text(
    target: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = Scenario.make(tmp_path, ("duckdb", target), request)
    scenario.source.execute(
        "CREATE TABLE t (j JSON PRIMARY KEY)", """INSERT INTO t VALUES ('{"b":1,"a":2}'), ('{"a":2,"b":1}')"""
    )
    scenario.write({"t": {"from": "t"}})
    with pytest.raises(SpecError, match=r"key column j is JSON .*Fix: .*`cast: text`"):
        commands.plan(scenario.request("plan"))
    scenario.write({"t": {"from": "t", "columns": {"j": {"from": "j", "cast": "text"}}, "key": ["j"]}})
    balanced(commands.run(scenario.request()))
    assert scenario.target.rows("t") == [('{"a":2,"b":1}',), ('{"b":1,"a":2}',)]
    scenario.settled()


def test_a_span_of_time_is_no_key_in_duckdb(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    scenario = Scenario.make(tmp_path, ("mysql", "duckdb"), request)
    scenario.source.execute(
        "CREATE TABLE t (c time(1) PRIMARY KEY)", "INSERT INTO t VALUES ('-00:00:00.5'), ('12:30:00')"
    )
    scenario.write({"t": {"from": "t"}})
    with pytest.raises(
        SpecError, match=r"c is an interval, of which DuckDB can make no key.*Fix: give it `cast: text`"
    ):
        commands.plan(scenario.request("plan"))
    scenario.write({"t": {"from": "t", "columns": {"c": {"from": "c", "cast": "text"}}, "key": ["c"]}})
    balanced(commands.run(scenario.request()))
    assert scenario.target.rows("t") == [("-00:00:00.5",), ("12:30:00",)]
    scenario.settled()
