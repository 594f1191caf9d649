"""Deleting an issue or page, with the webhooks that follow, and restoring the sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quart import Blueprint, abort, redirect
from quart.typing import ResponseReturnValue

from addonkit_sandbox.current import current_simulation, current_visitor
from addonkit_sandbox.sample import DOCUMENTS, ISSUES, SPACE, User
from addonkit_sandbox.screens import render_screen
from addonkit_sandbox.webhook_bodies import issue_deleted_body, page_removed_body

blueprint = Blueprint("removal", __name__)


@blueprint.post("/sandbox/issues/<key>/delete")
async def delete_issue(key: str) -> ResponseReturnValue:
    """Delete an issue and redirect to its address."""
    issue, user = ISSUES.get(key) or abort(404), _editor_or_abort()
    state = current_simulation().state
    if key not in state.removed:
        body = issue_deleted_body(issue, user, state.sites["jira"].base_url)
        await _delete("jira", key, ["jira:issue_deleted"], body)
    return redirect(f"/browse/{key}")


@blueprint.post("/wiki/sandbox/pages/<page_id>/remove")
async def remove_page(page_id: str) -> ResponseReturnValue:
    """Move a page to the trash, purge it from there, and redirect to its address."""
    document, user = DOCUMENTS.get(page_id) or abort(404), _editor_or_abort()
    state = current_simulation().state
    if page_id not in state.removed:
        body = page_removed_body(document, user, state.sites["confluence"].base_url)
        await _delete("confluence", page_id, ["page_trashed", "page_removed"], body)
    return redirect(_page_path(page_id))


@blueprint.post("/sandbox/issues/<name>/restore")
@blueprint.post("/wiki/sandbox/pages/<name>/restore", endpoint="restore_page")
async def restore(name: str) -> ResponseReturnValue:
    """Restore an issue or page of the sample."""
    _editor_or_abort()
    if name not in ISSUES and name not in DOCUMENTS:
        abort(404)
    current_simulation().state.restore(name)
    return redirect(f"/browse/{name}" if name in ISSUES else _page_path(name))


async def render_removed(product: str, name: str, title: str) -> ResponseReturnValue:
    """Render the screen in place of a deleted issue or page."""
    note = current_simulation().state.removed[name]
    return await render_screen("gone.html", product, name=name, title=title, note=note), 404


async def _delete(product: str, name: str, events: list[str], body: Mapping[str, Any]) -> None:
    """Delete an issue or page and note how the add-on responded to the webhooks."""
    simulation = current_simulation()
    # Deleted before the webhooks are sent: the add-on may read the issue or page while it handles them.
    simulation.state.delete(name, "")
    if off := simulation.off_reason(product):
        note = f"{off}, so no webhook was sent."
    else:
        responses = {event: await simulation.send_webhooks(product, event, body) for event in events}
        note = _note(simulation.name, responses) or f"{simulation.name} has no webhook for this event."
    simulation.state.delete(name, note)


def _note(addon: str, responses: Mapping[str, list[int]]) -> str:
    """Describe the add-on's responses, one sentence for each event that has webhooks."""
    sentences = []
    for event, statuses in responses.items():
        if statuses:
            hint = "" if all(200 <= status < 300 for status in statuses) else "; see the add-on's log for the reason"
            sentences.append(f"{addon} received the webhook {event} and responded {_listed(statuses)}{hint}.")
    return " ".join(sentences)


def _listed(statuses: list[int]) -> str:
    return ", ".join(map(str, statuses))


def _editor_or_abort() -> User:
    visitor = current_visitor()
    return visitor.user if visitor.user and visitor.may_edit else abort(403)


def _page_path(page_id: str) -> str:
    return f"/wiki/spaces/{SPACE['key']}/pages/{page_id}"
