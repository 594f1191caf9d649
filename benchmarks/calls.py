"""Benchmarks of host calls: overhead of one, leaks of ten thousand, and isolation from a rate-limited site."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx2
import structlog
from addonkit.context import Tenant, TenantState
from addonkit.current import plugin_scope
from addonkit.errors import HostError
from addonkit.hostapi.client import HostClients
from addonkit.hostapi.host import SiteHost
from addonkit.hostapi.scopes import ScopeCheck
from addonkit.hostapi.transport import Transport
from addonkit.hostapi.user_tokens import UserTokens
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import IdentityKind, TenantRecord
from machine import Sample, Server, bare
from results import Goal, Result

ONE_BY_ONE = 500
TENANTS, AT_ONCE, CALLS = 50, 200, 10_000
MYSELF = "/rest/api/3/myself"
SECRET = b"s" * 64


class Sites:
    """A directory whose tenants are all in memory."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self._records = {tenant.key: TenantRecord(tenant, SECRET) for tenant in tenants}

    async def get(self, _kind: IdentityKind, value: str) -> TenantRecord:
        """Return a tenant."""
        return self._records[value]

    reread = get


def sites_of(server: Server, exhausted: bool) -> list[Tenant]:
    """Create the sites; the first one may have exhausted its rate limit."""
    base = f"http://127.0.0.1:{server.port}"
    paths = ["/exhausted" if exhausted and number == 0 else f"/site-{number}" for number in range(TENANTS)]
    return [
        Tenant(number, f"site-{number}", "jira", base + path, base, TenantState.ENABLED, f"site-{number}")
        for number, path in enumerate(paths, start=1)
    ]


def clients_of(tenants: Sequence[Tenant]) -> HostClients:
    """Create the clients for these sites, as an add-on does."""
    transport = Transport("addonkit/bench com.example.bench")
    return HostClients(
        directory=cast("Directory", Sites(tenants)),
        transport=transport,
        scopes=ScopeCheck({"bench": frozenset({"READ"})}),
        user_tokens=UserTokens(transport),
        addon_key="com.example.bench",
    )


async def calls(pairs: int, _: int) -> list[Result]:
    """Run all benchmarks of this module."""
    # As in a deployment: debug events are not written.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with bare("product") as server, plugin_scope("bench"):
        return [await overhead(server, pairs), *await leaks(server), await isolation(server, pairs)]


async def overhead(server: Server, pairs: int) -> Result:
    """Overhead of a signed call over the bare client, sequentially on one connection, in µs of this process."""
    [tenant, *_] = sites_of(server, exhausted=False)
    clients = clients_of([tenant])
    host, url = clients.of(tenant, None), tenant.base_url + MYSELF
    figures = []
    async with httpx2.AsyncClient(trust_env=False) as bare:

        async def ours() -> Any:
            return await host.get(MYSELF)

        async def theirs() -> Any:
            return (await bare.get(url)).json()

        for number in range(pairs + 1):
            sides = [ours, theirs] if number % 2 else [theirs, ours]
            taken = {side: await _each(side) for side in sides}
            more = [(one - other) * 1e6 for one, other in zip(taken[ours], taken[theirs], strict=True)]
            if number:
                figures.append(Sample(*more))
    await clients.close()
    return Result("signed call over bare httpx2, µs", figures, (), "µs", Goal(150, False))


async def _each(call: Any) -> tuple[float, float]:
    """Time of one call: wall clock and CPU, in seconds."""
    clock, cpu = time.perf_counter(), time.process_time()
    for _ in range(ONE_BY_ONE):
        await call()
    return (time.perf_counter() - clock) / ONE_BY_ONE, (time.process_time() - cpu) / ONE_BY_ONE


async def leaks(server: Server) -> list[Result]:
    """Sockets and memory that 10,000 concurrent calls over many sites leave, after as many to warm up."""
    tenants = sites_of(server, exhausted=False)
    clients = clients_of(tenants)
    hosts = [clients.of(tenant, None) for tenant in tenants]
    await _many(hosts, CALLS)
    sockets, memory = _sockets(), _memory_mb()
    await _many(hosts, CALLS)
    grown, more = _sockets() - sockets, _memory_mb() - memory
    await clients.close()
    return [
        Result("sockets that 10,000 calls leave", [Sample(grown, grown)], (), "", Goal(0, False), "clock"),
        Result("memory that 10,000 calls leave, MB", [Sample(more, more)], (), "MB", Goal(2, False), "clock"),
    ]


async def isolation(server: Server, pairs: int) -> Result:
    """95th percentile of calls to other sites while one site is rate-limited, compared with none."""
    ours, theirs = [], []
    for number in range(pairs + 1):
        for exhausted in (True, False) if number % 2 else (False, True):
            slow = await _p95_of_others(server, exhausted)
            if number:
                (ours if exhausted else theirs).append(Sample(slow, slow))
    return Result("p95 beside an exhausted site : without", ours, theirs, "s", Goal(2, False), "clock")


async def _p95_of_others(server: Server, exhausted: bool) -> float:
    tenants = sites_of(server, exhausted=exhausted)
    clients = clients_of(tenants)
    first, *others = [clients.of(tenant, None) for tenant in tenants]

    async def insist() -> None:
        while True:
            with suppress(HostError):
                await first.get(MYSELF, deadline_s=5)

    pressing = [asyncio.create_task(insist()) for _ in range(AT_ONCE // TENANTS)]
    slow = statistics.quantiles(await _many(others, CALLS // 5), n=20)[-1]
    for task in pressing:
        task.cancel()
    await asyncio.gather(*pressing, return_exceptions=True)
    await clients.close()
    return slow


async def _many(hosts: Sequence[SiteHost], number: int) -> list[float]:
    """Make a number of calls, round robin over the sites; return the duration of each, in seconds."""
    turns, taken = itertools.cycle(hosts), []
    left = iter(range(number))

    async def work() -> None:
        for _ in left:
            host, began = next(turns), time.perf_counter()
            await host.get(MYSELF)
            taken.append(time.perf_counter() - began)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return taken


def _sockets() -> int:
    """Number of files and sockets that this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder changes while it is listed


def _memory_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
