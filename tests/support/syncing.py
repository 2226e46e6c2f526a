"""`sync` of scenarios, and the triggers that it follows by."""

from __future__ import annotations

from scenario import Scenario

from flows.follow.following import Asked, Told
from flows.follow.sync import sync
from flows.follow.triggers import to_install


def followed(shop: Scenario) -> None:
    """Bring over what is there to bring over."""
    outcome, _ = sync(Asked(shop.path, once=True), Told())
    assert outcome is None, outcome


def install(shop: Scenario) -> None:
    """Make the triggers that the spec asks for."""
    with to_install(shop.spec, None) as triggers:
        triggers.execute(triggers.installing())
