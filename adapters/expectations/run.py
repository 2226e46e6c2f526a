"""Great Expectations at the two checkpoints of a load: the rows about to be written, and the table that was loaded.

A check passes or fails. One that cannot be evaluated is neither: it is a BrokenCheck. Great Expectations is imported
by the functions that need it, as the import takes seconds.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from adapters.expectations.frames import (
    EXACT_FLOAT,
    SAMPLE,
    fitted,
    frames,
    named_columns,
    plain,
    read,
    seen,
    short_text,
    told,
    told_rows,
)
from adapters.protocol import RowSecurity
from adapters.registry import open_access
from adapters.secrets import scrubbed
from adapters.sql.access import Access
from transforms.vocabulary import Relation, SpecError, SynclineError, TableName, TransientError

GREAT_EXPECTATIONS: Final = "Great Expectations"
OURS: Final = {"id", "batch_id", "result_format", "catch_exceptions", "rendered_content", "windows", "severity"}
"""Arguments of every expectation that are not for the spec to set."""

NUMBERS: Final = ("value", "min_value", "max_value", "sum_total", "threshold")
"""Arguments that may name a total, such as $source_rows."""

IN_SQL_ONLY: Final = frozenset(
    ("unexpected_rows_expectation", "expect_table_row_count_to_equal_other_table")
) | frozenset(f"expect_column_values_to_{not_}match_like_pattern{s}" for not_ in ("", "not_") for s in ("", "_list"))

_OF_ROWS: Final = re.compile(
    r"expect_(column_values_(?!to_be_of_type|to_be_in_type_list)|column_value_|column_pair_values_"
    r"|compound_columns_|multicolumn_|select_column_values_)\w+"
)
_TOTAL: Final = re.compile(r"\$([A-Za-z_]\w*)")
_LOADING: Final = threading.Lock()


class BrokenCheck(SynclineError):
    """A check could not be evaluated. It did not fail: nobody knows."""

    code = "broken_check"


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation of the spec: `number` is its place in the list, `type` and `arguments` are Great Expectations'."""

    number: int
    type: str
    arguments: Mapping[str, Any]
    severity: str = "critical"  # or warning, info


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of one expectation.

    `checked` and `unexpected` count rows, `observed` is what was found where the expectation is about one value.
    `rows` are the positions of all failing rows in the rows given, of the planned checkpoint only; `sample` tells a
    few of them. An expectation with `mostly` may pass and still have failing rows.
    """

    number: int
    type: str
    arguments: Mapping[str, Any]
    severity: str
    passed: bool
    checked: int | None = None
    unexpected: int | None = None
    observed: str | None = None
    rows: tuple[int, ...] = ()
    sample: tuple[str, ...] = ()
    by: str = GREAT_EXPECTATIONS

    def as_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        made = {name: getattr(self, name) for name in self.__slots__}
        return {**made, "arguments": plain(self.arguments), "rows": list(self.rows), "sample": list(self.sample)}


def is_row_rule(kind: str) -> bool:
    """Whether an expectation is about rows, so that `check_rows` names those that fail. Imports nothing."""
    return bool(_OF_ROWS.fullmatch(kind)) and kind not in IN_SQL_ONLY


def about(arguments: Mapping[str, Any]) -> str:
    """What an expectation is about, to begin a line with: `price: `, or nothing where that is the table."""
    columns = ", ".join(named_columns(arguments))
    return f"{columns}: " if columns else ""


# ---------------------------------------------------------------------------------------------------------------------
# The spec


def validated(
    expected: Sequence[Expected],
    columns: Sequence[str] | None,
    totals: Mapping[str, int],
    where: str | Callable[[int], str],
    *,
    planned: bool = False,
) -> None:
    """Make sure that Great Expectations knows every name and takes every argument.

    In: the table's columns, None where they are not known; the totals that arguments may name (only their names
    matter); `where` says where the spec has them, or has the one of a number. `planned`: the rows will be in memory.
    Errors: SpecError, with what, where and how to fix it.
    """
    for each in expected:
        place = where if isinstance(where, str) else where(each.number)
        fields = _fields(each.type, place, planned=planned)
        for name in each.arguments:
            if name not in fields:
                told_of = "is set by Syncline" if name in OURS else f"is no argument of {each.type}"
                raise SpecError(f"{name} {told_of}.", fix=f"{_guess(name, fields)}.", where=place)
        _built(each, _bound(each, totals, place), place)
        query = each.arguments.get("unexpected_rows_query")
        if isinstance(query, str) and "{batch}" not in query:
            raise SpecError("the query does not say {batch}.", fix="write {batch} in place of the table.", where=place)
        if columns is not None and each.type != "expect_column_to_exist":
            for name in named_columns(each.arguments):
                if name not in columns:
                    raise SpecError(f"there is no column {name!r}.", fix=f"{_guess(name, columns)}.", where=place)


def _fields(kind: str, place: str, *, planned: bool) -> list[str]:
    """The arguments that an expectation takes."""
    loaded_quietly()
    from great_expectations.expectations import registry

    known = registry.list_registered_expectation_implementations()
    if kind not in known:
        raise SpecError(f"Great Expectations has no {kind}.", fix=f"{_guess(kind, known)}.", where=place)
    if kind == "expect_query_results_to_match_comparison":  # it compares 200 rows, maybe of another database
        raise SpecError(f"{kind} compares only some rows.", fix="compare counts with $source_rows.", where=place)
    if planned and kind in IN_SQL_ONLY:
        raise SpecError(f"{kind} is for SQL, and these rows are in memory.", fix="move it to `loaded`.", where=place)
    return sorted(set(registry.get_expectation_impl(kind).__fields__) - OURS)


def _built(each: Expected, arguments: Mapping[str, Any], place: str) -> None:
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        made = get_expectation_impl(each.type)(**arguments)
    except (ValueError, TypeError) as error:  # pydantic's own error is a ValueError
        raise SpecError(f"{each.type}: {_told_errors(error)}.", fix="correct the argument.", where=place) from error
    for name in NUMBERS:
        given, taken = arguments.get(name), getattr(made, name, None)
        if isinstance(given, int) and isinstance(taken, float) and given != taken:
            what = f"Great Expectations takes {name} as a double, which cannot hold {given}."
            raise SpecError(what, fix=f"choose a number up to {EXACT_FLOAT}.", where=place)


def _told_errors(error: Exception) -> str:
    """The first complaint about each argument."""
    found: dict[str, str] = {}
    for each in getattr(error, "errors", list)():
        found.setdefault(".".join(str(part) for part in each["loc"] if part != "__root__"), str(each["msg"]))
    return "; ".join(f"{name}: {message}".removeprefix(": ") for name, message in found.items()) or str(error)


def _bound(each: Expected, totals: Mapping[str, int], place: str) -> dict[str, Any]:
    """The arguments, with the numbers that `$source_rows` or `{"$PARAMETER": "source_rows"}` stand for."""
    made = dict(each.arguments)
    for name in NUMBERS:
        value = made.get(name)
        found = _TOTAL.fullmatch(value) if isinstance(value, str) else None
        wanted = found[1] if found else value.get("$PARAMETER") if isinstance(value, Mapping) else None
        if wanted is None:
            continue
        if wanted not in totals:
            names = [f"${total}" for total in totals]
            raise SpecError(f"{name}: nothing is called ${wanted}.", fix=f"{_guess(f'${wanted}', names)}.", where=place)
        made[name] = totals[str(wanted)]
    return made


def _guess(wrong: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong, known, 1, 0.6)
    if close:
        return f"did you mean {close[0]}"
    return f"it may be one of {', '.join(known)}" if 0 < len(known) <= 30 else "remove or correct it"


# ---------------------------------------------------------------------------------------------------------------------
# The checkpoints


def check_rows(
    rows: pa.Table, key: Sequence[str], expected: Sequence[Expected], totals: Mapping[str, int], name: str
) -> tuple[Checked, ...]:
    """The planned checkpoint: what comes of each expectation on rows in memory.

    In: `key` names rows in samples, `name` the table in errors. Out: in the order of `expected`, with the positions
    of all failing rows. Nothing is mutated. Nulls pass, except where the expectation is about nulls.
    Memory: a copy of the columns that are looked at. Threads: any number at once.
    Errors: BrokenCheck; SpecError for an unknown total.
    """
    if not expected:
        return ()
    loaded_quietly()
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine

    given = {each.number: fitted(_bound(each, totals, _place(name, each)), rows.schema) for each in expected}
    options, found = {"exclude_unexpected_values": True, "partial_unexpected_count": 0}, dict[int, Any]()
    for numbers, shown in frames(rows, {each.number: (each.type, given[each.number]) for each in expected}):
        some = [each for each in expected if each.number in numbers]
        found |= _evaluated(PandasExecutionEngine(), shown, some, given, options, name)
    return tuple(_of_rows(each, found[each.number], rows, key) for each in expected)


def check_table(
    url: str,
    table: TableName,
    key: Sequence[str],
    expected: Sequence[Expected],
    totals: Mapping[str, int],
    where: str | None,
    name: str,
    rls: RowSecurity = "refuse",
) -> tuple[Checked, ...]:
    """The loaded checkpoint: what comes of each expectation in SQL, over a connection of its own.

    In: `where` restricts the rows, in the engine's dialect; `name` is the table in errors. Out: in the order of
    `expected`, without positions. In a query, {batch} is a subquery with a name of its own: give it no other.
    Memory: rows only of DuckDB, which Great Expectations does not know: its columns are read, and checked there.
    Errors: BrokenCheck, also for what Great Expectations has no SQL for; ConnectionFailed; TransientError; SpecError
    for an unknown total. None of them holds the URL's password.
    """
    if not expected:
        return ()
    way = open_access(url, rls=rls)
    if way is None:
        rows = read(url, Relation(table, where=where), key, [(each.type, each.arguments) for each in expected])
        if rows is None:
            raise BrokenCheck(f"{name}: there is no table {table}.", fix="load it first.")
        return tuple(replace(each, rows=()) for each in check_rows(rows, key, expected, totals, name))
    loaded_quietly()
    given = {each.number: _bound(each, totals, _place(name, each)) for each in expected}
    options = {"partial_unexpected_count": SAMPLE, **({"unexpected_index_column_names": list(key)} if key else {})}
    with way as access:
        found = _in_sql(access, Relation(table, where=where), expected, given, options, name)
    return tuple(_of_sql(each, found[each.number], key) for each in expected)


def _in_sql(
    access: Access,
    relation: Relation,
    expected: Sequence[Expected],
    given: Mapping[int, Mapping[str, Any]],
    options: Mapping[str, Any],
    name: str,
) -> dict[int, Any]:
    from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine

    engine = SqlAlchemyExecutionEngine(engine=access.engine, create_temp_table=False)
    try:
        return _evaluated(engine, seen(access, engine, relation), expected, given, options, name)
    except BrokenCheck as error:
        for meaning in (access.meaning(each, name) for each in access.errors):
            if isinstance(meaning, TransientError):
                raise meaning from None
        raise BrokenCheck(scrubbed(error, access.url)) from None
    finally:
        engine.close()


# ---------------------------------------------------------------------------------------------------------------------
# Great Expectations


def loaded_quietly() -> None:
    """Import Great Expectations, quiet and offline."""
    with _LOADING:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        import great_expectations  # noqa: F401

        for name in ("great_expectations", "great_expectations.data_context.types.base"):
            logging.getLogger(name).setLevel(logging.ERROR)


def _evaluated(
    engine: Any,
    data: Any,
    expected: Sequence[Expected],
    given: Mapping[int, Mapping[str, Any]],
    options: Mapping[str, Any],
    name: str,
) -> dict[int, Any]:
    """Great Expectations' result for each number.

    Its results come in another order, and one statement of SQL answers for several expectations, so that one which
    breaks takes others with it: those are asked again one by one.
    """
    ask = _asked(engine, data, given, options)
    found = ask(expected)
    for each in [each for each in expected if _reason(found[each.number]) is not None]:
        found |= ask([each])
        reason = _reason(found[each.number])
        if reason is not None:
            where = _place(name, each)
            what = f"{where} could not be evaluated: {reason}."
            raise BrokenCheck(what, fix="correct the expectation, or the table.")
    return found


def _asked(
    engine: Any, data: Any, given: Mapping[int, Mapping[str, Any]], options: Mapping[str, Any]
) -> Callable[[Sequence[Expected]], dict[int, Any]]:
    import great_expectations as gx
    from great_expectations.core.batch import Batch
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.validator.validator import Validator

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    settings = {"result_format": "COMPLETE", "return_unexpected_index_query": False, **options}

    def ask(expected: Sequence[Expected]) -> dict[int, Any]:
        validator = Validator(execution_engine=engine, batches=[Batch(data=data)], data_context=context)
        wanted = [
            ExpectationConfiguration(type=each.type, kwargs=dict(given[each.number]), meta={"number": each.number})
            for each in expected
        ]
        results = validator.graph_validate(wanted, {"result_format": settings, "catch_exceptions": True})
        named = [(result.expectation_config, result) for result in results]
        return {config.meta["number"]: result for config, result in named if config and config.meta}

    return ask


def _reason(result: Any) -> str | None:
    """Why a check could not be evaluated, in one line; None where it was."""
    info = result.exception_info or {}
    for each in [info] if "raised_exception" in info else info.values():
        if each.get("raised_exception"):
            message = str(each.get("exception_message") or "no reason given").split("\n[SQL")[0]
            if "No provider found" in message:
                return f"Great Expectations has no way to do it here ({short_text(message)})"
            return short_text(message)
    return None


def _place(name: str, each: Expected) -> str:
    columns = ", ".join(named_columns(each.arguments))
    return f"{name}: check {each.number}, {each.type}{f' of {columns}' if columns else ''}"


def _checked(each: Expected, result: Any) -> Checked:
    details = result.result
    observed = details.get("observed_value")
    numbers = (details.get("element_count"), details.get("unexpected_count"))
    counts = [None if each is None else int(each) for each in numbers]  # some are NumPy's
    return Checked(
        number=each.number,
        type=each.type,
        arguments=dict(each.arguments),
        severity=each.severity,
        passed=bool(result.success),
        checked=counts[0],
        unexpected=counts[1],
        observed=None if observed is None else short_text(observed),
    )


def _of_rows(each: Expected, result: Any, rows: pa.Table, key: Sequence[str]) -> Checked:
    failing = tuple(sorted(int(position) for position in result.result.get("unexpected_index_list") or ()))
    return replace(_checked(each, result), rows=failing, sample=told_rows(rows, key, failing))


def _of_sql(each: Expected, result: Any, key: Sequence[str]) -> Checked:
    details = result.result
    some = details.get("partial_unexpected_index_list") or (details.get("details") or {}).get("unexpected_rows")
    some = some if some is not None else details.get("partial_unexpected_list") or ()
    # keys alone: a message may go where values of rows may not
    sample = [told({name: row.get(name) for name in key}) for row in some[:SAMPLE] if isinstance(row, Mapping)]
    return replace(_checked(each, result), sample=tuple(sample))
