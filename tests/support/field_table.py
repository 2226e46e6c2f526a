"""docs/fields.md: every field of a spec with its type, default, meaning and an example, as the models in flows/spec/ have them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic.fields import FieldInfo

from flows.spec.columns import Strict
from flows.spec.json_schema import json_schema

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fields.md"
HEAD = """# Every field of a spec

Nothing here is typed by hand: `UPDATE_DOCS=1 pytest tests/flows/test_fields_page.py` writes this page from the models in `flows/spec/`, which
also make `syncline schema`, the JSON schema for editors. [The spec](spec.md) explains what belongs together; here is each field by itself.

NAME stands for a name of yours: of a table, of a column. A field without a default that is not required is off, or goes by what its meaning says.
A field that is not listed is an error that names its line, and what was probably meant.
"""
SHORT: Final = {"string": "text", "integer": "a whole number", "number": "a number"}
Schema = Mapping[str, Any]


@cache
def whole_schema() -> dict[str, Any]:
    return json_schema()


def models() -> dict[str, type[Strict]]:
    """The classes of the schema's parts, by name."""

    def below(model: type[Strict]) -> Iterator[type[Strict]]:
        yield model
        for each in model.__subclasses__():
            yield from below(each)

    return {model.__name__: model for model in below(Strict)}


def fields(model: type[Strict]) -> dict[str, FieldInfo]:
    """By the names that they have in a spec."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def json_schema_parts() -> dict[str, Schema]:
    found: dict[str, Schema] = whole_schema()["$defs"]
    return found


@cache
def parts() -> dict[str, Schema]:
    """The parts of the schema that a spec is made of, by name, each before those that it is made of itself."""
    found: dict[str, Schema] = {}

    def below(name: str, schema: Schema) -> None:
        found[name] = schema
        for each in dict.fromkeys(_refs(json_schema_parts().get(name, schema))):
            if each not in found:
                below(each, _body(json_schema_parts()[each]))

    below("Spec", whole_schema())
    return found


def page() -> str:
    """The whole page."""
    paths: dict[str, list[str]] = {name: [] for name in parts()}
    _walk("Spec", "", paths, ())
    return "\n".join([HEAD, *(_section(name, schema, paths[name]) for name, schema in parts().items())])


def _section(name: str, schema: Schema, paths: list[str]) -> str:
    model = models()[name]
    kin = next((each for each in parts() if models()[each] in model.__mro__[1:]), None)
    inherited = fields(models()[kin]) if kin else {}
    known = {
        each: field for each, field in fields(model).items() if each not in inherited and each in schema["properties"]
    }
    rows = [
        _row(name, each, schema["properties"][each], field, each in schema.get("required", ()))
        for each, field in known.items()
    ]
    where = ", ".join(
        f"`{path}`"
        for path in sorted({path for path in paths if ".from." not in path}, key=lambda path: (path.count("."), path))
    )
    about = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    shorthand = f" It may be written as {_shorthand(name)}." if _shorthand(name) else ""
    more = f" All fields of {_link(kin)}, and:" if kin else ""
    return "\n".join(
        [
            f"## {title(name)}\n",
            f"{where}: {_lower(about)}{shorthand}{more}\n" if where else f"{about}\n",
            "| field | type | default | meaning | example |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(model: str, name: str, schema: Schema, field: FieldInfo, required: bool) -> str:
    anchor = f'<a id="{slug(model)}-{name.replace("_", "-")}"></a>'
    default = "required" if required or field.is_required() else _default(field, schema)
    examples = "<br>".join(f"`{_yaml(name, each)}`" for each in examples_of(field, schema))
    cells = [f"{anchor}`{name}`", _type(schema, field), default, _meaning(field), examples]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def examples_of(field: FieldInfo, schema: Schema) -> list[Any]:
    """What the field says; else a choice beside the default."""
    if field.examples:
        return field.examples
    kinds = _kinds(schema)
    choices = [each for kind in kinds for each in kind.get("enum", ()) if each is not None]
    if not choices and any(kind.get("type") == "boolean" for kind in kinds):
        choices = [True, False]
    return [each for each in choices if each != field.default][:1]


def title(name: str) -> str:
    """`DeletePolicy` is "Delete policy"."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", name)


def slug(name: str) -> str:
    return title(name).lower().replace(" ", "-")


def _meaning(field: FieldInfo) -> str:
    said = re.sub(r"\bdefaults\.(\w+)", _defaults, " ".join((field.description or "").split()))
    parts = said.split("`")
    return "`".join(part if place % 2 else part.replace("*", r"\*") for place, part in enumerate(parts))


def _defaults(found: re.Match[str]) -> str:
    return f"[defaults.{found[1]}](#defaults-{found[1].replace('_', '-')})"


def _shorthand(name: str) -> str:
    """What stands for a part that has a short form."""
    part = json_schema_parts().get(name, {})
    if "properties" in part or "anyOf" not in part:
        return ""
    return " or ".join(_short(each) for each in part["anyOf"] if "properties" not in each)


def _short(form: Schema) -> str:
    if "enum" in form or form["type"] == "array":
        return _kind(form)
    said = form.get("description")
    return f"{SHORT[form['type']]} ({_lower(said.rstrip('.'))})" if said else SHORT[form["type"]]


def _lower(text: str) -> str:
    return text if text[1:2].isupper() else text[0].lower() + text[1:]


def _link(name: str) -> str:
    return f"[{title(name).lower()}](#{slug(name)})"


def _type(schema: Schema, field: FieldInfo) -> str:
    if "timedelta" in str(field.annotation) and not any("int" in str(each) for each in get_args(field.annotation)):
        return "time: `500ms`, `5s`, `2m`, `1h`, `1d`"
    if isinstance(field.default, int) and schema.get("type") == "string":
        return "size: `500MB`, `10GB`"
    return _any(schema)


def _any(schema: Schema) -> str:
    kinds = _kinds(schema)
    if {"string", "number", "boolean"} <= {str(each.get("type")) for each in kinds}:
        return "single value"
    named = dict.fromkeys(_kind(each) for each in kinds)
    return _listed(sorted(named, key=lambda each: each.startswith("list of")))  # "list of" is said of the last alone


def _kinds(schema: Schema) -> list[Schema]:
    return [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return _any(schema)
    if "enum" in schema:
        return _listed([f"`{each}`" for each in schema["enum"] if each is not None])
    if "const" in schema:
        return f"`{schema['const']}`"
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema['items'])}".replace("list of list of", "list of lists of")
        case "object":
            inner = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
            if inner:
                return f"by name: {_kind(inner)}"
            return f"`{{{', '.join(f'{each}: …' for each in schema['properties'])}}}`"
        case "integer" | "number" as kind:
            return ("whole number" if kind == "integer" else "number") + _bounds(schema)
        case "boolean":
            return "`true` or `false`"
        case _:
            return "text"


def _bounds(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum", schema.get("exclusiveMaximum"))
    if least is not None and most is not None:
        return f" from {least} to {'below ' if 'exclusiveMaximum' in schema else ''}{most}"
    return "" if least is None else f" from {least} on"


def _default(field: FieldInfo, schema: Schema) -> str:
    value = schema.get("default") if field.default_factory else field.default
    if value is None or value in ({}, [], ()) or isinstance(value, Strict):
        return ""
    if isinstance(value, timedelta):
        return f"`{int(value.total_seconds())}s`"
    if schema.get("type") == "string" and isinstance(value, int):
        return f"`{value // 10**9}GB`"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return f"`{json.dumps(value) if isinstance(value, bool) else value}`"


def _yaml(name: str, value: Any) -> str:
    return f"{name}: {_flow(value)}"


def _flow(value: Any) -> str:
    """YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _listed(items: list[str]) -> str:
    return ", ".join(items[:-1]) + " or " + items[-1] if len(items) > 1 else "".join(items)


def _body(part: Schema) -> Schema:
    return part if "properties" in part else next(each for each in part["anyOf"] if "properties" in each)


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for name, each in schema.items():
            if name != "$defs":
                yield from _refs(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _refs(each)


def _walk(name: str, at: str, paths: dict[str, list[str]], above: tuple[str, ...]) -> None:
    """Where each part stands in a spec."""
    if name in above:
        return
    if at:
        paths[name].append(at)
    for field, part in parts()[name]["properties"].items():
        for way, inner in _ways(part, f"{at}.{field}".lstrip(".")):
            _walk(inner, way, paths, (*above, name))
    for short in json_schema_parts().get(name, {}).get("anyOf", ()):
        for way, inner in _ways(short, at):
            _walk(inner, way, paths, (*above, name))


def _ways(schema: Any, at: str) -> Iterator[tuple[str, str]]:
    if "$ref" in schema:
        yield at, schema["$ref"].rpartition("/")[2]
    for each in schema.get("anyOf", ()):
        yield from _ways(each, at)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _ways(schema["additionalProperties"], f"{at}.NAME")
    if isinstance(schema.get("items"), Mapping):
        yield from _ways(schema["items"], at)


def lacking() -> list[str]:
    """Fields without a meaning or an example."""
    found = []
    for name, schema in parts().items():
        known = fields(models()[name])
        for field, part in schema["properties"].items():
            whole = all("$ref" in kind for kind in _kinds(part))
            if field in known and not (_meaning(known[field]) and (whole or examples_of(known[field], part))):
                found.append(f"{name}.{field}")
    return found
