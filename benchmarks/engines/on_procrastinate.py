"""procrastinate: asyncio worker, psycopg connector, and the task for stalled jobs of its documentation, each minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from driver import CONCURRENCY, Handler, Job
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException


class Procrastinate:
    """A queue of procrastinate."""

    def __init__(self, app: App, name: str) -> None:
        self._app, self._name = app, name
        self._handler: Handler | None = None
        self._task = app.task(name="run")(self._run)
        app.periodic(cron="* * * * *")(
            app.task(name="retry_stalled", queueing_lock="retry_stalled", pass_context=True)(self._retry_stalled)
        )

    async def put(self, jobs: Sequence[Job]) -> None:
        """Defer jobs in a batch."""
        await self._task.batch_defer_async(*({"site": site, "number": number} for site, number in jobs))

    @asynccontextmanager
    async def running(self, handler: Handler) -> AsyncIterator[None]:
        """Run a worker."""
        self._handler = handler
        worker = self._app.run_worker_async(name=self._name, concurrency=CONCURRENCY, install_signal_handlers=False)
        task = asyncio.create_task(worker)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _run(self, site: str, number: int) -> None:
        assert self._handler is not None
        await self._handler(site, number)

    async def _retry_stalled(self, context: JobContext, timestamp: int) -> None:
        for job in await self._app.job_manager.get_stalled_jobs():
            await self._app.job_manager.retry_job(job)


@asynccontextmanager
async def engine(database: str, name: str) -> AsyncIterator[Procrastinate]:
    """Open the queue in a database; the first process creates its schema."""
    app = App(connector=PsycopgConnector(conninfo=database))
    async with app.open_async():
        if not await app.check_connection_async():
            try:
                await app.schema_manager.apply_schema_async()
            except ConnectorException:
                # Another process has created it.
                await asyncio.sleep(1)
        yield Procrastinate(app, name)
