"""pgqueuer with its asyncpg driver and a pool; a heartbeat of 30 s, its default."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from driver import CONCURRENCY, Handler, Job
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job as PgQueuerJob
from pgqueuer.queries import Queries


class Queue:
    """A queue of pgqueuer."""

    def __init__(self, driver: AsyncpgPoolDriver) -> None:
        self._driver, self._queries = driver, Queries(driver)

    async def put(self, jobs: Sequence[Job]) -> None:
        """Enqueue jobs in a batch."""
        payloads: list[bytes | None] = [json.dumps(job).encode() for job in jobs]
        await self._queries.enqueue(["run"] * len(jobs), payloads, [0] * len(jobs))

    @asynccontextmanager
    async def running(self, handler: Handler) -> AsyncIterator[None]:
        """Run a worker."""
        queuer = PgQueuer(self._driver)

        @queuer.entrypoint("run")
        async def run(job: PgQueuerJob) -> None:
            site, number = json.loads(job.payload or b"")
            await handler(site, number)

        task = asyncio.create_task(queuer.run(batch_size=CONCURRENCY, max_concurrent_tasks=2 * CONCURRENCY))
        yield
        queuer.shutdown.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def engine(database: str, _: str) -> AsyncIterator[Queue]:
    """Open the queue in a database; the first process creates its schema."""
    async with asyncpg.create_pool(database) as pool:
        driver = AsyncpgPoolDriver(pool)
        if not await pool.fetchval("SELECT to_regclass('pgqueuer') IS NOT NULL"):
            await Queries(driver).install()
        yield Queue(driver)
