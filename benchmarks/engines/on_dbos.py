"""DBOS: a queue polled each second, its default; each worker has its own executor id, as on several machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dbos import DBOS
from driver import Handler, Job

QUEUE = "bench"
AT_ONCE = 32
handlers: list[Handler] = []


@DBOS.workflow()
async def run(site: str, number: int) -> None:
    """Run one job."""
    await handlers[0](site, number)


class Workflows:
    """A queue of DBOS, launched when it is first used, since it then runs again what its executor had begun."""

    def __init__(self) -> None:
        self._is_launched = False

    async def put(self, jobs: Sequence[Job]) -> None:
        """Enqueue workflows, several at once, since there is no call for many."""
        self._launch()
        left = iter(jobs)

        async def enqueue() -> None:
            for site, number in left:
                await DBOS.enqueue_workflow_async(QUEUE, run, site, number)

        await asyncio.gather(*(enqueue() for _ in range(AT_ONCE)))

    @asynccontextmanager
    async def running(self, handler: Handler) -> AsyncIterator[None]:
        """Take workflows from the queue."""
        handlers[:] = [handler]
        self._launch()
        await DBOS.register_queue_async(QUEUE)
        yield

    def _launch(self) -> None:
        if not self._is_launched:
            DBOS.launch()
            self._is_launched = True


@asynccontextmanager
async def engine(database: str, name: str) -> AsyncIterator[Workflows]:
    """Use DBOS with a database."""
    DBOS(config={"name": "bench", "system_database_url": database, "executor_id": name, "log_level": "ERROR"})
    yield Workflows()
    DBOS.destroy()
