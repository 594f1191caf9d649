"""The pages on which readers have opened a poll, and the deletion of polls with their last page."""

from collections.abc import Mapping
from typing import Any

from tortoise.transactions import in_transaction

from addonkit_macro import polls
from addonkit_macro.models import CONTENT_ID_LENGTH, Place, Poll


async def find(poll: Poll, content_id: str) -> Place | None:
    """Return the record that a page shows a poll; None if there is none yet."""
    return await Place.get_or_none(poll_id=poll.id, content_id=content_id)


async def remember(poll: Poll, content_id: str, about: Mapping[str, Any]) -> None:
    """Store that a page shows a poll, unless the poll was deleted in the meantime.

    An id that is longer than any of the host's is not stored; the host would never send an event for it.

    Args:
        poll: The poll.
        content_id: Id of the page or blog post.
        about: What is known about the page, as values of the new record.
    """
    if len(content_id) > CONTENT_ID_LENGTH:
        return
    async with in_transaction():
        # The lock keeps the poll until its new place is stored: it is deleted with its last place.
        if await Poll.filter(id=poll.id).select_for_update().first():
            await Place.get_or_create(poll_id=poll.id, content_id=content_id, defaults=dict(about))


async def content_ids(poll: Poll) -> list[str]:
    """Return the ids of the pages and blog posts on which a reader has opened the poll."""
    return [place.content_id for place in await Place.rows("content_id", order=["id"], poll_id=poll.id)]


async def delete_polls(content_id: str) -> None:
    """Delete the polls that are shown on this page only; for others, delete the record of this page."""
    for place in await Place.filter(content_id=content_id).order_by("poll_id"):
        async with in_transaction():
            poll = await Poll.filter(id=place.poll_id).select_for_update().first()
            await Place.filter(id=place.id).delete()
            if poll is not None and not await Place.filter(poll_id=poll.id).exists():
                await polls.delete(poll)
