"""The jobs that run in one process, and which of their handlers hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from addonkit.jobs.job import LeasedJob
from addonkit.log import structlog
from addonkit.supervised_task import first_of
from addonkit.work import JobSpec

HUNG_AFTER_S = 30.0
"""How long after its time limit a handler that does not let itself be ended is called hung."""
MAX_HUNG = 8
"""Number of hung handlers at which a worker takes no more jobs, until its process is replaced."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RunningJob:
    """One attempt that runs in this process.

    Attributes:
        job: The job.
        limit_s: Its time limit.
        hung_at: When its handler counts as hung, by the monotonic clock.
        is_hung: Whether it does.
        is_cut: Whether the worker has cancelled it in order to stop.
    """

    job: LeasedJob
    limit_s: float
    hung_at: float
    is_hung: bool = False
    is_cut: bool = False


class RunningJobs(dict[asyncio.Task[None], RunningJob]):
    """The jobs that run in one process, by the task that runs each.

    Args:
        specs: Job handlers, by plugin and name.
    """

    def __init__(self, specs: Mapping[tuple[str, str], JobSpec]) -> None:
        super().__init__()
        self._specs = specs
        self._was_exhausted = False
        self._has_leased = asyncio.Event()
        self._has_leased.set()

    @contextmanager
    def leasing(self) -> Iterator[None]:
        """Note, for a block, that jobs are being leased, which are added at its end."""
        self._has_leased.clear()
        try:
            yield
        finally:
            self._has_leased.set()

    async def wait_finished(self, within_s: float, hurry: asyncio.Event) -> None:
        """Wait until no job runs, or until the time is over or ``hurry`` is set.

        Jobs that were being leased when no more were to be leased begin later, and get the same time.
        """
        end = time.monotonic() + within_s
        while (self or not self._has_leased.is_set()) and not hurry.is_set():
            if (left_s := end - time.monotonic()) <= 0:
                return
            finished = asyncio.wait(list(self)) if self else self._has_leased.wait()
            await first_of(finished, hurry.wait(), within_s=left_s)

    def add(self, task: asyncio.Task[None], job: LeasedJob) -> None:
        """Add a job that a task has begun to run."""
        spec = self._specs.get((job.plugin, job.name))
        limit_s = 0.0 if spec is None else spec.timeout_s
        self[task] = RunningJob(job, limit_s, time.monotonic() + limit_s + HUNG_AFTER_S)

    def find_hung(self) -> bool:
        """Log handlers that run long after their time limit, because they do not let themselves be ended.

        Returns:
            Whether so many hang, for the first time, that the worker takes no more jobs.
        """
        now = time.monotonic()
        for run in self.values():
            if not run.is_hung and now >= run.hung_at:
                run.is_hung = True
                reason = (
                    f"its handler still runs {HUNG_AFTER_S:g} s after its time limit of {run.limit_s:g} s; "
                    "let CancelledError pass"
                )
                job = run.job
                facts = {"plugin": job.plugin, "name": job.name, "request_id": job.request_id}
                log.error("job.hung", job=job.id, job_id=job.id, reason=reason, **facts)
        if self._was_exhausted or not self.is_exhausted():
            return False
        self._was_exhausted = True
        log.error("jobs.exhausted", reason=f"{MAX_HUNG} handlers hang; this process takes no more jobs, restart it")
        return True

    def is_exhausted(self) -> bool:
        """Whether so many handlers hang that the worker takes no more jobs, so that its process must be replaced."""
        return sum(run.is_hung for run in self.values()) >= MAX_HUNG
