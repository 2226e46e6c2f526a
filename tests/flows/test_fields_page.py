"""docs/fields.md says what the models of the spec take: `UPDATE_DOCS=1 pytest tests/flows/test_fields_page.py` writes it anew."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated

import field_table
from pydantic import TypeAdapter

VALUE = "https://host/path"  # of variables: a URL like any other


def test_every_field_of_a_spec_has_a_meaning_and_an_example() -> None:
    assert field_table.lacking() == []


def test_examples_are_what_their_fields_take(tmp_path: Path) -> None:
    (tmp_path / "shops").mkdir()
    for name, schema in field_table.parts().items():
        known = field_table.fields(field_table.models()[name])
        for each, field in known.items():
            taken: TypeAdapter[object] = TypeAdapter(Annotated[field.annotation, "an example", *field.metadata])
            for example in field_table.examples_of(field, schema["properties"].get(each, {})):
                filled = json.loads(re.sub(r"\$\{\w+\}", VALUE, json.dumps(example)))
                taken.validate_python(filled, context={"folder": tmp_path})


def test_the_page_has_every_field_as_the_spec_takes_it() -> None:
    page = field_table.page()
    if os.environ.get("UPDATE_DOCS"):
        field_table.PAGE.write_text(page, encoding="utf-8")
    assert field_table.PAGE.read_text(encoding="utf-8") == page, "run the tests once with UPDATE_DOCS=1"
