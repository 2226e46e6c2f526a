"""A spec as it stands in its file: plain data, the line of every key, and `${NAME}` from the environment.

YAML is read by the core schema of YAML 1.2: only `true` and `false` are booleans (`NO` stays a country), dates and
numbers with leading zeros stay text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.spec.filled import Fill, Pieces, Unfit, Variable
from transforms.vocabulary import Problem, SpecError

Path_ = tuple[Any, ...]
"""Where a value sits in a document: mapping keys and list positions, from the top."""

_VARIABLE = re.compile(
    r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{(client|target)\.([A-Za-z_][A-Za-z0-9_]*)\}|\$\{[^}]{0,40}\}?"
)
_PASSWORD = re.compile(
    r"([A-Za-z][\w+.-]*://[^\s:/@]*:)[^\s?]*(?=@)|([?&]\w*(?:password|secret|token)\w*=)[^&\s]*", re.I
)
_TAGS = {"str", "int", "float", "bool", "null", "seq", "map"}


class _CoreLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


class _QuickLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where PyYAML was built with it: a tenth of the time. Its errors say less."""

    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True)
class Document:
    """A spec file as plain data.

    `raw` is as written, `data` has the environment in it. Whatever is shown, kept or digested comes from `raw`:
    what the environment says may be secret. Places are told by their keys alone where `lined` is false: of a document that
    nobody has as a file.
    """

    path: Path
    raw: dict[str, Any]
    data: dict[str, Any] = field(repr=False)
    lines: Mapping[Path_, int] = field(repr=False)
    variables: Mapping[str, str] = field(repr=False, default_factory=dict)
    lined: bool = True

    def line(self, *path: Any) -> int:
        """The line of a value, or of the nearest thing around it that the file names."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def where(self, *path: Any) -> str:
        """`file:line` of a value, or its keys."""
        return f"{self.path}:{self.line(*path)}" if self.lined else dotted(path) or "the spec"

    def written(self, path: Path_) -> Any:
        """The value at `path` as the file has it, passwords hidden; None where there is none."""
        value: Any = self.raw
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return masked(value)

    def hidden(self, text: str) -> str:
        """`text` with each value that came from the environment put back as `${NAME}`, and passwords masked."""
        for name, value in sorted(self.variables.items(), key=lambda item: -len(item[1])):
            if len(value) > 3:  # shorter ones are no secrets, and are part of other words
                text = text.replace(value, f"${{{name}}}")
        return str(masked(text))

    @property
    def canonical(self) -> str:
        """One text for all spellings of the same document: comments, quotes and the order of keys do not matter."""
        return json.dumps(_sorted(masked(self.raw)), ensure_ascii=True, separators=(",", ":"))


class Composed:
    """A YAML file, read once: its nodes, of which all or one key can be made a document. Errors: SpecError with file and line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError as error:
            raise SpecError(
                "there is no such file.", fix="give the path of a spec, a YAML file.", where=str(path)
            ) from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise SpecError("the file is not UTF-8 text.", fix="save it as UTF-8.", where=f"{path}:{line}") from error
        except OSError as error:
            raise SpecError(
                f"cannot be read: {error.strerror}.",
                fix="give the path of a file that this user may read.",
                where=str(path),
            ) from error
        try:
            self._node, self._loader = _composed(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            fix = "put values with ${NAME} in quotes." if "${" in "".join(text.splitlines()[line - 1 : line]) else ""
            what = f"this is not valid YAML: {error.problem or error.context}."
            raise SpecError(what, fix=fix, where=f"{path}:{line}") from error
        except yaml.reader.ReaderError as error:
            line = text[: error.position].count("\n") + 1
            raise SpecError(
                f"this is not valid YAML: {error.reason}.",
                fix="take the letter away, or write it as an escape in quotes.",
                where=f"{path}:{line}",
            ) from error

    def has(self, key: str) -> bool:
        """Whether the file has a key at its top."""
        return self._top(key) is not None

    def written(self, *path: str) -> str:
        """The text at a path of mappings as the file has it; empty where there is none."""
        node = self._top(path[0])
        for part in path[1:]:
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            node = next((value for key, value in pairs if getattr(key, "value", None) == part), None)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

    def _top(self, key: str) -> yaml.Node | None:
        pairs = self._node.value if isinstance(self._node, yaml.MappingNode) else ()
        return next((value for name, value in pairs if getattr(name, "value", None) == key), None)

    def document(self, environ: Mapping[str, str], only: str | None = None, fill: Fill | None = None) -> Document:
        """All of it, or `only` one key with what stands below. `fill`: the variables of the client or target that it is read for.

        Errors: SpecError lists every unset variable at once."""
        node = self._node
        if node is None:
            raise SpecError("the file is empty.", fix="begin with `version: 1`.", where=f"{self.path}:1")
        if only is not None and isinstance(node, yaml.MappingNode):
            some = [pair for pair in node.value if getattr(pair[0], "value", None) == only]
            node = yaml.MappingNode(node.tag, some, node.start_mark, node.end_mark)
        reader = _Reader(self.path, self._loader, environ, fill)
        raw, data = reader.read(node, ())
        if not isinstance(raw, dict):
            reader.say(node, "the file must be a mapping that begins with `version: 1`")
        if reader.problems:
            raise SpecError.of(reader.problems)
        return Document(self.path, raw, data, reader.lines, reader.variables)


def read_document(path: Path, environ: Mapping[str, str]) -> Document:
    """Read a YAML file. SpecError names file and line, and lists every unset variable at once."""
    return Composed(path).document(environ)


def _composed(text: str) -> tuple[yaml.Node | None, yaml.SafeLoader]:
    """The nodes of a text, and the loader that makes values of them. Errors of YAML are those of PyYAML's own loader."""
    with suppress(yaml.YAMLError, UnicodeError):
        quick = _QuickLoader(text)
        return quick.get_single_node(), quick
    loader = _CoreLoader(text)
    return loader.get_single_node(), loader


class _Reader:
    """Turns YAML nodes into data twice, as written and with the environment, and notes lines and problems."""

    def __init__(self, path: Path, loader: yaml.SafeLoader, environ: Mapping[str, str], fill: Fill | None) -> None:
        self.path, self.loader, self.environ, self.fill = path, loader, environ, fill
        self.lines: dict[Path_, int] = {}
        self.variables: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.open: set[int] = set()

    def say(self, node: yaml.Node, what: str, fix: str = "") -> None:
        problem = Problem(f"{what}.", fix and f"{fix}.", f"{self.path}:{node.start_mark.line + 1}")
        if problem not in self.problems:
            self.problems.append(problem)

    def read(self, node: yaml.Node, path: Path_) -> tuple[Any, Any]:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self.open:
            self.say(node, f"{dotted(path)} contains itself", "remove the alias")
            return None, None
        if node.tag.rpartition(":")[2] not in _TAGS or not node.tag.startswith("tag:yaml.org,2002:"):
            self.say(node, f"the tag {node.tag} is not used in specs", "remove it")
            return None, None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                pairs = [self.read(item, (*path, position)) for position, item in enumerate(node.value)]
                return [raw for raw, _ in pairs], [data for _, data in pairs]
            assert isinstance(node, yaml.ScalarNode)
            return self.scalar(node, path)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: Path_) -> tuple[Any, Any]:
        raw: dict[Any, Any] = {}
        data: dict[Any, Any] = {}
        own: dict[Any, int] = {}
        for inherited, key_node, value_node in self.entries(node):
            if not isinstance(key_node, yaml.ScalarNode):
                self.say(key_node, f"a key in {dotted(path) or 'the file'} must be a single word or number")
                continue
            key = self.loader.construct_object(key_node)
            if isinstance(key, str) and any(match[2] for match in _VARIABLE.finditer(key)):
                self.say(
                    key_node, f"the key {key} has a variable, which stands in values alone", "write the name itself"
                )
            line = key_node.start_mark.line + 1
            if not inherited and key in own:
                self.say(key_node, f"{dotted((*path, key))} is given twice, first in line {own[key]}", "keep one")
                continue
            if inherited and key in raw:
                continue
            if not inherited:
                own[key] = line
            self.lines[(*path, key)] = line
            raw[key], data[key] = self.read(value_node, (*path, key))
        return raw, data

    def entries(self, node: yaml.MappingNode) -> Iterator[tuple[bool, yaml.Node, yaml.Node]]:
        """A mapping's own entries, then those that it merges in with `<<`."""
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                yield False, key_node, value_node
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                self.say(other, "`<<` takes a mapping or a list of mappings")
            elif other is not node:
                yield from ((True, key_node, value_node) for _, key_node, value_node in self.entries(other))

    def scalar(self, node: yaml.ScalarNode, path: Path_) -> tuple[Any, Any]:
        try:
            value = self.loader.construct_object(node)
        except (ValueError, yaml.MarkedYAMLError):
            self.say(node, f"{dotted(path)} does not fit its tag {node.tag}")
            return None, None
        return value, self.expand(node, path, value) if isinstance(value, str) else value

    def expand(self, node: yaml.Node, path: Path_, text: str) -> Any:
        pieces: list[str | Variable] = []
        end = 0
        for match in _VARIABLE.finditer(text):
            pieces += [text[end : match.start()], self.replaced(node, path, match)]
            end = match.end()
        pieces.append(text[end:])
        if not any(isinstance(piece, Variable) for piece in pieces):
            return "".join(map(str, pieces))
        return self.filled(node, path, [piece for piece in pieces if piece])

    def replaced(self, node: yaml.Node, path: Path_, match: re.Match[str]) -> str | Variable:
        name = match[1]
        if match[0] == "$${":
            return "${"
        if match[2] is not None:
            if self.fill is not None and self.fill.word == match[2]:
                return Variable(match[3])
            what = f"{dotted(path)} has {match[0]}, and the spec has no `{match[2]}s:`"
            self.say(node, what, f"name them in `{match[2]}s:`, or leave it out")
        elif name is None:
            self.say(node, f"{dotted(path)} has {match[0]!r}, which names no variable", "write $${ for a plain ${")
        elif name not in self.environ:
            what = f"{dotted(path)} needs the environment variable {name}, which is not set"
            self.say(node, what, f"export {name}=…")
        else:
            self.variables[name] = self.environ[name]
            return self.environ[name]
        return match[0]

    def filled(self, node: yaml.Node, path: Path_, pieces: Pieces) -> Any:
        """With the variables of a client or target."""
        assert self.fill is not None, "its variables are known"
        try:
            return self.fill(path, pieces)
        except Unfit as error:
            self.say(node, f"{dotted(path)}: {error}", error.fix)
            return None


def dotted(path: Path_) -> str:
    """`tables.flight.expect[0].column`"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) and not isinstance(part, bool) else f".{part}"
    return text.removeprefix(".")


def masked(value: Any) -> Any:
    """The same data without the passwords of the URLs in it."""
    if isinstance(value, str):
        return _PASSWORD.sub(lambda match: f"{match[1] or match[2]}***", value)
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def digest_of(document: Document, files: list[Path]) -> str:
    """What a plan was made from: the document as written, and the Python files that it names."""
    digest = hashlib.sha256(document.canonical.encode())
    for file in files:
        digest.update(f"\n{file.name}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        entries = [[json.dumps(key), _sorted(item)] for key, item in value.items()]
        return {"map": sorted(entries, key=lambda entry: str(entry[0]))}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
