"""Two machines behind ``deploy/nginx-two-machines.conf``: they are stopped, reloaded and killed under load."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from addonkit.testing.databases import database_settings

from tests.support.deploy_folder import DEPLOY
from tests.support.mixed_load import ACKNOWLEDGED, DISTRIBUTION, OK, MixedLoad, mixed_load, prepare, simulated_host
from tests.support.nginx import needs_nginx
from tests.support.nginx_two_machines import FILE, Proxy, two_machines
from tests.support.process_group import ProcessGroup, free_ports, until_served
from tests.support.served import until

pytestmark = [pytest.mark.crash, pytest.mark.postgresql, needs_nginx]
CLIENTS = {"page": 2, "updated": 6, "created": 4, "install": 1}
FAIL_TIMEOUT_S = 5
ENOUGH = 40
"""Number of acknowledged requests between two events."""


@dataclass
class Machines:
    """Two machines behind a proxy, under load."""

    group: ProcessGroup
    proxy: Proxy
    load: MixedLoad

    async def acknowledged(self) -> None:
        """Wait until more was acknowledged."""
        least = len(self.load.acknowledged) + ENOUGH
        await until(lambda: len(self.load.acknowledged) >= least, 120)

    async def is_ready(self, number: int) -> bool:
        """Whether a machine responds with 200 at ``/readyz``."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{self.proxy.machines[number]}/readyz")
            except httpx2.TransportError:
                return False
        return answer.status_code == OK

    async def stop_and_start(self, number: int) -> None:
        """Restart a machine as with ``systemctl restart``."""
        await self.acknowledged()
        self.group.send(number, signal.SIGTERM)
        assert await self.group.wait(number) == 0
        await self.acknowledged()
        await self.group.start(number)
        await until(lambda: self.is_ready(number), 60)


@asynccontextmanager
async def machines(folder: Path, *, keeps_connections: bool = True) -> AsyncIterator[Machines]:
    """Two machines with two workers each."""
    port, *ports = free_ports(3)
    words = ["serve", "--no-migrate", "--workers", "2", "--bind"]
    group = ProcessGroup(folder, [[*words, f"127.0.0.1:{one}"] for one in ports], distribution=DISTRIBUTION)
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(simulated_host())
        prepare(folder, rest.url, database_settings(folder), server={"drain_s": 1})
        stack.push_async_callback(group.destroy)
        for number in range(2):
            await group.start(number)
        for number, one in enumerate(ports):
            await until_served(f"http://127.0.0.1:{one}")
            await until(lambda machine=number: "2 workers)" in group.log(machine), 120)
        proxy = await stack.enter_async_context(two_machines(folder / "nginx", port, ports))
        load = await stack.enter_async_context(mixed_load(proxy.url, rest, 0.02, keeps_connections=keeps_connections))
        async with load.running(**CLIENTS):
            yield Machines(group, proxy, load)
            await Machines(group, proxy, load).acknowledged()


async def marked_as_down(both: Machines) -> None:
    """As docs/nginx.md describes it; there is no pause between the machines."""
    for number in range(2):
        await both.proxy.mark(number, down=True)
        await both.stop_and_start(number)
        await both.proxy.mark(number, down=False)


async def not_marked(both: Machines) -> None:
    for number in range(2):
        await both.stop_and_start(number)
        await asyncio.sleep(FAIL_TIMEOUT_S + 1)


async def reloaded(both: Machines) -> None:
    for number in range(2):
        await both.acknowledged()
        both.group.send(number, signal.SIGHUP)
        await until(lambda log=number: "workers.restarted" in both.group.log(log), 240)


@pytest.mark.parametrize("restart", [marked_as_down, not_marked, reloaded], ids=lambda one: one.__name__)
async def test_machines_behind_nginx_are_restarted_without_a_failed_request(
    tmp_path: Path, restart: Callable[[Machines], Awaitable[None]]
) -> None:
    # When nginx itself is reloaded, it closes idle connections, also one on which a request has just been sent.
    async with machines(tmp_path, keeps_connections=restart is not marked_as_down) as both:
        await restart(both)
    assert both.load.failed_at == [], both.proxy.errors[-3000:]
    if restart is marked_as_down:
        # nginx has not even tried a machine that was stopped.
        assert "Connection refused" not in both.proxy.errors


async def test_machine_that_is_killed_behind_nginx_costs_the_requests_that_it_worked_on(tmp_path: Path) -> None:
    async with machines(tmp_path) as both:
        await both.acknowledged()
        workers = both.group.kill_tree(0)
        await both.acknowledged()
        assert workers >= 3
    # Only POST requests that were sent are lost, and the host sends webhooks again.
    assert {status for _, _, status in both.load.failed_at} <= {502}
    assert {what for _, what, _ in both.load.failed_at}.isdisjoint({"page", "session GET"})
    assert len(both.load.failed_at) <= sum(CLIENTS.values())
    assert both.load.answers["updated", ACKNOWLEDGED] > ENOUGH


def test_file_for_two_machines_differs_from_that_for_one_in_what_two_machines_need() -> None:
    one, two = ({*(DEPLOY / name).read_text().splitlines()} for name in ("nginx.conf", FILE))
    directives = {line.split("#")[0].strip() for line in two - one} - {""}
    assert {line.split()[0] for line in directives} == {
        "zone",
        "server",
        "keepalive_timeout",
        "proxy_connect_timeout",
        "proxy_next_upstream",
        "proxy_next_upstream_tries",
    }
    assert "non_idempotent" not in " ".join(directives)
    assert "`deploy/nginx-two-machines.conf`".strip("`") in (DEPLOY.parent / "docs" / "nginx.md").read_text()
