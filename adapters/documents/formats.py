"""What formats there are, and what each does with a text: a format is a module, and this is the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from adapters.documents import env_text, flat, ini_text, json_text, yaml_text
from adapters.documents.paths import Name, Path, parsed, spelled
from adapters.documents.splice import Spellings, Splice
from adapters.documents.tree import BadDocument, Keyed, Node, Rows, Wrong, keyed, repeating, rows_of, tree_of
from adapters.documents.values import Value, is_canonical

Replaced = dict[tuple[str, Value], str]


@dataclass(frozen=True, slots=True)
class Format:
    """A format. `suffixes` are those of its files in a folder; `typed`: its values have kinds, elsewhere they are texts or null."""

    title: str
    suffixes: tuple[str, ...]
    typed: bool
    kinds: frozenset[str]
    parse: Callable[[str, Wrong, Keyed], Rows]
    change: Callable[[str, Rows, Wrong, Keyed, Spellings], tuple[str, Replaced]]
    refuses: Callable[[Path, Value], str | None]

    def refusal(self, spelling: str, value: Value) -> str | None:
        """Why a document of this format cannot have that value there; None where it can."""
        path = parsed(spelling)
        if path is None:
            return f"{spelling!r} spells no path (names with other signs than letters, digits, _ and - are in double quotes)"
        if value.kind not in self.kinds:
            return f"{self.title} has no {value.kind}"
        if not is_canonical(value):
            return f"the value is no {value.kind}, or not spelled as one is read"
        return self.refuses(path, value)

    def changed(self, text: str, rows: Rows, wrong: Wrong, lists: Keyed, spellings: Spellings) -> tuple[str, Replaced]:
        """The text of a document that holds `rows`, changed in no other place, and how the values were written that it no
        longer holds. BadDocument where there is none: what it gives is always read back.
        """
        try:
            written, replaced = self.change(text, rows, wrong, lists, spellings)
            if self.parse(written, Wrong(wrong.file, written), lists) == rows:
                return written, replaced
        except BadDocument:
            if not spellings:
                raise
        if spellings:
            return self.changed(text, rows, wrong, lists, {})
        raise BadDocument(
            f"{wrong.file} cannot be changed so that its comments and its layout stay.",
            fix="make this change by hand: the layout of the document is not understood here.",
        )


def _spliced(module: Any, *, block: bool) -> dict[str, Any]:
    def parse(text: str, wrong: Wrong, lists: Keyed) -> Rows:
        root = module.parse(text, wrong)
        return {} if root is None else rows_of(keyed(root, lists, wrong))

    def change(text: str, rows: Rows, wrong: Wrong, lists: Keyed, spellings: Spellings) -> tuple[str, Replaced]:
        root = module.parse(text, wrong)
        root = None if root is None else keyed(root, lists, wrong)
        derived = [] if root is None else list(repeating(root))

        def made(*, overrides: bool) -> tuple[str, Replaced, Rows | None]:
            splice = Splice(text, module.scalar, module.name, block, spellings, overrides)
            written = splice.changed(root, tree_of(rows))
            try:
                return written, splice.replaced, parse(written, Wrong(wrong.file, written), lists) if derived else rows
            except BadDocument:  # what others repeat is gone
                return written, splice.replaced, None

        written, replaced, found = made(overrides=False)
        if found != rows:
            written, replaced, found = made(overrides=True)
        if found != rows:
            _repeated(derived, rows, found or {}, wrong)
        return written, replaced

    return {"kinds": module.KINDS, "parse": parse, "change": change}


def _repeated(derived: list[tuple[Path, Node, str]], rows: Rows, found: Rows, wrong: Wrong) -> None:
    """BadDocument where values that only repeat others would be other ones than they are to be: at the first that would."""
    apart = [path for text, (path, _) in (rows | found).items() if rows.get(text) != found.get(text)]
    for path, node, by in derived:
        if any(each[: len(path)] == path for each in apart):
            fix = "change what it repeats in the same run, or write the values out in its place"
            raise wrong(node.start, f"{spelled(path)} comes from {by}, and cannot become another one by itself", fix)


def _flat(module: Any) -> dict[str, Any]:
    def parse(text: str, wrong: Wrong, lists: Keyed) -> Rows:
        return flat.rows_of(module.parse(text, wrong))

    def change(text: str, rows: Rows, wrong: Wrong, lists: Keyed, spellings: Spellings) -> tuple[str, Replaced]:
        return flat.changed(
            text, module.parse(text, wrong), rows, spellings, module.SIGN, module.value_text, module.entry_text
        )

    return {"kinds": frozenset({"text", "null"}), "parse": parse, "change": change, "refuses": module.refusal}


def _json_refuses(path: Path, value: Value) -> str | None:
    if any(isinstance(step, Name) and step.kind != "text" for step in path):
        return "names in JSON are texts"
    return "JSON has no such number" if value.kind == "float" and value.text in ("nan", "inf", "-inf") else None


def _toml() -> Format:
    module = import_module("adapters.documents.toml_text")

    def refuses(path: Path, value: Value) -> str | None:
        if not path or any(isinstance(step, Name) and step.kind != "text" for step in path):
            return "names in TOML are texts, and a document is a mapping"
        reason: str | None = module.refusal(value)
        return reason

    return Format("TOML", (".toml",), True, module.KINDS, module.parse, module.changed, refuses)


_MADE: Final[dict[str, Callable[[], Format]]] = {
    "yaml": lambda: Format(
        "YAML", (".yaml", ".yml"), True, refuses=lambda path, value: None, **_spliced(yaml_text, block=True)
    ),
    "json": lambda: Format("JSON", (".json",), True, refuses=_json_refuses, **_spliced(json_text, block=False)),
    "toml": _toml,
    "ini": lambda: Format("INI", (".ini", ".cfg", ".conf"), False, **_flat(ini_text)),
    "env": lambda: Format(".env", (".env",), False, **_flat(env_text)),
}


def format_of(scheme: str) -> Format:
    """The format of a URL's scheme. ModuleNotFoundError where its library is not installed."""
    return _MADE[scheme]()
