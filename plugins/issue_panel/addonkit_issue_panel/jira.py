"""Host calls of the checklist: user names, and the viewer's permission to edit.

The list is shown without names or controls if Jira is slow or unavailable.
"""

import asyncio
from collections.abc import Iterable

from addonkit import Context, HostError

from .models import Item, ShownItem
from .rows import People, account_ids_in

PERMISSION = "EDIT_ISSUES"
"""The permission that a user needs to change the list."""
TIMEOUT_S = 3.0


async def people(context: Context, items: Iterable[Item | ShownItem]) -> People:
    """Return the users whom the items mention, by account id; none for an anonymous viewer or without a response."""
    ids = account_ids_in(items)
    if context.account_id is None or not ids:
        return {}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await context.host.users(ids)
    except (HostError, TimeoutError):
        return {}


async def may_edit(context: Context, issue_id: str) -> bool:
    """Return whether the viewer may change the list; every change is checked again."""
    if context.account_id is None:
        return False
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await context.host.may(PERMISSION, issue=issue_id)
    except (HostError, TimeoutError):
        return False
