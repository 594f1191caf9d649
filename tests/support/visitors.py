"""Simulated users of a fleet, with a load balancer that follows ``/readyz``; every response is recorded."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from addonkit.testing import Site

from tests.support.fleet import CHECKLIST, WHERE, Fleet, Line, caller, owners
from tests.support.served import Served, until

PAUSE_S = 0.01
POLL_S = 0.05
PATIENCE_S = 60.0


@dataclass
class Visitors:
    """Several users, each with a connection to a machine that is ready.

    Attributes:
        fleet: The fleet that they use.
        sites: Sites of the users; each has a row of its own.
        count: Number of users.
        statuses: Number of responses by status.
        broken: Process id for each connection that broke during a request; 0 if the process never answered.
        wrong: Results that must never occur.
    """

    fleet: Fleet
    sites: Sequence[Site]
    count: int = 6
    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _ready: set[Served] = field(default_factory=set)
    _leaving: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Visitors]:
        """Run the users for the duration of the block."""
        watch = asyncio.create_task(self._watch())
        tasks = [asyncio.create_task(self._visit(random.Random(number))) for number in range(self.count)]
        try:
            await self.answered(self.count)
            yield self
        finally:
            self._leaving = True
            await asyncio.gather(*tasks, watch)

    async def answered(self, more: int = 100, status: int = 200) -> None:
        """Wait until so many more requests were answered with this status."""
        target = self.statuses[status] + more
        await until(lambda: self.statuses[status] >= target, PATIENCE_S)

    async def readiness_changed(self, machine: Served, *, back: bool = False) -> None:
        """Wait until the load balancer sees a machine as not ready, or as ready again."""
        await until(lambda: (machine in self._ready) is back, PATIENCE_S)

    async def _watch(self) -> None:
        """Poll all machines, as a load balancer does."""
        while not self._leaving:
            machines = tuple(self.fleet.machines)
            found = zip(machines, await asyncio.gather(*map(self._is_ready, machines)), strict=True)
            self._ready = {machine for machine, is_ready in found if is_ready}
            await asyncio.sleep(POLL_S)

    @property
    def _open(self) -> set[Served]:
        """Machines that get requests; all of them while none is ready, as with a load balancer."""
        return self._ready or set(self.fleet.machines)

    async def _is_ready(self, machine: Served) -> bool:
        try:
            async with caller(machine) as client:
                return (await client.get("/readyz")).status_code == 200
        except httpx2.TransportError:
            return False

    async def _visit(self, chance: random.Random) -> None:
        while not self._leaving:
            machine = chance.choice(sorted(self._open, key=lambda one: one.pid))
            async with caller(machine) as client:
                await self._use(machine, Line(0, client), chance)

    async def _use(self, machine: Served, line: Line, chance: random.Random) -> None:
        """Send requests on one connection until it breaks or its machine is no longer ready."""
        try:
            line = Line((await line.client.get("/stranger_slow/wait")).json()["pid"], line.client)
            while not self._leaving and machine in self._open:
                await self._send(line, chance)
                await asyncio.sleep(PAUSE_S)
        except httpx2.TimeoutException as late:
            self.wrong.append(f"no answer in time: {type(late).__name__}")
        except httpx2.TransportError:
            self.broken.append(line.pid)

    async def _send(self, line: Line, chance: random.Random) -> None:
        """Send one request, some of them slow, and check the response."""
        site, kind = chance.choice(self.sites), chance.choice((CHECKLIST, CHECKLIST, CHECKLIST, WHERE, None))
        target = self.fleet.path(site, kind) if kind else "/stranger_slow/wait?seconds=0.2"
        answer = await line.client.get(target)
        self.statuses[answer.status_code] += 1
        if kind == CHECKLIST and answer.status_code == 200 and owners(answer.text) != {site.client_key}:
            self.wrong.append(f"a page of '{site.client_key}' shows rows of {owners(answer.text)}")
