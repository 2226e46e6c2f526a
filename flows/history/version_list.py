"""The versions of a migration as the ledger knows them, without their rows, and how keys are written there. Light to import."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from adapters.ledger.ledger import Version
from adapters.store.plans import plain
from flows.session.stores import ledger_of
from flows.spec.model import Spec
from transforms.vocabulary import OPS


def listed(spec: Spec) -> list[dict[str, Any]]:
    """The versions of a migration, newest first, as JSON-ready objects."""
    with ledger_of(spec) as ledger:
        versions = ledger.versions(spec.name)
    some: dict[tuple[int, str], list[Version]] = {}
    for version in versions:
        some.setdefault((version.joined or version.version, version.side), []).append(version)
    return [told_as_one(each[::-1]) for each in some.values()]


def told_as_one(versions: Sequence[Version]) -> dict[str, Any]:
    """Versions of a side that are one for people, oldest first, as a JSON-ready object: the latest, with the changes of all of them and,
    where there are several, their numbers as `versions`."""
    facts = told(versions[-1])
    if len(versions) == 1:
        return facts
    counts = Counter[str]()
    for each in versions:
        counts.update({op: (each.counts or {}).get(op, 0) for op in OPS})
    facts["counts"] = {**facts["counts"], **counts}
    facts |= {"kind": versions[0].kind, "tree": None}  # of which each has its own
    return {**facts, "versions": [each.version for each in versions]}


def told(version: Version) -> dict[str, Any]:
    """A version as a JSON-ready object: what it is, and which states of both sides it brought in line; of a run that wrote both
    sides, with the number of the other version."""
    facts = plain(asdict(version))
    read = {"source": version.source_mark, "target": version.target_mark}
    twin = {} if version.synchronized_with is None else {"version": version.synchronized_with}
    del facts["joined"]
    facts["synchronized_with"] = {**read, version.side: version.made_mark, **twin}
    return dict(facts)


def cut_off(spec: Spec) -> bool:
    """Whether runs began to write and did not come to an end."""
    with ledger_of(spec) as ledger:
        return ledger.there() and any(run.plans for run in ledger.cut_off(spec.name))


def key_text(text: str) -> str:
    """A key as it is stored: `7` and `["a", 7]` are short for `[7]` and themselves."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return json.dumps(value if isinstance(value, list) else [value], ensure_ascii=False, separators=(",", ":"))


def spellings(text: str) -> list[str]:
    """A key in every form in which it may be stored: as it is given; with numbers as such, or as the texts that those of decimals
    and of text columns are; and with blanks behind its commas, as conflicts have it."""
    values = json.loads(key_text(text))
    texts = [each if isinstance(each, str) else json.dumps(each) for each in values]
    forms = (json.dumps(each, ensure_ascii=False) for each in (values, texts))
    return list(dict.fromkeys((text, *(each for form in forms for each in (key_text(form), form)))))
