"""Jira's screens: start page, app management, issues, and the add-on's full pages."""

from __future__ import annotations

from quart import Blueprint, abort, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.current import current_simulation, product_of
from addonkit_sandbox.places import JIRA_PAGES, issue_panels
from addonkit_sandbox.removal import render_removed
from addonkit_sandbox.sample import ISSUES, PROJECT, USERS, Issue
from addonkit_sandbox.screens import render_screen

blueprint = Blueprint("jira", __name__)


@blueprint.get("/")
async def start() -> str:
    """Render the start page: issues, pages, and the state of the add-on's installations."""
    simulation = current_simulation()
    return await render_screen(
        "start.html", "jira", sites=simulation.state.sites, host=simulation, addon_url=simulation.addon_url
    )


@blueprint.get("/plugins/servlet/upm")
@blueprint.get("/wiki/plugins/servlet/upm", endpoint="manage_in_confluence")
async def manage() -> str:
    """Render the page where an administrator manages apps and licences."""
    return await render_screen("manage.html", product_of(request.path))


@blueprint.get("/browse/<key>")
async def show_issue(key: str) -> ResponseReturnValue:
    """Render an issue with the add-on's panels."""
    issue, simulation = ISSUES.get(key) or abort(404), current_simulation()
    if key in simulation.state.removed:
        return await render_removed("jira", key, f"{key} was deleted")
    panels = [] if simulation.off_reason("jira") else issue_panels(simulation.descriptor)
    return await render_screen(
        "issue.html",
        "jira",
        {"context": context_of(issue)},
        issue=issue,
        assignee=USERS[issue.assignee],
        reporter=USERS["mia"],
        body=[panel for panel in panels if not panel.is_sidebar_panel()],
        aside=[panel for panel in panels if panel.is_sidebar_panel()],
    )


@blueprint.get("/plugins/servlet/ac/<addon_key>/<module_key>")
async def page(addon_key: str, module_key: str) -> ResponseReturnValue:
    """Render a full page of the add-on."""
    simulation = current_simulation()
    place = next((place for place in simulation.places(*JIRA_PAGES, "dialogs") if place.key == module_key), None)
    if place is None or addon_key != simulation.descriptor["key"]:
        return abort(404)
    context = {"project.id": PROJECT["id"], "project.key": PROJECT["key"]} if place.type == "jiraProjectPages" else {}
    return await render_screen("module.html", "jira", {"context": context}, place=place)


def context_of(issue: Issue) -> dict[str, str]:
    """Return the host variables of an issue."""
    return {
        "issue.id": issue.id,
        "issue.key": issue.key,
        "issuetype.id": "10004",
        "project.id": PROJECT["id"],
        "project.key": PROJECT["key"],
    }
