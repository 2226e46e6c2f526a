"""A draft spec as text: YAML with a comment at each decision that is not obvious."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flows.results.untranslated import TITLES, Untranslated, in_order, text_of
from transforms.vocabulary import Key, TableName
from transforms.vocabulary.features import Feature

WIDTH: Final = 118
_PLAIN: Final = re.compile(r"[^\W\d][\w./()-]*(?: [\w./()-]+)*")
_WORDS: Final = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


@dataclass(slots=True)
class DraftColumn:
    """A column of the target. `source` is None where the target computes it; `type` is None where it is there already."""

    name: str
    source: str | None
    type: str | None = None
    nullable: bool | None = None
    cast: str | None = None
    zone: str = ""
    zero_date: bool = False
    default: str | None = None
    identity: bool = False
    generated: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class DraftKey:
    """A foreign key to `table`, a target table as the draft names it."""

    columns: Key
    table: str
    refers: Key
    on_delete: str = ""
    on_update: str = ""


@dataclass(slots=True)
class DraftTable:
    """A table of the draft. `features` are what it has and the draft does not say; `blocked` why it is commented out.

    `left_out` are source columns that are not mapped, and why; `filled` target columns that a trigger fills, and its name.
    `zoned` are the sides whose naive timestamps it takes for instants, or makes of such. An `existing` target table has no
    `create:`: to its columns in `proposed` may go what is called a little otherwise in the source, to those in `unfed` goes nothing.
    `needs` are what a person has to look at, by column or of the whole table. Of one that is `unread` nothing is known: it is a comment.
    """

    name: str
    source: TableName
    target: TableName
    rows: int
    key: Key
    existing: bool = False
    columns: list[DraftColumn] = field(default_factory=list)
    primary_key: Key = ()
    unique: list[Key] = field(default_factory=list)
    indexes: list[Key] = field(default_factory=list)
    foreign_keys: list[DraftKey] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    zoned: set[str] = field(default_factory=set)
    filled: list[tuple[str, str]] = field(default_factory=list)
    proposed: dict[str, str] = field(default_factory=dict)
    unfed: list[str] = field(default_factory=list)
    needs: list[tuple[str | None, str]] = field(default_factory=list)
    blocked: str = ""
    unread: bool = False

    def column(self, name: str) -> DraftColumn | None:
        return next((column for column in self.columns if column.name == name), None)

    def sources(self, names: Key) -> Key:
        """Columns by their names in the source."""
        known = {column.name: column.source for column in self.columns}
        return tuple(known.get(name) or name for name in names)


def untranslated(table: DraftTable) -> list[Untranslated]:
    """What a table has and the draft does not say, and itself where it is left out."""
    features = [*table.features, *(Feature("column", (name,), {"why": why}) for name, why in table.left_out)]
    features += [Feature("table", (), {"why": table.blocked})] if table.blocked else []
    return [Untranslated(table.name, each) for each in features]


@dataclass(frozen=True, slots=True)
class Side:
    """One end of the draft. `url` as it is written; `zone` is where its naive timestamps are, and `about_zone` how that is known."""

    url: str
    schema: str | None = None
    zone: str = ""
    about_zone: str = ""
    files: Mapping[str, Any] = field(default_factory=dict)


def written(name: str, source: Side, target: Side, tables: Sequence[DraftTable], head: Sequence[str]) -> str:
    """The whole draft; `head` are comments before everything else."""
    lines = [line for text in head for line in _comment(text, "")]
    lines += ["version: 1", f"name: {scalar(name)}"]
    for end, side in (("source", source), ("target", target)):
        if side.zone:
            lines += _comment(
                f"{end}: time_zone {side.zone} is where its naive timestamps are taken to be: {side.about_zone}", ""
            )
        lines += _side(end, side)
    lines.append("tables:")
    for table in tables:
        lines += ["", *_table(table)]
    return "".join(f"{line}\n" for line in lines)


def _side(end: str, side: Side) -> Iterator[str]:
    url = f'"{side.url}"' if side.url.startswith("${") else quoted(side.url)
    more = {"schema": side.schema, "time_zone": side.zone}
    told = {"url": Raw(url)} | {name: value for name, value in more.items() if value}
    if not side.files:
        yield f"{end}: {flow(told)}"
        return
    yield f"{end}:"
    yield from (f"  {name}: {flow(value)}" for name, value in told.items())
    yield from ("  files:  # as they were found", "    tables:")
    yield from (f"      {key(name)}: {flow(format)}" for name, format in side.files["tables"].items())


def _table(table: DraftTable) -> Iterator[str]:
    if table.unread:
        yield from _comment(f"Left out: {table.name}: {table.blocked}", "  ")
        return
    yield from _comment(f"{table.rows:,} row{'s' if table.rows > 1 else ''}." if table.rows else "Empty.", "  ")
    for text in table.notes:
        yield from _comment(text, "  ")
    for each in in_order(untranslated(table)):
        if each.feature.severity != "noise" and each.feature.kind not in ("table", "column"):  # they stand elsewhere
            yield from _comment(f"{TITLES[each.feature.severity]}: {text_of(each.feature)}", "  ")
    if table.blocked:
        yield from _comment(f"Left out: {table.blocked}", "  ")
    mark = "  # " if table.blocked else "  "
    if not table.columns:  # nothing that could be taken in by removing the marks
        yield from _comment(f"Left out: {table.name}.", "  ")
        return
    for line in _body(table):
        yield f"{mark}{line}".rstrip()


def _body(table: DraftTable) -> Iterator[str]:
    yield f"{key(table.name)}:"
    yield f"  from: {scalar(spelled(table.source.name))}"
    if table.name != spelled(table.target.name):
        yield f"  target: {scalar(spelled(table.target.name))}"
    yield f"  key: {flow(list(table.key))}"
    yield "  columns:"
    for column in table.columns:
        if table.existing:
            yield from _notes(column, "    ")
        if column.source is not None:
            yield f"    {key(column.name)}: {_mapped(column)}"
    for name, source in table.proposed.items():
        yield f"    # {key(name)}: {scalar(source)}  # like it by name: take the first # away if it is meant"
    for name, why in table.left_out:
        yield from _comment(f"{name}: {why}", "    ")
    if table.unfed:
        yield from _comment(
            f"Nothing goes to {', '.join(table.unfed)}: new rows get what the target gives them.", "    "
        )
    for name, trigger in table.filled:
        yield from _comment(
            f"{name}: the trigger {trigger} fills it, as its text says. A guess: it was read, and not run.", "  "
        )
    if table.filled:
        yield f"  filled: {flow([name for name, _ in table.filled])}"
    if not table.existing:
        yield "  create:"
        yield from (f"    {line}" for line in _create(table))


def _mapped(column: DraftColumn) -> str:
    assert column.source is not None
    more: dict[str, Any] = {"cast": column.cast} if column.cast else {}
    if column.zero_date:
        more["zero_date"] = Raw("null")
    return flow({"from": column.source, **more}) if more else scalar(column.source)


def _create(table: DraftTable) -> Iterator[str]:
    yield "columns:"
    for column in table.columns:
        yield from _notes(column, "  ")
        yield f"  {key(column.name)}: {_new(column)}"
    if table.primary_key:
        yield f"primary_key: {flow(list(table.primary_key))}"
    for what, groups in (("unique", table.unique), ("indexes", table.indexes)):
        if groups:
            yield f"{what}: {flow([list(group) for group in groups])}"
    if table.foreign_keys:
        yield "foreign_keys:"
    for each in table.foreign_keys:
        actions = {"on_delete": each.on_delete.lower(), "on_update": each.on_update.lower()}
        told = {"columns": list(each.columns), "table": each.table, "refers": list(each.refers)}
        yield f"  - {flow(told | {name: action for name, action in actions.items() if action})}"
    if table.checks:
        yield "checks:"
        yield from (f"  - {quoted(check)}" for check in table.checks)


def _new(column: DraftColumn) -> str:
    parts: dict[str, Any] = {"type": column.type}
    if column.identity:
        parts["identity"] = True
    if column.nullable is not None and not column.identity:
        parts["nullable"] = column.nullable
    for name, sql in (("default", column.default), ("generated", column.generated)):
        if sql is not None:
            parts[name] = Raw(quoted(sql))
    return flow(parts) if len(parts) > 1 else scalar(str(column.type))


def _notes(column: DraftColumn, indent: str) -> Iterator[str]:
    for note in column.notes:
        yield from _comment(f"{column.name}: {note}", indent)


def _comment(text: str, indent: str) -> Iterator[str]:
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    lines = textwrap.wrap(shown, WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False)
    return (f"{indent}# {line}" for line in lines)


# ---------------------------------------------------------------------------------------------------------------------
# YAML


class Raw(str):
    """A text that stands in the file as it is."""

    __slots__ = ()


def scalar(text: str) -> str:
    """A text as YAML, in quotes where it would be read as something else."""
    plain = _PLAIN.fullmatch(text) and text.isprintable() and text.lower() not in _WORDS
    return text if plain else quoted(text)


def key(name: str) -> str:
    """A text as a key of a mapping, in which no variables are looked for."""
    return scalar(name).replace("$${", "${")


def quoted(text: str) -> str:
    """A text in the quotes that it has fewer of; `${` becomes `$${`, because a spec would look for a variable."""
    single = text.isprintable() and text.count('"') + text.count("\\") > text.count("'")
    whole = "'" + text.replace("'", "''") + "'" if single else '"' + "".join(_escaped(each) for each in text) + '"'
    return whole.replace("${", "$${")


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key(name)}: {flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(str(value))


def spelled(name: str) -> str:
    """A table's name as specs write it: in quotes where it has a dot, or would lose something."""
    odd = "." in name or name.startswith('"') or name != name.strip()
    return '"' + name.replace('"', '""') + '"' if odd else name
