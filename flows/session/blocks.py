"""Blocks of Prefect that tell somebody something. Only hooks that name one bring Prefect in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.outside import Unanswered


def tell(name: str, told: Mapping[str, Any]) -> None:
    """Send what is `told` by a notification block, or to the address of a webhook block. Errors: Unanswered."""
    from prefect.blocks.core import Block

    try:
        block: Any = Block.load(name, _sync=True)  # type: ignore[call-arg]
        sent = _sent(block, told)
    except Exception as error:  # of Prefect, of httpx, of whatever the block is made of
        raise Unanswered.by(f"could not be told: {type(error).__name__}: {error}") from None
    if not sent:
        raise Unanswered.by("sends no messages: it is neither a notification block nor a webhook")


def _sent(block: Any, told: Mapping[str, Any]) -> bool:
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.webhook import Webhook
    from prefect.utilities.asyncutils import run_coro_as_sync

    if isinstance(block, NotificationBlock):
        message: Any = block
        message.notify(str(told["text"]), subject=str(told["subject"]), _sync=True)
    elif isinstance(block, Webhook):
        answered: Any = run_coro_as_sync(block.call(payload=dict(told)))
        answered.raise_for_status()
    else:
        return False
    return True
