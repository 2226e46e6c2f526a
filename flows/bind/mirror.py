"""The source of tables that go both ways as something that is written: each of its tables bound to itself, column by column."""

from __future__ import annotations

from collections.abc import Collection

from adapters.protocol import Target
from flows.bind.tables import Binding, BoundTable, bind
from flows.bind.two_way import TwoWay
from flows.spec.conflict import Conflict
from flows.spec.model import Spec
from flows.spec.tables import Table


def mirrored(spec: Spec, binding: Binding, source: Target, names: Collection[str]) -> Binding:
    """The binding of plans that write the source, with those of some tables of `binding` that go both ways, under their names. No two
    of them are made of one table of the source.

    A row has the source's own columns: its key there, those that changes go back to, and those that rows which were born on the
    target are given. Nothing is looked up, checked or made, and no row counts as somebody else's: a plan for the source names
    its rows by key.
    Errors: SpecError with every problem.
    """
    tables = {
        bound.name: _mirror(spec, bound, bound.two_way)
        for bound in binding.tables
        if bound.two_way is not None and bound.name in names
    }
    one_way = {"target": spec.source, "direction": "one_way", "conflict": Conflict(), "initial": "report"}
    return bind(spec.model_copy(update=one_way).respelled(tables, lambda path: path), source, source, asking=False)


def _mirror(spec: Spec, bound: BoundTable, two_way: TwoWay) -> Table:
    own = spec.tables[bound.name]
    zero_dates = dict(bound.source.zero_dates)
    delete = spec.delete_policy(bound.name)
    columns = {
        name: {"from": name, **({"zero_date": zero_dates[name]} if name in zero_dates else {})}
        for name in bound.source_shape.names
        if name in two_way.writes
    }
    kept = {name: getattr(own, name) for name in ("window", "history", "quarantine") if name in own.model_fields_set}
    limits = {name: getattr(delete, name) for name in ("max_ratio", "at_least") if name in delete.model_fields_set}
    return Table.model_validate(
        {
            **kept,
            "from": own.from_.table,
            "target": own.from_.table,
            "key": list(two_way.source_key),
            "columns": columns,
            "delete": {"policy": "hard", "children": "refuse", "lose": [], **limits},
        }
    )
