"""Who may change a poll: users who may edit each page on which the poll is known to be shown.

That the host opened the editor for a poll is no permission: anybody can write its key into a page of their own.
"""

import asyncio

from addonkit import CallForbidden, Context, HostError

from addonkit_macro import places
from addonkit_macro.models import Poll

CONCURRENT_CHECKS = 8
"""Pages about which Confluence is asked at the same time."""


class EditRefused(Exception):
    """The user may not change the poll; the message says why and what to do."""


async def require_editor(context: Context, poll: Poll) -> None:
    """Refuse a change of a poll by a user who may not edit each page that shows it.

    A poll that nobody has opened on a page can be changed by its author only.

    Raises:
        EditRefused: The user may not change the poll.
        HostError: Confluence gave no answer.
    """
    pages = await places.content_ids(poll)
    if not pages and poll.author_id != context.account_id:
        raise EditRefused(
            "only its author can edit this poll before somebody has opened a page with it; open its page, then edit it"
        )
    for start in range(0, len(pages), CONCURRENT_CHECKS):
        batch = pages[start : start + CONCURRENT_CHECKS]
        if not all(await asyncio.gather(*(_may_update(context, content_id) for content_id in batch))):
            raise EditRefused(
                "this poll is shown on a page that you cannot edit; insert a new poll, or ask somebody who can edit "
                "all pages with this poll"
            )


async def refusal(context: Context, poll: Poll) -> str | None:
    """Return why the user may not change the poll, to be shown before they try; None if they may.

    Without an answer of Confluence it is None as well: saving checks again.
    """
    try:
        await require_editor(context, poll)
    except EditRefused as error:
        return str(error)
    except HostError:
        pass
    return None


async def _may_update(context: Context, content_id: str) -> bool:
    """Return whether the user may edit a page; not if the add-on cannot see the page."""
    try:
        return await context.host.may("update", content=content_id)
    except CallForbidden:  # An id of a form that Confluence does not use.
        return False
