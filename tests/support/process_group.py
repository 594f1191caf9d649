"""Processes of one deployment that are killed and restarted at random, and a host that retries until it succeeds."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
from addonkit.testing import InstallKeys, Site
from addonkit.testing.site import Request

from tests.distributions.third_party import environment, installed, run
from tests.support.served import configure

BASE_URL = "http://localhost:8000"
READY_S = 60.0
PAUSE_S = 0.05
KEY = "one:" + "A" * 43 + "="
BODY = b'{"webhookEvent": "jira:issue_updated", "issue": {"id": "10001", "key": "AB-1"}}'


@dataclass
class ProcessGroup:
    """Several processes of one deployment.

    Attributes:
        folder: The folder with ``addon.toml``.
        commands: Arguments of ``addonkit`` for each process.
        kills: Number of processes killed so far.
        distribution: The package with the plugin.
        starts: How often a process with each number was started.
    """

    folder: Path
    commands: Sequence[Sequence[str]]
    kills: int = 0
    distribution: str = "stranger-teller"
    starts: Counter[int] = field(default_factory=Counter)
    _living: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, number: int) -> None:
        """Start a process; the previous one with this number has exited."""
        self.starts[number] += 1
        with (self.folder / f"log-{number}").open("ab") as log:
            self._living[number] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "addonkit", *self.commands[number]),
                cwd=self.folder,
                env=environment(installed(self.distribution)),
                stdout=log,
                stderr=log,
            )

    async def kill_one(self, rng: random.Random) -> None:
        """Kill a random process with SIGKILL, and start it again."""
        number = rng.choice(list(self._living))
        process = self._living[number]
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        self.kills += 1
        await self.start(number)

    def pid(self, number: int) -> int:
        """The process id of a process."""
        return self._living[number].pid

    def kill_tree(self, number: int) -> int:
        """Kill a process and its children with SIGKILL, as the loss of their machine does; give how many they were."""
        main = psutil.Process(self._living[number].pid)
        everyone = [main, *main.children(recursive=True)]
        for one in everyone:
            one.kill()
        return len(everyone)

    def send(self, number: int, signal_number: signal.Signals) -> None:
        """Send a signal to a process."""
        self._living[number].send_signal(signal_number)

    async def wait(self, number: int) -> int:
        """Wait until a process exits; give its exit code."""
        return await asyncio.wait_for(self._living[number].wait(), 60)

    def log(self, number: int) -> str:
        """The log of all processes that have had this number."""
        return (self.folder / f"log-{number}").read_text()

    async def end(self) -> list[int]:
        """End all with SIGTERM, as a service manager does; give their exit codes."""
        for process in self._living.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        return [await asyncio.wait_for(process.wait(), 60) for process in self._living.values()]

    def has_exited(self, number: int = 0) -> bool:
        """Whether a process has exited."""
        return self._living[number].returncode is not None

    async def destroy(self) -> None:
        """Kill what still runs."""
        for process in self._living.values():
            if process.returncode is None:
                process.kill()
            await process.wait()


@dataclass
class WebhookSender:
    """A host that sends many webhooks, and retries each until it is acknowledged.

    Attributes:
        addresses: Base URLs of the processes that serve.
        site: The site that sends.
        descriptor: The add-on's descriptor.
        accepted: Identifiers of the deliveries that were acknowledged with 2xx.
        statuses: All other statuses.
        body: The body of each webhook.
    """

    addresses: Sequence[str]
    site: Site
    descriptor: dict[str, Any]
    accepted: set[str] = field(default_factory=set)
    statuses: set[int] = field(default_factory=set)
    body: bytes = BODY

    async def send_all(self, deliveries: Sequence[str], clients: int) -> None:
        """Send webhooks with these identifiers from several clients at once."""
        waiting = list(reversed(deliveries))
        async with asyncio.TaskGroup() as tasks:
            for number in range(clients):
                tasks.create_task(self._client(waiting, random.Random(number)))

    def request(self, identifier: str, retry: int = 0, event: str = "jira:issue_updated") -> Request:
        """Give method, URL, headers and body of one delivery."""
        [module] = [one for one in self.descriptor["modules"]["webhooks"] if one["event"] == event]
        return self.site.webhook_request(self.descriptor, module, self.body, identifier=identifier, retry=retry)

    async def send_once(self, client: httpx2.AsyncClient, identifier: str, event: str = "jira:issue_updated") -> int:
        """Send one webhook without a retry; give the status."""
        method, url, headers, body = self.request(identifier, event=event)
        url = url.replace(BASE_URL, self.addresses[0])
        return (await client.request(method, url, headers=headers, content=body)).status_code

    async def open_page(self, client: httpx2.AsyncClient) -> int:
        """Open a page of the plugin; give the status."""
        url = self.site.page_url(self.descriptor, "stranger-teller-page").replace(BASE_URL, self.addresses[0])
        return (await client.get(url)).status_code

    async def _client(self, waiting: list[str], rng: random.Random) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            while waiting:
                await self._send_until_accepted(client, waiting.pop(), rng)

    async def _send_until_accepted(self, client: httpx2.AsyncClient, identifier: str, rng: random.Random) -> None:
        retry = 0
        while True:
            method, url, headers, body = self.request(identifier, retry)
            url = url.replace(BASE_URL, rng.choice(self.addresses))
            try:
                answer = await client.request(method, url, headers=headers, content=body)
            except httpx2.HTTPError:
                await asyncio.sleep(PAUSE_S)
            else:
                if answer.is_success:
                    self.accepted.add(identifier)
                    return
                self.statuses.add(answer.status_code)
                await asyncio.sleep(PAUSE_S)
            retry += 1


async def until_served(address: str) -> None:
    """Wait until a process responds at /healthz."""
    async with asyncio.timeout(READY_S), httpx2.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"{address}/healthz")).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def crashing(
    folder: Path, keys: InstallKeys, ports: Sequence[int], commands: Sequence[Sequence[str]]
) -> AsyncIterator[tuple[ProcessGroup, WebhookSender]]:
    """Start processes that serve on these ports, and others that work; one site has installed the add-on."""
    running = ProcessGroup(folder, commands)
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    try:
        for number in range(len(commands)):
            await running.start(number)
        for address in addresses:
            await until_served(address)
        async with httpx2.AsyncClient(trust_env=False) as client:
            descriptor = (await client.get(f"{addresses[0]}/atlassian-connect.json")).json()
            site = Site(keys, "jira", "http://127.0.0.1:9000")
            method, url, headers, body = site.lifecycle_request(descriptor, "installed")
            answer = await client.request(method, url.replace(BASE_URL, addresses[0]), headers=headers, content=body)
            assert answer.status_code == 204, answer.text
        yield running, WebhookSender(addresses, site, descriptor)
    finally:
        await running.destroy()


def prepare(
    folder: Path,
    install_keys: str,
    database: dict[str, Any],
    *,
    in_server: bool = True,
    server: dict[str, Any] | None = None,
) -> None:
    """Write the configuration into a folder, and migrate its database."""
    configure(
        folder,
        install_keys,
        migrated=False,
        addon={"plugins": ["stranger_teller"]},
        database=database,
        security={"encryption_keys": [KEY]},
        jobs={"in_server": in_server},
        server=server or {},
    )
    named = {f"ADDONKIT_DATABASE__{key.upper()}": value for key, value in database.items()}
    assert run(folder, "migrate", site=installed("stranger-teller"), **named).code == 0


def free_ports(count: int) -> list[int]:
    """Give ports that are not in use."""
    import socket

    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
