"""An add-on on several machines: one folder with a configuration each, several processes, one database."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from addonkit.testing import InstallKeys, Page, RestApi, Site, Variables
from addonkit.testing.site import LifecycleName

from tests.support.served import Served, configure, serving

BASE_URL = "http://localhost:8000"
CHECKLIST, WHERE = "issue-panel-panel", "stranger-slow-page"
ISSUE = Variables.of(issue={"id": "10001", "key": "AB-1"})
MARK = "belongs to "
KEY = f"one:{base64.b64encode(bytes(range(32))).decode()}"
FIND_S = 15.0
DRAIN_S = 2


@dataclass(frozen=True)
class Line:
    """One kept-alive connection to one process.

    Attributes:
        pid: Id of the process; 0 while it is not known.
        client: The client with the connection.
    """

    pid: int
    client: httpx2.AsyncClient


@dataclass(frozen=True)
class Fleet:
    """Machines that serve one add-on.

    Attributes:
        workers: Number of processes per machine.
        rest: The simulated REST API of the sites, and the install keys.
        machines: One ``addonkit serve`` each.
        descriptor: The descriptor as served.
    """

    workers: int
    rest: RestApi
    machines: list[Served] = field(default_factory=list)
    descriptor: dict[str, Any] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, *folders: Path) -> list[Served]:
        """Start a machine in each of these folders concurrently; they end with the fleet."""
        options = ("--workers", str(self.workers))
        started = [await self._stack.enter_async_context(serving(folder, *options, ready=False)) for folder in folders]
        await asyncio.gather(*(machine.ready() for machine in started))
        return started

    def site(self) -> Site:
        """Create a site that has not installed the add-on."""
        site = Site(self.rest.keys, "jira", self.rest.url)
        self.rest.sites.append(site)
        return site

    def path(self, site: Site, module: str = CHECKLIST) -> str:
        """Return the signed path of a page for a user of the site."""
        return site.page_url(self.descriptor, module, None, ISSUE, "acc-1").removeprefix(BASE_URL)

    async def send_lifecycle(self, site: Site, event: LifecycleName, line: Line) -> int:
        """Send a lifecycle request to one process; return the status."""
        method, url, headers, body = site.lifecycle_request(self.descriptor, event)
        answer = await line.client.request(method, url.removeprefix(BASE_URL), headers=headers, content=body)
        return answer.status_code

    async def open(self, site: Site, line: Line, module: str = CHECKLIST) -> httpx2.Response:
        """Open a page on one process."""
        return await line.client.get(self.path(site, module))

    async def statuses(self, site: Site, lines: Sequence[Line], module: str = CHECKLIST) -> list[int]:
        """Return the statuses with which these processes answer one page concurrently."""
        return [answer.status_code for answer in await asyncio.gather(*(self.open(site, n, module) for n in lines))]

    async def site_with_row(self, line: Line) -> Site:
        """Return an installed site with a row of its own, which its checklist shows."""
        site = self.site()
        assert await self.send_lifecycle(site, "installed", line) == 204
        answer = await self.open(site, line)
        context = ISSUE.context(site.product)
        page = Page(answer, str(answer.url), site, "acc-1", context, str(line.client.base_url).rstrip("/"), line.client)
        made = await page.fetch("items", method="POST", json={"text": MARK + site.client_key})
        assert made.status_code == 201
        return site

    @asynccontextmanager
    async def lines(self) -> AsyncIterator[list[Line]]:
        """Open a connection to each process of each machine."""
        async with AsyncExitStack() as stack:
            found = [await self._lines_to(machine, stack) for machine in self.machines]
            yield [line for lines in found for line in lines]

    async def _lines_to(self, machine: Served, stack: AsyncExitStack) -> list[Line]:
        """Connect repeatedly until each process has accepted a connection; the kernel chooses which one does."""
        found: dict[int, Line] = {}
        async with asyncio.timeout(FIND_S):
            while len(found) < self.workers:
                for line in await asyncio.gather(*(connected(machine, stack) for _ in range(4))):
                    found.setdefault(line.pid, line)
        return list(found.values())


async def connected(machine: Served, stack: AsyncExitStack) -> Line:
    """Open a connection to whichever process accepts it; it is closed with the stack."""
    client = await stack.enter_async_context(caller(machine))
    return Line((await client.get("/stranger_slow/wait")).json()["pid"], client)


def caller(machine: Served) -> httpx2.AsyncClient:
    """Return a client with one connection and no retries."""
    limits = httpx2.Limits(max_connections=1)
    return httpx2.AsyncClient(base_url=machine.url, limits=limits, trust_env=False, timeout=30)


def owners(page: str) -> set[str]:
    """Return the client keys of the sites whose rows a checklist shows."""
    return set(re.findall(rf"{MARK}([\w-]+)", page))


def prepare(folder: Path, install_keys: str, database: Mapping[str, Any], **tables: Mapping[str, Any]) -> None:
    """Write the configuration of one machine, which is the same for all."""
    folder.mkdir(parents=True)
    addon = {"plugins": ["issue_panel", "stranger_slow"]}
    common = {
        "addon": addon,
        "database": database,
        "security": {"encryption_keys": [KEY]},
        "server": {"drain_s": DRAIN_S},
    }
    configure(folder, install_keys, **{**common, **tables})


@asynccontextmanager
async def fleet(
    folder: Path, database: Mapping[str, Any], machines: int = 2, workers: int = 2, **tables: Mapping[str, Any]
) -> AsyncIterator[Fleet]:
    """Start machines concurrently on a database that may be empty; ``tables`` are added to their configuration."""
    rest = RestApi(InstallKeys())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(rest.serve())
        folders = [folder / f"machine-{number}" for number in range(machines)]
        for one in folders:
            prepare(one, url, database, **tables)
        running = Fleet(workers, rest, _stack=stack)
        running.machines.extend(await running.start(*folders))
        async with caller(running.machines[0]) as client:
            running.descriptor.update((await client.get("/atlassian-connect.json")).json())
        yield running
