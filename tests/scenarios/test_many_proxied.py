"""Two process groups behind nginx: no signed webhook is lost when one of them is stopped or restarted."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager

import httpx2
import pytest
from addonkit.testing import InstallKeys
from addonkit.testing.databases import database_settings

from tests.support.nginx import needs_nginx, nginx
from tests.support.process_group import crashing, free_ports, prepare
from tests.support.served import until

pytestmark = [pytest.mark.crash, pytest.mark.postgresql, needs_nginx]

CLIENTS = 8
DRAIN_S = 1


class Senders:
    """Clients that send signed webhooks through the proxy, each once."""

    def __init__(self, sender):
        self.sender = sender
        self.count = 0
        self.failures = []
        self._is_stopping = False

    @asynccontextmanager
    async def running(self):
        tasks = [asyncio.create_task(self._run(number % 2 == 0)) for number in range(CLIENTS)]
        try:
            yield
        finally:
            self._is_stopping = True
            await asyncio.gather(*tasks)

    async def acknowledged(self, more=200):
        target = self.count + more
        await until(lambda: self.count >= target or self.failures, 60)

    async def _run(self, keeps_connection):
        limits = httpx2.Limits() if keeps_connection else httpx2.Limits(max_keepalive_connections=0)
        async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:
            while not self._is_stopping:
                identifier = f"delivery-{self.count}-{id(client)}"
                try:
                    status = await self.sender.send_once(client, identifier)
                except httpx2.HTTPError as error:
                    status = repr(error)
                self.count += 1
                if status != 204:
                    self.failures.append(status)


@asynccontextmanager
async def slow_request(sender, port):
    """A webhook whose body is never completed keeps its worker busy during the shutdown."""
    method, url, headers, _ = sender.request("slow")
    path = url.split("8000", 1)[1]
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", "content-length: 100"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in ("host", "content-length")]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*lines, "", '{"half":']).encode())
    try:
        yield
    finally:
        writer.close()


@pytest.mark.parametrize("kind", ["hypercorn", "granian"])
async def test_webhooks_behind_nginx_survive_sigterm_and_sighup_of_each_group(tmp_path, kind):
    if kind == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    keys = InstallKeys()
    port, *ports = free_ports(3)
    options = ["serve", "--no-migrate", "--workers", "2", "--server", kind]
    commands = [[*options, "--bind", f"127.0.0.1:{one}"] for one in ports]
    async with keys.serve() as url:
        prepare(tmp_path, url, database_settings(tmp_path), server={"drain_s": DRAIN_S})
        async with (
            crashing(tmp_path, keys, ports, commands) as (processes, sender),
            nginx(tmp_path / "nginx", port, ports) as errors,
        ):
            sender.addresses = [f"http://127.0.0.1:{port}"]
            senders = Senders(sender)
            async with senders.running():
                for number in (0, 1):
                    await stop_and_start(processes, senders, number, ports[number])
                for number in (0, 1):
                    await restart(processes, senders, number)
                await senders.acknowledged()
        assert senders.failures == [], errors.read_text()[-3000:]


async def stop_and_start(processes, senders, number, port):
    async with slow_request(senders.sender, port):
        await senders.acknowledged()
        processes.send(number, signal.SIGTERM)
        await until(lambda: is_refused(port))
        await senders.acknowledged()
    assert await processes.wait(number) == 0
    await senders.acknowledged()
    await processes.start(number)
    await until(lambda: accepts(port), 60)


async def accepts(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def is_refused(port):
    return not await accepts(port)


async def restart(processes, senders, number):
    await senders.acknowledged()
    restarts = processes.log(number).count("workers.restarted")
    processes.send(number, signal.SIGHUP)
    await until(lambda: processes.log(number).count("workers.restarted") > restarts, 60)
    await senders.acknowledged()
