"""Files of JSON lines as rows: an object a line, each of its keys a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.formats import Format
from adapters.files.listing import File, Files
from adapters.files.rows import Rows, distinct_names
from adapters.files.staged import stage
from adapters.files.text_files import LONGEST_ROW, TextFiles
from adapters.files.texts import SAMPLE_ROWS, not_finite, profiled
from adapters.files.torn import AT, HOW, MOST_SHOWN, SPAN, TEXT, Lines
from transforms.vocabulary import DataError, SpecError

_NUMBERS: Final = frozenset({"BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"})
_EXACT_DIGITS: Final = 15  # of a number with a fraction, which DuckDB reads as a double

_WHY: Final = (
    f"CASE WHEN NOT json_valid(line) OR {not_finite('line')} THEN 'no_json' WHEN json_type(line) <> 'OBJECT' THEN 'no_object' "
    "WHEN len(json_keys(line)) <> len(list_distinct(json_keys(line))) THEN 'key_twice' END"
)


def rows(session: Session, table: Files, format: Format, folder: str) -> Rows:
    """Stage the files. A key that a line does not have is null there. Lines that are no objects, or have a key twice, are torn."""
    lines = JsonLines(session, table, folder)
    with lines.alike(""):
        known = lines.known(format)
        return stage(session, table, lines.names, known, lines)


class JsonLines(TextFiles):
    """The files of a table. `nested` are the columns whose values are read as JSON, `bad` files with lines that are no objects."""

    nested: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    bad: frozenset[str] = frozenset()

    def known(self, format: Format) -> Format:
        first = self._table.files[0]
        self.format = replace(format, encoding=format.encoding or self._encoding(first), header=())
        self.bad = frozenset(file.path for file in self._table.files if self._has_others(file))
        keys = [key for file in self._table.files for key in self._keys(file)]
        self.names = list(dict.fromkeys(keys)) or list(format.types)  # of a file without a line, what is declared
        if not self.names:
            raise DataError(f"{first.path} has no keys: it is empty.", fix="take the file away, or write its rows.")
        distinct_names([*self.names, *(key for key, _ in first.partitions)], first.path)
        if unknown := [each for each in format.types if each not in self.names]:
            raise SpecError(
                f"{first.path} has no key {unknown[0]!r}; it has {', '.join(self.names)}.", fix="correct `types`."
            )
        return self._typed(first, self.format)

    def _typed(self, file: File, format: Format) -> Format:
        """Types of keys by those of their values in JSON: numbers and texts by what they say."""
        kinds = {name: self._kinds(file, name) for name in self.names if name not in format.types}
        told = {name: "BOOLEAN" for name, found in kinds.items() if found == {"BOOLEAN"}}
        told |= {name: "VARCHAR" for name, found in kinds.items() if found <= {"VARCHAR"}}
        numbers = [name for name, found in kinds.items() if found and found <= _NUMBERS]
        told |= {name: "JSON" for name in kinds if name not in told and name not in numbers}
        told |= format.types
        self.nested = frozenset(name for name, kind in told.items() if kind == "JSON")
        self.exact = frozenset(numbers)
        sample = "syncline sample"
        query = f"SELECT * FROM {self.sql(file)} LIMIT {SAMPLE_ROWS}"  # noqa: S608
        self._session.execute(f"CREATE OR REPLACE TABLE {quoted(sample)} AS {query}")
        found = profiled(self._session, quoted(sample), self.names, replace(format, types=told))
        self._session.execute(f"DROP TABLE {quoted(sample)}")
        doubles = {name: "DOUBLE" for name in numbers if found.types[name] == "VARCHAR"}
        found = replace(found, types={**found.types, **doubles})
        self.exact = frozenset(name for name, kind in found.types.items() if kind.startswith("DECIMAL"))
        self.format = found
        return found

    def sql(self, file: File) -> str:
        """See `staged.Texts`."""
        values = [f"{self._value(each)} AS {quoted(each)}" for each in self.names]
        return f"(SELECT {', '.join(values)} FROM {self._objects(file)})"  # noqa: S608

    def torn(self) -> bool:
        """See `staged.Texts`."""
        return bool(self.bad) or super().torn()

    def counted(self, file: File) -> str:
        """See `staged.Texts`."""
        self.forget()
        numbered = f"(SELECT line, row_number() OVER () - 1 AS {quoted(AT)} FROM {self._lines(file, careful=True)})"  # noqa: S608
        told = f"(SELECT *, {_WHY} AS {quoted(HOW)} FROM {numbered} WHERE line IS NOT NULL)"  # noqa: S608
        whole = f"CASE WHEN {quoted(HOW)} IS NULL THEN line END"
        parted = f"(SELECT {quoted(AT)}, {quoted(HOW)}, line AS text, {whole} AS line FROM {told})"  # noqa: S608
        values = [f"{self._value(each)} AS {quoted(each)}" for each in self.names]
        text = f"CASE WHEN {quoted(HOW)} IS NOT NULL THEN left(text, {MOST_SHOWN}) END AS {quoted(TEXT)}"
        values += [quoted(AT), f"1 AS {quoted(SPAN)}", quoted(HOW), text]
        return f"(SELECT {', '.join(values)} FROM {parted})"  # noqa: S608

    def lines(self, file: File) -> Lines:
        return Lines(self._ending(file), counts_empty=True, head=None)

    def _value(self, name: str) -> str:
        at = literal(pointer(name))
        if name in self.nested:
            return f"CASE WHEN json_type(line, {at}) <> 'NULL' THEN CAST(line -> {at} AS VARCHAR) END"
        text = f"(line ->> {at})"
        if name not in self.exact:
            return text
        digits = f"length(regexp_replace(regexp_replace({text}, '[eE].*', ''), '[^0-9]', '', 'g'))"
        return (
            f"CASE WHEN json_type(line, {at}) = 'DOUBLE' AND {digits} > {_EXACT_DIGITS} AND regexp_matches({text}, '[.eE]') "
            f"THEN {text} || ' (or another number of so many digits)' ELSE {text} END"
        )

    def _lines(self, file: File, *, careful: bool = False) -> str:
        path = literal(self._path(file, self.format))
        options = f"delim = '\x01', quote = '', escape = '', header = false, max_line_size = {LONGEST_ROW}"
        strict = "auto_detect = false, strict_mode = true, store_rejects = true"
        strict += ", parallel = false" if careful else ", rejects_limit = 1"
        return f"read_csv({path}, {options}, {strict}, columns = {{'line': 'VARCHAR'}})"

    def _objects(self, file: File) -> str:
        """The lines that are objects."""
        self.forget()
        kept = "line IS NOT NULL" if file.path not in self.bad else f"line IS NOT NULL AND {_WHY} IS NULL"
        return f"(SELECT line FROM {self._lines(file)} WHERE {kept})"  # noqa: S608

    def _has_others(self, file: File) -> bool:
        """Whether there are lines that are no objects."""
        self.forget()
        query = f"SELECT count({_WHY}) AS n FROM {self._lines(file)} WHERE line IS NOT NULL"  # noqa: S608
        return bool(self._session.rows(query)[0]["n"])

    def _keys(self, file: File) -> Sequence[str]:
        """In the order in which they come first."""
        listed = f"SELECT unnest(json_keys(line)) AS key FROM {self._objects(file)}"  # noqa: S608
        query = f"SELECT key FROM (SELECT key, row_number() OVER () AS place FROM ({listed})) GROUP BY key ORDER BY min(place)"  # noqa: S608
        return [row["key"] for row in self._session.rows(query)]

    def _kinds(self, file: File, name: str) -> set[str]:
        sample = f"(SELECT line FROM {self._objects(file)} LIMIT {SAMPLE_ROWS})"  # noqa: S608
        found = self._session.rows(f"SELECT DISTINCT json_type(line, {literal(pointer(name))}) AS kind FROM {sample}")  # noqa: S608
        return {row["kind"] for row in found} - {None, "NULL"}


def pointer(name: str) -> str:
    """A key as a JSON pointer."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
