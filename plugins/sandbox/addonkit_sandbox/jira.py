"""Jira's screens: the start page, issues, and the add-on's full pages."""

from __future__ import annotations

from quart import Blueprint, abort, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.places import JIRA_PAGES, on_issue
from addonkit_sandbox.removal import show_gone
from addonkit_sandbox.sample import ISSUES, PROJECT, USERS, Issue
from addonkit_sandbox.web import product_of, show, simulation

blueprint = Blueprint("jira", __name__)


@blueprint.get("/")
async def start() -> str:
    """What there is to look at, and where the add-on stands."""
    held = simulation()
    return await show("start.html", "jira", sites=held.state.sites, host=held, addon_url=held.addon_url)


@blueprint.get("/plugins/servlet/upm")
@blueprint.get("/wiki/plugins/servlet/upm", endpoint="manage_in_confluence")
async def manage() -> str:
    """Where an administrator would look after the add-on's licence."""
    return await show("manage.html", product_of(request.path))


@blueprint.get("/browse/<key>")
async def issue(key: str) -> ResponseReturnValue:
    """An issue with every panel of the add-on's in its place."""
    shown = ISSUES.get(key) or abort(404)
    if key in simulation().state.removed:
        return await show_gone("jira", key, f"{key} was deleted")
    held = simulation()
    panels = [] if held.why_off("jira") else on_issue(held.descriptor)
    return await show(
        "issue.html",
        "jira",
        {"context": context_of(shown)},
        issue=shown,
        assignee=USERS[shown.assignee],
        reporter=USERS["mia"],
        body=[panel for panel in panels if not panel.is_beside_an_issue()],
        aside=[panel for panel in panels if panel.is_beside_an_issue()],
    )


@blueprint.get("/plugins/servlet/ac/<addon_key>/<module_key>")
async def page(addon_key: str, module_key: str) -> ResponseReturnValue:
    """One of the add-on's full pages."""
    places = simulation().places(*JIRA_PAGES, "dialogs")
    shown = next((place for place in places if place.key == module_key), None)
    if shown is None or addon_key != simulation().descriptor["key"]:
        return abort(404)
    context = {"project.id": PROJECT["id"], "project.key": PROJECT["key"]} if shown.type == "jiraProjectPages" else {}
    return await show("module.html", "jira", {"context": context}, place=shown)


def context_of(issue: Issue) -> dict[str, str]:
    """What a module on this issue may ask for in its URL."""
    return {
        "issue.id": issue.id,
        "issue.key": issue.key,
        "issuetype.id": "10004",
        "project.id": PROJECT["id"],
        "project.key": PROJECT["key"],
    }
