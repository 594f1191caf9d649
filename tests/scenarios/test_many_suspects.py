"""Jobs that a process died with run again, alone in a child process, while everything else goes on."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from pathlib import Path

import pytest

from tests.support.job_processes import job_processes
from tests.support.served import until

pytestmark = pytest.mark.crash
SERVE = ("serve", "--no-migrate", "--bind", "127.0.0.1:0")
WORK = ("work", "--no-migrate")
SOON_S = 6.0
"""Far less than the lost jobs take together, and enough for a busy machine."""


async def put_until(jobs, other, is_over):
    """Put a short job of another site every half second; give the ids."""
    quick = []
    while not is_over():
        quick.append((jobs.put("last", other, 0), time.time()))
        await asyncio.sleep(0.5)
    return quick


def delays(jobs, quick):
    """How long each of these jobs waited for its start, from the start of the first one on.

    Those that were put earlier waited for a process to start.
    """
    began = [(put, jobs.effects(job)[0].at) for job, put in quick]
    first = min(at for _, at in began)
    return [at - put for put, at in began if put >= first]


@pytest.mark.parametrize(("count", "seconds"), [(1, 12), (3, 4), (8, 2), (16, 1), (4, 3)])
@pytest.mark.sqlite
async def test_lost_jobs_do_not_stop_other_jobs_of_a_single_process(tmp_path, count, seconds):
    async with job_processes(tmp_path, [SERVE]) as jobs:
        site, other = jobs.tenant(), jobs.tenant()
        lost = [jobs.put("last", site + number % 2, seconds) for number in range(count)]
        await jobs.start()
        await jobs.until_begun(lost)
        await jobs.kill()
        await jobs.start()
        quick = await put_until(jobs, other, lambda: all(jobs.row(job)["state"] == "done" for job in lost))
        await jobs.until_state([job for job, _ in quick], "done")
        assert max(delays(jobs, quick)) < SOON_S
        assert {jobs.row(job)["starts"] for job, _ in quick} == {1}
        assert await jobs.end() == 0


@pytest.mark.postgresql
async def test_lost_jobs_run_on_several_survivors_while_others_go_on(tmp_path):
    async with job_processes(tmp_path, [WORK, WORK, WORK]) as jobs:
        site, other = jobs.tenant(), jobs.tenant()
        await jobs.start(0)
        lost = [jobs.put("last", site, 6) for _ in range(4)]
        await jobs.until_begun(lost)
        await jobs.start(1)
        await jobs.start(2)
        await asyncio.sleep(5)
        killed_at = time.time()
        await jobs.kill(0)
        quick = await put_until(jobs, other, lambda: all(jobs.row(job)["state"] == "done" for job in lost))
        await jobs.until_state([job for job, _ in quick], "done")
        assert max(delays(jobs, quick)) < SOON_S
        again = [[one for one in jobs.effects(job) if one.at > killed_at] for job in lost]
        assert min(one.at for run in again for one in run) - killed_at < 20
        spans = sorted((run[0].at, run[-1].at, run[0].pid) for run in again)
        pids = {pid for *_, pid in spans}
        assert len(pids) >= 2, "suspects run on several processes at once"
        assert any(first[1] > second[0] for first, second in itertools.pairwise(spans))
        own = {process.pid for process in jobs.running.values()}
        assert not pids & own, "a suspect runs in a process of its own"
        for pid in pids:
            mine = [span for span in spans if span[2] == pid]
            assert all(first[1] <= second[0] for first, second in itertools.pairwise(mine))


@pytest.mark.parametrize(("killer", "seconds"), [("kill", 0), ("kill", 1), ("kill", 3), ("leave", 0), ("leave", 2)])
@pytest.mark.sqlite
async def test_job_that_kills_its_process_dies_alone(tmp_path, killer, seconds):
    async with job_processes(tmp_path, [SERVE]) as jobs:
        site = jobs.tenant()
        await jobs.start()
        poison = jobs.put(killer, site, seconds)
        await asyncio.wait_for(jobs.running[0].wait(), 60)
        await jobs.start()
        await jobs.until_begun([poison], times=2)
        neighbours = [jobs.put("last", site, 5) for _ in range(3)]
        await jobs.until_state([poison], "dead", 120)
        await jobs.until_state(neighbours, "done")
        assert jobs.row(poison)["error"] == "5 processes died while it ran"
        assert [jobs.row(job)["starts"] for job in neighbours] == [1, 1, 1]
        assert jobs.running[0].returncode is None
        assert len({one.pid for one in jobs.effects(poison)}) == 5


@pytest.mark.sqlite
async def test_child_ends_with_its_parent(tmp_path):
    async with job_processes(tmp_path, [SERVE]) as jobs:
        lost = jobs.put("last", jobs.tenant(), 60)
        await jobs.start()
        await jobs.until_begun([lost])
        await jobs.kill()
        await jobs.start()
        await jobs.until_begun([lost], times=2)
        child = jobs.effects(lost)[-1].pid
        await jobs.kill()

        def is_gone():
            try:
                os.kill(child, 0)
            except ProcessLookupError:
                return True
            return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"

        await until(is_gone, 10)


@pytest.mark.sqlite
async def test_suspect_that_does_not_finish_is_released_at_shutdown_without_a_death(tmp_path):
    async with job_processes(tmp_path, [SERVE], server={"drain_s": 0, "stop_s": 1}) as jobs:
        lost = jobs.put("last", jobs.tenant(), 50)
        await jobs.start()
        await jobs.until_begun([lost])
        await jobs.kill()
        await jobs.start()
        await jobs.until_begun([lost], times=2)
        assert await jobs.end() == 1
        row = jobs.row(lost)
        assert (row["state"], row["deaths"]) == ("ready", 1)
