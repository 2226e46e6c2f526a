"""YAML as it is written: where each value stands. Plain words are what YAML 1.2 takes them for, and dates."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from adapters.documents.paths import Name, Place, Step
from adapters.documents.tree import MERGE, MOST_DEEP, Entry, Node, Wrong
from adapters.documents.values import Value, floating, integer, moment

KINDS: Final = frozenset({"text", "int", "float", "bool", "null", "date", "datetime", "binary", "map", "list"})
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = "!plain"
MOST_REPEATED: Final = 100_000  # values that aliases repeat
_ANCHOR: Final = re.compile(r"&[^\s,\[\]{}]+\s*")
_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOL: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOMENT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{4}-\d{2}-\d{2}([Tt]|[ \t]+)\d{2}:\d{2}:\d{2}(\.\d+)?([ \t]*(Z|[-+]\d\d?(:\d{2})?))?"
)
_SAFE: Final = re.compile(r"(?:[^\W\d]|/)[\w./@+-]*(?: [\w./@+-]+)*")
_WORDS: Final = frozenset(
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
)  # what YAML 1.1 takes for something else than a text
_ODD: Final = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")


class _Composer(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the base class has it

    def compose_node(self, parent: Any, index: Any) -> Any:
        """An alias is a node of its own, whose value is the node that it repeats."""
        if not self.check_event(yaml.AliasEvent):
            return super().compose_node(parent, index)
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        return _Alias(event.anchor, super().compose_node(parent, index), event.start_mark, event.end_mark)


class _Alias(yaml.Node):
    """`tag` is the name of what it repeats."""

    id = "alias"


_Composer.add_implicit_resolver(_PLAIN, re.compile(""), None)


def parse(text: str, wrong: Wrong) -> Node | None:
    """The document; None where there is nothing but comments in it."""
    try:
        composer = _Composer(text)
        try:
            root = composer.get_single_node()
        finally:
            composer.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        fix = "leave one document in the file" if "single document" in what else "correct the YAML (blanks, not tabs)"
        raise wrong(mark.index if mark else 0, f"this is no YAML: {what}", fix) from None
    except yaml.reader.ReaderError as error:
        raise wrong(error.position, f"a character is not allowed in YAML: {error.reason}", "remove it") from None
    except RecursionError:
        raise wrong(0, f"it is more than {MOST_DEEP} deep", "make it flatter") from None
    return None if root is None else _Nodes(text, wrong).node(root, 0)


class _Nodes:
    """Makes nodes of what was composed of a text."""

    def __init__(self, text: str, wrong: Wrong) -> None:
        self.text, self.wrong = text, wrong
        self._repeated = 0

    def node(self, found: Any, depth: int, *, repeats: bool = False) -> Node:
        text = self.text
        start, end = found.start_mark.index, found.end_mark.index
        end = start + len(text[start:end].rstrip())
        self._bounded(start, depth, repeats)
        if isinstance(found, _Alias):
            return self._alias(found, start, end, depth)
        if isinstance(found, yaml.ScalarNode):
            value, anchor = _value(found, self.wrong), _ANCHOR.match(text, start, end)
            start = anchor.end() if anchor else start
            return Node(start, max(start, end), value, style=found.style or "", column=found.start_mark.column)
        is_list = isinstance(found, yaml.SequenceNode)
        if found.tag not in (_TAG + "seq", _TAG + "map"):
            raise self.wrong(start, f"the tag {found.tag} says what only its own program knows", "take the tag away")
        node = Node(start, end, is_list=is_list, flow=bool(found.flow_style), column=found.start_mark.column)
        if node.flow and text[start : start + 1] not in "[{":  # an anchor stands before
            node.start = next(at for at in range(start, end) if text[at] in "[{")
        if not node.flow and text[start : start + 1] in "&!":
            first = found.value[0] if is_list else found.value[0][0]
            node.column = first.start_mark.column
        for at, each in enumerate(found.value):
            (self._item if is_list else self._entry)(node, each, at, depth, repeats)
        if not node.flow and node.entries:
            node.end = list(node.entries.values())[-1].node.end
        return node

    def _bounded(self, start: int, depth: int, repeats: bool) -> None:
        self._repeated += repeats
        if depth > MOST_DEEP:
            raise self.wrong(start, f"it is more than {MOST_DEEP} deep", "make it flatter")
        if self._repeated > MOST_REPEATED:
            raise self.wrong(
                start, f"aliases repeat more than {MOST_REPEATED:,} values", "write fewer aliases of aliases"
            )

    def _alias(self, found: Any, start: int, end: int, depth: int) -> Node:
        node = self.node(found.value, depth + 1, repeats=True)
        node.start, node.end, node.alias, node.flow = start, end, found.tag, True
        return node

    def _item(self, node: Node, each: Any, at: int, depth: int, repeats: bool) -> None:
        below = self.node(each, depth + 1, repeats=repeats)
        if node.flow:
            start = after = below.start
        else:
            floor = list(node.entries.values())[-1].node.end if node.entries else node.start
            start = _sign(self.text, floor, max(below.start, floor + 1), "-")
            after = start + 1
        node.entries[Place(at)] = Entry(start, after, below)

    def _entry(self, node: Node, each: Any, at: int, depth: int, repeats: bool) -> None:
        key, value = each
        start, merges = key.start_mark.index, key.tag == _PLAIN and key.value == "<<"
        step = MERGE if merges else _name(key, self.wrong)
        if step in node.entries:
            raise self.wrong(start, f"the name {step.name!r} stands twice in one mapping", "remove one of the two")
        below = self.node(value, depth + 1, repeats=repeats)
        behind = key.end_mark.index
        colon = _sign(self.text, behind, max(below.start, behind + 1), ":")
        node.entries[step] = Entry(start, colon + 1, below)
        if merges:
            node.merged = self._merged(below)

    def _merged(self, node: Node) -> dict[Step, Node]:
        """What a mapping takes from one, or from each of a list: the first that has a name gives its value."""
        taken: dict[Step, Node] = {}
        for each in node.below.values() if node.is_list else [node]:
            if each.is_list or each.value is not None:
                raise self.wrong(node.start, "<< takes in what is no mapping", "name a mapping, or a list of mappings")
            taken = each.below | taken
        return taken


def _sign(text: str, start: int, end: int, sign: str) -> int:
    """Where a sign stands, comments left out; where it is not, the place before `end`."""
    at = start
    while at < end:
        if text[at] == "#" and (at == 0 or text[at - 1].isspace()):
            at = text.find("\n", at)
            if at < 0:
                return end - 1
        elif text[at] == sign:
            return at
        at += 1
    return end - 1


def _name(key: Any, wrong: Wrong) -> Name:
    at = key.start_mark.index
    key = key.value if isinstance(key, _Alias) else key
    if not isinstance(key, yaml.ScalarNode):
        raise wrong(at, "a name is a mapping or a list", "give it a plain name")
    value = _value(key, wrong)
    if value.kind not in ("text", "int", "float", "bool", "null", "date", "datetime"):
        raise wrong(at, f"a name is {value.kind}", "give it a plain name")
    return Name(value.text if value.text is not None else "null", value.kind)


def _value(node: Any, wrong: Wrong) -> Value:
    tag, text = node.tag, node.value
    if tag == _TAG + "str":
        return Value("text", text)
    if tag == _PLAIN:
        return plain(text)
    if tag == _TAG + "binary":
        return Value("binary", "".join(text.split()))
    known = plain(text)
    if tag == _TAG + {"timestamp": "timestamp", "date": "timestamp", "datetime": "timestamp"}.get(
        known.kind, known.kind
    ):
        return known
    raise wrong(node.start_mark.index, f"the tag {tag} says what only its own program knows", "take the tag away")


def plain(text: str) -> Value:
    """What a word without quotes is."""
    if _NULL.fullmatch(text):
        return Value("null", None)
    if _BOOL.fullmatch(text):
        return Value("bool", text.lower())
    if _INT.fullmatch(text):
        return integer(text)
    if _FLOAT.fullmatch(text):
        return floating(text)
    if _MOMENT.fullmatch(text):
        return moment(text)
    return Value("text", text)


def scalar(value: Value, old: str = "", column: int = 0) -> str:
    """A value as YAML; a text in the quotes of the one that it replaces, where it can be."""
    if value.kind == "text":
        return _text(value.text or "", old, column)
    if value.kind == "float" and value.text in ("nan", "inf", "-inf"):
        return value.text.replace("nan", ".nan").replace("inf", ".inf")
    if value.kind == "binary":
        return f'!!binary "{value.text}"'
    return {"map": "{}", "list": "[]", "null": "null"}.get(value.kind) or str(value.text)


def name(step: Step) -> str:
    """A name as YAML, and its colon."""
    assert isinstance(step, Name)
    return f"{scalar(Value(step.kind, None if step.kind == 'null' else step.name))}: "


def _text(text: str, old: str, column: int) -> str:
    if old[:1] in "|" and old and (literal := _literal(text, column)) is not None:
        return literal
    printable = not _ODD.search(text) and not re.search(r"[\t\r\n\x85]", text)
    if old.startswith("'") and printable:
        return "'" + text.replace("'", "''") + "'"
    bare = _SAFE.fullmatch(text) and text.lower() not in _WORDS and plain(text).kind == "text"
    if bare and not old.startswith('"'):
        return text
    return _ODD.sub(lambda found: _escaped(found[0]), json.dumps(text, ensure_ascii=False)).replace("\x85", "\\u0085")


def _escaped(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) <= 0xFFFF else f"\\U{ord(sign):08x}"


def _literal(text: str, column: int) -> str | None:
    """A text of several lines as a block, `column` blanks before each; None where it is none."""
    body = text.removesuffix("\n")
    lines = body.split("\n")
    if (
        not body
        or _ODD.search(text)
        or re.search(r"[\t\r\x85]", text)
        or lines[0][:1].isspace()
        or not lines[0]
        or not lines[-1]
    ):
        return None
    chomp = "" if text.endswith("\n") else "-"
    return f"|{chomp}\n" + "\n".join(" " * column + line if line else "" for line in lines)
