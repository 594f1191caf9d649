"""A checklist on every Jira issue: the module, its routes, and the deletion of checklists with their issues.

The routes call the rules in ``checklist.py`` and turn their errors into responses.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Annotated, Any

from addonkit import Context, Plugin, WebhookEvent
from pydantic import BaseModel, Field
from quart import Response, request

from . import checklist, jira
from .item_text import TextInvalid
from .jira import PERMISSION
from .models import Item, ShownItem
from .rows import Row, Rows, row


class Settings(BaseModel):
    """Settings in ``[plugin.issue_panel]``."""

    title: str = Field("Checklist", min_length=1, max_length=80, description="Heading of the panel.")
    max_items: int = Field(200, ge=1, le=500, description="Maximum number of items per issue.")


ItemId = Annotated[int, Field(ge=1, le=2**53)]
"""An item's id: positive, and at most the largest integer that JavaScript represents exactly."""
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""An item's version, within the range of its column."""
ErrorResponse = tuple[dict[str, Any], int]

plugin = Plugin("issue_panel", __name__, scopes={"READ"}, settings=Settings, models="addonkit_issue_panel.models")
issues = plugin.clean_up(Item, issue="issue_id", project="project_id", delete=checklist.delete_items)


@plugin.module(
    "jiraIssueContents",
    name="Checklist",
    tooltip={"value": "Add a checklist"},
    icon={"width": 16, "height": 16, "url": plugin.static("icon.svg")},
    target={"type": "web_panel"},
    licensed=True,
)
async def panel(settings: Settings, issue_id: str, project_id: str | None, context: Context) -> str:
    """Render the issue's checklist, readable before any script runs.

    Args:
        settings: The settings, for the heading.
        issue_id: The issue's id.
        project_id: The id of its project; None if Jira still has the URL of an earlier release.
        context: The viewer; without permission to edit the issue, the page has no controls.
    """
    items = await checklist.shown_items(issue_id)
    await issues.seen(issue_id, project_id, items)
    rows, editable = await asyncio.gather(_rows(items, context), jira.may_edit(context, issue_id))
    return await plugin.render(
        "panel.html",
        title=settings.title,
        rows=rows.items,
        data=rows.model_dump(mode="json"),
        editable=editable,
        anonymous=context.account_id is None,
    )


@plugin.get("/items", licensed=True)
async def read(issue_id: str, context: Context) -> Response:
    """Return all items in their order; 304 if the page has sent the ETag of the same list as this viewer sees it."""
    rows = await _rows(await checklist.shown_items(issue_id), context)
    response = Response(rows.model_dump_json(), content_type="application/json")
    await response.add_etag()
    return await response.make_conditional(request)


@plugin.post("/items", licensed=True)
@plugin.requires(issue=PERMISSION)
async def add(
    context: Context,
    settings: Settings,
    issue_id: str,
    project_id: str | None,
    account_id: str,
    text: str,
    before: ItemId | None = None,
) -> tuple[Row, int]:
    """Add an item before another one; without ``before``, at the end."""
    item = await checklist.add(
        issue_id, text, account_id, limit=settings.max_items, before=before, about=partial(issues.values, project_id)
    )
    if item.checked_at is None:
        await issues.check_soon()
    return await _row(item, context), 201


@plugin.put("/items/<int:item>/done", licensed=True)
@plugin.requires(issue=PERMISSION)
async def tick(
    context: Context, issue_id: str, account_id: str, item: ItemId, version: Version, done: bool
) -> Row | ErrorResponse | None:
    """Mark an item as done or open."""
    return await _changed_row(checklist.tick(issue_id, item, version, done=done, by=account_id), context)


@plugin.put("/items/<int:item>/text", licensed=True)
@plugin.requires(issue=PERMISSION)
async def reword(
    context: Context, issue_id: str, account_id: str, item: ItemId, version: Version, text: str
) -> Row | ErrorResponse | None:
    """Change the text of an item."""
    return await _changed_row(checklist.reword(issue_id, item, version, text=text, by=account_id), context)


@plugin.put("/items/<int:item>/place", licensed=True)
@plugin.requires(issue=PERMISSION)
async def move(
    context: Context, issue_id: str, item: ItemId, version: Version, before: ItemId | None = None
) -> Row | ErrorResponse | None:
    """Move an item before another one; without ``before``, to the end."""
    return await _changed_row(checklist.move(issue_id, item, version, before=before), context)


@plugin.delete("/items/<int:item>", licensed=True)
@plugin.requires(issue=PERMISSION)
async def remove(context: Context, issue_id: str, item: ItemId, version: Version) -> Row | ErrorResponse | None:
    """Remove an item."""
    return await _changed_row(checklist.remove(issue_id, item, version), context)


# The order key comes from the URL, which the host signs; the body is not signed.
@plugin.webhook("jira:issue_deleted", order="issue_id")
async def forget_issue(event: WebhookEvent) -> None:
    """Delete the items of a deleted issue."""
    if event.issue_id:
        await checklist.delete_items(event.issue_id)


@plugin.errorhandler(TextInvalid)
async def text_invalid(error: TextInvalid) -> ErrorResponse:
    """Respond with 400 and the message."""
    return {"error": str(error)}, 400


@plugin.errorhandler(checklist.ListFull)
async def list_full(error: checklist.ListFull) -> ErrorResponse:
    """Respond with 409 and the message."""
    return {"error": str(error)}, 409


@plugin.errorhandler(checklist.ItemMissing)
async def item_missing(error: checklist.ItemMissing) -> ErrorResponse:
    """Respond with 404 and the message."""
    return {"error": str(error)}, 404


async def _rows(items: Sequence[ShownItem], context: Context) -> Rows:
    people = await jira.people(context, items)
    return Rows(items=[row(item, context.account_id, people) for item in items])


async def _row(item: Item, context: Context) -> Row:
    return row(item, context.account_id, await jira.people(context, [item]))


async def _changed_row(change: Awaitable[Item | None], context: Context) -> Row | ErrorResponse | None:
    """Await a change; return the item, None after a removal, or 409 with the item as it is now."""
    try:
        item = await change
    except checklist.ItemChanged as conflict:
        return {"error": str(conflict), "item": (await _row(conflict.item, context)).model_dump(mode="json")}, 409
    return None if item is None else await _row(item, context)
