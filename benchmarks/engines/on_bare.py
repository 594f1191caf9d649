"""The baseline: a table, 32 rows claimed by one statement, and deleted by another when they are done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from driver import CONCURRENCY, Handler, Job

CREATE = """
CREATE TABLE IF NOT EXISTS bare_job (id bigserial PRIMARY KEY, site text, number int, claimed bool DEFAULT false)
"""
CLAIM = f"""
UPDATE bare_job SET claimed = true FROM (
    SELECT id FROM bare_job WHERE NOT claimed ORDER BY id LIMIT {CONCURRENCY} FOR UPDATE SKIP LOCKED
) AS next WHERE bare_job.id = next.id RETURNING bare_job.id, site, number
"""
DELETE = "DELETE FROM bare_job WHERE id = ANY($1)"
IDLE_S = 0.01


class Bare:
    """A queue without turns, order, retries, leases or recovery."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, jobs: Sequence[Job]) -> None:
        """Insert rows."""
        await self._pool.executemany("INSERT INTO bare_job (site, number) VALUES ($1, $2)", jobs)

    @asynccontextmanager
    async def running(self, handler: Handler) -> AsyncIterator[None]:
        """Run a worker."""
        task = asyncio.create_task(self._work(handler))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _work(self, handler: Handler) -> None:
        while True:
            if rows := await self._pool.fetch(CLAIM):
                await asyncio.gather(*(handler(row["site"], row["number"]) for row in rows))
                await self._pool.execute(DELETE, [row["id"] for row in rows])
            else:
                await asyncio.sleep(IDLE_S)


@asynccontextmanager
async def engine(database: str, _: str) -> AsyncIterator[Bare]:
    """Open the queue in a database."""
    async with asyncpg.create_pool(database, min_size=1) as pool:
        await pool.execute(CREATE)
        yield Bare(pool)
