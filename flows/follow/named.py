"""Rows and tables that somebody named on a channel of a database: they are looked at, whatever feeds tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flows.bind.roots import Root, of_source, parse_root, typed_roots
from flows.follow.following import Course
from flows.session.session import Session
from flows.spec.entries import asked_entry
from flows.spec.model import Spec
from transforms.vocabulary import SpecError


@dataclass(frozen=True, slots=True)
class Named:
    """Tables of the spec, and rows of such."""

    tables: tuple[str, ...] = ()
    roots: tuple[Root, ...] = ()

    @property
    def count(self) -> int:
        return len(self.tables) + len(self.roots)

    @property
    def all_tables(self) -> frozenset[str]:
        """The tables that are named, and those of the rows."""
        return frozenset({*self.tables, *(root.table for root in self.roots)})


def named(course: Course, session: Session) -> Named:
    """What was said and is not brought over yet, each once. What names nothing of the spec is told, and passed over."""
    tables: dict[str, None] = {}
    roots: dict[str, Root] = {}
    for line in (line.strip() for text in course.said for line in text.splitlines()):
        try:
            found = _meant(line, session.spec) if line else ""
        except SpecError as error:
            course.told.notice(f"Passed over what was said on {session.spec.follow.listen}: {error}")
            continue
        if isinstance(found, Root):
            roots[str(found)] = found
        elif found:
            tables[found] = None
    return Named(tuple(tables), tuple(_good(session, list(roots.values()), course.told.notice)))


def _meant(text: str, spec: Spec) -> Root | str:
    """A row as `notify` and `--tree` take it, or a table."""
    return parse_root(text, spec) if ":" in text else asked_entry(spec, text)


def _good(session: Session, roots: Sequence[Root], notice: Callable[[str], None]) -> Iterator[Root]:
    """The roots whose keys are such of their tables; the others are told."""
    by_table: dict[str, list[Root]] = {}
    for root in roots:
        by_table.setdefault(root.table, []).append(root)
    for some in by_table.values():
        try:
            _must_be_keys(session, some)
        except SpecError as error:
            if len(some) == 1:
                notice(f"Passed over what was said on {session.spec.follow.listen}: {error}")
            else:
                for root in some:
                    yield from _good(session, [root], notice)
            continue
        yield from some


def _must_be_keys(session: Session, roots: Sequence[Root]) -> None:
    """In: roots of one table. SpecError where one has no key of it."""
    bound = session.bound.table(roots[0].table)
    plain = [root for root in roots if root.of_target]
    if plain:
        adapter = None if bound.ddl else session.sides.target.adapter
        typed_roots(plain, bound.name, bound.shape, bound.key, adapter)
    for root in roots:
        if not root.of_target:
            for part in bound.sources:
                of_source(root, part)
