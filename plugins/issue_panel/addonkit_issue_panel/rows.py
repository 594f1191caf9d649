"""What a viewer is shown of an item: everything but the others' account ids."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from addonkit import User
from pydantic import BaseModel

from .models import Item

YOU, SOMEONE = "you", "someone"


class Stamp(BaseModel, frozen=True):
    """The latest thing that happened to an item, by whom and when.

    Attributes:
        who: A name as the site shows it, ``you``, or ``someone`` where there is none to be shown.
        picture: URL of that person's picture.
    """

    verb: Literal["Added", "Edited", "Done"]
    who: str
    picture: str | None
    at: datetime


class Row(BaseModel, frozen=True):
    """One item as the page draws it."""

    id: int
    version: int
    rank: int
    text: str
    done: bool
    stamp: Stamp


class Rows(BaseModel, frozen=True):
    """A whole checklist in its order."""

    items: list[Row]


People = Mapping[str, User]
"""By account id, as far as they are known."""


def row(item: Item, viewer: str | None, people: People) -> Row:
    """The item for this viewer; account ids stay behind.

    Args:
        item: As stored.
        viewer: Who looks; an anonymous visitor is told no names.
        people: Whom the item's stamp may name.
    """
    verb, who, at = _latest(item)
    known = people.get(who) if viewer is not None else None
    name = YOU if who == viewer else known.name if known and known.name else SOMEONE
    stamp = Stamp(verb=verb, who=name, picture=known.avatar_url if known else None, at=at)
    return Row(id=item.id, version=item.version, rank=item.rank, text=item.text, done=item.done, stamp=stamp)


def named_in(items: Iterable[Item]) -> set[str]:
    """The account ids that the items' stamps are about."""
    return {_latest(item)[1] for item in items}


def _latest(item: Item) -> tuple[Literal["Added", "Edited", "Done"], str, datetime]:
    """What to say under the item: that it is done, else that it was edited, else that it was added."""
    if item.done and item.done_at and item.done_by:
        return "Done", item.done_by, item.done_at
    if item.edited_at and item.edited_by:
        return "Edited", item.edited_by, item.edited_at
    return "Added", item.created_by, item.created_at
