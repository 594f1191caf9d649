"""How the CPU time of a request grows with sites, plugins, routes, bodies and connections, and times at half load."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from addon import PAGES, Audience, populated
from background import ONLY_STORED, WEBHOOK_PATH, tokens
from half_load import response_times
from machine import Sample, Server
from results import Result, cost
from tenant_rows import add_sites
from wrk import CONNECTIONS as USUAL
from wrk import pages_per_second, webhooks_per_second

MODULE = "bench-session"
FEW = 64
SITES = (1, 100, 10_000, 100_000)
PLUGINS = (1, 2, 4, 8)
ROUTES = (1, 10, 100, 1_000)
BODIES_KB = (1, 10, 100, 1_000)
SENDERS = 4
"""Connections that send large bodies."""
CONNECTIONS = (1, 32, 500, 2_000)
HALF_LOAD_S = 10
Reading = Callable[[], Sample]


async def growth(pairs: int, seconds: int) -> list[Result]:
    """Measure all of them; each figure beside that of the smallest number, which ran in turn with it."""
    raise_limit_of_files()
    return [
        *await of_sites(pairs, seconds),
        *await of_plugins(pairs, seconds),
        *await of_routes(pairs, seconds),
        *await of_bodies(pairs, seconds),
        *await of_connections(pairs, 3 * seconds),
        *await at_half_load(pairs, seconds),
    ]


async def of_sites(pairs: int, seconds: int) -> list[Result]:
    """Measure a page of deployments with more and more sites, of which at most 64 are active."""
    async with AsyncExitStack() as stack:
        readings = {}
        for count in SITES:
            deployed, audience = await stack.enter_async_context(populated(tenants=min(count, FEW), items=0))
            if count > FEW:
                await add_sites(deployed, audience.sites[0], count - FEW)
            server = stack.enter_context(deployed.served())
            readings[f"page, {count:,} {'site' if count == 1 else 'sites'}"] = pages(server, audience, seconds)
        return compared(readings, pairs)


async def of_plugins(pairs: int, seconds: int) -> list[Result]:
    """Measure a page beside more and more plugins with 30 modules each."""
    sets = {f"page, {count} {'plugin' if count == 1 else 'plugins of 30 modules'}": grown(count) for count in PLUGINS}
    return await of_deployments(sets, pairs, seconds)


async def of_routes(pairs: int, seconds: int) -> list[Result]:
    """Measure a page beside more and more routes of another plugin."""
    sets = {"page, no other route": PAGES[:1]} | {
        f"page, {count:,} other routes": (*PAGES[:1], f"routes_{count}") for count in ROUTES[1:]
    }
    return await of_deployments(sets, pairs, seconds)


async def of_deployments(sets: Mapping[str, Sequence[str]], pairs: int, seconds: int) -> list[Result]:
    """Measure a page of deployments with different plugins."""
    async with AsyncExitStack() as stack:
        readings = {}
        for name, plugins in sets.items():
            deployed, audience = await stack.enter_async_context(populated(plugins, items=0))
            readings[name] = pages(stack.enter_context(deployed.served()), audience, seconds)
        return compared(readings, pairs)


async def of_bodies(pairs: int, seconds: int) -> list[Result]:
    """Measure webhooks with larger and larger bodies, whose jobs run elsewhere."""
    async with populated(items=0, more=ONLY_STORED) as (deployed, audience):
        with deployed.served() as server:

            def webhooks(kb: int) -> Reading:
                size = kb * 1000
                return lambda: webhooks_per_second(server, WEBHOOK_PATH, tokens(audience), seconds, size, SENDERS)[0]

            return compared({f"webhook of {kb:,} KB": webhooks(kb) for kb in BODIES_KB}, pairs)


async def of_connections(pairs: int, seconds: int) -> list[Result]:
    """Measure a page over more and more connections, all of them busy."""
    async with populated(items=0) as (deployed, audience):
        with deployed.served() as server:
            readings = {
                f"page, {count:,} {'connection' if count == 1 else 'connections'}": pages(
                    server, audience, seconds, count
                )
                for count in CONNECTIONS
            }
            return compared(readings, pairs)


async def at_half_load(pairs: int, seconds: int) -> list[Result]:
    """Measure the response times of a page at half of the rate that the server reaches."""
    async with populated(items=0) as (deployed, audience):
        with deployed.served() as server:
            full = max(pages(server, audience, seconds)().clock for _ in range(pairs))
            times = await response_times(server.port, audience.paths(MODULE), full / 2, HALF_LOAD_S)
    figures = {name: times[int(len(times) * share)] * 1e3 for name, share in (("p50", 0.5), ("p99", 0.99))}
    return [
        Result(f"page at half load, {name}", [Sample(figure, figure)], (), "ms", None, "clock")
        for name, figure in figures.items()
    ]


def grown(count: int) -> tuple[str, ...]:
    """Return the names of so many plugins: that of the page, and others with 30 modules each."""
    return (*PAGES[:1], *(f"grown_{number}" for number in range(1, count)))


def pages(server: Server, audience: Audience, seconds: int, connections: int = USUAL) -> Reading:
    """Return a reading of pages."""
    return lambda: pages_per_second(server, audience.paths(MODULE), seconds, connections)


def compared(readings: Mapping[str, Reading], pairs: int) -> list[Result]:
    """Take all readings in turn and compare the µs of each with those of the first."""
    for reading in readings.values():
        reading()  # warms up
    figures: dict[str, list[Sample]] = {name: [] for name in readings}
    for number in range(pairs):
        for name in list(readings) if number % 2 else reversed(readings):
            figures[name].append(cost(readings[name]()))
    first = next(iter(figures.values()))
    return [Result(name, mine, first, "µs") for name, mine in figures.items()]


def raise_limit_of_files() -> None:
    """Let servers and wrk open as many connections as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
