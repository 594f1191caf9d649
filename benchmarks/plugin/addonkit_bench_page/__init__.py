"""A plugin whose handlers do almost nothing, so that benchmarks measure the runtime."""

from __future__ import annotations

import asyncio
import time

from addonkit import Plugin

plugin = Plugin("bench_page", __name__, scopes={"READ"})


@plugin.module("webPanels", key="bench-plain", name="Plain", location="atl.jira.view.issue.right.context")
async def plain(issue_key: str) -> str:
    """Greet on a page without a session token."""
    return await plugin.render("plain.html", issue_key=issue_key)


@plugin.module("webPanels", key="bench-session", name="Session", location="atl.jira.view.issue.right.context")
async def session(issue_key: str) -> str:
    """Greet on a page with a session token and all that ``addonkit_head`` writes."""
    return await plugin.render("session.html", issue_key=issue_key)


@plugin.webhook("jira:issue_updated")
async def issue_updated() -> None:
    """Do nothing, so that the benchmark measures storing webhooks."""


@plugin.job()
async def nothing(number: int) -> None:
    """Do nothing, so that the benchmark measures the queue."""


@plugin.job()
async def work(number: int) -> None:
    """Use so many milliseconds of CPU time, with an await after each as a handler that queries the database has."""
    for _ in range(number):
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass
        await asyncio.sleep(0)
