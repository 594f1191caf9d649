"""The job worker of one process: leases jobs, runs them as tasks, and renews their leases.

The next dispatch stores the result of a job; if the process dies before that, the job runs again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from tortoise.exceptions import BaseORMException

from addonkit.current import current_runtime
from addonkit.database.sql import on_postgres
from addonkit.errors import AddonkitError
from addonkit.jobs.dispatcher import Dispatcher
from addonkit.jobs.executor import JobExecutor, error_text
from addonkit.jobs.job import JobResult, LeasedJob, failed, released
from addonkit.jobs.leases import leave_jobs, release_expired_leases
from addonkit.jobs.maintenance import hold_disabled_plugins, promote_due
from addonkit.jobs.observed import count_end, count_start
from addonkit.jobs.running import RunningJobs
from addonkit.jobs.schedules import Schedules
from addonkit.jobs.throttle import Throttle
from addonkit.log import structlog
from addonkit.work import JobSpec, JobState

POLL_S = 2.0
"""Longest pause between two polls of the queue, for jobs whose notification was lost."""
STORAGE_PAUSE_S = 1.0
CANCEL_S = 5.0
MAX_CYCLE_S = 0.02
"""Longest time that a cycle of the dispatcher is taken to have held the event loop."""

log = structlog.get_logger(__name__)


class JobWorker:
    """Leases jobs from the queue and runs them until it is stopped.

    Args:
        specs: Job handlers, by plugin and name.
        executor: Runs one attempt.
        concurrency: Maximum number of concurrent jobs in this process.
        per_tenant: Maximum number of concurrent jobs of one tenant, in all processes together.
        plugins: Names of the enabled plugins.
        name: The worker's name; by default one is made.
        on_exhausted: Called once, when so many handlers hang that the worker takes no more jobs.

    Attributes:
        name: The worker's name, unique among all processes.
        prepared: Set once the queue has been brought up to date at the start.
        throttle: Lets requests go first while this process serves any.
    """

    def __init__(
        self,
        specs: Mapping[tuple[str, str], JobSpec],
        executor: JobExecutor,
        *,
        concurrency: int,
        per_tenant: int,
        plugins: frozenset[str],
        name: str | None = None,
        on_exhausted: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name or f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.throttle = Throttle()
        self._executor, self._concurrency, self._plugins = executor, concurrency, plugins
        self._dispatcher = Dispatcher(self.name, per_tenant)
        self._schedules = Schedules([spec for spec in specs.values() if spec.schedule is not None])
        self._on_exhausted = on_exhausted
        self._running = RunningJobs(specs)
        self._results: list[JobResult] = []
        self._wakeup = asyncio.Event()
        self._stopping = False
        self._suspects = 0
        self._stopped_at: float | None = None
        self._hurry = asyncio.Event()
        self._is_cut_off = False
        self.prepared = asyncio.Event()
        self._next_due = 0.0

    async def run(self) -> None:
        """Run jobs until :meth:`stop` is called, or until cancelled."""
        with current_runtime().subscribed(self._wakeup.set):
            await self._prepare()
            while not self._is_finished():
                pause_s = await self._cycle_or_pause()
                if pause_s > 0 and not self._is_finished():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await self._wakeup.wait()

    async def run_suspect(self) -> bool:
        """Lease one suspect job and run it in a slot of its own until it ends; give whether there was one."""
        job = None if self._stopping else await self._dispatcher.lease_suspect()
        if job is None:
            return False
        self._suspects += 1
        try:
            await asyncio.wait(self._start([job]))
        finally:
            self._suspects -= 1
        return True

    async def run_suspects(self) -> None:
        """Run suspect jobs and nothing else, one after another, until there are none or the worker is stopped."""
        while await self.run_suspect():
            while self._results:
                results, self._results = self._results, []
                try:
                    await self._dispatcher.dispatch(results, 0)
                except AddonkitError as exc:
                    self._results = results + self._results
                    log.warning("jobs.storage_failed", reason=str(exc))
                    await asyncio.sleep(STORAGE_PAUSE_S)

    def stop_leasing(self) -> None:
        """Lease no more jobs; running jobs continue."""
        self._stopping = True
        self._stopped_at = self._stopped_at or time.monotonic()
        self._wakeup.set()

    def stopping_s(self) -> float:
        """Give the seconds since no more jobs are leased; 0 while they are."""
        return time.monotonic() - self._stopped_at if self._stopped_at else 0.0

    def hurry(self) -> None:
        """Let :meth:`stop` wait no longer for running jobs."""
        self._hurry.set()

    async def stop(self, within_s: float) -> bool:
        """Lease no more jobs, let running ones finish, and release those that do not.

        A job whose handler does not let itself be cancelled keeps its row until this process has ended: it must not run
        twice at once. Another process then releases it, and does not count a death.

        Args:
            within_s: Longest time for running jobs to finish, in seconds.

        Returns:
            Whether all jobs finished in time.
        """
        self.stop_leasing()
        await self._running.wait_finished(within_s, self._hurry)
        self._is_cut_off = True
        late = dict(self._running)
        for task, run in late.items():
            run.is_cut = True
            task.cancel()
        if late:
            await asyncio.wait(list(late), timeout=CANCEL_S)
            clinging = [run.job.id for task, run in late.items() if not task.done()]
            log.warning("jobs.released", count=len(late) - len(clinging))
            if clinging:
                await self._give_up(clinging)
        return not late

    async def _give_up(self, jobs: list[int]) -> None:
        """Leave jobs to other processes once this one has ended."""
        log.error("jobs.not_ended", jobs=jobs, reason="their handlers suppress CancelledError; let it pass")
        for task in [task for task, run in self._running.items() if run.job.id in jobs]:
            del self._running[task]
        try:
            await leave_jobs(self.name, jobs)
        except AddonkitError as exc:
            log.warning("jobs.storage_failed", reason=str(exc))

    def is_exhausted(self) -> bool:
        """Whether so many handlers hang that this worker takes no more jobs, so that its process must be replaced."""
        return self._running.is_exhausted()

    def running_ids(self) -> list[int]:
        """Give the ids of the jobs that run in this process."""
        return [run.job.id for run in self._running.values()]

    def is_idle(self) -> bool:
        """Whether no job runs and all results are stored."""
        return not self._running and not self._results

    def _is_finished(self) -> bool:
        return self._stopping and self.is_idle()

    async def _prepare(self) -> None:
        """Bring the queue up to date at start; retried until the database answers."""
        while not self._stopping and not self.prepared.is_set():
            try:
                await hold_disabled_plugins(self._plugins)
                await release_expired_leases(all_leases=not on_postgres())
                await self._schedules.register()
            except AddonkitError as exc:
                log.warning("jobs.storage_failed", reason=str(exc))
                await asyncio.sleep(STORAGE_PAUSE_S)
            else:
                self.prepared.set()

    async def _cycle_or_pause(self) -> float:
        """Run one cycle and return the seconds until the next one; after any error, pause instead of ending."""
        try:
            return await self._cycle()
        except (AddonkitError, BaseORMException, OSError) as exc:
            reason = str(exc) if isinstance(exc, AddonkitError) else type(exc).__name__
            log.warning("jobs.storage_failed", reason=reason)
        except Exception:
            # An error here would end all background work of this process.
            log.exception("jobs.loop_error")
        await asyncio.sleep(STORAGE_PAUSE_S)
        return 0.0

    async def _cycle(self) -> float:
        self._wakeup.clear()
        began = time.monotonic()
        await self._maintain()
        results, self._results = self._results, []
        with self._running.leasing():
            try:
                leased = await self._dispatcher.dispatch(results, self.free())
            except BaseException:
                self._results = results + self._results
                raise
            if self._is_cut_off:
                self._results += [released(job) for job in leased]
            elif leased:
                self._start(leased)
        if leased:
            # Half of it, within bounds: the rest of the time it waited for the database.
            self.throttle.used(min((time.monotonic() - began) / 2, MAX_CYCLE_S))
            await self.throttle.turn()
            # Jobs that wait for nothing end in the first pass of the loop and free their slots in the second, so that
            # one transaction stores their results and leases the next ones.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return 0.0
        self._next_due = await promote_due()
        return max(0.0, min(POLL_S, self._next_due - time.time()))

    async def _maintain(self) -> None:
        """Do the upkeep that is due."""
        if self._running.find_hung():
            self._on_exhausted()
        if self._next_due <= time.time():
            self._next_due = await promote_due()
        if not self._stopping:
            await self._schedules.enqueue_due()

    def free(self) -> int:
        """How many jobs may be leased; a suspect job has a slot of its own."""
        if self._stopping or self._running.is_exhausted():
            return 0
        return self._concurrency - len(self._running) + self._suspects

    def _start(self, leased: list[LeasedJob]) -> list[asyncio.Task[None]]:
        tasks = []
        for job in leased:
            task = asyncio.create_task(self._run(job), name=f"job {job.id}")
            self._running.add(task, job)
            task.add_done_callback(self._on_done)
            tasks.append(task)
        return tasks

    async def _run(self, job: LeasedJob) -> None:
        began = time.monotonic()
        count_start(job)
        try:
            result = await self.throttle.run(self._executor.run(job))
        except asyncio.CancelledError:
            self._finish(released(job), began)
            raise
        except Exception as exc:
            # An error of the runtime, such as a log that cannot be written. It must not make the job dead.
            result = failed(job, error_text(exc), None)
        if not result.is_done() and self._is_cut():
            result = released(job)  # the handler turned the cancellation into an error of its own
        if result.state is JobState.WAITING:
            self._next_due = min(self._next_due, result.due_at)
        self._finish(result, began)

    def _finish(self, result: JobResult, began: float) -> None:
        self._results.append(result)
        count_end(result, time.monotonic() - began)

    def _is_cut(self) -> bool:
        task = asyncio.current_task()
        run = None if task is None else self._running.get(task)
        return run is not None and run.is_cut

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wakeup.set()
