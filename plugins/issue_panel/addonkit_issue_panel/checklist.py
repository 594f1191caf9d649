"""The rules of a checklist: who may change what, seen at which version, and in which order items stand.

Everything is written here and nowhere else. Each function works within one issue of the tenant in scope; an item of
another issue does not exist for it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tortoise.transactions import in_transaction

from .models import Item
from .wording import clean

GAP = 1024
"""Room left between two neighbours, so that ten moves to the same place need no renumbering."""


class Refusal(Exception):
    """A change was not made; the message is one sentence for the reader."""


class Full(Refusal):
    """The issue has as many items as it may."""


class Gone(Refusal):
    """The item is not on this issue, or no longer."""


class Changed(Refusal):
    """Somebody else changed the item first.

    Args:
        item: As it now stands.
    """

    def __init__(self, item: Item) -> None:
        super().__init__("Somebody changed this item in the meantime; look at it again and repeat your change")
        self.item = item


async def items_of(issue_id: str) -> list[Item]:
    """The issue's items in their order."""
    return await Item.filter(issue_id=issue_id).order_by("rank", "id")


async def add(issue_id: str, text: str, by: str, *, limit: int, before: int | None = None) -> Item:
    """A new item, in front of the one named; at the end if none is, or if that one has been removed.

    Raises:
        TextInvalid: The text is empty or too long.
        Full: The issue has ``limit`` items.
    """
    line = clean(text)
    async with in_transaction():
        items = await _held(issue_id)
        if len(items) >= limit:
            raise Full(f"This checklist is full with {len(items)} items; remove some to make room")
        place = next((n for n, item in enumerate(items) if item.id == before), len(items))
        rank = await _rank_at(items, place)
        return await Item.create(issue_id=issue_id, text=line, rank=rank, created_by=by)


async def tick(issue_id: str, item_id: int, version: int, *, done: bool, by: str) -> Item:
    """The item, done or open again.

    Raises:
        Gone: It is not there.
        Changed: It is no longer at ``version``.
    """
    who, at = (by, datetime.now(UTC)) if done else (None, None)
    return await _write(issue_id, item_id, version, done=done, done_by=who, done_at=at)


async def reword(issue_id: str, item_id: int, version: int, *, text: str, by: str) -> Item:
    """The item with another text.

    Raises:
        TextInvalid: The text is empty or too long.
        Gone: It is not there.
        Changed: It is no longer at ``version``.
    """
    return await _write(issue_id, item_id, version, text=clean(text), edited_by=by, edited_at=datetime.now(UTC))


async def move(issue_id: str, item_id: int, version: int, *, before: int | None) -> Item:
    """The item in front of another one, or at the end.

    Raises:
        Gone: It is not there.
        Changed: It is no longer at ``version``, or the one to put it before has been removed.
    """
    async with in_transaction():
        held = await _held(issue_id)
        item = next((item for item in held if item.id == item_id), None)
        if item is None:
            raise _gone()
        others = [other for other in held if other.id != item_id]
        ids = [other.id for other in others]
        if item.version != version or (before is not None and before not in ids):
            raise Changed(item)
        rank = await _rank_at(others, len(ids) if before is None else ids.index(before))
        return await _write(issue_id, item_id, version, rank=rank)


async def remove(issue_id: str, item_id: int, version: int) -> None:
    """Take the item off the list.

    Raises:
        Gone: It is not there.
        Changed: It is no longer at ``version``, so that nobody removes words that they have not read.
    """
    if not await Item.filter(issue_id=issue_id, id=item_id, version=version).delete():
        raise Changed(await _current(issue_id, item_id))


async def forget(issue_id: str) -> None:
    """Delete all items of an issue that is no more; of one that has none, nothing."""
    await Item.filter(issue_id=issue_id).delete()


async def _write(issue_id: str, item_id: int, version: int, **values: Any) -> Item:
    """One statement decides who came first: it finds the version that was seen, or nothing."""
    seen = Item.filter(issue_id=issue_id, id=item_id, version=version)
    written = await seen.update(version=version + 1, **values)
    current = await _current(issue_id, item_id)
    if not written:
        raise Changed(current)
    return current


async def _current(issue_id: str, item_id: int) -> Item:
    item = await Item.get_or_none(issue_id=issue_id, id=item_id)
    if item is None:
        raise _gone()
    return item


def _gone() -> Gone:
    return Gone("This item is no longer on the list; somebody removed it")


async def _held(issue_id: str) -> list[Item]:
    """The issue's items, held against other adds and moves until the transaction ends.

    Two statements, because PostgreSQL's first one, having waited, knows nothing of rows that were added while it did.
    """
    await Item.filter(issue_id=issue_id).order_by("id").select_for_update()
    return await items_of(issue_id)


async def _rank_at(items: Sequence[Item], place: int) -> int:
    """A rank that puts one more item at this place among these, which are held and in order."""
    if not items:
        return 0
    if place == 0:
        return items[0].rank - GAP
    if place == len(items):
        return items[-1].rank + GAP
    before, behind = items[place - 1], items[place]
    if behind.rank - before.rank < 2:
        await _spread(items)
    return (before.rank + behind.rank) // 2


async def _spread(items: Sequence[Item]) -> None:
    """Give them even ranks again. Nobody's change, so versions stay."""
    for number, item in enumerate(items):
        item.rank = number * GAP
        await Item.filter(id=item.id).update(rank=item.rank)
