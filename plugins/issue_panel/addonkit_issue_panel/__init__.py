"""A checklist on every Jira issue: the plugin, its page, the page's routes, and what follows from a deletion.

The rules are in ``checklist.py``; here requests become calls and refusals become statuses.
"""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any

from addonkit import Context, Plugin, WebhookEvent
from pydantic import BaseModel, Field

from . import asking, checklist
from .asking import PERMISSION
from .models import Item
from .rows import Row, Rows, row
from .wording import TextInvalid


class Settings(BaseModel):
    """What a deployment sets."""

    title: str = Field("Checklist", min_length=1, max_length=80, description="Heading of the panel.")
    max_items: int = Field(200, ge=1, le=500, description="Items that one issue may have.")


Number = Annotated[int, Field(ge=1, le=2**53)]
"""An item's id: positive, and within what the page's numbers hold exactly."""
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""An item's version, within its column."""
Sentence = tuple[dict[str, Any], int]

plugin = Plugin("issue_panel", __name__, scopes={"READ"}, settings=Settings, models="addonkit_issue_panel.models")


@plugin.module(
    "jiraIssueContents",
    name="Checklist",
    tooltip={"value": "Add a checklist"},
    icon={"width": 16, "height": 16, "url": plugin.static("icon.svg")},
    target={"type": "web_panel"},
    licensed=True,
)
async def panel(settings: Settings, issue_id: str, context: Context) -> str:
    """The checklist of the issue on view, whole and readable before any script runs.

    Args:
        settings: For the heading.
        issue_id: The host's number for the issue.
        context: Who looks; whoever may not change the issue gets it without controls.
    """
    rows, editable = await asyncio.gather(_rows(issue_id, context), asking.may_edit(context, issue_id))
    return await plugin.render(
        "panel.html",
        title=settings.title,
        rows=rows.items,
        data=rows.model_dump(mode="json"),
        editable=editable,
        anonymous=context.account_id is None,
    )


@plugin.get("/items", licensed=True)
async def read(issue_id: str, context: Context) -> Rows:
    """All items in their order."""
    return await _rows(issue_id, context)


@plugin.post("/items", licensed=True)
@plugin.requires(issue=PERMISSION)
async def add(
    context: Context, settings: Settings, issue_id: str, account_id: str, text: str, before: Number | None = None
) -> tuple[Row, int]:
    """A new item, at the end, or in front of the one named."""
    item = await checklist.add(issue_id, text, account_id, limit=settings.max_items, before=before)
    return await _row(item, context), 201


@plugin.put("/items/<int:item>/done", licensed=True)
@plugin.requires(issue=PERMISSION)
async def tick(
    context: Context, issue_id: str, account_id: str, item: Number, version: Version, done: bool
) -> Row | Sentence | None:
    """The item, done or open again."""
    return await _answer(checklist.tick(issue_id, item, version, done=done, by=account_id), context)


@plugin.put("/items/<int:item>/text", licensed=True)
@plugin.requires(issue=PERMISSION)
async def reword(
    context: Context, issue_id: str, account_id: str, item: Number, version: Version, text: str
) -> Row | Sentence | None:
    """The item with another text."""
    return await _answer(checklist.reword(issue_id, item, version, text=text, by=account_id), context)


@plugin.put("/items/<int:item>/place", licensed=True)
@plugin.requires(issue=PERMISSION)
async def move(
    context: Context, issue_id: str, item: Number, version: Version, before: Number | None = None
) -> Row | Sentence | None:
    """The item in front of another one; without ``before``, at the end."""
    return await _answer(checklist.move(issue_id, item, version, before=before), context)


@plugin.delete("/items/<int:item>", licensed=True)
@plugin.requires(issue=PERMISSION)
async def remove(context: Context, issue_id: str, item: Number, version: Version) -> Row | Sentence | None:
    """Take the item off the list."""
    return await _answer(checklist.remove(issue_id, item, version), context)


# for the order the host writes the issue's number into the URL, which it signs; the body it does not sign
@plugin.webhook("jira:issue_deleted", order="issue_id")
async def forget_issue(event: WebhookEvent) -> None:
    """Forget the checklist of an issue that was deleted."""
    if event.issue_id:
        await checklist.forget(event.issue_id)


@plugin.errorhandler(TextInvalid)
async def refuse_text(error: TextInvalid) -> Sentence:
    """400 with the sentence."""
    return {"error": str(error)}, 400


@plugin.errorhandler(checklist.Full)
async def refuse_more(error: checklist.Full) -> Sentence:
    """409 with the sentence."""
    return {"error": str(error)}, 409


@plugin.errorhandler(checklist.Gone)
async def refuse_gone(error: checklist.Gone) -> Sentence:
    """404 with the sentence."""
    return {"error": str(error)}, 404


async def _rows(issue_id: str, context: Context) -> Rows:
    items = await checklist.items_of(issue_id)
    people = await asking.people(context, items)
    return Rows(items=[row(item, context.account_id, people) for item in items])


async def _row(item: Item, context: Context) -> Row:
    return row(item, context.account_id, await asking.people(context, [item]))


async def _answer(change: Awaitable[Item | None], context: Context) -> Row | Sentence | None:
    """The changed item, nothing after a removal, or 409 with what now stands there, so that the page can show it."""
    try:
        item = await change
    except checklist.Changed as conflict:
        return {"error": str(conflict), "item": (await _row(conflict.item, context)).model_dump(mode="json")}, 409
    return None if item is None else await _row(item, context)
