"""Keys that look alike, keys that are none, and keys that one side takes for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenario import pair_name
from traps import RING, Migrated, Migrations, Trap, migrations, named

PAIR_OF_TEXTS = {
    "mysql": "a varchar(20) COLLATE utf8mb4_nopad_bin, b varchar(20) COLLATE utf8mb4_nopad_bin, v varchar(20), PRIMARY KEY (a, b)",
    "": "a varchar(20) NOT NULL, b varchar(20) NOT NULL, v varchar(20), PRIMARY KEY (a, b)",
}
PAIR_OF_NUMBERS = "a bigint NOT NULL, b bigint NOT NULL, v varchar(20), PRIMARY KEY (a, b)"
TEXTS = [("a|b", "c"), ("a", "b|c"), ("12", "3"), ("1", "23"), ("1", "11"), ("11", "1"), ("", ""), ("", "a"), ("a", "")]
NUMBERS = [(1, 11), (11, 1), (1, 1), (111, 1), (1, 111), (-1, 1), (1, -1)]
OLD_TEXTS = [("a|b|c", "", "old"), ("123", "", "old"), ("", "123", "old"), ("a|b", "c", "old")]
OLD_NUMBERS = [(1, 11, "old"), (2, 2, "old")]
WORDS = ["", "NULL", "None", "<null>", "null", "\\N", " "]
BLANKS = ["a", "a ", "a  ", " a", "", " ", "b\t"]

EXACT = {
    "mysql": "k varchar(20) COLLATE utf8mb4_nopad_bin PRIMARY KEY, v varchar(20)",
    "": "k varchar(20) PRIMARY KEY, v varchar(20)",
}
PADDING = {
    "sqlite": "k text COLLATE RTRIM PRIMARY KEY, v varchar(20)",
    "postgresql": "k char(20) PRIMARY KEY, v varchar(20)",
    "mysql": "k varchar(20) COLLATE utf8mb4_bin PRIMARY KEY, v varchar(20)",
    "duckdb": "k varchar PRIMARY KEY, v varchar(20)",
}  # fmt: skip
CASELESS = {
    "sqlite": "k text COLLATE NOCASE PRIMARY KEY, v varchar(20)",
    "postgresql": "k citext PRIMARY KEY, v varchar(20)",
    "mysql": "k varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v varchar(20)",
    "duckdb": "k varchar COLLATE NOCASE PRIMARY KEY, v varchar(20)",
}  # fmt: skip
CITEXT = {"postgresql": ("CREATE EXTENSION IF NOT EXISTS citext",)}
COLLIDING = {"sqlite": "RTRIM", "postgresql": "char", "mysql": "utf8mb4_bin"}
CASE_COLLIDING = {"sqlite": "NOCASE", "postgresql": "citext", "mysql": "utf8mb4_general_ci"}
ACCENTS = ["\u00e9", "e\u0301", "e", "\u00c5", "A\u030a", "\u212b"]
LOOSE = "a varchar(20), b bigint, v varchar(20)"
BAD_KEYS = [
    ("x", 1, "1"),
    ("x", 1, "again"),
    (None, 2, "null"),
    ("y", None, "null"),
    ("z", 3, "3"),
    ("z", 3, "3"),
    ("ok", 4, "4"),
]
SPILLED = {"key": ["a", "b"], "window": 300}
LOWERED = {"k": {"expr": "nullif(lower(k), 'na')", "cast": "text"}, "v": "v"}
LOOKING = {"id": "id", "v": {"lookup": {"table": "texts", "match": {"a": "a", "b": "b"}, "take": "v"}}}

TABLES = (
    Trap("texts", PAIR_OF_TEXTS, named(TEXTS), {"from": "texts", "window": 3}, PAIR_OF_TEXTS, OLD_TEXTS),
    Trap("texts_spilled", PAIR_OF_TEXTS, named(TEXTS), {"from": {"query": "texts_spilled"}, **SPILLED}, PAIR_OF_TEXTS, OLD_TEXTS),
    Trap("texts_aside", PAIR_OF_TEXTS, named(TEXTS), {"from": "texts_aside", "columns": {"a": "a", "b": "b", "v": {"from": "v", "cast": "integer"}}}),
    Trap("numbers", PAIR_OF_NUMBERS, named(NUMBERS), {"from": "numbers", "window": 3}, PAIR_OF_NUMBERS, OLD_NUMBERS),
    Trap("looking", "id integer PRIMARY KEY, a varchar(20), b varchar(20)", [(n, *key) for n, key in enumerate(TEXTS)],
         {"from": "looking", "key": ["id"], "columns": LOOKING}),
    Trap("uuids", PAIR_OF_TEXTS, named(TEXTS), {"from": "uuids", "columns": {"a": "a", "b": "b", "u": {"generate": "uuid"}}}),
    Trap("words", EXACT, [(word, word) for word in WORDS], {"from": "words", "window": 3}, EXACT, [(word, None) for word in WORDS[:3]]),
    Trap("bad_keys", LOOSE, BAD_KEYS, {"from": "bad_keys", "key": ["a", "b"]}, "a varchar(20), b bigint, v varchar(20), UNIQUE (a, b)", [("x", 1, "old"), ("gone", 9, "old")]),
    Trap("mapped_keys", EXACT, [("A", "1"), ("a", "2"), ("b", "3"), ("NA", "4")], {"from": "mapped_keys", "key": ["k"], "columns": LOWERED}),
    Trap("keyless_there", "a varchar(20) NOT NULL, b bigint NOT NULL, v varchar(20), PRIMARY KEY (a, b)", [("x", 1, "new")], {"from": "keyless_there"},
         "a varchar(20), b bigint, v varchar(20), UNIQUE (a, b)", [("x", 1, "old"), (None, 1, "kept"), ("x", None, "kept"), ("y", 1, "gone")]),
    Trap("blanks", EXACT, [(blank, blank) for blank in BLANKS], {"from": "blanks", "window": 3}, EXACT, [(blank, blank + " ") for blank in BLANKS[:3]]),
    Trap("blanks_padded", EXACT, [(blank, "v") for blank in BLANKS], {"from": "blanks_padded", "key": ["k"]}, PADDING),
    Trap("char_keys", "k char(5) PRIMARY KEY, v char(5)", [("ab", "ab"), ("abcde", " x")], {"from": "char_keys"}),
    Trap("cases", EXACT, [(word, "v") for word in ("Ann", "ANN", "Bob", "Cy", "cY", "CY")], {"from": "cases", "key": ["k"]}, CASELESS, setup=CITEXT),
    Trap("caseless_source", CASELESS, named([(word,) for word in ("a", "B", "c", "D", "\u00f6", "Z")]), {"from": "caseless_source", "window": 2}, setup=CITEXT),
    Trap("accents", EXACT, [(each, each) for each in ACCENTS], {"from": "accents", "window": 2}, EXACT, [(ACCENTS[0], ACCENTS[1])]),
)  # fmt: skip


@pytest.fixture(scope="module")
def all_pairs(request: pytest.FixtureRequest) -> Iterator[Migrations]:
    with migrations(TABLES, request) as found:
        yield found


@pytest.fixture(params=RING, ids=pair_name)
def pair(request: pytest.FixtureRequest, all_pairs: Migrations) -> Migrated:
    return all_pairs.between(request.param)


# --- composite keys


@pytest.mark.parametrize("table", ["texts", "texts_spilled"])
def test_composite_keys_of_texts_are_tuples_in_windows_and_in_spilled_parts(pair: Migrated, table: str) -> None:
    assert pair.counts(table) == {"source_rows": 9, "insert": 8, "update": 1, "delete": 3}
    assert pair.target.rows(table) == sorted(named(TEXTS), key=str)
    pair.settled(table)


def test_composite_keys_of_numbers_are_tuples(pair: Migrated) -> None:
    assert pair.counts("numbers") == {"source_rows": 7, "insert": 6, "update": 1, "delete": 1}
    assert pair.target.rows("numbers") == sorted(named(NUMBERS), key=str)
    pair.settled("numbers")


def test_composite_keys_that_look_alike_are_rows_of_their_own_in_quarantine(pair: Migrated) -> None:
    assert pair.counts("texts_aside") == {"source_rows": 9, "quarantined": 9}
    assert pair.quarantined("texts_aside") == sorted(
        [(list(key), "v", f"row {number}", "text that is no integer without loss") for number, key in enumerate(TEXTS)],
        key=str,
    )
    assert pair.counted("texts_aside") == {"text that is no integer without loss": 9}
    pair.settled("texts_aside")


def test_a_lookup_by_a_composite_key_finds_the_tuple(pair: Migrated) -> None:
    assert dict(pair.target.rows("looking", "id, v")) == {n: f"row {n}" for n in range(len(TEXTS))}
    pair.settled("looking")


def test_uuids_of_composite_keys_that_look_alike_differ(pair: Migrated) -> None:
    assert len({str(uuid) for (uuid,) in pair.target.rows("uuids", "u")}) == len(TEXTS)
    pair.settled("uuids")


# --- null and its words, keys that are none


def test_null_and_the_words_for_it_are_different_keys_and_different_values(pair: Migrated) -> None:
    assert pair.counts("words") == {"source_rows": 7, "insert": 4, "update": 3}
    assert pair.target.rows("words") == sorted([(word, word) for word in WORDS], key=str)
    pair.settled("words")


def test_null_and_duplicate_keys_of_the_source_are_set_aside_and_counted(pair: Migrated) -> None:
    duplicate, null = "duplicate key: several source rows map to one bad_keys", "null in the key"
    assert pair.counts("bad_keys") == {"source_rows": 7, "insert": 1, "delete": 1, "quarantined": 6, "unproved": 1}
    assert sorted({(str(key), reason) for key, _, _, reason in pair.quarantined("bad_keys")}) == [
        ("['x', 1]", duplicate), ("['y', None]", null), ("['z', 3]", duplicate), ("[None, 2]", null),
    ]  # fmt: skip
    assert pair.counted("bad_keys") == {duplicate: 4, null: 2}
    assert pair.target.rows("bad_keys") == [("ok", 4, "4"), ("x", 1, "old")]
    pair.settled("bad_keys")


def test_keys_that_mapping_makes_null_or_equal_are_set_aside(pair: Migrated) -> None:
    assert pair.counts("mapped_keys") == {"source_rows": 4, "insert": 1, "quarantined": 3}
    assert pair.target.rows("mapped_keys") == [("b", "3")]
    pair.settled("mapped_keys")


def test_target_rows_with_a_null_in_the_key_are_told_and_left_alone(pair: Migrated) -> None:
    assert pair.counts("keyless_there") == {"source_rows": 1, "update": 1, "delete": 1, "unproved": 2}
    assert pair.target.rows("keyless_there") == [("x", 1, "new"), ("x", None, "kept"), (None, 1, "kept")]
    pair.settled("keyless_there")
    for outcome in (pair.first, pair.verified):
        (told,) = (each for each in outcome.report.warning_texts if each.startswith("keyless_there: "))
        assert "2 rows of the target have a null in the key (a, b), such as [null,1]" in told
    (finding,) = pair.findings("keyless_there")
    assert (finding.level, finding.columns, finding.rows) == ("note", ("a", "b"), 2)


# --- trailing blanks


def test_trailing_blanks_make_different_keys_and_different_values(pair: Migrated) -> None:
    assert pair.counts("blanks") == {"source_rows": 7, "insert": 4, "update": 3}
    assert pair.target.rows("blanks") == sorted([(blank, blank) for blank in BLANKS], key=str)
    pair.settled("blanks")


def test_keys_that_differ_in_trailing_blanks_are_set_aside_where_the_target_pads(pair: Migrated) -> None:
    collation = COLLIDING.get(pair.target.engine)
    if collation is None:
        assert pair.counts("blanks_padded") == {"source_rows": 7, "insert": 7}
    else:
        reason = f"key collides with another one under the collation {collation} of the target"
        if collation == "char":  # which has no trailing blanks that could tell keys apart
            reason = "duplicate key: several source rows map to one blanks_padded"
        assert {reason for *_, reason in pair.quarantined("blanks_padded")} == {reason}
        assert pair.counts("blanks_padded") == {"source_rows": 7, "insert": 2, "quarantined": 5}
        assert pair.counted("blanks_padded") == {reason: 5}
        assert sorted(k.rstrip(" ") for k, _ in pair.target.rows("blanks_padded")) == [" a", "b\t"]
    pair.settled("blanks_padded")


def test_the_padding_of_char_is_no_part_of_keys_and_values(pair: Migrated) -> None:
    assert [tuple(v.rstrip(" ") for v in row) for row in pair.target.rows("char_keys")] == [
        ("ab", "ab"),
        ("abcde", " x"),
    ]
    pair.settled("char_keys")


# --- case and accents


def test_keys_that_differ_in_case_are_set_aside_where_the_target_has_no_case(pair: Migrated) -> None:
    collation = CASE_COLLIDING.get(pair.target.engine)
    if collation is None:  # DuckDB's indexes know no collation
        assert pair.counts("cases") == {"source_rows": 6, "insert": 6}
    else:
        reason = f"key collides with another one under the collation {collation} of the target"
        assert sorted(pair.reasons("cases").items()) == [(key, reason) for key in ("ANN", "Ann", "CY", "Cy", "cY")]
        assert pair.counted("cases") == {reason: 5}
        assert pair.target.rows("cases") == [("Bob", "v")]
    pair.settled("cases")


def test_windows_over_a_key_without_case_hold_every_row_once(pair: Migrated) -> None:
    assert pair.counts("caseless_source") == {"source_rows": 6, "insert": 6}
    assert pair.target.rows("caseless_source") == pair.source.rows("caseless_source")
    pair.settled("caseless_source")


def test_composed_and_decomposed_accents_are_different_keys_and_different_values(pair: Migrated) -> None:
    assert pair.counts("accents") == {"source_rows": 6, "insert": 5, "update": 1}
    assert pair.target.rows("accents") == sorted([(each, each) for each in ACCENTS], key=str)
    pair.settled("accents")
