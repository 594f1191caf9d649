"""Items as the page shows them to a viewer: with names instead of account ids."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from addonkit import User
from pydantic import BaseModel

from .models import Item, ShownItem

YOU, SOMEONE = "you", "someone"


class Stamp(BaseModel, frozen=True):
    """The latest change of an item.

    Attributes:
        who: The user's display name, ``you``, or ``someone`` if the name is not available.
        picture: URL of the user's avatar.
    """

    verb: Literal["Added", "Edited", "Done"]
    who: str
    picture: str | None
    at: datetime


class Row(BaseModel, frozen=True):
    """One item as the page shows it."""

    id: int
    version: int
    rank: int
    text: str
    done: bool
    stamp: Stamp


class Rows(BaseModel, frozen=True):
    """All items of a checklist in their order."""

    items: list[Row]


People = Mapping[str, User]
"""Users by account id; unknown accounts are missing."""


def row(item: Item | ShownItem, viewer: str | None, people: People) -> Row:
    """Return an item as a viewer sees it, without account ids.

    Args:
        item: The stored item.
        viewer: Account id of the viewer; an anonymous viewer sees no names.
        people: Users whom the item may name.
    """
    verb, who, at = _latest(item)
    known = people.get(who) if viewer is not None else None
    name = YOU if who == viewer else known.name if known and known.name else SOMEONE
    stamp = Stamp(verb=verb, who=name, picture=known.avatar_url if known else None, at=at)
    return Row(id=item.id, version=item.version, rank=item.rank, text=item.text, done=item.done, stamp=stamp)


def account_ids_in(items: Iterable[Item | ShownItem]) -> set[str]:
    """Return the account ids of the items' latest changes."""
    return {_latest(item)[1] for item in items}


def _latest(item: Item | ShownItem) -> tuple[Literal["Added", "Edited", "Done"], str, datetime]:
    """Return the latest change: done, else edited, else added."""
    if item.done and item.done_at and item.done_by:
        return "Done", item.done_by, item.done_at
    if item.edited_at and item.edited_by:
        return "Edited", item.edited_by, item.edited_at
    return "Added", item.created_by, item.created_at
