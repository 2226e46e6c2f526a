"""Native types of every engine with values drawn over their whole range, their ends more often than chance would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from hypothesis import strategies as st
from scenario import Engine
from type_samples import DATES, JSONS, MOMENTS, UUIDS, Family

Literals = st.SearchStrategy[str]
"""SQL expressions of the type's engine."""


@dataclass(frozen=True)
class Kind:
    """A native type. `key`: it may stand in a primary key. `broken`: expressions of values that are none of the type."""

    native: str
    family: Family
    values: Literals
    key: bool = True
    broken: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------------------------------
# Values

ODD_TEXTS = (
    "", " ", "a ", "  a", "NULL", "null", "None", "\\N", "é", "e\u0301", "ß", "SS", "İ", "🎉", "a🎉\u4e2d", "it's", '"', "\\", "\\\\x", "a\\",
    "%s %(x)s", ":x", "?", "{a,b}", "[1]", "tab\tline\nreturn\r", "\r\n", "\x1a", "\x7f", "\ufeffa", "\u2028", "\u200b", "\U0010ffff", "\ufffd",
    "infinity", "NaN", "0", "-0", "1.0", "true", "2024-02-30", "x" * 300, "A", "a", "a\x01", ",", ";", "--", "/*", "$$", "${HOME}", "\x1b[0m",
)  # fmt: skip


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def either(odd: Iterable[Any], rest: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The odd ones as often as all the rest."""
    return st.one_of(some(*odd), rest)


def texts(*, longest: int = 60, nul: bool = False, alphabet: str | None = None) -> st.SearchStrategy[str]:
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="" if nul else "\0")
    odd = [each for each in ODD_TEXTS if len(each) <= longest]
    if alphabet is not None:
        letters = st.sampled_from(alphabet)
        odd = [each for each in odd if set(each) <= set(alphabet)]
    odd += ["a\0b", "\0"] if nul and longest > 2 else []
    return either(odd, st.text(letters, max_size=min(longest, 12)))


def wholes(low: int, high: int) -> st.SearchStrategy[str]:
    ends = [each for each in (0, 1, -1, 2, low, low + 1, high, high - 1) if low <= each <= high]
    return either(ends, st.integers(low, high)).map(str)


def decimals(precision: int, scale: int, *, signed: bool = True) -> st.SearchStrategy[str]:
    most = 10**precision - 1
    places = either(
        [0, 1, most] + [-1, -most] * signed, st.one_of(st.integers(-most * signed, most), st.integers(-99 * signed, 99))
    )

    def text(number: int) -> str:
        digits = str(abs(number)).rjust(scale + 1, "0")
        return "-" * (number < 0) + digits[: len(digits) - scale] + "." * (scale > 0) + digits[len(digits) - scale :]

    return places.map(text)


def floats(width: int, *, endless: bool = True) -> st.SearchStrategy[float]:
    ends = {32: (3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45, 16777216.0, 0.10000000149011612),
            64: (1.7976931348623157e308, 2.2250738585072014e-308, 5e-324, 9007199254740993.0, 0.30000000000000004)}[width]  # fmt: skip
    odd = [0.0, -0.0, 1.5, *ends, *(-each for each in ends)] + [float("nan"), float("inf"), float("-inf")] * endless
    drawn = st.floats(width=32) if width == 32 else st.floats()
    return either(odd, drawn if endless else drawn.filter(lambda each: abs(each) < float("inf")))


def days(first: date = date.min, last: date = date.max, *odd: str) -> st.SearchStrategy[str]:
    return either([*DATES, *odd], st.dates(first, last).map(str))


def moments(*odd: str, suffix: str = "", digits: int = 6) -> st.SearchStrategy[str]:
    def text(moment: datetime) -> str:
        return moment.isoformat(" ", "microseconds")[: 20 + digits].rstrip(".") + suffix

    drawn = st.datetimes().map(text)
    usual = [each + suffix for each in MOMENTS if digits == 6] or [text(datetime.max), text(datetime.min)]
    return either([*usual, *odd], drawn)


def clocks(*odd: str, digits: int = 6) -> st.SearchStrategy[str]:
    def text(clock: time) -> str:
        return clock.isoformat("microseconds")[: 9 + digits].rstrip(".")

    return either([text(time.min), text(time.max), "12:30:00", *odd], st.times().map(text))


def spans(months: int, day: int, micros: int, spell: Callable[[int, int, int], str]) -> st.SearchStrategy[str]:
    def whole(most: int) -> st.SearchStrategy[int]:
        return either([0, 0, 1, -1, most, -most], st.integers(-most, most))

    return st.builds(spell, whole(months), whole(day), whole(micros))


def clock_text(micros: int) -> str:
    seconds, rest = divmod(abs(micros), 1_000_000)
    sign = "-" if micros < 0 else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:06}"


def jsons(*, escapes: bool = True) -> st.SearchStrategy[str]:
    letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
    plain = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), letters
    )
    nested = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3), max_leaves=5
    )
    odd = [each for each in JSONS if escapes or "\\" not in each]
    return either(
        [*odd, '{"a": 1.10, "b": 1e2}', "1E400", "-0", '""', "true"],
        st.builds(json.dumps, nested, ensure_ascii=st.booleans()),
    )


UUID_TEXTS = either(UUIDS, st.uuids().map(str))
INET = some("0.0.0.0", "255.255.255.255/8", "::1", "2001:db8::/32", "10.1.2.3/32")
BYTES = either([b"", b"\0", b"\0\xff", b"\\x00", b"a ", b"\xc3\x28", b"'"], st.binary(max_size=12))
BITS = st.text("01", min_size=1, max_size=20)


# ---------------------------------------------------------------------------------------------------------------------
# Their spellings


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def with_nul(call: str) -> Callable[[str], str]:
    """Texts in an engine whose literals end at a NUL character: it is put in by a function."""

    def spell(text: str) -> str:
        return f" || {call} || ".join(quote(each) for each in text.split("\0"))

    return spell


def text_in(engine: Engine) -> Callable[[str], str]:
    match engine:
        case "postgresql":
            return quote
        case "duckdb":
            return with_nul("chr(0)")
        case "sqlite":
            return with_nul("char(0)")
    return lambda text: f"_utf8mb4 x'{text.encode().hex()}'" if text else "''"


def float_text(value: float) -> str:
    return {"inf": "'Infinity'", "-inf": "'-Infinity'", "nan": "'NaN'"}.get(repr(value), f"'{value!r}'")


def float_in_sqlite(value: float) -> str:
    return {"inf": "9e999", "-inf": "-9e999", "nan": "NULL"}.get(repr(value), repr(value))


def quoted(values: st.SearchStrategy[str]) -> Literals:
    return values.map(quote)


def hexed(spell: Callable[[str], str]) -> Literals:
    return BYTES.map(lambda each: spell(each.hex()))


def whole(native: str, bits: int, *, signed: bool = True, broken: tuple[str, ...] = ()) -> Kind:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return Kind(native, "number", wholes(low, high), broken=broken)


def exact(native: str, precision: int, scale: int, *odd: str, signed: bool = True, key: bool = True) -> Kind:
    values = decimals(precision, scale, signed=signed)
    return Kind(native, "number", quoted(either(odd, values) if odd else values), key)


# ---------------------------------------------------------------------------------------------------------------------
# PostgreSQL

_pg = text_in("postgresql")
NUMERICS = st.one_of(decimals(12, 3), decimals(70, 0), decimals(70, 40), decimals(60, 60))

POSTGRESQL = (
    whole("smallint", 16),
    whole("integer", 32),
    whole("bigint", 64),
    whole("oid", 32, signed=False),
    Kind("real", "float", floats(32).map(float_text), key=False),
    Kind("double precision", "float", floats(64).map(float_text), key=False),
    exact("numeric(10,2)", 10, 2),
    exact("numeric(18,18)", 18, 18),
    exact("numeric(38,10)", 38, 10),
    exact("numeric(9,3)", 9, 3, "NaN"),
    exact("numeric(50,5)", 50, 5, "NaN"),
    exact("numeric(2,4)", 2, 4),
    Kind("numeric(3,-2)", "number", wholes(-999, 999).map(lambda each: f"'{each}00'")),
    Kind("numeric", "number", quoted(either(["NaN", "Infinity", "-Infinity", "1.10", "-1e-30", "9" * 40, "1e500"], NUMERICS))),
    Kind("money", "text", decimals(18, 2).map(quote), key=False),
    Kind("boolean", "boolean", some("true", "false")),
    Kind("character(5)", "padded", texts(longest=5).map(_pg)),
    Kind("character varying(10)", "text", texts(longest=10).map(_pg)),
    Kind("text", "text", texts(longest=1000).map(_pg)),
    Kind("public.citext", "text", texts().map(_pg)),
    Kind("name", "text", texts(longest=15).map(_pg)),
    Kind('"char"', "text", quoted(some("", "a", " ", "\x7f"))),
    Kind("bytea", "bytes", hexed(lambda each: f"'\\x{each}'")),
    Kind("date", "date", quoted(days(date.min, date.max, "0044-03-15 BC", "4714-11-24 BC", "5874897-12-31", "infinity", "-infinity"))),
    Kind("time", "time", quoted(clocks("24:00:00"))),
    Kind("time(0)", "time", quoted(clocks("24:00:00", digits=0))),
    Kind("time with time zone", "text", quoted(some("00:00:00-15:59:59", "23:59:59.999999+15:59", "24:00:00+00", "12:00:00+00"))),
    Kind("timestamp", "timestamp", quoted(moments("0044-03-15 12:00:00 BC", "294246-12-31 23:59:59.999999", "294276-12-31 23:59:59.999999",
                                                  "4714-11-24 00:00:00 BC", "infinity", "-infinity"))),
    Kind("timestamp(3)", "timestamp", quoted(moments(digits=3))),
    Kind("timestamp with time zone", "instant", quoted(moments("2024-07-01 00:00:00+05:45", "infinity", "-infinity", "294276-01-01 00:00:00+00",
                                                               suffix="+00"))),
    Kind("interval", "interval", spans(178_000_000 * 12, 2**31 - 1, 2**62, lambda m, d, u: f"'{m} mons {d} days {clock_text(u)}'"), key=False),
    Kind("interval", "interval", quoted(some("infinity", "-infinity", "1 mon", "30 days", "720:00:00", "-1 days +00:00:01")), key=False),
    Kind("uuid", "uuid", quoted(UUID_TEXTS)),
    Kind("json", "json", quoted(jsons()), key=False),
    Kind("jsonb", "json", quoted(jsons()), key=False),
    Kind("inet", "text", quoted(INET)),
    Kind("bit(3)", "text", quoted(st.text("01", min_size=3, max_size=3))),
    Kind("bit varying(20)", "text", quoted(BITS)),
    Kind("integer[]", "text", quoted(some("{}", "{1,NULL,-2147483648}", "{{1,2},{3,4}}", "[0:1]={1,2}"))),
    Kind("text[]", "text", quoted(some("{}", '{"",NULL,"NULL","a,b","{x}","quote \\" and \\\\","🎉 é"}'))),
    Kind("mood", "text", quoted(some("sad", "ok", "it's, {odd}", ""))),
    Kind("int4range", "text", quoted(some("empty", "[1,5)", "(,)", "[-2147483648,2147483647)"))),
    Kind("positive", "number", wholes(1, 2**31 - 1)),
)  # fmt: skip
POSTGRESQL_SETUP = (
    "CREATE EXTENSION IF NOT EXISTS citext SCHEMA public",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, {odd}', '')",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
)

# ---------------------------------------------------------------------------------------------------------------------
# DuckDB

_duck = text_in("duckdb")

DUCKDB = (
    whole("TINYINT", 8),
    whole("SMALLINT", 16),
    whole("INTEGER", 32),
    whole("BIGINT", 64),
    whole("HUGEINT", 128),
    whole("UTINYINT", 8, signed=False),
    whole("USMALLINT", 16, signed=False),
    whole("UINTEGER", 32, signed=False),
    whole("UBIGINT", 64, signed=False),
    whole("UHUGEINT", 128, signed=False),
    Kind("BIGNUM", "number", quoted(wholes(-(10**60), 10**60))),
    exact("DECIMAL(4,1)", 4, 1),
    exact("DECIMAL(18,3)", 18, 3),
    exact("DECIMAL(38,10)", 38, 10),
    exact("DECIMAL(38,38)", 38, 38),
    Kind("FLOAT", "float", floats(32).map(float_text), key=False),
    Kind("DOUBLE", "float", floats(64).map(float_text), key=False),
    Kind("BOOLEAN", "boolean", some("true", "false")),
    Kind("VARCHAR", "text", texts(longest=1000, nul=True).map(_duck)),
    Kind("VARCHAR COLLATE NOCASE", "text", texts().map(_duck), key=False),
    Kind("ENUM('sad', 'it''s, odd', '')", "text", quoted(some("sad", "it's, odd", ""))),
    Kind("BLOB", "bytes", BYTES.map(lambda each: "'" + "".join(f"\\x{one:02X}" for one in each) + "'::BLOB")),
    Kind("BIT", "text", quoted(BITS)),
    Kind("DATE", "date", quoted(days(date.min, date.max, "4714-11-24 (BC)", "5877642-06-25 (BC)", "5881580-07-10", "infinity", "-infinity"))),
    Kind("TIME", "time", quoted(clocks("24:00:00"))),
    Kind("TIME WITH TIME ZONE", "text", quoted(some("00:00:00-15:59:59", "23:59:59.999999+15:59", "12:00:00+00"))),
    Kind("TIME_NS", "text", quoted(some("00:00:00.000000001", "23:59:59.999999999", "12:00:00"))),
    Kind("TIMESTAMP", "timestamp", quoted(moments("0044-03-15 (BC) 12:00:00", "290309-12-22 (BC) 00:00:00", "294247-01-10 04:00:54.775806",
                                                  "infinity", "-infinity"))),
    Kind("TIMESTAMP_S", "timestamp", quoted(moments("infinity", digits=0))),
    Kind("TIMESTAMP_MS", "timestamp", quoted(moments("-infinity", digits=3))),
    Kind("TIMESTAMP_NS", "text", quoted(some("1677-09-22 00:00:00", "2262-04-11 23:47:16.854775806", "2024-01-01 00:00:00.000000001"))),
    Kind("TIMESTAMP WITH TIME ZONE", "instant", quoted(moments("2024-07-01 00:00:00+05:45", "infinity", "-infinity", suffix="+00"))),
    Kind("INTERVAL", "interval", spans(2**31 - 1, 2**31 - 1, 2**63 - 1, lambda m, d, u: f"to_months({m}) + to_days({d}) + to_microseconds({u})"),
         key=False),
    Kind("UUID", "uuid", quoted(UUID_TEXTS)),
    Kind("JSON", "json", quoted(jsons()), key=False),
    Kind("INTEGER[]", "text", some("[]", "[1, NULL, -2147483648]"), key=False),
    Kind("VARCHAR[]", "text", some("[]", "['', NULL, 'NULL', 'a, b', '[x]', 'quote \" and '' and \\', '🎉']"), key=False),
    Kind('STRUCT(a INTEGER, "b c" VARCHAR)', "text", some("{'a': NULL, 'b c': 'x, }'}", "{'a': 1, 'b c': NULL}"), key=False),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------------------
# SQLite: a declared type is a claim, and any value may break it.

_lite = text_in("sqlite")
SMALL_REALS = floats(64).filter(lambda each: each == each).map(float_in_sqlite)


def spelled_uuids(uuid: str) -> st.SearchStrategy[str]:
    """SQLite takes digits alone for a number in a column of type UUID, and so it takes 1e9."""
    bare = uuid.replace("-", "")
    return some(uuid, uuid.upper(), bare if "a" in bare else uuid)


SQLITE = (
    whole("INTEGER", 64, broken=("'text'", "1.5", "x'00'", "1e300")),
    whole("BIGINT", 64, broken=("''",)),
    Kind("REAL", "float", SMALL_REALS, key=False, broken=("'text'", "x'00'")),
    Kind("TEXT", "text", texts(longest=1000, nul=True).map(_lite), broken=("x'61'", "CAST(x'ff' AS TEXT)")),
    Kind("VARCHAR(10)", "text", texts().map(_lite), broken=("x''",)),
    Kind("CHAR(3)", "text", texts(longest=5).map(_lite)),
    Kind("BLOB", "bytes", hexed(lambda each: f"x'{each}'"), broken=("'text'", "1", "1.5")),
    Kind("BOOLEAN", "boolean", some("0", "1"), broken=("2", "-1", "'true'", "0.5")),
    Kind("NUMERIC", "number", st.one_of(wholes(-(2**63), 2**63 - 1), decimals(15, 4)), broken=("'many'", "x'00'")),
    Kind("DECIMAL(10,2)", "number", decimals(10, 2), broken=("1.239", "123456789.0", "'one'", "x'31'")),
    Kind("DECIMAL_TEXT(38,10)", "number", quoted(decimals(38, 10)), broken=("'one'", "'1.00000000001'", "''")),
    Kind("DECIMAL_TEXT", "number", quoted(either(["NaN", "Infinity", "-Infinity", "-1.10", "9" * 60], NUMERICS)), broken=("'much'", "x''")),
    Kind("DATE", "date", quoted(days(date.min, date.max, "0000-01-01", "infinity", "-infinity")),
         broken=("'2024-02-30'", "20240101", "'0000-00-00'", "''")),
    Kind("TIMESTAMP", "timestamp", quoted(moments("2024-02-29T12:30", "-infinity", "0000-01-01 00:00:00")),
         broken=("'2024-01-01 00:00:00Z'", "'2024-13-01 00:00:00'", "1704067200")),
    Kind("TIMESTAMPTZ", "instant", quoted(moments("2024-07-01 00:00:00+05:45", "2024-07-01 00:00:00Z", suffix="+00:00")),
         broken=("'2024-07-01 00:00:00'",)),
    Kind("TIME", "time", quoted(clocks("12:30")), broken=("'24:00:00'", "'100:00:00'", "''")),
    Kind("INTERVAL", "interval", spans(10**6, 10**6, 10**15, lambda m, d, u: f"'{m} mons {d} days {'-' if u < 0 else '+'}{clock_text(abs(u))}'"),
         key=False, broken=("'3 wishes'", "''")),
    Kind("UUID", "uuid", quoted(UUID_TEXTS.flatmap(spelled_uuids)), broken=("'none'",)),
    Kind("JSON_TEXT", "json", quoted(jsons()), key=False, broken=("'{'", "''", "x'00'")),
    Kind("", "text", texts(nul=True).map(_lite), broken=("1", "x'00'", "1.5")),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------------------
# MariaDB

_my = text_in("mysql")
LATIN = "".join(map(chr, [*range(32, 127), *range(0xA0, 0x100), 0x20AC]))
MILLIONS = 838 * 3_600_000_000 + 59 * 60_000_000 + 59_999_999

MYSQL = (
    whole("tinyint", 8),
    whole("tinyint unsigned", 8, signed=False),
    whole("tinyint(1)", 8),
    whole("smallint", 16),
    whole("smallint unsigned", 16, signed=False),
    whole("mediumint", 24),
    whole("mediumint unsigned", 24, signed=False),
    whole("int", 32),
    whole("int unsigned", 32, signed=False),
    whole("int(8) unsigned zerofill", 32, signed=False),
    whole("bigint", 64),
    whole("bigint unsigned", 64, signed=False),
    exact("decimal(10,2)", 10, 2),
    exact("decimal(10,2) unsigned", 10, 2, signed=False),
    exact("decimal(38,10)", 38, 10),
    exact("decimal(65,0)", 65, 0),
    exact("decimal(65,30)", 65, 30),
    Kind("float", "float", floats(32, endless=False).map(float_text), key=False),
    Kind("double", "float", floats(64, endless=False).map(float_text), key=False),
    Kind("bit(1)", "number", some("b'0'", "b'1'")),
    Kind("bit(8)", "number", wholes(0, 255)),
    Kind("bit(64)", "number", wholes(0, 2**64 - 1)),
    Kind("char(5)", "padded", texts(longest=5, nul=True).map(_my)),
    Kind("varchar(10)", "text", texts(longest=10, nul=True).map(_my)),
    Kind("varchar(100) COLLATE utf8mb4_bin", "text", texts(longest=99, nul=True).map(_my)),
    Kind("varchar(20) CHARACTER SET latin1", "text", texts(longest=20, alphabet=LATIN).map(_my)),
    Kind("tinytext", "text", texts(longest=60, nul=True).map(_my), key=False),
    Kind("text", "text", texts(longest=1000, nul=True).map(_my), key=False),
    Kind("longtext", "text", texts(longest=1000, nul=True).map(_my), key=False),
    Kind("binary(3)", "bytes", hexed(lambda each: f"x'{each[:6]}'")),
    Kind("varbinary(10)", "bytes", hexed(lambda each: f"x'{each[:20]}'")),
    Kind("blob", "bytes", hexed(lambda each: f"x'{each}'"), key=False),
    Kind("date", "date", quoted(days()), broken=("'0000-00-00'", "'2020-02-00'")),
    Kind("datetime", "timestamp", quoted(moments(digits=0)), broken=("'0000-00-00 00:00:00'",)),
    Kind("datetime(3)", "timestamp", quoted(moments(digits=3))),
    Kind("datetime(6)", "timestamp", quoted(moments())),
    Kind("timestamp(6)", "instant", quoted(either(["1970-01-01 00:00:01", "2038-01-19 03:14:07.999999"],
         st.datetimes(datetime(1970, 1, 2), datetime(2038, 1, 19)).map(str))), broken=("'0000-00-00 00:00:00'",)),
    Kind("time", "interval", quoted(either([0, MILLIONS, -MILLIONS], st.integers(-MILLIONS, MILLIONS)).map(lambda each: clock_text(each)[:-7]))),
    Kind("time(6)", "interval", quoted(either([0, 1, -1, MILLIONS, -MILLIONS], st.integers(-MILLIONS, MILLIONS)).map(clock_text))),
    Kind("year", "number", some("0", "1901", "2155", "2024")),
    Kind("enum('sad','it''s, odd','')", "text", quoted(some("sad", "it's, odd", ""))),
    Kind("set('a','b c')", "text", quoted(some("", "a", "b c", "a,b c"))),
    Kind("json", "json", jsons().map(_my), key=False),
    Kind("uuid", "uuid", quoted(UUID_TEXTS.filter(lambda each: each[14] in "01234567" or each[19] in "89abcdef"))),
    Kind("inet6", "text", quoted(some("::", "2001:db8::1", "::ffff:10.0.0.1"))),
)  # fmt: skip

KINDS: dict[Engine, tuple[Kind, ...]] = {"postgresql": POSTGRESQL, "duckdb": DUCKDB, "sqlite": SQLITE, "mysql": MYSQL}
SETUP: dict[Engine, tuple[str, ...]] = {"postgresql": POSTGRESQL_SETUP, "duckdb": (), "sqlite": (), "mysql": ()}
