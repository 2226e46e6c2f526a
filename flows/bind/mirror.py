"""The source of tables that go both ways as something that is written: each of its tables bound to itself, column by column."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from adapters.protocol import Target
from flows.bind.inspect import Shapes
from flows.bind.tables import Binding, BoundTable, bind
from flows.spec.conflict import Conflict
from flows.spec.model import Spec
from flows.spec.tables import Table


def projections(tables: Iterable[BoundTable]) -> dict[str, tuple[BoundTable, ...]]:
    """The tables that go both ways by the table of the source that they are made of, which goes by the name of the first of them."""
    of: dict[str, tuple[BoundTable, ...]] = {}
    for bound in tables:
        if bound.two_way is not None:
            origin = str(bound.source.table)
            of[origin] = (*of.get(origin, ()), bound)
    return {some[0].name: some for some in of.values()}


def origins(binding: Binding) -> dict[str, str]:
    """For each table that goes both ways the name that its table of the source goes by."""
    return {bound.name: name for name, some in projections(binding.tables).items() for bound in some}


def mirrored(spec: Spec, binding: Binding, source: Target, names: Collection[str]) -> Binding:
    """The binding of plans that write the source, with its tables that some tables of `binding` go back to (`origins`).

    A row has the source's own columns: its key there, those that changes of any of its projections go back to, and those that rows
    which were born on the target are given. Nothing is looked up, checked or made, and no row counts as somebody else's: a plan for
    the source names its rows by key. The source is not asked again what its tables look like.
    Errors: SpecError with every problem.
    """
    of = {name: some for name, some in projections(binding.tables).items() if {each.name for each in some} & {*names}}
    one_way = {"target": spec.source, "direction": "one_way", "conflict": Conflict(), "initial": "report"}
    tables = {name: _mirror(spec, some) for name, some in of.items()}
    mirror = spec.model_copy(update=one_way).respelled(tables, lambda path: path)
    shapes = {name: some[0].source_shape for name, some in of.items()}
    return bind(mirror, source, source, Shapes(mirror, {name: (shapes[name],) for name in of}, shapes), asking=False)


def _mirror(spec: Spec, projections: Sequence[BoundTable]) -> Table:
    bound = projections[0]
    assert bound.two_way is not None, "it goes both ways"
    own = spec.tables[bound.name]
    zero_dates: Mapping[str, str] = dict(pair for each in reversed(projections) for pair in each.source.zero_dates)
    delete = spec.delete_policy(bound.name)
    writes = {name for each in projections if each.two_way is not None for name in each.two_way.writes}
    columns = {
        name: {"from": name, **({"zero_date": zero_dates[name]} if name in zero_dates else {})}
        for name in bound.source_shape.names
        if name in writes
    }
    kept = {name: getattr(own, name) for name in ("window", "history", "quarantine") if name in own.model_fields_set}
    limits = {name: getattr(delete, name) for name in ("max_ratio", "at_least") if name in delete.model_fields_set}
    return Table.model_validate(
        {
            **kept,
            "from": own.from_.table,
            "target": own.from_.table,
            "key": list(bound.two_way.source_key),
            "columns": columns,
            "delete": {"policy": "hard", "children": "refuse", "lose": [], **limits},
        }
    )
