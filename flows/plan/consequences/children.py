"""What becomes of rows that refer to one that is to be deleted, in tables that the spec does not name.

`delete: {children: …}` of the table that loses rows says it. `refuse`: they keep the row. `plan`: what ON DELETE says, as
deletes and updates of the plan; they are deleted where it says nothing. `detach`: their references become null, or the default
where ON DELETE says so. Rows of tables that the spec names are what the source says: they keep what they refer to, unless the
plan deletes them itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from flows.bind.own_columns import writable
from flows.plan.consequences.going import Does, Going, referring_to
from flows.plan.references.references import related
from flows.plan.references.referrers import looked_through
from flows.session.scan import rows_by_key
from flows.session.side import WrittenSide
from flows.spec.policies import Children
from transforms import keys
from transforms.vocabulary import ChangeSet, ForeignKey, Key, Relation, SynclineError, TableName, TableShape

Reference = tuple[TableName, Key, TableName]
"""A foreign key: the table that has it, its columns, and the table that it leads to."""


def reference_of(child: TableShape, foreign: ForeignKey) -> Reference:
    return child.name, foreign.columns, foreign.refers


@dataclass(slots=True)
class Followed:
    """How far deletes lead: the tables that the spec does not name whose rows go with others, and what each foreign key does.

    `whys` say of foreign keys why their rows cannot be planned, `values` what their columns become where their rows let go.
    """

    going: dict[TableName, Going] = field(default_factory=dict)
    does: dict[Reference, Does] = field(default_factory=dict)
    whys: dict[Reference, str] = field(default_factory=dict)
    values: dict[Reference, dict[str, pa.Array]] = field(default_factory=dict)


def followed(
    side: WrittenSide,
    going: Mapping[TableName, Going],
    named: Collection[TableName],
    policy: Mapping[TableName, Children],
    *,
    chosen: bool = False,
) -> Followed:
    """Follow deletes to tables that the spec does not name, from level to level.

    In: the deletes of the spec's tables; `named`, all of those tables; the `policy` of each that loses rows; `chosen` as of the
    plan's job: rows that refer are asked for, and not looked for in all rows. Out: all rows that
    could go; whether they do depends on what keeps others. Reads the referring columns of such tables once a level, and of the
    rows that go all columns. Memory: those rows. Errors: DataError where such a row cannot be read.
    """
    found = Followed()
    front = {table: each for table, each in going.items() if policy[table] != "refuse"}
    while front:
        new: dict[TableName, pa.Table] = {}
        for child in related(side.adapter, list(front)).values():
            if child.name in named:
                continue
            for foreign in child.foreign_keys:
                if foreign.refers not in front:
                    continue
                _decide(side, found, child, foreign, policy.get(foreign.refers, "plan"))
                if found.does[reference_of(child, foreign)] == "follow":
                    parents = front[foreign.refers]
                    asked = parents.asked_by(child, foreign) if chosen else None
                    rows = _reached(side, found, child, foreign, parents, new.get(child.name), asked)
                    new[child.name] = rows if child.name not in new else pa.concat_tables([new[child.name], rows])
        front = {}
        for table, rows in new.items():
            if rows.num_rows:
                front[table] = _added(side, found, table, rows)
    return found


def key_of(shape: TableShape) -> Key | None:
    """What tells the rows of a table apart: its primary key, else the shortest unique columns that are never null."""
    if shape.primary_key:
        return shape.primary_key
    null = {column.name for column in shape.columns if column.nullable}
    whole = [tuple(name for name in shape.names if name in unique) for unique in shape.uniques if not unique & null]
    return min(whole, key=lambda names: (len(names), names), default=None)


def _decide(side: WrittenSide, found: Followed, child: TableShape, foreign: ForeignKey, policy: Children) -> None:
    """What rows do by a foreign key, once for all; those that some table lets go by `plan` follow."""
    reference = reference_of(child, foreign)
    if reference in found.does:
        return
    lets_go = policy == "detach" or foreign.on_delete.startswith("SET ")
    found.does[reference] = "let_go" if lets_go else "follow"
    why = unplannable(child, whole=not lets_go)
    if not why and lets_go:
        new = values_let_go(side, child, foreign, foreign.on_delete)
        if isinstance(new, str):
            why = new
        else:
            found.values[reference] = new
    if why:
        found.does[reference], found.whys[reference] = "hold", why


def unplannable(child: TableShape, *, whole: bool) -> str:
    """Why rows of a table cannot be planned; empty where they can. `whole`: all of a row has to be read."""
    if key_of(child) is None:
        return f"{child.name} has neither a primary key nor unique columns without nulls"
    if child.hidden_by:
        return f"rows of {child.name} may be hidden from this user by {child.hidden_by}"
    if child.unwritable:
        return f"{child.name} {child.unwritable}"
    if whole and (refused := next((c for c in child.columns if c.refused and not c.generated), None)):
        return f"{child.name}.{refused.name} ({refused.native}) cannot be read, and so not be given back"
    return ""


def values_let_go(side: WrittenSide, child: TableShape, foreign: ForeignKey, action: str) -> dict[str, pa.Array] | str:
    """What columns of a foreign key become whose rows let go by an `action`: null, or their defaults; why they cannot, else."""
    key = key_of(child) or ()
    named = action.partition("(")[2].rstrip(")")
    chosen = [name.strip().strip('"') for name in named.split(",")] if named else list(foreign.columns)
    columns = [column for column in child.columns if column.name in chosen]
    by = f"{child.name} ({', '.join(foreign.columns)})"
    if {column.name for column in columns} <= set(key):
        return f"{by} is its key"
    if action.startswith("SET DEFAULT"):
        defaults = dict(side.adapter.design(child.name).defaults)
        new = {c.name: _evaluated(side, child, c.name, defaults.get(c.name)) for c in columns}
        if (lacking := next((n for n, v in new.items() if v is None), None)) is not None:
            return f"the default of {child.name}.{lacking} is not known before it is written"
        values = {name: value for name, value in new.items() if value is not None}
        if any(not column.nullable and values[column.name][0].as_py() is None for column in columns):
            return f"{by} takes no nulls and has no default"
        if values.keys() & set(key):
            return f"{by} is part of its key"
        if not _is_there(side, foreign, values):
            return f"the default of {by} is no row of {foreign.refers}"
    else:
        free = [c for c in columns if c.nullable and not c.generated and c.name not in key]
        whole = foreign.full or action.startswith("SET NULL")
        if not free or (whole and len(free) < len(columns)):
            return f"{by} takes no nulls"
        values = {c.name: pa.nulls(1, c.type) for c in free}
    return values


def _evaluated(side: WrittenSide, child: TableShape, name: str, default: str | None) -> pa.Array | None:
    """What a default comes to, in the column's travel type; None where that cannot be asked."""
    column = child.column(name)
    assert column is not None
    if default is None:
        return None if column.identity else pa.nulls(1, column.type)
    try:
        with side.adapter.snapshot() as apart:  # an error would end the plan's own
            batches = list(apart.scan(Relation(query=f"SELECT ({default}) AS v"), ["v"]))
        return batches[0].column("v").cast(column.type)
    except (SynclineError, pa.ArrowException):
        return None


def _is_there(side: WrittenSide, foreign: ForeignKey, values: Mapping[str, pa.Array]) -> bool:
    """Whether columns of a foreign key may have these values: some are null, or a row has them."""
    if not set(foreign.columns) <= set(values) or any(each[0].as_py() is None for each in values.values()):
        return True
    parent = side.adapter.describe(foreign.refers)
    assert parent is not None
    pairs = zip(foreign.columns, foreign.refers_columns, strict=True)
    schema = parent.schema(foreign.refers_columns)
    wanted = pa.table([values[own].cast(schema.field(there).type) for own, there in pairs], schema=schema)
    batches = side.snapshot.scan(Relation(foreign.refers), foreign.refers_columns, keys=wanted)
    return any(batch.num_rows for batch in batches)


def _reached(
    side: WrittenSide,
    found: Followed,
    child: TableShape,
    foreign: ForeignKey,
    parents: Going,
    known: pa.Table | None,
    asked: pa.Table | None,
) -> pa.Table:
    """The keys of rows that refer to some that may go, and are not known to do so yet."""
    key = key_of(child)
    assert key is not None
    values = parents.values(side, foreign.refers_columns)
    names = list(dict.fromkeys([*key, *foreign.columns]))
    none = child.schema(key).empty_table()
    seen = looked_through(side.adapter, child, names, referring_to(side, child, foreign, key, values), asked)
    if seen is None:
        found.does[reference_of(child, foreign)] = "hold"
        found.whys[reference_of(child, foreign)] = f"this user may not read {child.name}"
        return none
    rows = pa.concat_tables([none, *(each.keys.cast(none.schema) for each in seen)])
    before = [known] if known is not None else []
    if child.name in found.going:
        before.append(found.going[child.name].columns(key))
    for each in before:
        if rows.num_rows and each is not None and each.num_rows:
            rows = rows.filter(pa.array(~keys.contained(rows, each, key)))
    return rows


def _added(side: WrittenSide, found: Followed, table: TableName, rows: pa.Table) -> Going:
    """Put rows of a level, whole, to those of their table that go; these rows alone."""
    shape = side.adapter.describe(table)
    key = key_of(shape) if shape is not None else None
    assert shape is not None and key is not None, "it was looked at"
    names = writable(shape)
    whole = rows_by_key(side.snapshot, shape, names, rows, key).select(list(names))
    none = whole.slice(0, 0)
    compared = tuple(name for name in names if name not in key)
    level = ChangeSet(table, key, compared, none, none, none, whole)
    before = found.going[table].windows if table in found.going else {}
    found.going[table] = Going(shape, key, {**before, len(before): level})
    return Going(shape, key, {0: level})
