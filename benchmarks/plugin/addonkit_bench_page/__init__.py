"""A plugin whose handlers do almost nothing, so that benchmarks measure the runtime."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from addonkit import Plugin

from .models import Row

handlers: list[Callable[[str, int], Awaitable[None]]] = []
"""What the job ``call`` calls, in the process of a benchmark."""
plugin = Plugin("bench_page", __name__, scopes={"READ"}, models="addonkit_bench_page.models")


@plugin.module("webPanels", key="bench-plain", name="Plain", location="atl.jira.view.issue.right.context")
async def plain(issue_key: str) -> str:
    """Greet on a page without a session token."""
    return await plugin.render("plain.html", issue_key=issue_key)


@plugin.module("webPanels", key="bench-session", name="Session", location="atl.jira.view.issue.right.context")
async def session(issue_key: str) -> str:
    """Greet on a page with a session token and all that ``addonkit_head`` writes."""
    return await plugin.render("session.html", issue_key=issue_key)


@plugin.module("webPanels", key="bench-rows", name="Rows", location="atl.jira.view.issue.right.context")
async def rows(issue_key: str) -> str:
    """List the rows of an issue, read to be shown only, on a page with a session token."""
    return await plugin.render(
        "rows.html", rows=await Row.rows("text", "done", "created_at", order=["place"], issue_key=issue_key)
    )


@plugin.get("/state")
async def state(issue_key: str) -> dict[str, str]:
    """Return what a page's script asks for, without a query."""
    return {"issue": issue_key}


@plugin.post("/rows")
async def add_rows(issues: int, rows: int) -> None:
    """Add rows to the lists of the first issues of a project."""
    await Row.bulk_create(
        Row(issue_key=f"AB-{issue}", text=f"Step {place} of this issue", place=place, done=place % 3 == 0)
        for issue in range(1, issues + 1)
        for place in range(1, rows + 1)
    )


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


@plugin.job()
async def call(site: str, number: int) -> None:
    """Call the handler of the benchmark of engines; a child process, which runs suspects, writes the log by itself."""
    if handlers:
        await handlers[0](site, number)
    else:
        from driver import logged, opened

        await logged(opened(os.environ["BENCH_LOG"]))(site, number)
