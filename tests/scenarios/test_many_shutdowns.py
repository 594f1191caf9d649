"""Shutdown of processes that run jobs: what ends in time ends, and what does not is left in a true state."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.support.job_processes import job_processes

pytestmark = pytest.mark.crash
WORK = ("work", "--no-migrate")


def serve(server):
    return ("serve", "--no-migrate", "--bind", "127.0.0.1:0", "--server", server)


@pytest.mark.parametrize("server", ["hypercorn", "granian"])
@pytest.mark.parametrize(
    ("name", "seconds", "drain_s", "stop_s", "code", "state"),
    [
        ("last", 8, 0, 30, 0, "done"),
        ("last", 8, 2, 30, 0, "done"),
        ("last", 50, 0, 1, 1, "ready"),
        ("last", 50, 3, 2, 1, "ready"),
        ("cling", 50, 0, 1, 1, "running"),
    ],
)
@pytest.mark.sqlite
async def test_serve_gives_running_jobs_its_time_to_stop(tmp_path, server, name, seconds, drain_s, stop_s, code, state):
    async with job_processes(tmp_path, [serve(server)], server={"drain_s": drain_s, "stop_s": stop_s}) as jobs:
        job = jobs.put(name, jobs.tenant(), seconds)
        await jobs.start()
        await jobs.until_begun([job])
        assert await jobs.end() == code
        row = jobs.row(job)
        assert (row["state"], row["failures"], row["deaths"]) == (state, 0, 0)
        if state == "running":
            assert any(line["event"] == "jobs.not_ended" for line in jobs.log())
            await jobs.start()
            await jobs.until_begun([job], times=2)
            assert jobs.row(job)["deaths"] == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.sqlite
async def test_second_signal_releases_running_jobs_at_once(tmp_path, second):
    async with job_processes(tmp_path, [serve("hypercorn")], server={"drain_s": 0, "stop_s": 500}) as jobs:
        job = jobs.put("last", jobs.tenant(), 50)
        await jobs.start()
        await jobs.until_begun([job])
        jobs.running[0].send_signal(signal.SIGTERM)
        await asyncio.sleep(1)
        jobs.running[0].send_signal(second)
        assert await asyncio.wait_for(jobs.running[0].wait(), 60) == 1
        assert jobs.row(job)["state"] == "ready"


@pytest.mark.parametrize("process", ["work", "serve --workers 2"])
@pytest.mark.postgresql
async def test_process_in_which_eight_handlers_hang_is_replaced(tmp_path, process):
    words = [*process.split(), "--no-migrate", *(() if process == "work" else ("--bind", "127.0.0.1:0"))]
    async with job_processes(tmp_path, [words], server={"drain_s": 0, "stop_s": 1}, jobs={"per_tenant": 20}) as jobs:
        site = jobs.tenant()
        clinging = [jobs.put("cling", site, 60) for _ in range(20)]
        await jobs.start()
        await jobs.until_begun(clinging)
        if process == "work":
            assert await asyncio.wait_for(jobs.running[0].wait(), 90) == 1
            assert {jobs.row(job)["deaths"] for job in clinging} == {0}
        else:
            pids = {one.pid for one in jobs.effects()}
            quick = jobs.put("last", jobs.tenant(), 0)
            await jobs.until_state([quick], "done", 120)
            await jobs.until_begun(clinging, 120, times=2)
            assert {one.pid for one in jobs.effects()} - pids
