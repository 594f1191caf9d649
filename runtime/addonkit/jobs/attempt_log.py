"""The values that each log line of an attempt at a job has."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from addonkit.jobs.job import LeasedJob
from addonkit.log import PLUGIN, TENANT, WEBHOOK, LogValues, log_variable
from addonkit.origin import Origin
from addonkit.work import JobKind

JOB, JOB_ID = log_variable("job"), log_variable("job_id")


def attempt_log(job: LeasedJob, origin: Origin) -> LogValues:
    """Set the values for a ``with`` block.

    Args:
        job: The job.
        origin: The request and the trace that the attempt belongs to.
    """
    values: list[tuple[ContextVar[Any], Any]] = [
        (PLUGIN, job.plugin),
        (JOB, f"{job.name} {job.id}"),
        (JOB_ID, job.id),
        *origin.log_values(),
    ]
    if job.tenant is not None:
        values.append((TENANT, job.tenant.key))
    if job.kind is JobKind.WEBHOOK and (identifier := job.facts.get("identifier")):
        values.append((WEBHOOK, identifier))
    return LogValues(values)
