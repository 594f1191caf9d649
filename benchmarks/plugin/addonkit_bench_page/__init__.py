"""Two pages that do next to nothing, so that what is measured is the runtime."""

from __future__ import annotations

from addonkit import Plugin

plugin = Plugin("bench_page", __name__, scopes={"READ"})


@plugin.module("webPanels", key="bench-plain", name="Plain", location="atl.jira.view.issue.right.context")
async def plain(issue_key: str) -> str:
    """Greet, with no session."""
    return await plugin.render("plain.html", issue_key=issue_key)


@plugin.module("webPanels", key="bench-session", name="Session", location="atl.jira.view.issue.right.context")
async def session(issue_key: str) -> str:
    """Greet, with all that a page with scripts has in its head, a session token among it."""
    return await plugin.render("session.html", issue_key=issue_key)


@plugin.webhook("jira:issue_updated")
async def told() -> None:
    """Nothing is made of it."""


@plugin.job()
async def nothing(number: int) -> None:
    """Next to nothing is done, so that what is measured is the queue."""
