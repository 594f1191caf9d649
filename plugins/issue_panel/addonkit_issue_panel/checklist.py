"""The rules of a checklist: versions (optimistic locking), order (ranks with gaps), and all writes.

Each function works on one issue of the current tenant and does not find items of other issues.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from addonkit import transaction_lock
from tortoise.transactions import in_transaction

from .item_text import clean
from .models import Item, ShownItem

GAP = 1024
"""Difference between the ranks of neighbours, so that ten moves to the same place need no renumbering."""


class ChecklistError(Exception):
    """A change was refused; the message is one sentence for the user."""


class ListFull(ChecklistError):
    """The issue has the maximum number of items."""


class ItemMissing(ChecklistError):
    """The issue does not have this item, or it was removed."""


class ItemChanged(ChecklistError):
    """Another user changed the item first.

    Args:
        item: The item as it is now.
    """

    def __init__(self, item: Item) -> None:
        super().__init__("Somebody changed this item in the meantime. Check it and repeat your change.")
        self.item = item


async def shown_items(issue_id: str) -> list[ShownItem]:
    """Return the items of an issue in their order, to be shown."""
    return await Item.rows(ShownItem, order=["rank", "id"], issue_id=issue_id)


async def items_of(issue_id: str) -> list[Item]:
    """Return the items of an issue in their order, to be changed."""
    return await Item.filter(issue_id=issue_id).order_by("rank", "id")


async def add(
    issue_id: str,
    text: str,
    by: str,
    *,
    limit: int,
    before: int | None = None,
    about: Callable[[Sequence[Item]], Mapping[str, Any]],
) -> Item:
    """Add an item before another one; at the end if ``before`` is None or that item was removed.

    Args:
        issue_id: The issue's id.
        text: The item's text.
        by: Account id of the user.
        limit: Maximum number of items of the issue.
        before: Id of the item that follows the new one.
        about: Returns what is known about the issue, as values of the new item, from the issue's items.

    Raises:
        TextInvalid: The text is empty or too long.
        ListFull: The issue has ``limit`` items.
    """
    line = clean(text)
    async with in_transaction():
        items = await _locked_items(issue_id)
        if len(items) >= limit:
            raise ListFull(f"This checklist has the maximum of {len(items)} items. Remove some to add more.")
        place = next((n for n, item in enumerate(items) if item.id == before), len(items))
        rank = await _rank_at(items, place)
        return await Item.create(issue_id=issue_id, text=line, rank=rank, created_by=by, **about(items))


async def tick(issue_id: str, item_id: int, version: int, *, done: bool, by: str) -> Item:
    """Mark an item as done or open.

    Raises:
        ItemMissing: The item does not exist.
        ItemChanged: The item no longer has ``version``.
    """
    who, at = (by, datetime.now(UTC)) if done else (None, None)
    return await _write(issue_id, item_id, version, done=done, done_by=who, done_at=at)


async def reword(issue_id: str, item_id: int, version: int, *, text: str, by: str) -> Item:
    """Change the text of an item.

    Raises:
        TextInvalid: The text is empty or too long.
        ItemMissing: The item does not exist.
        ItemChanged: The item no longer has ``version``.
    """
    return await _write(issue_id, item_id, version, text=clean(text), edited_by=by, edited_at=datetime.now(UTC))


async def move(issue_id: str, item_id: int, version: int, *, before: int | None) -> Item:
    """Move an item before another one, or to the end.

    Raises:
        ItemMissing: The item does not exist.
        ItemChanged: The item no longer has ``version``, or the item ``before`` was removed.
    """
    async with in_transaction():
        items = await _locked_items(issue_id)
        item = next((item for item in items if item.id == item_id), None)
        if item is None:
            raise _missing()
        others = [other for other in items if other.id != item_id]
        ids = [other.id for other in others]
        if item.version != version or (before is not None and before not in ids):
            raise ItemChanged(item)
        rank = await _rank_at(others, len(ids) if before is None else ids.index(before))
        return await _write(issue_id, item_id, version, rank=rank)


async def remove(issue_id: str, item_id: int, version: int) -> None:
    """Remove an item.

    Raises:
        ItemMissing: The item does not exist.
        ItemChanged: The item no longer has ``version``, so nobody removes a text that they have not read.
    """
    if not await Item.filter(issue_id=issue_id, id=item_id, version=version).delete():
        raise ItemChanged(await _current(issue_id, item_id))


async def delete_items(issue_id: str) -> None:
    """Delete all items of an issue."""
    await Item.filter(issue_id=issue_id).delete()


async def _write(issue_id: str, item_id: int, version: int, **values: Any) -> Item:
    """Update an item if it still has ``version``: one conditional UPDATE decides between concurrent writers."""
    expected = Item.filter(issue_id=issue_id, id=item_id, version=version)
    written = await expected.update(version=version + 1, **values)
    current = await _current(issue_id, item_id)
    if not written:
        raise ItemChanged(current)
    return current


async def _current(issue_id: str, item_id: int) -> Item:
    item = await Item.get_or_none(issue_id=issue_id, id=item_id)
    if item is None:
        raise _missing()
    return item


def _missing() -> ItemMissing:
    return ItemMissing("This item was removed by somebody else.")


async def _locked_items(issue_id: str) -> list[Item]:
    """Return the issue's items, locked against other additions, moves and deletions until the transaction ends.

    The lock is on the issue, because an empty list has no rows to lock.
    """
    await transaction_lock("checklist", issue_id)
    await Item.filter(issue_id=issue_id).order_by("id").select_for_update()
    return await items_of(issue_id)


async def _rank_at(items: Sequence[Item], place: int) -> int:
    """Return a rank for one more item at this place among locked items in their order."""
    if not items:
        return 0
    if place == 0:
        return items[0].rank - GAP
    if place == len(items):
        return items[-1].rank + GAP
    before, after = items[place - 1], items[place]
    if after.rank - before.rank < 2:
        await _renumber(items)
    return (before.rank + after.rank) // 2


async def _renumber(items: Sequence[Item]) -> None:
    """Give the items evenly spaced ranks. Versions stay, because no user made this change."""
    for number, item in enumerate(items):
        item.rank = number * GAP
        await Item.filter(id=item.id).update(rank=item.rank)
