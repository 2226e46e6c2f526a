"""Where naive timestamps are: at the side that has them, unless a cast says otherwise."""

from __future__ import annotations

import pyarrow as pa

from flows.spec.model import Spec
from transforms.vocabulary import SideName, SpecError


def local_zone(kind: pa.DataType | None, target: pa.DataType, read: SideName, spec: Spec) -> str | None:
    """The zone that a cast from `kind` to `target` needs and does not name itself; None where it needs none.

    What is read lies on the side `read`; what is written is always the target's. SpecError where that side has no zone.
    """
    aware = kind is not None and pa.types.is_timestamp(kind) and kind.tz is not None
    if pa.types.is_timestamp(target) and target.tz is not None:
        if aware:
            return None
        zone = (spec.source if read == "source" else spec.target).time_zone
        if zone is None and kind is not None and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise SpecError(
                "a naive timestamp needs a zone to become an instant.",
                fix=f"add `time_zone:` to the cast or to the {read}.",
            )
        return zone
    if not (pa.types.is_timestamp(target) or pa.types.is_date(target)):
        return None
    if aware and spec.target.time_zone is None:
        raise SpecError(
            "an instant needs a zone to become a local time.", fix="add `time_zone:` to the cast or to the target."
        )
    return spec.target.time_zone if aware or kind is None else None
