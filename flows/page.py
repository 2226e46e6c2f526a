"""The flow that tells a person, by a notification block of Prefect: what an automation starts when something is wrong."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from pydantic import Field


@flow(name="page", persist_result=False)
def page(
    block: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$", examples=["slack-webhook/on-call"])], subject: str, body: str
) -> None:
    """Send a message to whoever is behind a notification block.

    Args:
        block: The block, as TYPE/NAME: slack-webhook/on-call, email, pager-duty-webhook, custom-webhook and so on.
        subject: What it is about, in few words.
        body: What there is to say.
    """
    found = Block.load(block)
    assert isinstance(found, NotificationBlock), f"{block} sends no messages"
    found.notify(body, subject=subject)  # type: ignore[unused-coroutine] # in a flow that is not async it is done at once
