"""Counts attempts at jobs for the metrics of the current add-on, if anybody can read them."""

from __future__ import annotations

from addonkit.current import current_runtime
from addonkit.jobs.job import JobResult, LeasedJob

PROCESS_DIED = "process_died"
"""Why a job is attempted again if its process died."""


def count_start(job: LeasedJob) -> None:
    """Count an attempt that begins."""
    if (observer := current_runtime().job_observer) is not None:
        observer.job_started(job.plugin, job.waited_s)


def count_end(result: JobResult, seconds: float) -> None:
    """Count an attempt that has ended after so many seconds, and the reason if the job is attempted again."""
    if (observer := current_runtime().job_observer) is None:
        return
    job = result.job
    traceparent = job.traceparent
    observer.job_ended(job.plugin, job.name, result.outcome, seconds, job_id=job.id, traceparent=traceparent)
    if result.reason:
        observer.job_retried(job.plugin, result.reason)


def count_lost(plugin: str, *, died: bool) -> None:
    """Count a job that is attempted again because its process died, or has stopped."""
    if (observer := current_runtime().job_observer) is not None:
        observer.job_retried(plugin, PROCESS_DIED if died else "stopped")
