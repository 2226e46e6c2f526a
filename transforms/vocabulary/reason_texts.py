"""Reasons as people read them: the one place where a reason becomes text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from transforms.vocabulary.reasons import Code, Reason

LISTED: Final = 20  # labels in a text
_LONGEST_CHECK: Final = 200  # characters
_LONGEST_ARGUMENTS: Final = 120  # characters

_WHERE: Final = "{column} ({type})"
_ON_WRITE: Final = "refused by the target: "


def text_of(reason: Reason) -> str:
    """One line, without the target's column where the reader knows it anyway."""
    source = reason.facts.get("source")
    text = _text(reason) if source is None else f"column {source}: {value_text(reason)}"
    return f"{text} (from {' and '.join(origins)})" if (origins := reason.facts.get("from")) else text


def named_text(reason: Reason) -> str:
    """The text behind the columns that it is about, as reports list it; what a target says names them itself."""
    columns = "" if reason.code in ("refused_on_write", "changed_by_target") else ", ".join(reason.columns)
    return f"{columns}: {text_of(reason)}" if columns else text_of(reason)


def target_text(reason: Reason) -> str:
    """What the target said or did, where it is known that it refused the row while it was written."""
    return text_of(reason).removeprefix(_ON_WRITE)


def value_text(reason: Reason) -> str:
    """The text of a row that could not be read, where its column is known anyway."""
    return _value(reason) + _text(reason)


def _text(reason: Reason) -> str:
    said = TEXTS[reason.code]
    return said.format(column=reason.column, **reason.facts) if isinstance(said, str) else said(reason)


def _value(reason: Reason) -> str:
    """The value of a row that could not be read, with a blank behind it."""
    value = reason.facts.get("value")
    if value is None:
        return ""
    return f"text '{value}' " if reason.facts.get("stored") == "text" else f"{value} "


def _undecodable(reason: Reason) -> str:
    charset = reason.facts["charset"]
    return "is not valid UTF-8" if charset == "UTF-8" else f"are no text in {charset}"


_TORN: Final[Mapping[str, str]] = {
    "quote": "has a quote that is not closed, or text behind one that is",
    "fields_missing": "has fewer fields than the header",
    "fields_extra": "has more fields than the header",
    "encoding": "is not valid in the file's encoding (a file in two encodings, or another one than declared)",
    "no_json": "is not valid JSON",
    "no_object": "is no object",
    "key_twice": "has a key twice",
}


def _torn(reason: Reason) -> str:
    return _value(reason) + _TORN[reason.facts["how"]]


def _range(reason: Reason) -> str:
    least, most = reason.facts.get("least"), reason.facts.get("most")
    ends = f"from {least} on" if most is None else f"up to {most}" if least is None else f"{least} to {most}"
    return f"outside the range of {reason.column} ({reason.facts['type']}): {ends}"


def _labels(reason: Reason) -> str:
    return f"not one of the values of {reason.column}: {', '.join(reason.facts['labels'][:LISTED])}"


def _kept(reason: Reason) -> str:
    native = reason.facts.get("type")
    return f"is no value that {reason.column}{f' ({native})' if native else ''} keeps as it is"


def _no_match(reason: Reason) -> str:
    return f"no {reason.facts['table']} has this {', '.join(reason.facts['match'])}"


def _ambiguous(reason: Reason) -> str:
    match = ", ".join(reason.facts["match"])
    return f"several rows of a side have its ({match}), so which row of the target it is cannot be said"


def _unknown(reason: Reason) -> str:
    match = ", ".join(reason.facts["match"])
    return f"has a null in ({match}), so which row of the target it is cannot be said"


def _rule(reason: Reason) -> str:
    text = ", ".join(f"{name} {value}" for name, value in reason.facts["arguments"].items())
    short = text if len(text) <= _LONGEST_ARGUMENTS else text[: _LONGEST_ARGUMENTS - 3] + "..."
    return f"breaks {reason.facts['rule']}{f' ({short})' if text else ''}"


def _check(reason: Reason) -> str:
    text = " ".join(reason.facts["check"].split())
    text = text if text.startswith("(") and text.endswith(")") else f"({text})"
    name = reason.facts.get("constraint") or reason.facts.get("name")  # as earlier versions call it
    named = f" {name}" if name else ""
    return f"breaks the target's check{named} {text if len(text) <= _LONGEST_CHECK else text[: _LONGEST_CHECK - 3] + '...'}"


def _constraint(reason: Reason) -> str:
    return f" (foreign key {name})" if (name := reason.facts.get("constraint")) else ""


def _no_parent(reason: Reason) -> str:
    return f"no {reason.facts['table']} has this {', '.join(reason.facts['refers'])}{_constraint(reason)}"


def _partly_null(reason: Reason) -> str:
    return f"null in some of these columns and not in all, which a foreign key MATCH FULL refuses{_constraint(reason)}"


def _referred(reason: Reason) -> str:
    facts = reason.facts
    acts = f"ON UPDATE {facts['on_update']}" if "on_update" in facts else f"ON DELETE {facts['on_delete']}"
    return f"rows of {facts['table']} refer to it by ({', '.join(facts['by'])}), and would be changed with it ({acts})"


TEXTS: Final[Mapping[Code, str | Callable[[Reason], str]]] = {
    "wrong_type": "is not {type}",
    "undecodable": _undecodable,
    "no_date": "is no date",
    "beyond_timestamps": "the timestamp is beyond {most}, where Arrow's microseconds end",
    "torn_row": _torn,
    "inexact": "{given} that is no {wanted} without {without}",
    "not_boolean": "is neither 0 nor 1, true nor false",
    "not_number": "is not a number",
    "not_uuid": "is not a UUID",
    "not_interval": "{given} that is no span of hours, minutes and seconds",
    "not_time_of_day": "is no time of day: it is below 0 or beyond 24 hours",
    "has_date": "{given} that is no time: it has a date",
    "wrong_format": "does not look like {format}",
    "repeated_time": "local time occurs twice in {zone}",
    "skipped_time": "local time does not exist in {zone}",
    "beyond_local_times": "is beyond the last or the first local time",
    "null": "null in {column}, which takes no nulls",
    "nan": f"NaN cannot be stored in {_WHERE}",
    "out_of_range": _range,
    "too_fine": "has more than the {limit} digits of a second of " + _WHERE,
    "too_long": "longer than the {limit} characters of " + _WHERE,
    "too_many_bytes": "longer than the {limit} bytes of " + _WHERE,
    "nul_character": f"NUL character cannot be stored in {_WHERE}",
    "foreign_characters": f"has characters that the character set of {_WHERE} does not hold",
    "unknown_label": _labels,
    "too_many_digits": f"does not fit {_WHERE} without rounding",
    "not_kept": _kept,
    "null_key": "null in the key",
    "unlisted_value": "is not listed in the value map, which has no default",
    "merged_keys": "two keys of a JSON object are one without their NUL characters",
    "expression_failed": "{message}",
    "no_match": _no_match,
    "parent_quarantined": "its {table} is in quarantine",
    "breaks_rule": _rule,
    "dates_replaced": "dates that are none are replaced by what zero_date says",
    "nul_stripped": "NUL characters are left out",
    "no_inverse": "{column} cannot be written back to the source",
    "inverse_differs": "does not come back as it was from the source",
    "identity_ambiguous": _ambiguous,
    "identity_unknown": _unknown,
    "duplicate_key": "duplicate key: several source rows map to one {table}",
    "colliding_key": "key collides with another one under the collation {collation} of the target",
    "double_key": "several rows of the target have this key",
    "taken_key": "a row of the target that is not among those that this table owns has this key",
    "not_owned": "would not be among the rows of the target that this table owns",
    "breaks_check": _check,
    "no_partition": "fits no partition of the target",
    "no_parent": _no_parent,
    "partly_null": _partly_null,
    "refused": "is refused by the target: {message}",
    "refused_on_write": _ON_WRITE + "{message}",
    "changed_by_target": _ON_WRITE + "the target did something else with it (a trigger or rule?): {message}",
    "changed_meanwhile": "the row was edited on the other side after planning",
    "referred": _referred,
    "untyped": "{text}",
}
"""Of every code its text, with what the facts say put in."""
