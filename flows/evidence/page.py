"""The report of a run as one HTML page that needs nothing else: no script, no font, no address on the web."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from flows.results import overruled
from flows.results.conflicts import KINDS as KINDS_OF_OPEN
from flows.results.conflicts import beside_of
from flows.results.shares import DONE_TO, percent

Told = Mapping[str, Any]
Row = TypeVar("Row")

KINDS: Final = ("insert", "update", "delete", "unchanged", "quarantined")
CHANGES: Final = KINDS[:3]  # all that an undo has
MEASURES: Final = ("values", "nulls", "total", "least", "most", "odd")
SIDES: Final = {"source": "Source", "kept": "Kept besides", "target": "Target"}
STOPPED: Final = ("bad", "Stopped: quarantine is above its limit")
ENDS: Final = {
    "quarantine": STOPPED,
    "conflicts": ("warn", "Finished, with conflicts"),
    "hook": ("warn", "Finished, and a hook failed"),
    "interrupted": ("bad", "Interrupted while it wrote"),
    "partly": ("bad", "Cut off: only some of its windows are in"),
}
READ_ONLY: Final = ("plan", "verify")  # kinds of run that write nothing
HOW: Final = {
    "rename": "the same value",
    "cast": "the same value as another type",
    "map": "values exchanged by a list",
    "lookup": "found in another table",
    "expr": "worked out by an expression",
    "python": "worked out by a function",
    "const": "the same in every row",
    "generate": "made new",
}
BIG_MAPPING = 14  # columns, above which a drawing is closed at first
FEW = 40  # tables, rules and the like, of which all are shown
WHOLE = 20  # of more than these, so many are
MANY = 8  # tables or checkpoints, above which those that are fine are closed at first

ROW, BOX, WIDTH = 42, 34, 860  # of the drawing of a mapping, in pixels at its natural size
LEFT, CHIP, RIGHT = 220, 520, 598  # where boxes of sources end, and labels and boxes of targets begin
CONTROLS: Final = {
    **{chr(code): chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"},
    "\x7f": chr(0x2421),
    **{chr(code): f"\\x{code:02x}" for code in range(0x80, 0xA0)},
}
_CONTROL: Final = re.compile(f"[{''.join(map(re.escape, CONTROLS))}]")  # finds none in most pages, and at once


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended: `tone` is good, warn, bad or plain."""

    tone: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of rows in a bar; `share` is out of 1,000."""

    kind: str
    label: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A mapping as boxes at heights and curves between them."""

    height: int
    sources: tuple[tuple[int, str], ...]
    targets: tuple[tuple[int, Told], ...]
    lines: tuple[tuple[str, str], ...]  # the path, and how


def html_report(evidence: Mapping[str, Any]) -> str:
    """The page that tells what a run did and what proves it.

    In: the evidence of a run, as JSON has it.
    Out: one HTML page. No text is ever markup, and control characters are made visible.
    """
    counts = [table["counts"] for table in evidence["tables"]]
    total = {name: sum(each[name] for each in counts) for name in (*KINDS, "source_rows", "target_rows", "conflicts")}
    written = was_written(evidence)
    drawn = BIG_MAPPING if len(counts) <= MANY else 0
    whole = worth_most(evidence)
    tables = [table for table in evidence["tables"] if table["name"] in whole]
    checkpoints, points = _first([_checkpoint(evidence, each) for each in evidence["checkpoints"]], _unremarkable)
    proofs, proven = _first([_proof(each) for each in evidence["reconciled"]], lambda each: bool(each["equal"]))
    references, referring = _first(sorted(evidence.get("orphans", ()), key=lambda each: -each["rows"]))
    reasons, aside = _first(sorted(_reasons(evidence), key=lambda each: (-each[2], each[0], each[1])))
    results = [result for checkpoint in evidence["checkpoints"] for result in checkpoint["results"]]
    worked = CHANGES if evidence.get("undoes") else ("source_rows",)
    page = template("report.html.j2").render(
        told=evidence,
        verdict=verdict(evidence),
        written=written,
        total=total,
        labels={kind: _label(kind, written) for kind in (CHANGES if evidence.get("undoes") else KINDS)},
        changes={kind: _label(kind, written) for kind in CHANGES},
        undoes=evidence.get("undoes", ()),  # evidence of earlier versions does not tell
        tables=[{"unproved": {}, "sealed": None, **table, "bar": bar(table["counts"], written)} for table in tables],
        every=evidence["tables"],
        more={
            "tables": len(counts) - len(tables),
            "checkpoints": points,
            "proofs": proven,
            "references": referring,
            "reasons": aside,
        },
        conflicts=[each for each in evidence.get("conflicts", ()) if not each.get("kind")],
        open_rows=[_open_row(each) for each in evidence.get("conflicts", ()) if each.get("kind")],
        lost=[_lost(each) for table in evidence["tables"] for each in table.get("overruled_edits", ())],
        losing=sum(table.get("overruled", 0) for table in evidence["tables"]),
        drawings=[(table, drawing(table["mapping"]), len(table["mapping"]) <= drawn) for table in tables],
        hows={each["how"]: HOW.get(each["how"], "") for table in evidence["tables"] for each in table["mapping"]},
        checkpoints=checkpoints,
        rules=len(results),
        failing=sum(not each["passed"] for each in results),
        reasons=reasons,
        proofs=proofs,
        proved=len(evidence["reconciled"]),
        apart=sum(not each["equal"] for each in evidence["reconciled"]),
        hooks=evidence.get("hooks", ()),
        references=references,
        orphans=orphans(evidence),
        windows=sum(table["windows"] for table in evidence["tables"]),
        pace=sum(total[kind] for kind in worked) / evidence["seconds"] if evidence["seconds"] else None,
        measures=MEASURES,
        known_hows=HOW,
        place={"box": BOX, "width": WIDTH, "left": LEFT, "chip": CHIP, "right": RIGHT},
    )
    return made_visible(page)


def made_visible(page: str) -> str:
    """The page with signs that steer as visible ones, and nothing that UTF-8 does not have."""
    shown = _CONTROL.sub(lambda found: str(CONTROLS[found[0]]), page)
    return shown.encode("utf-8", "backslashreplace").decode()


def worth_most(evidence: Told) -> set[str]:
    """The tables that the page tells whole: all of them, or of a large schema the first WHOLE in which most is to be seen."""
    apart = {each["table"] for each in evidence["reconciled"] if not each["equal"]}
    apart |= {
        each["table"] for each in evidence["checkpoints"] if any(not result["passed"] for result in each["results"])
    }

    def worth(table: Told) -> tuple[bool, int, int]:
        found = table["counts"]
        odd = found["quarantined"] + found["conflicts"] + found.get("unproved", 0)
        return table["name"] in apart, odd, sum(found[kind] for kind in CHANGES)

    most_first = sorted(evidence["tables"], key=worth, reverse=True)
    return {table["name"] for table in most_first[: _room(most_first)]}


def _room(rows: Sequence[Any]) -> int:
    """How many of them a page takes."""
    return WHOLE if len(rows) > FEW else FEW


def _first(rows: Sequence[Row], fine: Callable[[Row], bool] = lambda _: False) -> tuple[list[Row], int]:
    """So many rows as a page takes, in their order, and how many are left; those that are fine are left first."""
    kept = sorted(range(len(rows)), key=lambda place: fine(rows[place]))[: _room(rows)]
    return [rows[place] for place in sorted(kept)], len(rows) - len(kept)


def _unremarkable(checkpoint: Told) -> bool:
    return not checkpoint["failing"]


def was_written(evidence: Told) -> bool:
    """Whether the counts are of rows that were written, not of rows that would be."""
    if evidence["kind"] in READ_ONLY or evidence["status"] in ("quarantine", "changes"):
        return False
    return evidence["status"] != "checkpoint" or any(each["name"] == "loaded" for each in evidence["checkpoints"])


def orphans(evidence: Told) -> int:
    """How many rows of the target refer to what is not there; evidence of earlier versions does not tell."""
    return sum(each["rows"] for each in evidence.get("orphans", ()))


def verdict(evidence: Told) -> Verdict:
    """The end of a run in a few words, and what a reader should know beside it."""
    lines = [evidence["message"]] if evidence["message"] else []
    held = [each["equal"] for each in evidence["reconciled"]]
    aside = sum(table["counts"]["quarantined"] for table in evidence["tables"])
    left = orphans(evidence)
    rows = sum(table["counts"]["source_rows"] for table in evidence["tables"])
    unproved = sum(table["counts"].get("unproved", 0) for table in evidence["tables"])
    share = f"{aside:,} rows" if evidence["kind"] == "retry" else percent(aside, rows)
    if evidence["status"] == "done":
        lines += [f"Tables whose totals are equal on both sides: {sum(held):,} of {len(held):,}."] if held else []
        lines += [f"Source rows that were set aside: {aside:,}."] if aside else []
        lines += [f"Rows of the target that refer to what is not there: {left:,}."] if left else []
    match evidence["status"]:
        case "done" if not all(held):
            return Verdict("warn", "Done, but the two sides do not add up", tuple(lines))
        case "done" if left:
            done = "Both sides are equal" if evidence["kind"] == "verify" else "Done"
            return Verdict("warn", f"{done}, but some rows refer to what is not there", tuple(lines))
        case "done" if aside or (evidence["kind"] == "verify" and unproved):
            done = "Equal as far as rows were compared" if evidence["kind"] == "verify" else "Done"
            besides = f", with {share} set aside" if aside else ""
            return Verdict("warn", f"{done}{besides}", tuple(lines))
        case "done":
            return Verdict("good", "Both sides are equal" if evidence["kind"] == "verify" else "Done", tuple(lines))
        case "changes" if evidence["kind"] == "verify":
            differ = any(table["counts"][kind] for table in evidence["tables"] for kind in CHANGES)
            return Verdict(
                "bad", "The two sides differ" if differ or not unproved else "Not proved to be equal", tuple(lines)
            )
        case "changes":
            return Verdict("plain", "Changes are planned", (*lines, "Nothing was written."))
        case "checkpoint":
            where = "The rows are in the target." if was_written(evidence) else "Nothing was written."
            lines = [where, *(line.replace(f" {where}", "") for line in lines)]  # a long message is folded: this is not
            return Verdict("bad", "Stopped by a checkpoint", tuple(lines))
        case other:
            tone, title = ENDS.get(other, ("plain", f"Ended as {cut(other, 80)}"))
            return Verdict(tone, title, tuple(lines))


def bar(counts: Told, written: bool) -> list[Part]:
    """The kinds of rows that a table has, in a fixed order, each with its share of them all."""
    whole = sum(counts[kind] for kind in KINDS)
    return [
        Part(kind, _label(kind, written), counts[kind], round(1000 * counts[kind] / whole, 3))
        for kind in KINDS
        if counts[kind]
    ]


def drawing(mapping: Sequence[Told]) -> Drawing:
    """Where to draw the columns of a mapping: sources in the order of their first use, spread over the height."""
    names = list(dict.fromkeys(name for each in mapping for name in each["from"]))
    height = ROW * max(len(names), len(mapping), 1)
    at = {name: _middle(number, len(names), height) for number, name in enumerate(names)}
    targets = [(_middle(number, len(mapping), height), each) for number, each in enumerate(mapping)]
    lines = [
        (f"M{LEFT} {at[name]} C{(LEFT + CHIP) // 2} {at[name]} {(LEFT + CHIP) // 2} {y} {CHIP} {y}", each["how"])
        for y, each in targets
        for name in dict.fromkeys(each["from"])
    ]
    return Drawing(height, tuple((y, name) for name, y in at.items()), tuple(targets), tuple(lines))


def cut(text: str, most: int) -> str:
    """A text that fits into so many narrow letters; wide ones count twice."""
    width = 0
    for number, letter in enumerate(text[: most + 1]):
        width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > most:
            return text[: max(number - 1, 1)] + "…"
    return text


def number(value: int | float | str | None) -> str:
    """A number with thousands separators, also one that is a decimal text; a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, str):
        whole = re.fullmatch(r"(-?)(\d+)((?:\.\d+)?…?)", value)
        return value if whole is None else f"{whole[1]}{_grouped(whole[2])}{whole[3]}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}"


def shown(value: Any) -> str:
    """An argument of a rule: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def duration(seconds: float) -> str:
    """A time as people say it: `12.3 s`, `4 min 5 s`, `2 h 30 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 or not seconds else f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def moment(text: str) -> str:
    """An ISO time as people read it."""
    return re.sub(r"(\.\d+)?(\+00:00|Z)$", " UTC", text.replace("T", " ", 1))


@cache
def template(name: str) -> Template:
    """A page of this folder. No text that it is given is ever markup."""
    loader = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "number": number,
        "duration": duration,
        "moment": moment,
        "cut": cut,
        "shown": shown,
        "percent": percent,
    }
    return made.get_template(name)


def _label(kind: str, written: bool) -> str:
    return kind if kind not in DONE_TO else DONE_TO[kind] if written else f"to {kind}"


def _middle(number: int, of: int, height: int) -> int:
    return round(height * (2 * number + 1) / (2 * of))


def _grouped(digits: str) -> str:
    first = len(digits) % 3
    return ",".join([digits[:first]] * bool(first) + [digits[at : at + 3] for at in range(first, len(digits), 3)])


def _checkpoint(evidence: Told, told: Told) -> dict[str, Any]:
    """A checkpoint with what fails first, the critical before the rest; open where something fails."""
    results = sorted(told["results"], key=lambda each: (bool(each["passed"]), each["severity"] != "critical"))
    severities = [each["severity"] for each in results if not each["passed"]]
    shown = bool(severities) or len(evidence["checkpoints"]) <= MANY
    found = {"results": results, "failing": len(severities), "critical": "critical" in severities, "open": shown}
    return {**told, **found}


def _reasons(evidence: Told) -> Iterator[tuple[str, str, int, int]]:
    """Table, reason and how many rows, of how many rows of the table; 0 where only a few of them were looked at."""
    for table in evidence["tables"]:
        rows = 0 if evidence["kind"] == "retry" else table["counts"]["source_rows"]
        yield from ((table["name"], reason, count, rows) for reason, count in table["reasons"].items())


def _open_row(told: Told) -> dict[str, Any]:
    """A row that is open between both sides, column by column; where it is as a whole, all that there is of it."""
    base, source, target = images = told["base"], told["source"], told["target"]
    columns = beside_of(told["fields"], images)
    if not any(each.open for each in columns):
        every: Told = next((image for image in images if image), {})
        columns = [replace(each, open=False) for each in beside_of(tuple(every), images)]
    sides = {"base": base, "source": source, "target": target}
    return {**told, "columns": columns, "images": sides, "about": KINDS_OF_OPEN.get(told["kind"], "")}


def _lost(told: Told) -> dict[str, Any]:
    """An edit that lost, with how its values are shown."""
    base, source, target = overruled.images(told)
    return {**told, "images": {"base": base, "source": source, "target": target}, "outcome": overruled.outcome(told)}


def _proof(told: Told) -> dict[str, Any]:
    """A table's totals, side by side; `apart` says which of them differ."""
    differences = set(told["differences"])
    sides = [side for side in SIDES if side != "kept" or told["rows"]["kept"]]
    columns = [
        {**column, "apart": [each for each in MEASURES if f"{column['name']}: {each}" in differences]}
        for column in told["columns"]
    ]
    odd = any(column[side]["odd"] for column in columns for side in sides)
    apart = {name: f"table: {what}" in differences for name, what in (("rows", "rows"), ("keys", "distinct_keys"))}
    return {**told, "columns": columns, "sides": {side: SIDES[side] for side in sides}, "odd": odd, "apart": apart}
