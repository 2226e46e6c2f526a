"""Versions and changes as people see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from flows.cli.terminal.rows import NARROW, console, show_rows
from flows.results import overruled
from flows.results.shares import counted
from flows.results.stands import from_dict, in_words
from flows.results.visible import visible
from transforms.vocabulary import OPS

if TYPE_CHECKING:
    from flows.apply.unfinished import Unfinished
    from flows.history.log import Change
    from flows.history.prune import Pruned

SIGNS = {"insert": "+", "update": "~", "delete": "-"}
COLORS = {"insert": "green", "update": "yellow", "delete": "red"}
LONGEST = 60  # characters of a value
UNKNOWN = "not known"


def show_unfinished(runs: Sequence[Unfinished]) -> None:
    """Runs that are no versions yet: what of them is in the target, and how they go on."""
    out = console()
    for run in runs:
        state = "is at work" if run.status == "running" else "was interrupted while it wrote"
        out.print(
            Text(
                f"{run.kind.capitalize()} {run.run_id} of {run.started_at:%Y-%m-%d %H:%M:%S} UTC {state}.",
                style="bold yellow",
            )
        )
        for table in run.tables or ():
            out.print(Text(f"  in the {run.side}: {table}"))
        if run.message and run.status == "interrupted":
            out.print(Text(f"  {run.message}"))
        if run.status == "interrupted":
            out.print(
                Text("  The next run, apply, backfill or undo of the spec finishes it first; then it is a version.")
            )
        out.print()


def show_versions(versions: Sequence[Mapping[str, Any]], empty: str) -> None:
    both = len({v["side"] for v in versions}) > 1
    out = console()
    named = not out.is_terminal or out.width >= NARROW  # `show SPEC VERSION` has it, too
    runs = ("run",) if named else ()
    columns = ("version", *(("side",) if both else ()), "when", "kind", "author", *runs, *OPS, "message")
    rows = [
        (
            _numbers(v),
            *((v["side"],) if both else ()),
            v["created_at"],
            v["kind"],
            v["author"],
            *((v["run_id"],) if named else ()),
            *(v["counts"].get(op, 0) for op in OPS),
            _about(v),
        )
        for v in versions
    ]
    show_rows("Versions", columns, rows, empty=empty)


def _numbers(facts: Mapping[str, Any]) -> str:
    """The number of a version; of several that are one the first and the last."""
    several = facts.get("versions")
    return f"{several[0]}-{several[-1]}" if several else str(facts["version"])


def show_version(facts: Mapping[str, Any]) -> None:
    out = console()
    counts = ", ".join(f"{facts['counts'].get(op, 0):,} {op}" for op in OPS)
    out.print(Text(f"Version {_numbers(facts)}, {facts['kind']} {facts['run_id']}: {counts}", style="bold"))
    out.print(Text(f"  {facts['created_at']} by {facts['author']}{': ' if _about(facts) else ''}{_about(facts)}"))
    both = facts["synchronized_with"]
    out.print(Text(f"  spec {facts['spec_digest'][:12]}, source at {both['source']}, made target {both['target']}"))
    for table, kept in (facts["kept"] or {}).items():
        out.print(Text(f"  {table}: {'the keys alone are kept' if kept == 'keys' else 'its changes are not kept'}"))


def show_changes(changes: Sequence[Change]) -> None:
    out = console()
    for change in changes:
        out.print(Text(_head(change), style=COLORS[change.op]))
        if text := images(change.before, change.after):
            out.print(Text(f"    {text}"))
    if not changes:
        out.print("No changes.", markup=False)


def change_lines(change: Change) -> Iterator[str]:
    """A change as plain lines, with its values whole."""
    yield _head(change)
    if text := images(change.before, change.after, longest=None):
        yield f"    {text}"


def _head(change: Change) -> str:
    words = visible(in_words(change.stands_for))
    return f"{SIGNS[change.op]} {change.table} {change.key}{f'  {words}' if words else ''}"


def show_counts(counts: Mapping[str, Mapping[str, int]]) -> None:
    rows = [(table, *(ops[op] for op in OPS)) for table, ops in counts.items()]
    if rows:
        show_rows("Net changes", ("table", *OPS), rows, empty="")


def show_life(lines: Sequence[Mapping[str, Any]], empty: str) -> None:
    out = console()
    if not lines:
        out.print(empty, markup=False)
    if words := next((line["stands_for"] for line in lines if "stands_for" in line), None):
        out.print(Text(visible(in_words(from_dict(words)))))
    for line in lines:
        if line["op"] == "decision":
            out.print(Text(_decision(line), style="bold"))
            continue
        came = f" of the {line['came_from']} to the {line['side']}" if line.get("came_from") else ""
        side = came or (f" in the {line['side']}" if "side" in line else "")
        about = f"{line['op']}{side}  ({line['why']}; by {line['author']}, run {line['run']})"
        out.print(Text(f"version {line['version']}  {line['when']}  {about}", style="bold"))
        if text := images(line["before"], line["after"]):
            out.print(Text(f"    {text}"))
        for lost in line.get("overruled", ()):
            out.print(Text(f"    overruled {visible(overruled.line(lost))}"))
        if "found" in line:
            found = images(None, line["found"]) if line["found"] else "nothing: the row was gone"
            out.print(Text(f"    found instead: {found}"))


def show_overruled(lost: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Edits that lost, and how many more there are."""
    out = console()
    if lost:
        out.print(Text(f"Overruled: {counted(len(lost), 'edit')}", style="bold"))
    for each in lost[:limit]:
        out.print(Text(visible(f"! {each['table']} {each['key']} {overruled.line(each)}")))
    if len(lost) > limit:
        out.print(f"… and {len(lost) - limit:,} more.", markup=False, style="dim")


def _decision(line: Mapping[str, Any]) -> str:
    """What somebody decided about a row that was open between both sides."""
    made = line["decision"]
    taken = _value(made["value"]) if made["take"] == "value" else made["take"]
    of = f" for {made['field']}" if made["field"] else ""
    became = f"{line['ended']} by run {line['run']}" if line["run"] else line["ended"] or "waits for the next run"
    why = f": {_value(line['why'])}" if line["why"] else ""
    return f"decision  {line['when']}  take {taken}{of}  (by {line['author']}{why}; {became})"


def show_pruned(done: Pruned) -> None:
    out = console()
    if not done.versions and not done.plans and not done.reports:
        out.print("Nothing is that old.", markup=False)
        return
    tables = ", ".join(f"{table} ({rows:,} rows)" for table, rows in done.bases.items()) or "none"
    out.print(
        f"Changes of {done.versions:,} versions, {done.plans:,} plans that were never applied and {done.reports:,} reports are gone.",
        markup=False,
    )
    out.print(f"Tables that were written down as they stood: {tables}.", markup=False)
    out.print(f"{done.freed / 2**20:,.1f} MiB freed.", markup=False)


def _about(version: Mapping[str, Any]) -> str:
    of = f"{', '.join(version['tree'])}" if version["tree"] else ""
    back = f"takes back {', '.join(map(str, version['undoes']))}" if version["undoes"] else ""
    undone = f"{back} of {of}" if back and of else back or of
    return ". ".join(part for part in (undone, version["message"] or "") if part)


def images(
    before: Mapping[str, str | None] | None, after: Mapping[str, str | None] | None, longest: int | None = LONGEST
) -> str:
    """A row, or what became of it, in one line; values of at most `longest` characters, whole where None."""
    if before is not None and after is not None:
        sides = [{name: _value(value, longest) for name, value in side.items()} for side in (before, after)]
        old, new = sides  # a row that went and came back is known in more columns before than after
        return "; ".join(f"{n}: {old.get(n, UNKNOWN)} -> {new.get(n, UNKNOWN)}" for n in {**new, **old})
    row = after if after is not None else before
    return ", ".join(f"{name}={_value(value, longest)}" for name, value in (row or {}).items())


def _value(value: str | None, longest: int | None = LONGEST) -> str:
    if value is None:
        return "null"
    text = visible(" ".join(value.split()))
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"
