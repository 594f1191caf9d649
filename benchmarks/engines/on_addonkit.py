"""The queue of addonkit with its default settings, in a deployment; the database is named by its ``addon.toml``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import addonkit_bench_page
from addonkit.app import Addon, Deployment
from addonkit.database import CONNECTION
from addonkit.jobs.queue import insert_jobs, notify_workers
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobKind, NewJob
from driver import Handler, Job
from tortoise.transactions import in_transaction


class Queue:
    """The queue of a deployment, whose tenants stand for the sites in turn."""

    def __init__(self, addon: Addon) -> None:
        self._addon = addon
        self._is_running = False
        self._tenants: list[int] = []
        self._places: dict[str, int] = {}

    async def put(self, jobs: Sequence[Job]) -> None:
        """Insert jobs in one transaction, as webhooks are stored."""
        if self._is_running:
            with self._addon.scope():
                await self._insert(jobs)
        else:
            async with self._addon.database():
                self._tenants = [row.id for row in await TenantRow.all().only("id")]
                await self._insert(jobs)

    @asynccontextmanager
    async def running(self, handler: Handler) -> AsyncIterator[None]:
        """Run jobs in this process, as ``addonkit work`` does."""
        addonkit_bench_page.handlers[:] = [handler]
        await self._addon.start(working=True)
        self._is_running = True
        yield
        await self._addon.stop()

    async def _insert(self, jobs: Sequence[Job]) -> None:
        async with in_transaction(CONNECTION):
            await insert_jobs([self._job(site, number) for site, number in jobs])
            await notify_workers()

    def _job(self, site: str, number: int) -> NewJob:
        place = self._places.setdefault(site, len(self._places)) % len(self._tenants)
        payload = json.dumps({"site": site, "number": number}).encode()
        return NewJob("bench_page", "call", JobKind.JOB, payload, tenant_id=self._tenants[place])


@asynccontextmanager
async def engine(database: str, _: str) -> AsyncIterator[Queue]:
    """Use the deployment with this ``addon.toml``."""
    yield Queue(Addon(Deployment.read(Path(database))))
