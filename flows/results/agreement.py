"""What a verification proved of what both sides agreed on last, table by table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from flows.results.shares import counted

Base = Literal["held", "never", "lost", "replaced", "other_key"]

_SAYS_NOTHING: Final[dict[Base, str]] = {
    "never": "Both sides of {} have not agreed on anything yet: they meet with the first run.",
    "lost": "What both sides of {} agreed on is not known any more: they meet anew with the next run, as `initial` says, and no deletion "
    "is brought over.",
    "other_key": "What both sides of {} agreed on is known by another key: the next run goes by the one of now, where that "
    "is there and unique.",
    "replaced": "A run replaced what both sides of {} agreed on while they were read: verify again.",
}


@dataclass(frozen=True, slots=True)
class AgreementProof:
    """How both sides stand to what they agreed on last (`base`: held), or why nothing can be said of that.

    `agreed` rows are on both sides as they were agreed on; `alike` are equal on both, or gone from both, and otherwise in the base. Of
    those that differ, the `source` alone edited some, the `target` others, and `both` the rest; `open` of them are open conflicts.
    """

    base: Base
    agreed: int = 0
    alike: int = 0
    source: int = 0
    target: int = 0
    both: int = 0
    open: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: counts are there where the base is held."""
        return asdict(self) if self.base == "held" else {"base": self.base}


def in_words(proofs: Sequence[tuple[str, AgreementProof]]) -> Iterator[str]:
    """What tables prove together, a sentence each. In: tables with what each proves."""
    held = [proof for _, proof in proofs if proof.base == "held"]
    agreed, alike, source, target, both, left = (
        sum(getattr(proof, name) for proof in held) for name in ("agreed", "alike", "source", "target", "both", "open")
    )
    if source or target or both:
        parts = [
            f"{rows:,} edited on {where}"
            for rows, where in (
                (source, "the source wait for the target"),
                (target, "the target wait for the source"),
                (both, "both, each in its own way"),
            )
            if rows
        ]
        yield f"Since both agreed: {', '.join(parts)}."
        if left:
            yield f"{left:,} of them {'is' if left == 1 else 'are'} open (`syncline conflicts SPEC list`)."
    elif held and not alike:
        yield f"{'It is' if agreed == 1 else f'All {agreed:,} are'} as both agreed on last."
    if alike:
        yield f"{counted(alike, 'row')} {'was' if alike == 1 else 'were'} edited alike on both since the last run."
    for base, text in _SAYS_NOTHING.items():
        if names := [name for name, proof in proofs if proof.base == base]:
            yield text.format(", ".join(names))
