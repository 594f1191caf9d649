"""What a supervisor leaves behind when it is killed with SIGKILL, and what the next start does about it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.support.served import Served, configure, serving, until

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]
TOKEN = "t" * 32
OPERATIONS = {"metrics_token": TOKEN}


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The temporary folder of the processes."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@asynccontextmanager
async def supervised(folder: Path, temporary: Path) -> AsyncIterator[Served]:
    """A supervisor with two workers on a Unix socket."""
    options = ("--workers", "2", "--no-migrate")
    bind = f"unix:{folder}/addon.sock"
    async with serving(folder, *options, bind=bind, TMPDIR=str(temporary)) as served:
        yield served


async def scrape(folder: Path) -> str:
    """The metrics of all workers."""
    transport = httpx2.AsyncHTTPTransport(uds=f"{folder}/addon.sock")
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return (await client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})).text


def kill(served: Served) -> list[psutil.Process]:
    """Kill the supervisor; give its workers, which are still running."""
    workers = psutil.Process(served.pid).children()
    served.send(signal.SIGKILL)
    return workers


def folders(temporary: Path) -> list[Path]:
    """The folders with metrics."""
    return list(temporary.glob("addonkit-metrics-*"))


async def test_start_after_a_killed_supervisor_removes_what_it_left(tmp_path: Path, temporary: Path) -> None:
    configure(tmp_path, operations=OPERATIONS)
    async with supervised(tmp_path, temporary) as served:
        [left] = folders(temporary)
        workers = kill(served)
        await until(lambda: not any(map(psutil.Process.is_running, workers)), 30)
    assert {"1.lock", "2.lock"} <= {file.name for file in left.iterdir()}
    async with supervised(tmp_path, temporary):
        assert not left.exists()
        assert len(folders(temporary)) == 1
        assert 'worker="2"' in await scrape(tmp_path)
    assert folders(temporary) == []
    assert not (tmp_path / "addon.sock").exists()


async def test_start_beside_the_workers_of_a_killed_supervisor_keeps_their_metrics(
    tmp_path: Path, temporary: Path
) -> None:
    # The workers go on serving for so long after the supervisor is gone.
    configure(tmp_path, operations=OPERATIONS, server={"drain_s": 60})
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(tmp_path, "--workers", "2", TMPDIR=str(temporary)))
        [left] = folders(temporary)
        workers = kill(served)
        try:
            await stack.enter_async_context(supervised(tmp_path, temporary))
            assert left.is_dir()
            assert len(folders(temporary)) == 2
        finally:
            for worker in workers:
                worker.kill()


@pytest.mark.parametrize("count", [2, 6])
async def test_processes_that_start_at_once_on_the_socket_of_a_killed_one(tmp_path: Path, count: int) -> None:
    """One of them gets the address; the others say that it is in use, and do not remove the file.

    Each takes some time between binding its socket and listening on it.
    """
    script = (
        "import os, signal, socket, sys, time\n"
        "class Slow(socket.socket):\n"
        "    def bind(self, address): super().bind(address); time.sleep(0.05)\n"
        "socket.socket = Slow\n"
        "from addonkit.server.sockets import AddressUnavailable, bound_socket\n"
        "sys.stdin.readline()\n"
        "try: listener = bound_socket(sys.argv[1])\n"
        "except AddressUnavailable: print('in use', flush=True)\n"
        "else: print('bound', flush=True)\n"
        "sys.stdin.read()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    pipe = asyncio.subprocess.PIPE
    for _ in range(5):
        started = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", script, f"unix:{tmp_path}/addon.sock"), stdin=pipe, stdout=pipe
            )
            for _ in range(count)
        ]
        for one in started:
            assert one.stdin is not None
            one.stdin.write(b"\n")
        lines = [(await one.stdout.readline()).decode().strip() for one in started if one.stdout is not None]
        assert sorted(lines) == ["bound", *["in use"] * (count - 1)]
        _, writer = await asyncio.open_unix_connection(f"{tmp_path}/addon.sock")
        writer.close()
        for one in started:
            await one.communicate(b"")
            assert one.returncode == -signal.SIGKILL
