"""The JSON schema of spec files, for editors."""

from __future__ import annotations

from typing import Any, get_args

from flows.spec.conflict import RuleKind
from flows.spec.every import EVERY
from flows.spec.follow import Capture
from flows.spec.model import Spec
from flows.spec.origins import PARTS


def json_schema() -> dict[str, Any]:
    """The JSON schema of a spec, for editors; the short forms are in it."""
    schema = Spec.model_json_schema(by_alias=True)
    parts = schema["$defs"]
    text = {"type": "string"}
    for name, short in (
        ("Column", {**text, "description": "The source column of this name."}),
        ("Origin", {**text, "description": "A source table."}),
        ("Part", {**text, "description": "A source table."}),
        ("Cast", {**text, "description": "The type's name."}),
        ("NewColumn", {**text, "description": "The type's name."}),
        ("Closeness", {"type": "number", "minimum": 0, "description": "The largest difference."}),
        ("DeletePolicy", {"enum": ["hard", "soft", "ignore"]}),
        ("Runner", {"enum": ["threads", "dask"]}),
        ("Window", {"type": "integer", "minimum": 1}),
        ("Throttle", {"type": "integer", "minimum": 1, "description": "Rows a second."}),
        ("Cursor", {**text, "description": "The source's column of this name, or off."}),
        ("Captures", {"enum": list(get_args(Capture))}),
        ("Follow", {"enum": list(get_args(Capture))}),
        ("Clocks", {**text, "description": "The column's name on both sides."}),
        ("RuleSpec", {"enum": list(get_args(RuleKind))}),
    ):
        whole = parts[name]
        parts[name] = {"title": name, "description": whole.get("description", ""), "anyOf": [short, whole]}
    several = {**parts["Origin"]["anyOf"][1]["properties"].pop(PARTS), "minItems": 1}
    parts["Origin"]["anyOf"].append({name: said for name, said in several.items() if name != "default"})
    del parts["Endpoint"]["required"]  # where there are clients, each has its own URL
    table = parts["Table"]["properties"]
    table["key"]["anyOf"].append({"$ref": "#/$defs/IdentityKey"})
    del table["identity"]
    parts["Lookup"]["required"].remove("take")
    schema["properties"]["tables"] = _tables(schema["properties"]["tables"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Syncline spec"}


def _tables(tables: dict[str, Any]) -> dict[str, Any]:
    """All tables in a word, or a mapping in which one word stands for those that are not named."""
    every, about = {"const": EVERY}, tables.pop("description")
    names = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    but = {"type": "object", "properties": {"except": names}, "required": ["except"], "additionalProperties": False}
    mapping = {**tables, "minProperties": 1, "properties": {EVERY: {"anyOf": [every, but]}}}
    return {"description": about, "anyOf": [every, mapping]}
