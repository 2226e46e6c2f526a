"""The two sides of a migration: what is open of each, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import pyarrow as pa

from adapters.protocol import Inspection, RowSecurity, Snapshot, Source, Target
from adapters.registry import open_source, open_target
from flows.session.pace import Pace, pace_of
from flows.spec.documents import with_documents
from flows.spec.files import with_format
from flows.spec.model import Spec
from flows.spec.urls import resolve_url
from transforms.vocabulary import SIDES, ColumnRange, Key, KeyRange, Relation, SideName, SpecError

Tokens = Mapping[SideName, str | None]
"""By side, what another process needs to join its snapshot; None where snapshots of the engine cannot be shared."""


@dataclass(frozen=True, slots=True)
class Side:
    """A database of the migration that is read, and what is known of it from the start.

    `time_zone` is where its times are that have no zone, `address` the URL to connect to, with its password. `opened` is the
    snapshot that a plan reads, None outside of one. `pace`: how fast the source is read, and what is written on either side.
    """

    name: SideName
    adapter: Source
    time_zone: str | None
    rls: RowSecurity
    address: str = field(repr=False)
    opened: Snapshot | None = None
    pace: Pace = field(default_factory=Pace)

    @property
    def url(self) -> str:
        """Without the password: fit for messages, manifests and reports."""
        return self.adapter.url

    @property
    def engine(self) -> str:
        return self.adapter.engine

    @property
    def snapshot(self) -> Snapshot:
        """The one state of the database that a plan reads."""
        assert self.opened is not None, f"no snapshot of the {self.name} is open"
        return self.opened

    def scan(
        self,
        relation: Relation,
        columns: Sequence[str],
        *,
        key: Key = (),
        within: KeyRange = KeyRange(),
        ranges: Sequence[ColumnRange] = (),
        keys: pa.Table | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """`Snapshot.scan` of its snapshot, of the source at the pace that is asked for."""
        for batch in self.snapshot.scan(relation, columns, key=key, within=within, ranges=ranges, keys=keys):
            if self.name == "source":
                self.pace.take(batch.num_rows)
            yield batch


@dataclass(frozen=True, slots=True)
class WrittenSide(Side):
    """A database of the migration that is written, too."""

    adapter: Target
    opened: Inspection | None = None

    @property
    def snapshot(self) -> Inspection:
        """The one state of the database that a plan reads before it is written."""
        assert self.opened is not None, f"no snapshot of the {self.name} is open"
        return self.opened


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides: by name where the name is a value, as in `sides[lookup.side]`. The source is opened to be written only where a
    table of the spec goes both ways."""

    source: Side
    target: WrittenSide

    def __getitem__(self, name: SideName) -> Side:
        return self.source if name == "source" else self.target

    def written(self, name: SideName) -> WrittenSide:
        """The side that a plan writes."""
        side = self[name]
        assert isinstance(side, WrittenSide), f"the {name} is only read"
        return side

    @property
    def writable(self) -> tuple[SideName, ...]:
        """The sides that a run may write."""
        return tuple(name for name in SIDES if isinstance(self[name], WrittenSide))

    @property
    def tokens(self) -> Tokens:
        """What joins the open snapshots."""
        return {name: self[name].snapshot.token for name in SIDES}


@contextmanager
def both_open(spec: Spec) -> Iterator[Sides]:
    """The adapters of both sides, closed at the end. Nothing is connected to yet.

    Errors: SpecError for a URL that no adapter knows, and for a ledger that is the same file as a side.
    """
    _apart(spec)
    if spec.target.files is not None:
        raise SpecError(
            "`files` says how files are read, and the target is written.",
            fix="take it away.",
            where=spec.where("target", "files"),
        )
    pace = pace_of(spec)
    with ExitStack() as stack:
        told, store, where = spec.documents, spec.state.store, spec.where("documents")
        address = with_documents(with_format(resolve_url(spec.source.url), spec.source.files), told, store, where)
        zone, rls = spec.source.time_zone, spec.source.rls
        source: Side
        if spec.writes_source:
            source = WrittenSide("source", open_target(address, time_zone=zone, rls=rls), zone, rls, address, pace=pace)
        else:
            source = Side("source", open_source(address, time_zone=zone, rls=rls), zone, rls, address, pace=pace)
        stack.callback(source.adapter.close)
        address = with_documents(resolve_url(spec.target.url), told, store, where)
        zone, rls = spec.target.time_zone, spec.target.rls
        made = open_target(address, time_zone=zone, create=True, rls=rls)
        target = WrittenSide("target", made, zone, rls, address, pace=pace)
        stack.callback(target.adapter.close)
        yield Sides(source, target)


@contextmanager
def both_read(sides: Sides, tokens: Tokens | None = None) -> Iterator[Sides]:
    """The sides with a snapshot of each, for as long as it is read. Tokens join the snapshots of another process."""
    joined = tokens or {}
    with (
        sides.source.adapter.snapshot(joined.get("source")) as source,
        sides.target.adapter.snapshot(joined.get("target")) as target,
    ):
        yield Sides(replace(sides.source, opened=source), replace(sides.target, opened=target))


def _apart(spec: Spec) -> None:
    """The ledger has a file of its own: two SQLite libraries in one process do not see each other's locks."""
    state = resolve_url(spec.state.url)
    for name in SIDES:
        if state.startswith("sqlite") and resolve_url(spec.endpoint(name).url) == state:
            raise SpecError(
                f"the ledger is the same file as the {name}.",
                fix=("give it a file of its own, such as sqlite:///.syncline/ledger.db."),
                where=spec.where("state", "url"),
            )
