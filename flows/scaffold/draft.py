"""A draft spec for a whole schema: read the source, look at its rows, choose types, and write down why.

The draft is bound against both schemas before it is given out: a table that would stop `plan` is commented out, with
the reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters import private
from adapters.capabilities import Capabilities
from adapters.declaring import Declaring
from adapters.processes import temporary_folder
from adapters.protocol import Catalog, Inspection, Target
from adapters.registry import open_source, open_target
from adapters.secrets import masked
from flows.bind.create_table import unlike_ends
from flows.bind.tables import Binding, bind
from flows.results.untranslated import TITLES, Untranslated, in_order, summary
from flows.scaffold.asked import Asked, chosen, pairs_of
from flows.scaffold.design import indexed, parents_first, unique_key
from flows.scaffold.existing import about_target, meet, of_one_name
from flows.scaffold.keys import NO_KEY, likely_key
from flows.scaffold.profile import profile, telling
from flows.scaffold.read import Read
from flows.scaffold.rows import look_for_orphans
from flows.scaffold.tables import UNREACHED, drafted, target_names
from flows.scaffold.yaml import DraftKey, DraftTable, Side, spelled, untranslated, written
from flows.scaffold.zones import guessed_zone
from flows.session.meter import Meter
from flows.spec.model import Url, load_spec, resolve_url
from transforms.vocabulary import ForeignKey, Relation, SpecError, SynclineError, TableName, TableShape
from transforms.vocabulary.features import Feature

Zones = Mapping[str, tuple[str, str]]
"""The time zone of a side that needs one, and how it is known."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The text, its tables in their order, the variables that hold URLs with passwords, and what is beside tables."""

    text: str
    tables: tuple[DraftTable, ...]
    variables: tuple[str, ...] = ()
    besides: tuple[Feature, ...] = ()
    about_target: str = ""

    @property
    def needs(self) -> list[dict[str, Any]]:
        """What the target asks of a person: columns and tables that nothing is called like, with what is near."""
        return [
            {"table": table.name, "column": column, "why": why} for table in self.tables for column, why in table.needs
        ]

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """Every choice that is not obvious, with its reason."""
        found: list[dict[str, Any]] = []
        for table in self.tables:
            found += [{"table": table.name, "column": None, "type": None, "why": note} for note in table.notes]
            for column in table.columns:
                about = {"table": table.name, "column": column.name, "type": column.type}
                found += [{**about, "why": note} for note in column.notes]
            found += [{"table": table.name, "column": name, "type": None, "why": why} for name, why in table.left_out]
        return found

    @property
    def untranslated(self) -> list[Untranslated]:
        """What the source has and the draft does not say, worst first."""
        return everything(self.tables, self.besides)

    def as_dict(self, file: Path | None) -> dict[str, Any]:
        """What `--json` prints; the text itself where it has no file."""
        return {
            "file": str(file) if file else None,
            **({} if file else {"text": self.text}),
            "tables": [
                {"name": table.name, "from": str(table.source), "rows": table.rows, "created": not table.existing}
                | ({"left_out": table.blocked} if table.blocked else {})
                for table in self.tables
            ],
            "target": self.about_target,
            "needs": self.needs,
            "decisions": self.decisions,
            "untranslated": [each.as_dict() for each in self.untranslated],
        }

    def write(self, file: Path) -> None:
        """Put the whole text in place, or leave what was there."""
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            temporary.write_text(self.text, encoding="utf-8")
            temporary.replace(file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise SpecError(f"{file} cannot be written: {error.strerror}.", fix="name another file with -o.") from error


def everything(tables: Sequence[DraftTable], besides: Sequence[Feature]) -> list[Untranslated]:
    """What of tables, and of the schema beside them, is not in the draft: worst first."""
    found = [each for table in tables for each in untranslated(table)]
    return in_order([*found, *(Untranslated(None, each) for each in besides)])


def free_file(file: Path) -> None:
    """SpecError where the draft would write over something, or has no folder to lie in."""
    if file.exists():
        raise SpecError(f"{file} is there already.", fix="name another file with -o, or write over it with --force.")
    if not file.parent.is_dir():
        raise SpecError(f"There is no folder {file.parent}.", fix="create it, or name another file with -o.")


def scaffold(asked: Asked, meter: Meter | None = None) -> Draft:
    """Make a draft. The source is read, the target is asked and tried out; nothing is written to either.

    Errors: SpecError for a table or schema that is not there.
    """
    if asked.source == asked.target and asked.schema == asked.target_schema:
        raise SpecError(
            f"The source and the target are the same: {masked(asked.source)}.",
            fix=("name another database, or two schemas of one with --schema and --target-schema."),
        )
    with ExitStack() as stack:
        source = open_source(asked.source)
        stack.callback(source.close)
        if not isinstance(source, Catalog):
            raise SpecError(
                f"{source.url} does not say how its tables were made, so that no spec can be drafted from it.",
                fix="write the spec by hand.",
            )
        target = open_target(asked.target, create=True)
        stack.callback(target.close)
        names = chosen(asked, source)
        with source.snapshot() as snapshot:
            asked = replace(asked, target_schema=target.named(TableName("", asked.target_schema)).schema)
            own = [name.name for name in names if name.name and name.name not in asked.onto]
            made = {**target_names(own, target.capabilities.names), **pairs_of(asked, names, target)}
            targets = {own: target.named(TableName(name, asked.target_schema)).name for own, name in made.items()}
            read: list[Read] = []
            unread: list[DraftTable] = []
            for name in names:
                if not name.name:
                    unread.append(
                        _unreadable(TableName("(no name)"), asked, "a table without a name, which a spec cannot write")
                    )
                    continue
                try:
                    there = target.describe(TableName(targets[name.name], asked.target_schema))
                    read.append(_looked_at(snapshot, source, name, target.capabilities, there, meter or Meter()))
                except UNREACHED:
                    raise
                except SynclineError as error:
                    unread.append(_unreadable(name, asked, str(error)))
            look_for_orphans(snapshot, read, source, target)
            tables = drafted(asked.target_schema, read, targets, snapshot, source, target)
        before = [each.name for each in target.tables(asked.target_schema)]
        told = about_target(tables, before, meet(tables, before))
        if isinstance(source, Declaring):
            asked = replace(asked, files=source.declared([each.source for each in tables]))
        zoned = {side for table in tables for side in table.zoned}
        zones = {side: guessed_zone(source if side == "source" else target) for side in sorted(zoned)}
        return _proved(asked, parents_first([*tables, *unread], _cut), source, target, zones, told)


def _unreadable(name: TableName, asked: Asked, why: str) -> DraftTable:
    """What stands in the draft for a table of which nothing is known."""
    own = TableName(name.name, asked.target_schema)
    return DraftTable(spelled(name.name), name, own, 0, (), unread=True, blocked=why)


def _looked_at(
    snapshot: Inspection, source: Catalog, name: TableName, target: Capabilities, there: TableShape | None, meter: Meter
) -> Read:
    shape = source.describe(name)
    if shape is None:
        raise SpecError(f"{name} was dropped from {source.url} just now.", fix="run it again.")
    design = source.design(name)
    likely = NO_KEY
    if not (shape.primary_key or unique_key(shape)):
        pairs = of_one_name(shape, there) if there else {name: name for name in shape.names}
        kept = [
            {pairs[each] for each in unique} for unique in (there.uniques if there else ()) if unique <= pairs.keys()
        ]
        likely = likely_key(snapshot, shape, set(pairs.values()), kept)
    held = {column for group in (*indexed(shape, design), likely.key) for column in group}
    facts = profile(
        snapshot, name, shape, telling(shape, source.capabilities, target, held), source.capabilities, meter
    )
    rows = max((each.rows for each in facts.values()), default=0) or snapshot.count(Relation(name))
    return Read(name, shape, design, rows, facts, likely, there)


# ---------------------------------------------------------------------------------------------------------------------
# Foreign keys, order and proof


def _cut(child: DraftTable, parent: DraftTable) -> None:
    around = "" if any(key.table == child.name for key in parent.foreign_keys) else ", by way of others"
    child.notes.append(
        f"{child.name} and {parent.name} refer to each other{around}: their foreign keys hold once the rows of both are in."
    )


def _proved(asked: Asked, tables: list[DraftTable], source: Catalog, target: Target, zones: Zones, about: str) -> Draft:
    """The draft that binds: tables that do not are commented out, foreign keys that the target refuses are listed."""
    while True:
        live = [table for table in tables if not table.blocked]
        if not live:
            break
        with temporary_folder("scaffold") as folder:
            sides = _sides(asked, zones, *map(_absolute, (asked.source, asked.target)))
            path = folder / "spec.yaml"
            private.write(path, written(migration_name(asked), *sides, tables, ()).encode())
            try:
                binding = bind(load_spec(path, {}, lined=False), source, target, asking=False)
            except SpecError as error:
                _block(tables, error)
                continue
        if not _refused(binding, live, target):
            break
    besides = () if asked.tables else tuple(source.besides(asked.schema))
    return Draft(_final(asked, tables, besides, zones, about), tuple(tables), tuple(_variables(asked)), besides, about)


def _sides(asked: Asked, zones: Zones, source: str, target: str) -> tuple[Side, Side]:
    """Both ends, by their URLs as they are to be written."""
    return (
        Side(source, asked.schema, *zones.get("source", ("", "")), asked.files),
        Side(target, asked.target_schema, *zones.get("target", ())),
    )


def _absolute(url: str) -> str:
    return resolve_url(Url(url, Path.cwd()))


def _block(tables: Sequence[DraftTable], error: SpecError) -> None:
    """Comment out the tables that the problems lie in, and let go of the foreign keys that lead there."""
    by_name = {table.name: table for table in tables}
    blocked = False
    for problem in error.problems:
        table = by_name.get(problem.table or "")
        if table is not None and not table.blocked:
            table.blocked, blocked = str(problem), True
    if not blocked:
        raise SpecError(
            f"No draft could be made that fits both schemas: {error}",
            fix="draft some tables, named by --table, and write the rest.",
        ) from error
    for table in tables:
        for key in list(table.foreign_keys):
            if by_name[key.table].blocked:
                table.foreign_keys.remove(key)
                table.features.append(_unkept(table, key, f"{key.table} is left out"))


def _refused(binding: Binding, tables: Sequence[DraftTable], target: Target) -> bool:
    """Take out the foreign keys and indexes that the target refuses; True where there were any."""
    found = _unlike(binding, tables, target)
    if found:
        return True
    ddl = [statement for bound in binding.tables for statement in bound.ddl]
    later = {bound.name: [each.statement for each in bound.after_load.lacking] for bound in binding.tables}
    if target.tried([*ddl, *(statement for statements in later.values() for statement in statements)]) is None:
        return False
    for table in tables:
        pieces: list[Any] = [*table.foreign_keys, *table.indexes]
        if len(pieces) != len(later[table.name]):  # some come with the table, and were tried with it
            pieces = list(table.indexes)
        for piece, statement in zip(pieces, later[table.name][-len(pieces) :] if pieces else [], strict=True):
            why = target.tried([*ddl, statement])
            if why is None:
                continue
            found = True
            if isinstance(piece, DraftKey):
                table.foreign_keys.remove(piece)
                table.features.append(_unkept(table, piece, why))
            else:
                table.indexes.remove(piece)
                table.features.append(Feature("index", table.sources(piece), {"why": why}))
    return found


def _unkept(table: DraftTable, key: DraftKey, why: str) -> Feature:
    return Feature("foreign_key", table.sources(key.columns), {"refers": key.table, "why": why})


def _unlike(binding: Binding, tables: Sequence[DraftTable], target: Target) -> bool:
    """Take out the foreign keys whose ends are of types that the target does not link; True where there were any."""
    shapes = {bound.shape.name: bound.shape for bound in binding.tables}
    by_name = {table.name: table for table in tables}
    found = False
    for table in tables:
        for key in list(table.foreign_keys):
            parent = by_name[key.table].target
            foreign = ForeignKey(key.columns, parent, key.refers)
            if why := unlike_ends(foreign, shapes[table.target], shapes.get(parent), target):
                found = True
                table.foreign_keys.remove(key)
                table.features.append(_unkept(table, key, why))
    return found


def migration_name(asked: Asked) -> str:
    """The migration's name: as asked for, or that of the source's database."""
    raw = asked.name or Path(masked(asked.source).partition("?")[0].rstrip("/")).stem or "migration"
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", raw).lstrip(".-")[:100]
    return plain or "migration"


def _variables(asked: Asked) -> dict[str, str]:
    """The URLs that carry a password, by the variables that hold them."""
    ends = {"SOURCE_URL": asked.source, "TARGET_URL": asked.target}
    bare = {name: re.sub(r"^([^/]*//[^/@]*):@", r"\1@", url) for name, url in ends.items()}  # an empty one is none
    return {name: url for name, url in ends.items() if masked(bare[name]) != bare[name]}


def shown_url(asked: Asked, url: str, variable: str) -> str:
    """A URL as the draft has it: a relative file as seen from the draft's folder, a password in the environment."""
    if variable in _variables(asked):
        return f"${{{variable}}}"
    head, slashes, file = url.partition(":///")
    if (
        not slashes
        or not head.startswith(("sqlite", "duckdb", "parquet", "csv", "jsonl", "arrow"))
        or Path(file).is_absolute()
    ):
        return url
    return f"{head}:///{Path(os.path.relpath(Path.cwd() / file, asked.folder.absolute())).as_posix()}"


def _named(table: str, column: str | None) -> str:
    return f"{table}.{column}" if column else table


def _final(asked: Asked, tables: Sequence[DraftTable], besides: Sequence[Feature], zones: Zones, about: str) -> str:
    head = [
        f"A draft: {len(tables)} tables of {masked(asked.source)}. Comments say why something is as it is.",
        "Next: `syncline check` on this file says what of the rows does not fit, and `syncline plan` what would be written.",
    ]
    for name in _variables(asked):
        head.append(f"{name} holds the URL with its password: export it before.")
    head += [about] if about else []
    needed = [f"- {_named(table.name, column)}: {why}" for table in tables for column, why in table.needs]
    head += ["Left to a person:", *needed] if needed else []
    for severity, lines in summary(everything(tables, besides)):
        head += [f"{TITLES[severity]}:", *(f"- {line}" for line in lines)]
    shown = [shown_url(asked, *each) for each in ((asked.source, "SOURCE_URL"), (asked.target, "TARGET_URL"))]
    sides = _sides(asked, zones, *shown)
    return written(migration_name(asked), *sides, tables, head)
