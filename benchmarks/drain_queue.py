"""Fill a deployment's queue, run the jobs, print the duration as JSON: ``drain_queue.py addon.toml COUNT [fill]``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import uvloop
from addonkit.app import Addon, Deployment
from addonkit.database import CONNECTION
from addonkit.jobs.queue import insert_jobs
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobKind, NewJob
from tortoise.transactions import in_transaction

STEP = 1000


async def fill(count: int) -> None:
    """Enqueue jobs for the sites in turn."""
    sites = [row.id for row in await TenantRow.all().only("id")]
    for first in range(0, count, STEP):
        numbers = range(first, min(count, first + STEP))
        async with in_transaction(CONNECTION):
            await insert_jobs(
                [
                    NewJob("bench_page", "nothing", JobKind.JOB, b'{"number": 1}', tenant_id=sites[n % len(sites)])
                    for n in numbers
                ]
            )


async def measure(config: Path, count: int, only_fill: bool) -> dict[str, float]:
    """Run the jobs; return their number, the elapsed seconds, and the seconds of CPU time of this process."""
    addon = Addon(Deployment.read(config))
    async with addon.database():
        await fill(count)
    if only_fill:
        return {"jobs": count}
    began, core = time.perf_counter(), time.process_time()
    await addon.start(working=True)
    await addon.settled()
    took, used = time.perf_counter() - began, time.process_time() - core
    await addon.stop()
    return {"jobs": count, "clock_s": took, "cpu_s": used}


if __name__ == "__main__":
    measured = uvloop.run(measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["fill"]))
    sys.stdout.write(json.dumps(measured))
