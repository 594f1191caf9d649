"""The service manager: what processes report to systemd, in which order, and what they do without it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import suppress

import pytest
from addonkit.server.service_manager import ServiceManager
from addonkit.server.shutdown import Shutdown, ShutdownMode

from tests.support.served import configure, serving, until
from tests.support.service_manager import notified

WATCHDOG_S = 15.0  # long enough that no worker of a busy machine is taken for a hung one


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
    ids=["none", "interval", "own process", "another process", "zero", "negative", "a word", "superscript", "empty"],
)
def test_service_manager_reads_the_watchdog_and_leaves_nothing_to_child_processes(variables, watchdog_s):
    environment = {"NOTIFY_SOCKET": "/run/notify", "PATH": "/bin", **variables}
    assert ServiceManager.from_environment(environment).watchdog_s == watchdog_s
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1", "/nonexistent/notify", "@nobody"])
def test_service_manager_that_cannot_be_reached_changes_nothing(address):
    manager = ServiceManager(address, 1.0)
    manager.ready("serving")
    manager.reloading()
    manager.stopping()


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_service_manager_receives_each_state_as_one_datagram(tmp_path, abstract):
    with notified(tmp_path, abstract=abstract) as seen:
        manager = ServiceManager.from_environment(dict(seen.variables))
        manager.ready("serves\nREADY=0")
        manager.reloading()
        manager.stopping()
        assert seen.states() == ["READY", "RELOADING", "STOPPING"]
    assert seen.received[0] == {"READY": "1", "STATUS": "serves READY=0"}
    assert 0 <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - int(seen.received[1]["MONOTONIC_USEC"]) < 10**9


async def test_service_manager_gets_no_ping_from_a_process_that_is_not_alive(tmp_path):
    with notified(tmp_path, watchdog_s=0.03) as seen:
        manager, shutdown, alive = ServiceManager.from_environment(dict(seen.variables)), Shutdown(), [True]
        async with manager.watching(shutdown, lambda: alive[0]):
            await seen.until_pinged(2)
            alive[0] = False
            pings = seen.words().count("WATCHDOG")
            shutdown.request(ShutdownMode.GRACEFUL)
            await seen.until("STOPPING")
            await asyncio.sleep(0.1)
            assert seen.words().count("WATCHDOG") == pings
            alive[0] = True
            await seen.until_pinged(1)


def fill(address):
    """Send datagrams until the receiver's buffer is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood, suppress(BlockingIOError):
        flood.setblocking(False)
        while True:
            flood.sendto(b"x=1", address)


async def test_service_manager_that_does_not_read_does_not_block_the_event_loop(tmp_path):
    with notified(tmp_path) as seen:
        manager = ServiceManager.from_environment(dict(seen.variables))
        fill(seen.variables["NOTIFY_SOCKET"])
        manager.ready("serving")
        assert "READY" not in seen.words()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.postgresql)])
async def test_serving_process_reports_start_reload_and_stop(tmp_path, workers):
    configure(tmp_path, database={"pool_size": 2})
    with notified(tmp_path, watchdog_s=30.0) as seen:
        async with serving(tmp_path, "--workers", str(workers), **seen.variables) as served:
            await seen.until("READY")
            await seen.until_pinged(0)
            if workers > 1:
                served.send(signal.SIGHUP)
                await seen.until("READY", "RELOADING", "READY")
            served.send(signal.SIGTERM)
            assert await served.ended() == 0
        assert seen.states()[-1] == "STOPPING"
        assert seen.states().count("STOPPING") == 1
        assert "WATCHDOG" in seen.words()


@pytest.mark.postgresql
async def test_reload_that_fails_is_reported_as_complete_with_the_old_workers(tmp_path):
    path = configure(tmp_path, database={"pool_size": 2})
    with notified(tmp_path) as seen:
        async with serving(tmp_path, "--workers", "2", **seen.variables) as served:
            await seen.until("READY")
            path.write_text(path.read_text() + "\n[nonsense]\n")
            served.send(signal.SIGHUP)
            await seen.until("READY", "RELOADING", "READY")
            assert seen.received[-1]["STATUS"] == "2 workers serve; the last reload failed"


@pytest.mark.crash
@pytest.mark.postgresql
async def test_worker_process_whose_event_loop_is_blocked_is_replaced(tmp_path):
    configure(tmp_path, database={"pool_size": 2})
    with notified(tmp_path, watchdog_s=WATCHDOG_S) as seen:
        async with serving(tmp_path, "--workers", "2", **seen.variables) as served:
            await seen.until("READY")
            first = next(line for line in served.log() if line["event"] == "worker.started")
            os.kill(first["pid"], signal.SIGSTOP)
            await until(lambda: any(line["event"] == "worker.hung" for line in served.log()), 60)
            [hung] = [line for line in served.log() if line["event"] == "worker.hung"]
            assert (hung["worker"], hung["pid"]) == (first["worker"], first["pid"])
            await until(lambda: sum(line["event"] == "worker.started" for line in served.log()) == 3, 60)
            await seen.until_pinged(2)  # the supervisor itself is alive all the time
            served.send(signal.SIGTERM)
            assert await served.ended() == 0
