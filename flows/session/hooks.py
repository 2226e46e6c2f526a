"""What a spec's hooks are called, and how one of them is run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final

import pyarrow as pa

from adapters.outside import Unanswered, call, post
from adapters.protocol import Target
from adapters.registry import open_source, open_target
from adapters.sql.scripted import Scripted
from adapters.store.manifest import PlannedHook, PlannedTable
from flows.spec.hooks import Hook, shown_address
from flows.spec.model import Spec
from flows.spec.urls import resolve_url
from transforms.vocabulary import SIDES, ColumnShape, Problem, SpecError, SynclineError, message_of

OUTCOME: Final = ":outcome"
"""What stands for the outcome, as JSON, in the SQL of a hook."""
_SQL: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|(?<![:\w]):outcome\b", re.DOTALL)
_TEXT: Final = ColumnShape("outcome", pa.string(), "text", nullable=False)


class HookFailed(SynclineError):
    """A hook did not do what it was asked for."""

    code = "hook_failed"


def hooks_of(spec: Spec, when: str, table: str | None = None) -> list[Hook]:
    """The hooks of a run, or of a table that the spec names, before it or after it."""
    if table is not None and table not in spec.tables:
        return []
    found: list[Hook] = getattr(spec if table is None else spec.tables[table], when)
    return found


def listed(spec: Spec, tables: Iterable[PlannedTable]) -> tuple[PlannedHook, ...]:
    """The hooks that run where a plan of some tables is applied, in their order: those of a table where something of it changes."""
    busy = [each.name for each in tables if changes(each)]
    every: list[tuple[Any, str | None]] = [("before", None), *(("before", name) for name in busy)]
    every += [*(("after", name) for name in busy), ("after", None)]
    return tuple(planned(spec, hook, when, table) for when, table in every for hook in hooks_of(spec, when, table))


def changes(planned: PlannedTable) -> bool:
    """Whether something of a table changes, on either side."""
    back = planned.back is not None and planned.back.changes
    return bool(planned.counts.changes or back or planned.ddl or planned.adds or planned.after_load or planned.drop)


def planned(spec: Spec, hook: Hook, when: Any, table: str | None) -> PlannedHook:
    """A hook as it is shown: what the environment said is put back as `${NAME}`, and of an address only the host is told."""
    does = {"url": "webhook"}.get(hook.way, hook.way)
    return PlannedHook(when, table, does, spec.hidden(_what(spec, hook)), tuple(hook.on or ()))


def _what(spec: Spec, hook: Hook) -> str:
    if hook.url is not None:
        return shown_address(spec.hidden(hook.url.get_secret_value()))
    if hook.command is not None:
        return hook.command[0] if hook.shell else shlex.join(hook.command)
    return "; ".join(hook.sql or [str(hook.block)])


def title(shown: PlannedHook) -> str:
    """`SQL on the SOURCE: UPDATE …`, `command ./freeze.sh`: only a hook writes a source that is read."""
    if shown.does in SIDES:
        return f"SQL on the {shown.does.upper() if shown.does == 'source' else shown.does}: {shown.what}"
    return f"{shown.does} {shown.what}"


def name_of(shown: PlannedHook) -> str:
    """`before customer: command ./freeze.sh`."""
    of = f" {shown.table}" if shown.table is not None else ""
    return f"{shown.when}{of}: {title(shown)}"


def fitting(spec: Spec) -> None:
    """Errors: SpecError where hooks have SQL for a side that takes none."""
    found: list[Problem] = []
    for table, when, number, hook in _every(spec):
        if hook.side is not None:
            at = ("tables", table, when, number) if table is not None else (when, number)
            with closing(open_source(resolve_url(spec.endpoint(hook.side).url))) as side:
                if not isinstance(side, Scripted):
                    what = f"a hook has SQL for the {hook.side}, and {side.engine} takes none."
                    found.append(Problem(what, "make it a `command:`.", spec.where(*at), table))
    if found:
        raise SpecError.of(found)


def _every(spec: Spec) -> Iterator[tuple[str | None, str, int, Hook]]:
    for table in (None, *spec.tables):
        for when in ("before", "after"):
            for number, hook in enumerate(hooks_of(spec, when, table)):
                yield table, when, number, hook


def run_hook(spec: Spec, hook: Hook, shown: PlannedHook, told: Mapping[str, Any]) -> None:
    """Run a hook, which is `told` how it stands. Errors: HookFailed in the hook's own words, without what the environment said."""
    try:
        _run(spec, hook, told)
    except SynclineError as error:
        said = spec.hidden(error.what if isinstance(error, Unanswered) else message_of(error)).rstrip(".")
        how = f" {said}." if isinstance(error, Unanswered) else f" failed: {said}."
        # the cause may hold what is hidden
        raise HookFailed(f"The hook {name_of(shown)}{how}", fix="mend what it calls, and run again.") from None


def _run(spec: Spec, hook: Hook, told: Mapping[str, Any]) -> None:
    body = json.dumps(told, ensure_ascii=False, default=str)
    seconds = hook.timeout.total_seconds()
    if hook.command is not None:
        call(hook.command, body.encode(), spec.folder, seconds, shell=hook.shell)
    elif hook.url is not None:
        post(hook.url.get_secret_value(), body.encode(), seconds)
    elif hook.block is not None:
        from flows.session.blocks import tell

        tell(hook.block, told)
    elif hook.side is not None:
        end = spec.endpoint(hook.side)
        with closing(open_target(resolve_url(end.url), time_zone=end.time_zone, create=hook.side == "target")) as side:
            assert isinstance(side, Scripted), "looked at before anything began"
            side.run_script([_filled(side, statement, body) for statement in hook.sql])


def _filled(side: Target, statement: str, body: str) -> str:
    """A statement with the outcome as a text in place of `:outcome`, wherever that stands outside of quotes and comments."""

    def literal(found: re.Match[str]) -> str:
        return str(side.literal(_TEXT, pa.array([body]))) if found[0] == OUTCOME else found[0]

    return _SQL.sub(literal, statement)
