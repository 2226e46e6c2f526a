"""What the Prefect UI shows of rows that are open between both sides: a table of them, and a form to decide by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.input import RunInput
from pydantic import Field

from flows.history.decisions import Choice, Verdict
from flows.orchestration.artifacts import artifact_key
from flows.results.conflicts import Met, open_columns, verdict_text
from flows.results.visible import as_code, in_markdown, visible

SHOWN: Final = 20  # rows in the text above the form
NAMES: Final = ("table", "key", "kind", "column", "base", "source", "target", "decided")
ABOUT: Final = "Rows that both sides changed, or that one cannot take. They stay as they are until somebody decides."


class Decision(RunInput):
    """Whose values stand, for which of the rows."""

    take: Literal["nothing", "source", "target", "base", "value"] = Field(
        default="nothing", description="Whose values stand; `nothing` ends without a decision."
    )
    table: str = Field(default="", description="Of this table; of all where it is empty.")
    keys: list[str] = Field(
        default=[], description='The rows with these keys, such as 7 or ["a", 7]; all where it is empty.'
    )
    where: str = Field(default="", description="Only rows for which it holds, such as source.price > target.price.")
    field: str = Field(default="", description="This column alone; all that is open where it is empty.")
    value: str = Field(default="", description="With take: value. `null` is null, `value:null` the text.")
    by: str = Field(default="", description="Who decides, for the history.")
    why: str = Field(default="", description="The reason, for the history.")
    more: bool = Field(default=False, description="Ask again, about what is left.")
    run: bool = Field(default=False, description="Run the migration afterwards, which applies what was decided.")

    def choice(self) -> Choice:
        """Which rows are meant."""
        tables = (self.table,) if self.table else ()
        return Choice(tables, tuple(self.keys), self.where or None, every=not (tables or self.keys or self.where))

    def verdict(self) -> Verdict:
        """What is decided about them."""
        field, why = self.field or None, self.why or None
        if self.take == "value":
            value = None if self.value == "null" else self.value.removeprefix("value:")
            return Verdict("value", field, value, why)
        assert self.take != "nothing"
        return Verdict(self.take, field, None, why)


def show_open(migration: str, met: Sequence[Met]) -> None:
    """Show open rows as a table artifact of the flow run."""
    try:
        create_table_artifact(table=open_lines(met), key=f"{artifact_key(migration)}-open", description=ABOUT)
    except Exception as error:
        get_run_logger().warning("The conflicts could not be shown in Prefect: %s", error)


def open_lines(met: Sequence[Met]) -> list[dict[str, Any]]:
    """A line for each open column of each row, and one for a row that is open as a whole."""
    lines = []
    for each in met:
        first, decided = (each.table, each.key, str(each.kind)), "; ".join(map(verdict_text, each.decided))
        lines += [dict(zip(NAMES, (*first, *values, decided), strict=True)) for values in open_columns(each)]
    return [{name: visible(value) for name, value in line.items()} for line in lines]


def asked(met: Sequence[Met], open_: int, error: str = "") -> str:
    """The text above the form: the first conflicts as a table, and why the last decision was none."""
    rows = open_lines(met[:SHOWN])
    lines = [f"**Not decided:** {in_markdown(error)}", ""] if error else []
    lines += [f"{open_:,} rows are open between both sides. {ABOUT}", "", f"| {' | '.join(NAMES)} |"]
    lines.append("|---" * len(NAMES) + "|")
    lines += [f"| {' | '.join(_cell(name, row[name]) for name in NAMES)} |" for row in rows]
    if open_ > len(met[:SHOWN]):
        lines += ["", f"The first {len(met[:SHOWN])} of them; `syncline conflicts SPEC list` names all."]
    return "\n".join(lines)


def _cell(name: str, value: str) -> str:
    short = value if len(value) <= 80 else f"{value[:79]}…"
    return as_code(short) if name in ("key", "column", "base", "source", "target") and short else in_markdown(short)
