"""Deleting an issue, removing a page for good, and bringing back the sample; the add-on is told by webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quart import Blueprint, abort, redirect
from quart.typing import ResponseReturnValue

from addonkit_sandbox.events import issue_deleted, page_gone
from addonkit_sandbox.sample import DOCUMENTS, ISSUES, SPACE, User
from addonkit_sandbox.web import show, simulation, visitor

blueprint = Blueprint("removal", __name__)


@blueprint.post("/sandbox/issues/<key>/delete")
async def delete_issue(key: str) -> ResponseReturnValue:
    """Delete an issue, and show that it is gone."""
    issue, user = ISSUES.get(key) or abort(404), _user()
    if key not in simulation().state.removed:
        body = issue_deleted(issue, user, simulation().state.sites["jira"].base_url)
        await _drop("jira", key, ["jira:issue_deleted"], body)
    return redirect(f"/browse/{key}")


@blueprint.post("/wiki/sandbox/pages/<page_id>/remove")
async def remove_page(page_id: str) -> ResponseReturnValue:
    """Remove a page through the trash and out of it, and show that it is gone."""
    document, user = DOCUMENTS.get(page_id) or abort(404), _user()
    if page_id not in simulation().state.removed:
        body = page_gone(document, user, simulation().state.sites["confluence"].base_url)
        await _drop("confluence", page_id, ["page_trashed", "page_removed"], body)
    return redirect(_page(page_id))


@blueprint.post("/sandbox/issues/<name>/restore")
@blueprint.post("/wiki/sandbox/pages/<name>/restore", endpoint="restore_page")
async def restore(name: str) -> ResponseReturnValue:
    """Bring back an issue or a page as the sample has it."""
    _user()
    if name not in ISSUES and name not in DOCUMENTS:
        abort(404)
    simulation().state.restore(name)
    return redirect(f"/browse/{name}" if name in ISSUES else _page(name))


async def show_gone(product: str, name: str, title: str) -> ResponseReturnValue:
    """The screen in place of what was deleted."""
    note = simulation().state.removed[name]
    return await show("gone.html", product, name=name, title=title, note=note), 404


async def _drop(product: str, name: str, events: list[str], body: Mapping[str, Any]) -> None:
    held = simulation()
    held.state.drop(name, "")
    if off := held.why_off(product):
        note = f"{off}, so it was told nothing."
    else:
        told = {event: statuses for event in events if (statuses := await held.tell(product, event, body))}
        note = _note(held.name, told) or f"{held.name} has no webhook for that, so it was told nothing."
    held.state.drop(name, note)


def _note(name: str, told: Mapping[str, list[int]]) -> str:
    """What the add-on answered, in a sentence for each event."""
    sentences = []
    for event, statuses in told.items():
        answered = ", ".join(map(str, statuses))
        reason = "" if all(200 <= status < 300 for status in statuses) else "; its log has the reason"
        sentences.append(f"{name} was told of {event} by a signed webhook and answered {answered}{reason}.")
    return " ".join(sentences)


def _user() -> User:
    who = visitor()
    return who.user if who.user and who.may_edit else abort(403)


def _page(page_id: str) -> str:
    return f"/wiki/spaces/{SPACE['key']}/pages/{page_id}"
