"""Every native type of every engine, with the values at its ends: what the type matrix sends around.

A value is a SQL expression of its engine. Each column's name is its type's, so that messages and the table in the
documentation name types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "number", "float", "boolean", "text", "padded", "bytes", "date", "timestamp", "instant", "time", "interval", "uuid",
    "json",
]  # fmt: skip
"""How values compare: numbers as decimals, floats as doubles, times as numbers, JSON by value, all else as its text."""

MEBIBYTE = 1_048_576
TEXTS = (
    "''", "'NULL'", "' blank '", "'é'", "'e\u0301'", "'🎉 \u4e2d'", "'a\"b''c\\d%s:x?'", "'tab\tline\nreturn\r'",
)  # fmt: skip
LONG_TEXTS = (f"repeat('x', {MEBIBYTE})", f"repeat('ß', {MEBIBYTE // 2})", f"repeat('🎉', {MEBIBYTE // 4})")


@dataclass(frozen=True)
class Sample:
    """A native type as it is declared, and values of it. `setup` is SQL that the type needs.

    `forced`: the server has to be told to pass over errors, and then stores what it stores.
    """

    native: str
    family: Family
    values: tuple[str, ...]
    setup: str = ""
    named: str = ""
    forced: bool = False

    @property
    def name(self) -> str:
        return self.named or self.native.lower()


def whole(native: str, low: int, high: int) -> Sample:
    values = dict.fromkeys((low, high, 0, 1, -1 if low < 0 else 2))
    return Sample(native, "number", tuple(str(value) for value in values))


def texts(native: str, family: Family, *values: str, setup: str = "", named: str = "") -> Sample:
    """Values written as quoted texts."""
    quoted = tuple("'" + value.replace("'", "''") + "'" for value in values)
    return Sample(native, family, quoted, setup, named)


UUIDS = (
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "12345678-9abc-4def-8123-456789abcdef",
)
ODD_UUID = "12345678-9abc-8def-0123-456789abcdef"  # of the oldest variant, with a version that came later
JSONS = (
    '{"b": [1, 2.50, null], "a": {"é": "🎉"}}',
    '"text"',
    "null",
    "[]",
    '{"n": 12345678901234567890.123456789}',
    '{"u": "\\u00e9\\n"}',
)
FLOATS = ("0", "-0.0", "-1.5", "0.1", "NaN", "Infinity", "-Infinity")
REALS = (*FLOATS, "3.4028235e38", "-3.4028235e38", "1.1754944e-38", "1e-45")
DOUBLES = (
    *FLOATS,
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "2.2250738585072014e-308",
    "5e-324",
    "0.30000000000000004",
)
CLOCKS = ("00:00:00", "23:59:59.999999", "12:30:00", "00:00:00.000001", "24:00:00")
DATES = ("0001-01-01", "9999-12-31", "1970-01-01", "2024-02-29", "1582-10-10")
MOMENTS = (
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
    "1970-01-01 00:00:00.000001",
    "1969-12-31 23:59:59.999999",
    "2024-02-29 12:30:00.5",
)
INTERVALS = (
    "00:00:00", "1 mon", "-1 mon", "1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons +3 days -04:05:06.000001", "100:00:00", "-05:00:00",
    "30 days", "24:00:00", "1 day -00:00:01",
)  # fmt: skip

POSTGRESQL = (
    whole("smallint", -(2**15), 2**15 - 1),
    whole("integer", -(2**31), 2**31 - 1),
    whole("bigint", -(2**63), 2**63 - 1),
    whole("oid", 0, 2**32 - 1),
    texts("real", "float", *REALS),
    texts("double precision", "float", *DOUBLES),
    texts("numeric(10,2)", "number", "0", "0.01", "-99999999.99", "99999999.99"),
    texts("numeric(18,18)", "number", "0", "0.000000000000000001", "-0.999999999999999999"),
    texts("numeric(38,10)", "number", "0", "0.0000000001", "-" + "9" * 28 + ".9999999999", "9" * 28 + ".9999999999"),
    texts("numeric(9,3)", "number", "0", "123456.789", "NaN", named="numeric(9,3) with NaN"),
    texts("numeric(50,5)", "number", "0", "0.00001", "-" + "9" * 45 + ".99999", "NaN"),
    texts("numeric(3,-2)", "number", "0", "-99900", "99900", "100"),
    texts("numeric(2,4)", "number", "0", "0.0099", "-0.0001"),
    texts("numeric", "number", "0", "1.10", "-1e-30", "9" * 40, "1e131071", "1e-16383", "NaN", "Infinity", "-Infinity"),
    texts("money", "text", "0", "-92233720368547758.08", "92233720368547758.07", "0.01"),
    Sample("boolean", "boolean", ("true", "false")),
    texts("character(5)", "padded", "", "ab", "a b", "éé🎉", "abcde"),
    texts("bpchar", "padded", "", "ab", "ab  ", named="bpchar without a length"),
    texts("character varying(10)", "text", "", "ab  ", "é🎉", "0123456789"),
    Sample("text", "text", (*TEXTS, *LONG_TEXTS)),
    Sample("citext", "text", TEXTS, "CREATE EXTENSION IF NOT EXISTS citext"),
    texts("name", "text", "", "Name", "é" * 31),
    texts('"char"', "text", "", "a", named="char (one byte)"),
    Sample("bytea", "bytes", ("''", "'\\x00ff'", "'\\x00'", f"decode(repeat('00ff', {MEBIBYTE // 2}), 'hex')")),
    texts("date", "date", *DATES, "0044-03-15 BC", "4714-11-24 BC", "5874897-12-31", "infinity", "-infinity"),
    texts("time", "time", *CLOCKS),
    texts("time(0)", "time", "00:00:00", "23:59:59"),
    texts("time with time zone", "text", "00:00:00-15:59:59", "00:00:00+15:59:59", "23:59:59.999999+15:59", "24:00:00+00"),
    texts("timestamp", "timestamp", *MOMENTS, "0044-03-15 12:00:00 BC", "4714-11-24 00:00:00 BC", "294246-12-31 23:59:59.999999",
          "294276-12-31 23:59:59.999999", "infinity", "-infinity"),
    texts("timestamp(3)", "timestamp", "2024-02-29 12:30:00.123", "9999-12-31 23:59:59.999"),
    texts("timestamp with time zone", "instant", *(each + "+00" for each in MOMENTS), "2024-07-01 00:00:00+05:45", "0044-03-15 12:00:00+00 BC",
          "294276-12-31 23:59:59.999999+00", "infinity", "-infinity"),
    texts("interval", "interval", *INTERVALS, "178000000 years", "-178000000 years", "0.000001 seconds", "infinity", "-infinity"),
    texts("interval(0)", "interval", "1 mon -00:00:01", "00:00:00"),
    texts("uuid", "uuid", *UUIDS, ODD_UUID),
    texts("json", "json", *JSONS, '{"a": 1, "a": 2}'),
    texts("jsonb", "json", *JSONS),
    texts("jsonpath", "text", "$", '$."a b"[*]?(@ > 1)'),
    texts("hstore", "text", "", '"a"=>NULL, "b, c"=>"NULL"', setup="CREATE EXTENSION IF NOT EXISTS hstore"),
    texts("ltree", "text", "", "a.b_c.1", setup="CREATE EXTENSION IF NOT EXISTS ltree"),
    texts("inet", "text", "0.0.0.0", "255.255.255.255/8", "::1", "2001:db8::/32"),
    texts("cidr", "text", "10.0.0.0/8", "2001:db8::/32"),
    texts("macaddr", "text", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"),
    texts("macaddr8", "text", "00:00:00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff:ff:ff"),
    texts("bit(3)", "text", "000", "101"),
    texts("bit(64)", "text", "0" * 64, "1" * 64),
    texts("bit varying(5)", "text", "", "1", "10101"),
    texts("integer[]", "text", "{}", "{1,NULL,-2147483648}", "{{1,2},{3,4}}", "[0:1]={1,2}"),
    texts("text[]", "text", "{}", '{"",NULL,"NULL","a,b","{x}","quote \\" and \\\\","🎉 é"}'),
    texts("numeric(9,3)[]", "text", "{}", "{-1.5,NaN,NULL}"),
    texts("boolean[]", "text", "{t,f,NULL}"),
    texts("double precision[]", "text", "{-0,5e-324,NaN,Infinity}"),
    texts("bytea[]", "text", '{"","\\\\x00ff"}'),
    texts("timestamp with time zone[]", "text", '{"0001-01-01 00:00:00+00",infinity,"2024-07-01 00:00:00+05:45"}'),
    texts("jsonb[]", "text", '{"{\\"a\\": [1, null]}","null",NULL}'),
    texts("mood", "text", "sad", "ok", "it's, {odd}", "", setup="CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, {odd}', '')", named="enum"),
    texts("int4range", "text", "empty", "[1,5)", "(,)", "[-2147483648,2147483647)"),
    texts("int8range", "text", "empty", "[-9223372036854775808,9223372036854775807)"),
    texts("numrange", "text", "(,)", "[-1.50,NaN]"),
    texts("daterange", "text", "[0001-01-01,infinity)", "[4713-01-01 BC,9999-12-31)"),
    texts("tsrange", "text", '["2024-01-01 00:00:00","2024-01-02 00:00:00.000001"]'),
    texts("tstzrange", "text", '["2024-01-01 00:00:00+00",infinity)'),
    texts("int4multirange", "text", "{}", "{[1,3),[5,)}"),
    texts("datemultirange", "text", "{(,2024-01-01),[2024-02-29,2024-03-01)}"),
    Sample("positive", "number", ("1", "2147483647"), "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)", "domain over integer"),
    texts("short", "text", "", "é🎉", "abc", setup="CREATE DOMAIN short AS varchar(3)", named="domain over varchar(3)"),
    texts("price", "number", "0", "-99.99", setup="CREATE DOMAIN price AS numeric(4,2)", named="domain over numeric(4,2)"),
    texts("tsvector", "text", "", "'a':1 'cat':2A,5"),
    texts("tsquery", "text", "", "'a' & !'b':*"),
    texts("pg_lsn", "text", "0/0", "FFFFFFFF/FFFFFFFF"),
    texts("point", "text", "(0,0)", "(-1.5,1e+300)", "(NaN,Infinity)"),
    texts("box", "text", "(1,1),(0,0)"),
    texts("polygon", "text", "((0,0),(1e-300,1),(1,0))"),
    texts("circle", "text", "<(0.1,-0),1>"),
    texts("pair", "text", "(,)", '(1,"a, b")', setup="CREATE TYPE pair AS (n integer, t text)", named="composite type"),
)  # fmt: skip

DUCKDB = (
    whole("TINYINT", -(2**7), 2**7 - 1),
    whole("SMALLINT", -(2**15), 2**15 - 1),
    whole("INTEGER", -(2**31), 2**31 - 1),
    whole("BIGINT", -(2**63), 2**63 - 1),
    whole("HUGEINT", -(2**127), 2**127 - 1),
    whole("UTINYINT", 0, 2**8 - 1),
    whole("USMALLINT", 0, 2**16 - 1),
    whole("UINTEGER", 0, 2**32 - 1),
    whole("UBIGINT", 0, 2**64 - 1),
    whole("UHUGEINT", 0, 2**128 - 1),
    texts("BIGNUM", "number", "0", "-" + "9" * 60, "9" * 60, "1" + "0" * 999),
    texts("DECIMAL(4,1)", "number", "0", "-999.9", "0.1"),
    texts("DECIMAL(18,3)", "number", "0", "-999999999999999.999", "0.001"),
    texts("DECIMAL(38,0)", "number", "0", "9" * 38, "-" + "9" * 38),
    texts("DECIMAL(38,10)", "number", "0", "0.0000000001", "-" + "9" * 28 + ".9999999999"),
    texts("DECIMAL(38,38)", "number", "0", "0." + "9" * 38, "-0." + "0" * 37 + "1"),
    texts("FLOAT", "float", *REALS),
    texts("DOUBLE", "float", *DOUBLES),
    Sample("BOOLEAN", "boolean", ("true", "false")),
    Sample("VARCHAR", "text", (*TEXTS, *LONG_TEXTS, "'a' || chr(0) || 'b'")),
    Sample("VARCHAR COLLATE NOCASE", "text", ("'a'", "'A'", "''")),
    texts("ENUM('sad', 'it''s, odd', '')", "text", "sad", "it's, odd", "", named="enum"),
    Sample("BLOB", "bytes", ("''::BLOB", "'\\x00\\xFF'::BLOB", f"repeat('\\x00\\xFF'::BLOB, {MEBIBYTE // 2})")),
    texts("BIT", "text", "0", "1", "0101010101", "1" * 65),
    texts("DATE", "date", *DATES, "4714-11-24 (BC)", "5877642-06-25 (BC)", "5881580-07-10", "infinity", "-infinity"),
    texts("TIME", "time", *CLOCKS),
    texts("TIME WITH TIME ZONE", "text", "00:00:00-15:59:59", "23:59:59.999999+15:59"),
    texts("TIME_NS", "text", "00:00:00.000000001", "23:59:59.999999999", "24:00:00"),
    texts("TIMESTAMP", "timestamp", *MOMENTS, "0044-03-15 (BC) 12:00:00", "290309-12-22 (BC) 00:00:00", "294247-01-10 04:00:54.775806",
          "infinity", "-infinity"),
    texts("TIMESTAMP_S", "timestamp", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "infinity"),
    texts("TIMESTAMP_MS", "timestamp", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999", "-infinity"),
    texts("TIMESTAMP_NS", "text", "1677-09-22 00:00:00", "2262-04-11 23:47:16.854775806", "2024-01-01 00:00:00.000000001", "infinity", "-infinity"),
    texts("TIMESTAMPTZ_NS", "text", "1677-09-22 00:00:00+00", "2024-01-01 00:00:00.000000001+05:45"),
    texts("TIMESTAMP WITH TIME ZONE", "instant", *(each + "+00" for each in MOMENTS), "2024-07-01 00:00:00+05:45", "0044-03-15 (BC) 12:00:00+00",
          "294247-01-10 04:00:54.775806+00", "infinity", "-infinity"),
    Sample("INTERVAL", "interval", tuple(
        f"INTERVAL '{each}'" for each in (
            "0 days", "1 month", "-1 month", "1 year 2 months 3 days 04:05:06.789", "-1 year -2 months", "100:00:00", "-05:00:00", "30 days",
            "24:00:00", "1 day -00:00:01", "-1 month 2 days", "-3 days 00:00:01", "178956970 years 7 months", "2147483647 days",
            "-2562047788:00:54.775808",
        ))),
    texts("UUID", "uuid", *UUIDS, ODD_UUID),
    texts("JSON", "json", *JSONS, '{"a": 1, "a": 2}'),
    Sample("INTEGER[]", "text", ("[]", "[1, NULL, -2147483648]")),
    Sample("VARCHAR[]", "text", ("[]", "['', NULL, 'NULL', 'a, b', '[x]', 'quote \" and '' and \\', '🎉']")),
    Sample("INTEGER[2]", "text", ("[1, 2]", "[NULL, NULL]")),
    Sample("INTEGER[][]", "text", ("[]", "[[]]", "[[1, NULL], NULL, [-2147483648]]")),
    Sample("DOUBLE[]", "text", ("['NaN'::DOUBLE, 'Infinity'::DOUBLE, -0.0::DOUBLE, 5e-324]",)),
    Sample("DECIMAL(38,10)[]", "text", ("[0.0000000001, NULL]",)),
    Sample("BLOB[]", "text", ("['\\x00\\xFF, ]'::BLOB]",)),
    Sample("TIMESTAMP[]", "text", ("[TIMESTAMP '0001-01-01 00:00:00', 'infinity'::TIMESTAMP]",)),
    Sample('STRUCT(a INTEGER, "b c" VARCHAR)', "text", ("{'a': NULL, 'b c': 'x, }'}", "{'a': 1, 'b c': NULL}", "{'a': 1, 'b c': 'NULL'}")),
    Sample("STRUCT(a STRUCT(b VARCHAR[]))", "text", ("{'a': {'b': ['it''s', '']}}", "{'a': NULL}")),
    Sample("MAP(VARCHAR, INTEGER[])", "text", ("MAP {}", "MAP {'k=1': [1, 2], 'NULL': NULL}")),
    Sample("UNION(a INTEGER, b VARCHAR)", "text", ("union_value(a := 1)",)),
    Sample("VARIANT", "text", ("1::VARIANT", "'1'::VARIANT")),
)  # fmt: skip

SQLITE = (
    Sample("INTEGER", "number", (str(-(2**63)), str(2**63 - 1), "0", "-1", str(2**63), "'text'", "1.5", "x'00'")),
    Sample("TINYINT", "number", ("-128", "9223372036854775807")),
    Sample("UNSIGNED BIG INT", "number", ("0", "9223372036854775807", str(2**64 - 1))),
    Sample("REAL", "float", ("0.0", "-0.0", "0.1", "-1.5", "1.7976931348623157e308", "5e-324", "9e999", "-9e999", "'text'", "9007199254740993")),
    Sample("DOUBLE PRECISION", "float", ("0.30000000000000004", "2.2250738585072014e-308", "'NaN'")),
    Sample("FLOAT", "float", ("0.1", "3.4028235e38", "16777217")),
    Sample("TEXT", "text", (*TEXTS, *(f"replace(hex(zeroblob({MEBIBYTE // 2})), '00', '{each}')" for each in ("xx", "ß")), "'a' || char(0) || 'b'", "x'61'", "CAST(x'ff' AS TEXT)")),
    Sample("VARCHAR(10)", "text", ("''", "'é🎉'", "'longer than ten characters'")),
    Sample("CHAR(3)", "text", ("''", "'ab '", "'abc'")),
    Sample("NVARCHAR(100)", "text", ("''", "'é'")),
    Sample("CLOB", "text", ("''", "'🎉'")),
    Sample("STRING", "text", ("'text'", "'0012'")),
    Sample("BLOB", "bytes", ("x''", "x'00ff'", f"zeroblob({MEBIBYTE})", "'text'", "1")),
    Sample("BOOLEAN", "boolean", ("0", "1", "2", "-1", "'true'")),
    Sample("NUMERIC", "number", ("0", "1.1", str(2**63 - 1), "'123456789012345678901234567890'", "'many'")),
    Sample("DECIMAL(10,2)", "number", ("0", "0.01", "-99999999.99", "99999999.99", "1.239", "123456789.0", "'one'")),
    Sample("NUMERIC(15,15)", "number", ("0.000000000000001", "-0.999999999999999", "1")),
    Sample("DECIMAL(20,0)", "number", ("9223372036854775807", "-9223372036854775808", "'18446744073709551615'")),
    Sample("DECIMAL(20,6)", "number", ("0", "0.000001", "-123456789.5", "'much'")),
    Sample("DECIMAL_TEXT(38,10)", "number", ("'0'", f"'-{'9' * 28}.9999999999'", "'0.0000000001'", "'one'")),
    Sample("DECIMAL_TEXT", "number", ("'0'", "'-1.10'", f"'{'9' * 60}'", "'0.00000000000000000000000000000001'", "'NaN'", "'Infinity'")),
    Sample("DATE", "date", (*(f"'{each}'" for each in DATES), "'0000-01-01'", "'infinity'", "'2024-02-29 00:00:00'", "'2024-02-29 12:00:00'", "'2024-02-30'", "20240101", "'0000-00-00'")),
    Sample("TIMESTAMP", "timestamp", (*(f"'{each}'" for each in MOMENTS), "'2024-02-29T12:30'", "'-infinity'", "'2024-01-01 00:00:00Z'", "'2024-13-01 00:00:00'")),
    Sample("DATETIME", "timestamp", ("'2024-02-29 12:30:00'", "1704067200")),
    Sample("TIMESTAMPTZ", "instant", (*(f"'{each}+00:00'" for each in MOMENTS), "'2024-07-01 00:00:00+05:45'", "'2024-07-01 00:00:00Z'", "'2024-07-01 00:00:00'")),
    Sample("TIME", "time", ("'00:00:00'", "'23:59:59.999999'", "'12:30'", "'24:00:00'", "'100:00:00'")),
    Sample("INTERVAL", "interval", ("'100:00:00'", "'-05:00:00'", "'1 mon 2 days'", "'3 wishes'")),
    Sample("UUID", "uuid", (*(f"'{each}'" for each in (*UUIDS, ODD_UUID)), "'12345678-9ABC-4DEF-8123-456789ABCDEF'", "'12345678901234567890123456789012'", "'none'")),
    Sample("JSON", "json", ("'{\"a\": [1.50]}'", "'12'", "'\"12\"'", "'1234567890.123456789'", "'{'")),
    Sample("JSON_TEXT", "json", (*(f"'{each}'" for each in JSONS), "'{'")),
    Sample("", "text", ("''", "'text'", "1", "x'00'"), named="no type"),
)  # fmt: skip

MYSQL = (
    whole("tinyint", -(2**7), 2**7 - 1),
    whole("tinyint unsigned", 0, 2**8 - 1),
    Sample("tinyint(1)", "number", ("0", "1", "2", "-1", "127")),
    whole("smallint", -(2**15), 2**15 - 1),
    whole("smallint unsigned", 0, 2**16 - 1),
    whole("mediumint", -(2**23), 2**23 - 1),
    whole("mediumint unsigned", 0, 2**24 - 1),
    whole("int", -(2**31), 2**31 - 1),
    whole("int unsigned", 0, 2**32 - 1),
    whole("int(8) unsigned zerofill", 0, 2**32 - 1),
    whole("bigint", -(2**63), 2**63 - 1),
    whole("bigint unsigned", 0, 2**64 - 1),
    texts("decimal(10,2)", "number", "0", "0.01", "-99999999.99", "99999999.99"),
    texts("decimal(5,2) zerofill", "number", "0", "999.99"),
    texts("decimal(10,2) unsigned", "number", "0", "99999999.99"),
    texts("decimal(38,10)", "number", "0.0000000001", "-" + "9" * 28 + ".9999999999"),
    texts("decimal(65,0)", "number", "0", "-" + "9" * 65),
    texts("decimal(65,30)", "number", "0", "0." + "0" * 29 + "1", "9" * 35 + "." + "9" * 30),
    texts("decimal(38,38)", "number", "0", "-0." + "0" * 37 + "1", "0." + "9" * 38),
    texts("float", "float", "0", "-0.0", "-1.5", "0.1", "3.4028234663852886e38", "-3.4028234663852886e38", "1.1754944e-38", "1e-45", "16777216",
          "123456.79"),
    texts("float(7,4)", "float", "0", "999.9999", "-0.0001"),
    texts("double unsigned", "float", "0", "1.7976931348623157e308"),
    texts("double", "float", "0", "-0.0", "-1.5", "0.1", "-1.7976931348623157e308", "1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "0.30000000000000004"),
    Sample("bit(1)", "number", ("b'0'", "b'1'")),
    Sample("bit(8)", "number", ("b'0'", "b'11111111'", "b'10'")),
    Sample("bit(20)", "number", ("b'0'", "1048575")),
    Sample("bit(63)", "number", ("b'0'", "9223372036854775807")),
    Sample("bit(64)", "number", ("b'0'", "18446744073709551615")),
    texts("char(5)", "padded", "", "ab", "ab  ", "a b", "éé🎉", "abcde"),
    texts("char(5) collate utf8mb4_nopad_bin", "padded", "", "ab", "ab  "),
    texts("varchar(10)", "text", "", "ab  ", "é🎉", "0123456789"),
    texts("varchar(10) collate utf8mb4_bin", "text", "", "ab  ", "AB"),
    texts("varchar(10) character set latin1", "text", "", "é€", "??"),
    texts("varchar(10) character set utf8mb3", "text", "", "é€", "中"),
    texts("varchar(10) character set ucs2", "text", "", "é€", "中?"),
    texts("varchar(10) character set utf16", "text", "", "🎉?"),
    texts("varchar(10) character set sjis", "text", "", "日本", "\\"),
    texts("tinytext", "text", "", "x" * 255, "é" * 126),
    Sample("text", "text", (*TEXTS, "concat('a', char(0), 'b')")),
    Sample("mediumtext", "text", ("''", "'é'")),
    Sample("longtext", "text", LONG_TEXTS),
    Sample("binary(3)", "bytes", ("x'000000'", "x'61'", "x'00ff20'")),
    Sample("varbinary(10)", "bytes", ("x''", "x'00'", "x'00ff20'")),
    Sample("tinyblob", "bytes", ("x''", "repeat(x'00', 255)")),
    Sample("blob", "bytes", ("x''", "x'00ff'")),
    Sample("longblob", "bytes", (f"repeat(x'00ff', {MEBIBYTE // 2})",)),
    texts("date", "date", *DATES, "0000-00-00", "2020-02-00"),
    texts("datetime", "timestamp", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "0000-00-00 00:00:00"),
    texts("datetime(1)", "timestamp", "2024-02-29 12:30:00.1"),
    texts("datetime(3)", "timestamp", "2024-02-29 12:30:00.123", "9999-12-31 23:59:59.999"),
    texts("datetime(6)", "timestamp", *MOMENTS),
    texts("timestamp", "instant", "1970-01-01 00:00:01", "2038-01-19 03:14:07"),
    texts("timestamp(6)", "instant", "1970-01-01 00:00:01", "2000-01-01 00:00:00.000001", "2038-01-19 03:14:07.999999", "0000-00-00 00:00:00"),
    texts("time", "interval", "00:00:00", "100:00:00", "-05:00:00", "838:59:59", "-838:59:59"),
    texts("time(3)", "interval", "00:00:00.001", "-838:59:59.999"),
    texts("time(6)", "interval", "23:59:59.999999", "-00:00:00.000001", "838:59:59.999999", "-838:59:59.999999"),
    texts("year", "number", "0000", "1901", "2155"),
    texts("enum('sad','it''s, odd','')", "text", "sad", "it's, odd", "", named="enum"),
    Sample("enum('a','b')", "text", ("'a'", "'none of them'"), named="enum with a value that is none", forced=True),
    texts("set('a','b c')", "text", "", "a", "a,b c", "b c,a", named="set"),
    texts("json", "json", *JSONS, '{"a": 1, "a": 2}'),
    texts("uuid", "uuid", *UUIDS),
    texts("inet4", "text", "0.0.0.0", "255.255.255.255"),
    texts("inet6", "text", "::", "2001:db8::1", "::ffff:10.0.0.1"),
    Sample("point", "text", ("ST_GeomFromText('POINT(1 2)')",)),
    Sample("geometry", "text", ("ST_GeomFromText('LINESTRING(0 0,1 1)')",)),
)  # fmt: skip

SAMPLES: dict[str, tuple[Sample, ...]] = {"postgresql": POSTGRESQL, "duckdb": DUCKDB, "sqlite": SQLITE, "mysql": MYSQL}
