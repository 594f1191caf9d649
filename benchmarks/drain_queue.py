"""Fill a deployment's queue, run the jobs, and print the duration as JSON: ``drain_queue.py addon.toml COUNT [MODE]``.

Modes: ``fill`` only fills the queue, and ``fill5`` with jobs of five milliseconds of CPU time. ``left`` prints the
number of jobs that are not done, and deletes all. ``backlog`` adds a million jobs that cannot run now, once: half of
them have an order key and belong to a plugin that is not enabled, the other half are due in a day.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import uvloop
from addonkit.app import Addon, Deployment
from addonkit.database import CONNECTION
from addonkit.database.sql import execute, fetch, on_postgres
from addonkit.jobs.queue import insert_jobs
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobKind, NewJob
from tortoise.transactions import in_transaction

STEP = 1000
BACKLOG_ROWS = 1_000_000
# Every other row is held, or blocked behind one that is held: four jobs to an order key.
BACKLOG = """
INSERT INTO addonkit_job (tenant_id, plugin, name, kind, payload, version, facts, order_key, state, due_at, created_at,
    starts, failures, deaths)
SELECT n % 1000, CASE WHEN n % 2 = 0 THEN 'switched_off' ELSE 'bench_page' END, 'nothing', 'job', '', 1, '{{}}',
    CASE WHEN n % 2 = 0 THEN 'key ' || (n / 4000) END,
    CASE WHEN n % 2 = 1 THEN 'waiting' WHEN n / 1000 % 4 = 0 THEN 'held' ELSE 'blocked' END, ?, ?, 0, 0, 0
FROM {}
"""


async def fill(count: int, cpu_ms: int = 0) -> None:
    """Enqueue jobs for the sites in turn."""
    name, payload = ("work" if cpu_ms else "nothing"), json.dumps({"number": cpu_ms or 1}).encode()
    sites = [row.id for row in await TenantRow.all().only("id")]
    for first in range(0, count, STEP):
        numbers = range(first, min(count, first + STEP))
        async with in_transaction(CONNECTION):
            await insert_jobs(
                [NewJob("bench_page", name, JobKind.JOB, payload, tenant_id=sites[n % len(sites)]) for n in numbers]
            )


async def add_backlog(count: int) -> None:
    """Insert jobs that cannot run now, unless they are there."""
    if (await fetch("SELECT count(*) AS number FROM addonkit_job WHERE plugin = 'switched_off'"))[0]["number"]:
        return
    numbers = (
        f"generate_series(1, {count}) AS t(n)"
        if on_postgres()
        else f"(WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {count}) SELECT n FROM t) AS t"
    )
    await execute(BACKLOG.format(numbers), [time.time() + 86400, time.time()])
    await execute("ANALYZE addonkit_job")


async def measure(config: Path, count: int, mode: str) -> dict[str, float]:
    """Run the jobs; return their number, the elapsed seconds, and the seconds of CPU time of this process."""
    addon = Addon(Deployment.read(config))
    async with addon.database():
        if mode == "backlog":
            await add_backlog(BACKLOG_ROWS)
        if mode == "left":
            [row] = await fetch("SELECT count(*) AS jobs FROM addonkit_job WHERE state <> 'done'")
            await execute("DELETE FROM addonkit_job")
            return {"jobs": row["jobs"]}
        await fill(count, int(mode.removeprefix("fill") or 0) if mode.startswith("fill") else 0)
    if mode.startswith("fill"):
        return {"jobs": count}
    began, core = time.perf_counter(), time.process_time()
    await addon.start(working=True)
    await addon.settled()
    took, used = time.perf_counter() - began, time.process_time() - core
    await addon.stop()
    return {"jobs": count, "clock_s": took, "cpu_s": used}


if __name__ == "__main__":
    measured = uvloop.run(measure(Path(sys.argv[1]), int(sys.argv[2]), "".join(sys.argv[3:])))
    sys.stdout.write(json.dumps(measured))
