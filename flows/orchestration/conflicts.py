"""What the Prefect UI shows of rows that are open between both sides: a table of them, and a form to decide by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.input import RunInput
from pydantic import Field, create_model

from flows.history.decisions import Choice, Verdict
from flows.orchestration.artifacts import ABOUT_OPEN, artifact_key, open_lines
from flows.results.conflicts import Met, open_columns, verdict_text
from flows.results.visible import as_code, in_markdown

SHOWN: Final = 20  # rows in the text above the form
FEW: Final = 3  # rows in the text of its first field
MOST: Final = 80  # characters of a value
BESIDE: Final = ("column", "base", "source", "target")


Take = Literal["nothing", "source", "target", "base", "value"]


class Decision(RunInput):
    """Whose values stand, for which of the rows."""

    take: Take = Field(default="nothing", description="Whose values stand; `nothing` ends without a decision.")
    table: str = Field(default="", description="Of this table; of all where it is empty.")
    keys: list[str] = Field(
        default=[], description='The rows with these keys, such as 7 or ["a", 7]; all where it is empty.'
    )
    where: str = Field(default="", description="Only rows for which it holds, such as source.price > target.price.")
    field: str = Field(default="", description="This column alone; all that is open where it is empty.")
    value: str = Field(default="", description="With take: value. `null` is null, `value:null` the text.")
    by: str = Field(default="", title="Decided by", description="Who decides, for the history.")
    why: str = Field(default="", title="Reason", description="Why, for the history.")
    more: bool = Field(default=False, title="Ask again", description="Ask again, about what is left.")
    run: bool = Field(
        default=False,
        title="Run afterwards",
        description="Run the migration afterwards, which applies what was decided.",
    )

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


def form_about(migration: str, met: Sequence[Met], error: str, table: str) -> type[Decision]:
    """The form that asks about open rows; `error` is why the last decision was none, `table` what it is about to begin with.

    The first UI of Prefect shows the text above a form only as far as the form leaves room, which is not at all: so the first rows
    are in the text of the first field, too, as sentences, since the other UI shows that without Markdown.
    """
    few = [f"Not decided: {in_markdown(error)}"] if error else []
    few += [in_words(each) for each in met[:FEW]]
    if len(met) > FEW:
        few.append(f"{len(met) - FEW:,} more are in the artifact {artifact_key(migration)}-open of this run.")
    fields = Decision.model_fields
    take = Field(default="nothing", description="\n\n".join([*few, str(fields["take"].description)]))
    chosen = Field(default=table, description=fields["table"].description)
    model = create_model("Decision", __base__=Decision, take=(Take, take), table=(str, chosen))
    made: type[Decision] = model.with_initial_data(description=asked(met, len(met), error))
    return made


def in_words(met: Met) -> str:
    """An open row in a few words, for either UI."""
    said = [
        f"{as_code(column, cell=False) if column else 'the row'} is {_value(source)} on the source and {_value(target)} on the target, "
        f"and was {_value(base)}."
        for column, base, source, target in open_columns(met)
    ]
    return f"{in_markdown(met.table)} {as_code(met.key, cell=False)}: {' '.join(said)}"


def _value(value: str) -> str:
    return as_code(_short(value), cell=False) if value else "empty"


def _short(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= MOST else f"{line[: MOST - 1]}…"


def show_open(migration: str, met: Sequence[Met]) -> None:
    """Show open rows as a table artifact of the flow run."""
    try:
        create_table_artifact(table=open_lines(met), key=f"{artifact_key(migration)}-open", description=ABOUT_OPEN)
    except Exception as error:
        get_run_logger().warning("The conflicts could not be shown in Prefect: %s", error)


def asked(met: Sequence[Met], open_: int, error: str = "") -> str:
    """The text above the form: the first conflicts, base, source and target side by side, and why the last decision was none."""
    lines = [f"**Not decided:** {in_markdown(error)}", ""] if error else []
    lines += [f"{open_:,} rows are open between both sides. {ABOUT_OPEN}"]
    for each in met[:SHOWN]:
        decided = "; ".join(map(verdict_text, each.decided))
        about = f"{in_markdown(each.table)} {as_code(each.key)} ({each.kind}{in_markdown(f'; decided: {decided}') if decided else ''})"
        lines += ["", about, "", f"| {' | '.join(BESIDE)} |", "|---" * len(BESIDE) + "|"]
        lines += [
            f"| {' | '.join(as_code(_short(cell)) if cell else '' for cell in row)} |" for row in open_columns(each)
        ]
    if open_ > len(met[:SHOWN]):
        lines += ["", f"The first {len(met[:SHOWN])} of them; `syncline conflicts SPEC list` names all."]
    return "\n".join(lines)
