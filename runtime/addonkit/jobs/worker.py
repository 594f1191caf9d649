"""Running jobs in this process: so many at once, each in its site's scope, with a bound on its time.

What a handler gives or raises is written down by the next round; a process that dies before that runs the job again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from tortoise.exceptions import BaseORMException

from addonkit.context import Tenant
from addonkit.database.errors import storage_errors
from addonkit.database.sql import on_postgres
from addonkit.errors import AddonkitError
from addonkit.jobs.dispatcher import LEASE_S, Dispatcher
from addonkit.jobs.executor import JobExecutor
from addonkit.jobs.failures import told
from addonkit.jobs.job import JobResult, LeasedJob, failed, handed_back
from addonkit.jobs.maintenance import beat, bury_lost, has_suspects, promote, settle_plugins, unblock
from addonkit.jobs.schedules import Schedules
from addonkit.jobs.wakeup import subscribe
from addonkit.log import structlog
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobSpec, JobState

LOOK_EVERY_S = 2.0
"""How often to look without being told, for what other processes put into the queue."""
BEAT_S = LEASE_S / 4
SUSPECTS_EVERY_S = 10.0
STORAGE_PAUSE_S = 1.0
CANCEL_S = 5.0

log = structlog.get_logger(__name__)


class JobWorker:
    """Takes jobs from the queue and runs them until it is stopped.

    Args:
        specs: What can be run, by plugin and name.
        attempts: Runs one attempt.
        concurrency: Most jobs that run at once here.
        per_tenant: Most jobs of one tenant that run at once, in all processes.
        plugins: Names of the enabled plugins.

    Attributes:
        busy_at: When a page was last served here, by the monotonic clock: work in the background then takes less.
    """

    def __init__(
        self,
        specs: Mapping[tuple[str, str], JobSpec],
        attempts: JobExecutor,
        *,
        concurrency: int,
        per_tenant: int,
        plugins: frozenset[str],
    ) -> None:
        self.worker = f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.busy_at = 0.0
        self._attempts, self._concurrency, self._plugins = attempts, concurrency, plugins
        self._rounds = Dispatcher(self.worker, per_tenant)
        self._schedules = Schedules([spec for spec in specs.values() if spec.schedule is not None])
        self._running: dict[asyncio.Task[None], LeasedJob] = {}
        self._over: list[JobResult] = []
        self._bell = asyncio.Event()
        self._stopping = False
        self._suspecting = False
        self._next_due = self._next_beat = self._next_suspects = 0.0

    async def run(self) -> None:
        """Work until :meth:`stop` is called, or until cancelled."""
        with subscribe(self._bell.set):
            await self._begin()
            while not self._is_over():
                pause = await self._survive()
                if pause > 0 and not self._is_over():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._bell.wait()

    def take_no_more(self) -> None:
        """Begin nothing more; what runs goes on."""
        self._stopping = True
        self._bell.set()

    async def stop(self, within_s: float) -> bool:
        """Begin nothing more, let what runs end, and hand back what does not; give whether all ended by itself.

        Args:
            within_s: Longest time for what runs.
        """
        self.take_no_more()
        if self._running:
            await asyncio.wait(list(self._running), timeout=within_s)
        late = dict(self._running)
        for task in late:
            task.cancel()
        if late:
            log.warning("jobs.handed_back", count=len(late))
            await asyncio.wait(list(late), timeout=CANCEL_S)
        return not late

    def is_idle(self) -> bool:
        """Whether nothing runs and nothing is to be written down."""
        return not self._running and not self._over

    def _is_over(self) -> bool:
        return self._stopping and self.is_idle()

    async def _begin(self) -> None:
        """What a start sees to; tried again until the database answers."""
        while not self._stopping:
            try:
                await settle_plugins(self._plugins)
                await bury_lost(all_of_them=not on_postgres())
                await self._schedules.begin()
            except AddonkitError as away:
                log.warning("jobs.storage", reason=str(away))
                await asyncio.sleep(STORAGE_PAUSE_S)
            else:
                return

    async def _survive(self) -> float:
        """One round, whatever happens in it; give how long to wait for the next one."""
        try:
            return await self._round()
        except (AddonkitError, BaseORMException, OSError) as away:
            log.warning("jobs.storage", reason=str(away) if isinstance(away, AddonkitError) else type(away).__name__)
        except Exception:
            # a fault here would end all work of this process
            log.exception("jobs.stumbled")
        await asyncio.sleep(STORAGE_PAUSE_S)
        return 0.0

    async def _round(self) -> float:
        self._bell.clear()
        began = time.monotonic()
        await self._keep_up(began)
        over, self._over = self._over, []
        try:
            taken = await self._rounds.take(over, self._free(), suspect=self._takes_suspect())
        except BaseException:
            self._over = over + self._over
            raise
        if taken:
            await self._start(taken)
            await self._yield_to_pages(time.monotonic() - began)
            return 0.0
        self._next_due = await promote()
        return max(0.0, min(LOOK_EVERY_S, self._next_due - time.time()))

    async def _keep_up(self, now: float) -> None:
        if self._next_due <= time.time():
            self._next_due = await promote()
        if now >= self._next_beat:
            self._next_beat = now + BEAT_S
            await beat(self.worker, [job.id for job in self._running.values()])
            await bury_lost()
            await unblock()
        if now >= self._next_suspects or (self._suspecting and not self._running):
            self._next_suspects = now + SUSPECTS_EVERY_S
            self._suspecting = await has_suspects()
        if not self._stopping:
            await self._schedules.look()

    def _free(self) -> int:
        """How many may begin; while it is time for one that a process has died with, none beside it."""
        return 0 if self._stopping or self._suspecting else self._concurrency - len(self._running)

    def _takes_suspect(self) -> bool:
        return self._suspecting and not self._running and not self._stopping

    async def _start(self, taken: list[LeasedJob]) -> None:
        try:
            tenants = await _tenants_of(taken)
        except BaseException:
            self._over += [handed_back(job) for job in taken]
            raise
        for job in taken:
            task = asyncio.create_task(self._run(job, tenants.get(job.tenant_id)), name=f"job {job.id}")
            self._running[task] = job
            task.add_done_callback(self._ended)

    async def _run(self, job: LeasedJob, tenant: Tenant | None) -> None:
        try:
            outcome = await self._attempts.outcome(job, tenant)
        except asyncio.CancelledError:
            self._over.append(handed_back(job))
            raise
        except Exception as wrong:
            # a fault of ours, such as a log that cannot be written: the job has done nothing to be given up for
            outcome = failed(job, told(wrong), None)
        if outcome.state is JobState.WAITING:
            self._next_due = min(self._next_due, outcome.due_at)
        self._over.append(outcome)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._bell.set()

    async def _yield_to_pages(self, took: float) -> None:
        """Let pages have the larger part of this process while somebody looks at some."""
        busy = time.monotonic() - self.busy_at < 0.2
        await asyncio.sleep(took * 3 if busy else 0)


async def _tenants_of(jobs: list[LeasedJob]) -> dict[int, Tenant]:
    numbers = {job.tenant_id for job in jobs if job.tenant_id}
    if not numbers:
        return {}
    with storage_errors():
        return {row.id: row.as_tenant() for row in await TenantRow.filter(id__in=sorted(numbers))}
