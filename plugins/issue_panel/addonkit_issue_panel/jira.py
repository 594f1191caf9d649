"""What the host is asked for a page: names of those who did something, and whether its reader may change the list.

The list is worth more than either: a host that is slow or away costs names and controls, and the items are shown.
"""

import asyncio
from collections.abc import Iterable

from addonkit import Context, HostError

from .models import Item
from .rows import People, named_in

PERMISSION = "EDIT_ISSUES"
"""What changing the list takes: it is a part of the issue."""
PATIENCE_S = 3.0


async def people(context: Context, items: Iterable[Item]) -> People:
    """Those whom the items' stamps are about, by account id; nobody for an anonymous visitor."""
    ids = named_in(items)
    if context.account_id is None or not ids:
        return {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await context.host.users(ids)
    except (HostError, TimeoutError):
        return {}


async def may_edit(context: Context, issue_id: str) -> bool:
    """Whether the reader may change the list; each change is asked about again."""
    if context.account_id is None:
        return False
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await context.host.may(PERMISSION, issue=issue_id)
    except (HostError, TimeoutError):
        return False
