"""The measures by name, and their goals."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from addon import DESCRIPTOR, PAGES, deploy, installed
from background import backlog, beside, jobs, webhooks
from calls import calls
from commands import commands
from cpu import cpu
from engines import engines
from express import express
from growth import growth
from installs import installs
from machine import HERE, Sample, bare, free_port, serving
from postgresql import postgresql
from replication import replication
from results import Goal, Result, memory_of, paired, rate
from scope import scope
from tenants import tenants

SHIPPED = ("issue_panel", "macro", "licensing")


def hello() -> list[str]:
    """Return the paths that are requested from the bare application."""
    return ["/"]


async def page(pairs: int, seconds: int) -> list[Result]:
    """Compare authenticated pages with the bare application."""
    async with installed() as (addon, audience):
        with bare() as other:
            theirs = rate(other, hello, seconds)

            def against(module: str, name: str, goal: Goal | None = None) -> Result:
                ours = rate(addon, lambda: audience.paths(module), seconds)
                return Result(name, *paired(ours, theirs, pairs), "req/s", goal)

            return [
                against("bench-plain", "page : bare ASGI", Goal(0.40, True)),
                against("bench-session", "page with session token : bare ASGI"),
                against("bench-rows", "list of 10 rows : bare ASGI"),
                against("issue-panel-panel", "checklist of 10 items : bare ASGI"),
            ]


async def descriptor(pairs: int, seconds: int) -> list[Result]:
    """Compare the descriptor with the bare application."""
    with tempfile.TemporaryDirectory() as folder, deploy(Path(folder), PAGES).served() as addon, bare() as other:
        ours, theirs = rate(addon, lambda: [DESCRIPTOR], seconds), rate(other, hello, seconds)
        return [Result("descriptor : bare ASGI", *paired(ours, theirs, pairs), "req/s", Goal(0.75, True))]


async def granian(pairs: int, seconds: int) -> list[Result]:
    """Compare granian with hypercorn; each has a database of its own, because one process uses a SQLite file."""
    async with installed("granian") as (other, theirs), installed() as (addon, ours):
        readings = (
            rate(one, lambda sites=sites: sites.paths("bench-plain"), seconds)
            for one, sites in ((other, theirs), (addon, ours))
        )
        return [Result("page on granian : on hypercorn", *paired(*readings, pairs), "req/s", Goal(1.5, True))]


async def start(pairs: int, _: int) -> list[Result]:
    """Compare start-up to the first response, with the shipped plugins, with the bare stack."""
    with tempfile.TemporaryDirectory() as folder:
        deployed = deploy(Path(folder), SHIPPED)

        def ours() -> Sample:
            with deployed.served() as server:
                return server.start

        def theirs() -> Sample:
            port = free_port()
            with serving([sys.executable, HERE / "bare_stack.py", f"127.0.0.1:{port}"], port, "/") as server:
                return server.start

        return [Result("cold start : bare stack", *paired(ours, theirs, pairs), "s", Goal(1.25, False), "clock")]


async def memory(pairs: int, _: int) -> list[Result]:
    """Measure the memory of an idle add-on with the shipped plugins, after one request."""
    with tempfile.TemporaryDirectory() as folder:
        deployed = deploy(Path(folder), SHIPPED)
        figures = []
        for _ in range(max(3, pairs // 2)):
            with deployed.served() as server:
                await asyncio.sleep(0.5)
                figures.append(memory_of(server))
        return [Result("idle memory, MB", figures, (), "MB", Goal(78, False))]


async def database(pairs: int, seconds: int) -> list[Result]:
    """Compare PostgreSQL with SQLite: a page that runs no query, and a page that reads rows."""
    with postgresql() as server:
        async with installed() as (lite, near), installed(server=server) as (post, far):

            def against(module: str, name: str, goal: Goal | None = None) -> Result:
                ours, theirs = (
                    rate(one, lambda sites=sites: sites.paths(module), seconds)  # type: ignore[misc]  # the default binds the loop variable
                    for one, sites in ((post, far), (lite, near))
                )
                return Result(name, *paired(ours, theirs, pairs), "req/s", goal)

            return [
                against("bench-plain", "page on PostgreSQL : on SQLite", Goal(0.90, True)),
                against("bench-rows", "list of 10 rows on PostgreSQL : on SQLite"),
                against("issue-panel-panel", "checklist of 10 items on PostgreSQL : on SQLite"),
            ]


MEASURES = {
    "page": page,
    "cpu": cpu,
    "express": express,
    "descriptor": descriptor,
    "growth": growth,
    "start": start,
    "memory": memory,
    "tenants": tenants,
    "database": database,
    "granian": granian,
    "webhooks": webhooks,
    "jobs": jobs,
    "engines": engines,
    "replication": replication,
    "backlog": backlog,
    "beside": beside,
    "calls": calls,
    "scope": scope,
    "installs": installs,
    "cli": commands,
}
