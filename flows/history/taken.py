"""What `tables: "*"` stood for, as the plans of versions have it: history needs neither side."""

from __future__ import annotations

from contextlib import suppress

from flows.history.versions import opened_version
from flows.session.stores import ledger_of, store_of
from flows.spec.model import Spec
from flows.spec.tables import Table
from transforms.vocabulary import PlanError


def with_history(spec: Spec) -> Spec:
    """The spec with an entry for each table that `*` stood for in the newest version whose plan can be read; as it is
    where it has no `*`."""
    if not spec.open:
        return spec
    names: dict[str, None] = {}
    with ledger_of(spec) as ledger:
        versions = ledger.versions(spec.name) if ledger.there() else []
    for version in sorted(versions, key=lambda each: -each.version):
        with suppress(PlanError):
            names |= dict.fromkeys(opened_version(store_of(spec), version).plan.manifest.taken)
            if names:
                break
    return spec.with_taken({name: Table.model_validate({"from": name}) for name in names}) if names else spec
