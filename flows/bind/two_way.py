"""A table that goes both ways: who wins where both sides changed a row, and how its rows are written back to the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from flows.bind.functions import load_function
from flows.bind.identity import IdentityMap
from flows.bind.on_source import Given, bound_given, typed_over
from flows.bind.required import unfilled
from flows.spec.conflict import Clocks
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms import expressions, reconcile
from transforms.diff import Comparison
from transforms.mapping.column_mapping import Constant, Rename
from transforms.mapping.own_lookups import own_depths
from transforms.mapping.put import Backward
from transforms.mapping.ways_back import Inverse, WayBack, ways_back
from transforms.reconcile import Clock, Policy, Rule
from transforms.vocabulary import Key, Problem, SpecError

if TYPE_CHECKING:
    from flows.bind.tables import BoundTable


@dataclass(frozen=True, slots=True)
class TwoWay:
    """How a table goes both ways.

    `comparison` knows what the values of all columns mean; `back` writes rows back, once it has what lookups find, and `ways` say
    which columns go back and why others do not. `source_key` are the source's columns that the key goes back to, `on_source` what
    other columns of it get in rows that were born on the target. `reads` are the source's columns that a plan needs: what the
    mapping reads, what is written back, and the clock.
    """

    policy: Policy
    comparison: Comparison
    back: Backward
    ways: Mapping[str, WayBack]
    source_key: Key
    on_source: Mapping[str, Given]
    reads: Key

    @property
    def writes(self) -> Key:
        """The source's columns that are written: those that columns go back to, and those that new rows are given."""
        back = (name for way in self.ways.values() if not way.why_not for name in way.writes)
        return tuple(dict.fromkeys([*self.source_key, *back, *self.on_source]))

    def given(self, rows: pa.Table) -> pa.Table:
        """What `on_source` columns get, row by row, in the source's types. In: rows in the target's shape.

        Errors: DataError for a value that its column does not take.
        """
        return pa.table({name: given.of(rows) for name, given in self.on_source.items()})


def bind_two_way(spec: Spec, bound: BoundTable) -> TwoWay:
    """Bind what the spec says of both ways. `bound`: the table as it goes to the target. SpecError with every problem."""
    if unfit := list(_unfit(spec, bound)):
        raise SpecError.of(unfit)
    sources = {column.name: column for column in bound.source_shape.columns}
    inverses, problems = _inverses(spec, bound)
    problems += [bound.unwritable] if bound.unwritable is not None else []
    ways = _ways(bound, inverses)
    key = tuple(dict.fromkeys(column for each in bound.key for column in ways[each].writes))
    problems += _of_key(spec, bound, ways, key)
    comparison = _knowing_all(bound)
    try:
        policy = _policy(spec, bound)
        problems += _of_policy(spec, bound, policy, comparison)
    except SpecError as error:
        problems += error.problems
    given, faulty = bound_given(spec, bound)
    problems += faulty
    back = Backward(bound.mapping, sources, comparison, inverses, {}, ways)
    written = {column for way in ways.values() if not way.why_not for column in way.writes}
    problems += _of_new_rows(spec, bound, written, given)
    if problems:
        raise SpecError.of(problems)
    clocks = [policy.clock.source] if policy.clock is not None and policy.clock.source in sources else []
    reads = [*bound.reads, *key, *sorted(written), *clocks]
    ordered = tuple(column for column in bound.source_shape.names if column in reads)
    return TwoWay(policy, comparison, back, ways, key, given, ordered)


def _unfit(spec: Spec, bound: BoundTable) -> Iterator[Problem]:
    """Why the rows of a table cannot go both ways at all."""
    name, table = bound.name, spec.tables[bound.name]
    at, fix = ("tables", name), "write `direction: one_way` for the table"
    if table.from_.parts:
        what = "its rows come from several sources, so that a row which is born on the target belongs to none of them."
        apart = "name each source by a client of its own (`clients:` with `variables:`), told apart by `owns:` and a `const:` column"
        yield Problem(what, f"{apart}, or {fix}.", spec.where(*at, "from"), name)
    elif bound.source.query is not None:
        what = "its rows come from a query, which cannot be written."
        yield Problem(what, f"name a table of the source, or {fix}.", spec.where(*at, "from"), name)
    elif bound.source_shape.unwritable:
        yield Problem(f"the source's {bound.source} {bound.source_shape.unwritable}", "", spec.where(*at, "from"), name)
    if bound.identity_map is not None:
        yield from _unnumbered(spec, bound, bound.identity_map)
    if bound.delete == "ignore":
        what = "`delete: ignore` keeps rows on the target that the source lost, and both sides are to be equal."
        yield Problem(what, f"write `delete: hard` or `soft`, or {fix}.", spec.where(*at, "delete"), name)
    if deep := [column for column, depth in own_depths(name, bound.mapping.columns).items() if depth > 1]:
        what = f"{deep[0]} is looked up in {name} itself by what is looked up there before, and such a value does not go back."
        yield Problem(what, f"take {deep[0]} out of the columns, or {fix}.", spec.where(*at, "columns", deep[0]), name)
    if table.where is not None and table.owns is None:
        what = "`where` says which rows of the source it shows, and nothing says which of the target belong to it."
        fix = 'add `owns:` with the same condition in the target\'s words, such as `owns: "year = 2013"`.'
        yield Problem(what, fix, spec.where(*at, "where"), name)


def _unnumbered(spec: Spec, bound: BoundTable, known: IdentityMap) -> Iterator[Problem]:
    """Why rows that were born on the target can have no key in the source."""
    name = bound.name
    where = spec.where("tables", name, "key")
    if known.mapped:
        column = known.mapped[0].shape.name
        what = f"{column} of its key is made of the source's columns, and what an identity map gives does not go back to them."
        yield Problem(what, "take it out of `map:`, or write `direction: one_way` for the table.", where, name)
    given = spec.tables[name].on_source
    alone = len([each for each in known.source if each.name not in given]) == 1
    for each in known.source:
        if each.name in given or (alone and (pa.types.is_integer(each.type) or each.meaning == "uuid")):
            continue
        what = f"nothing numbers {each.name} ({each.native}) of the source's key, so that a row born on the target gets none there."
        fix = (
            f"say what it gets: `on_source: {{{each.name}: {{expr: …}}}}`, or write `direction: one_way` for the table."
        )
        yield Problem(what, fix, where, name)


def _inverses(spec: Spec, bound: BoundTable) -> tuple[dict[str, Inverse], list[Problem]]:
    """The `inverse` of each column that has one, and what is wrong with them."""
    found: dict[str, Inverse] = {}
    problems: list[Problem] = []
    for column, wanted in (spec.tables[bound.name].columns or {}).items():
        if wanted.inverse is None or bound.mapping.schema.get_field_index(column) < 0:
            continue
        found[column] = wanted.inverse
        for source, sql in wanted.inverse.items():
            where = spec.where("tables", bound.name, "columns", column, "inverse", source)
            there = bound.source_shape.column(source)
            if there is None:
                what = f"{column}: inverse: the source has no column {source}."
                problems.append(Problem(what, meant(source, bound.source_shape.names), where, bound.name))
            elif there.generated:
                what = f"{column}: inverse: the source computes {source} itself."
                problems.append(Problem(what, "write the columns back that it is made of.", where, bound.name))
            try:
                typed_over(bound, source, sql)
            except SpecError as error:
                problems += [each.within(where, f"{column}: inverse of {source}: ") for each in error.problems]
    return found, problems


def _ways(bound: BoundTable, inverses: Mapping[str, Inverse]) -> dict[str, WayBack]:
    """How each column goes back. A date that stands for those that are none stands for several."""
    ways = ways_back(bound.mapping, {column.name: column for column in bound.source_shape.columns}, inverses)
    stands = {column: kind for column, kind in bound.source.zero_dates if kind not in ("quarantine", "fail")}
    for column in bound.mapping.columns:
        name, origin = column.shape.name, column.origin
        if isinstance(origin, Rename) and origin.source in stands and name not in inverses:
            facts = {"source": origin.source, "given": "dates that are none", "wanted": stands[origin.source]}
            ways[name] = WayBack(name, why_not="several_values", facts=facts)
    return ways


def _of_key(spec: Spec, bound: BoundTable, ways: Mapping[str, WayBack], key: Key) -> Iterator[Problem]:
    where = spec.where("tables", bound.name, "key")
    fixed = {column.shape.name for column in bound.mapping.columns if isinstance(column.origin, Constant)}
    lost = [each for each in bound.key if ways[each].why_not and each not in fixed]
    for each in lost:
        what = f"the key column {each} {ways[each].text}, so that no row of the source is known by it."
        fix = "choose a key of columns that go back, or say how with `inverse:`."
        yield Problem(what, fix, where, bound.name)
    if not lost and frozenset(key) not in bound.source_shape.uniques:
        what = (
            f"the key goes back to ({', '.join(key)}) of the source, which has no unique constraint on exactly these columns: "
            "a row of the target could be several of the source."
            if key
            else "the key goes back to no column of the source."
        )
        fix = (
            f"add UNIQUE ({', '.join(key)}) to the source, name the table where it is a view, or choose another key."
            if key
            else "choose another key."
        )
        yield Problem(what, fix, where, bound.name)


def _knowing_all(bound: BoundTable) -> Comparison:
    """The comparison with what the values of all columns mean, compared or not.

    Where a row that a plan expects says by itself whose it is, the condition is not asked once more: a row that leaves is written,
    and an undo brings it back.
    """
    meanings = {
        column.name: column.meaning
        for column in bound.shape.columns
        if column.name in bound.images and column.meaning != "plain"
    }
    owns = None if bound.owns is None or _says_whose(bound) else bound.owns
    # a row that is flagged as deleted is none, and no other one has a flag
    compared = tuple(each for each in bound.comparison.compared if bound.soft is None or each != bound.soft.column)
    every = {**meanings, **bound.comparison.meanings}
    return replace(bound.comparison, compared=compared, meanings=every, owns=owns)


def _says_whose(bound: BoundTable) -> bool:
    """Whether all columns that `owns` names are compared."""
    try:
        named = {column.lower() for column in expressions.columns(bound.owns or "")}
    except SpecError:  # the target's engine reads it, and another one need not
        return False
    return named <= {column.lower() for column in (*bound.key, *bound.comparison.compared)}


def _policy(spec: Spec, bound: BoundTable) -> Policy:
    wanted = spec.conflict_of(bound.name)
    rules: dict[str, Rule] = {}
    for column, rule in wanted.columns.items():
        try:
            function = load_function(rule.python, spec.folder) if rule.python is not None else None
        except SpecError as error:
            where = spec.where("tables", bound.name, "conflict", "columns", column)
            raise SpecError.of(each.within(where, f"{column}: ") for each in error.problems) from error
        rules[column] = Rule(rule.name, rule.separator, function, rule.python or "function")
    clock = None
    if wanted.clock is not None:
        clock = Clock(_source_clock(bound, wanted.clock), wanted.clock.target, wanted.skew, wanted.tie)
    initial = spec.initial_of(bound.name)
    return Policy(wanted.resolve, wanted.by, clock, rules, wanted.delete, wanted.create, initial)


def _source_clock(bound: BoundTable, clocks: Clocks) -> str:
    """The source's clock as a column of its rows: the mapped one that copies it where there is one, as that has the target's type."""
    mapped = bound.mapping.schema.names
    if clocks.source == clocks.target and clocks.source in mapped:
        return clocks.source
    copies = [
        column.shape.name
        for column in bound.mapping.columns
        if isinstance(column.origin, Rename) and column.origin.source == clocks.source
    ]
    return clocks.target if clocks.target in copies else next(iter(copies), clocks.source)


def _of_policy(spec: Spec, bound: BoundTable, policy: Policy, comparison: Comparison) -> Iterator[Problem]:
    at = ("tables", bound.name, "conflict") if spec.tables[bound.name].conflict is not None else ("conflict",)
    where = spec.where(*at)
    target = bound.shape.schema(bound.images)
    rows = bound.mapping.schema
    clock = policy.clock
    if clock is not None:
        alone = bound.source_shape.column(clock.source)
        if clock.source not in rows.names and alone is not None and not alone.refused:
            rows = rows.append(pa.field(alone.name, alone.type))
        if clock.target not in target.names and bound.shape.column(clock.target) is not None:
            what = f"the target's clock {clock.target} is not mapped, and rows are read by their mapped columns."
            fix = f"map it: `{clock.target}: {clock.source}`, under `ignore:` where it is not to be compared."
            yield Problem(what, fix, where, bound.name)
            return
        if zones := _zones(spec, bound, clock):
            what = (
                f"the clocks are local times of different zones: {zones[0]} on the source and {zones[1]} on the target."
            )
            fix = "map the source's with a `cast:` to the target's zone, or keep instants (timestamptz) on both sides."
            yield Problem(what, fix, where, bound.name)
    meanings = comparison.meanings
    for problem in reconcile.problems(policy, bound.key, rows, target, meanings):
        yield replace(problem, where=where, table=bound.name)


def _zones(spec: Spec, bound: BoundTable, clock: Clock) -> tuple[str, str] | None:
    """The zones of both sides, where they differ and the clocks are local times that the mapping copies as they are."""
    source, target = spec.source.time_zone, spec.target.time_zone
    made = next((each for each in bound.mapping.columns if each.shape.name == clock.source), None)
    cast = made is not None and (made.cast is not None or not isinstance(made.origin, Rename))
    there = bound.shape.column(clock.target)
    local = there is not None and pa.types.is_timestamp(there.type) and there.type.tz is None
    return (source, target) if local and not cast and source and target and source != target else None


def _of_new_rows(spec: Spec, bound: BoundTable, written: set[str], given: Mapping[str, Given]) -> Iterator[Problem]:
    at = ("tables", bound.name)
    keyed = bound.identity_map.by if bound.identity_map is not None else ()
    for column in given:
        if column in written and column not in keyed:
            what = f"on_source.{column} is written back from a column of the target, so that nothing else fills it."
            yield Problem(what, "remove it.", spec.where(*at, "on_source", column), bound.name)
    needed = [
        each.name
        for each in unfilled(bound.source_shape)
        if each.name not in written | spec.tables[bound.name].on_source.keys()
    ]
    if needed:
        what = (
            f"rows that are born on the target cannot be written to the source: {bound.source}.{needed[0]} takes no nulls, has no "
            "default, and no column goes back to it."
        )
        others = f" ({', '.join(needed[1:])} likewise)" if needed[1:] else ""
        fix = f"say what it gets in tables.{bound.name}.on_source: `on_source: {{{needed[0]}: {{const: …}}}}`{others}."
        yield Problem(what, fix, spec.where(*at), bound.name)
