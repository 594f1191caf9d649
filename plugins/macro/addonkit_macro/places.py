"""On which pages a poll is shown, as far as readers have opened it there, and what follows when one is no more."""

from tortoise.transactions import in_transaction

from addonkit_macro import polls
from addonkit_macro.models import Place, Poll


async def note(poll: Poll, content_id: str) -> None:
    """Remember that the page shows the poll."""
    await Place.get_or_create(poll_id=poll.id, content_id=content_id)


async def forget(content_id: str) -> None:
    """Delete the polls that were seen on this page and on no other; the others lose the page alone."""
    for place in await Place.filter(content_id=content_id).order_by("poll_id"):
        async with in_transaction():
            poll = await Poll.filter(id=place.poll_id).select_for_update().first()
            await Place.filter(id=place.id).delete()
            if poll is not None and not await Place.filter(poll_id=poll.id).exists():
                await polls.remove(poll)
