"""What a viewer is shown of an item: everything but who the others are."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from .models import Item


class Stamp(BaseModel, frozen=True):
    """The latest thing that happened to an item, by whom and when."""

    verb: Literal["Added", "Edited", "Done"]
    who: Literal["you", "someone"]
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


def row(item: Item, viewer: str | None) -> Row:
    """The item for this viewer; account ids stay behind."""
    return Row(
        id=item.id, version=item.version, rank=item.rank, text=item.text, done=item.done, stamp=stamp(item, viewer)
    )


def stamp(item: Item, viewer: str | None) -> Stamp:
    """What to say under the item: that it is done, else that it was edited, else that it was added."""
    who = "you" if viewer is not None else "someone"
    if item.done and item.done_at:
        return Stamp(verb="Done", who=who if item.done_by == viewer else "someone", at=item.done_at)
    if item.edited_at:
        return Stamp(verb="Edited", who=who if item.edited_by == viewer else "someone", at=item.edited_at)
    return Stamp(verb="Added", who=who if item.created_by == viewer else "someone", at=item.created_at)
