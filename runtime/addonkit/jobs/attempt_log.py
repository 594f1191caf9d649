"""The values that each log line of an attempt at a job has."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import Any

from addonkit.jobs.job import LeasedJob
from addonkit.log import PLUGIN, REQUEST_ID, TENANT, TRACE_ID, WEBHOOK, log_variable
from addonkit.origin import Origin
from addonkit.work import JobKind

JOB, JOB_ID = log_variable("job"), log_variable("job_id")


class AttemptLog:
    """Sets the values for a ``with`` block, and then those that were before.

    Args:
        job: The job.
        origin: The request and the trace that the attempt belongs to.
    """

    __slots__ = ("_job", "_origin", "_tokens")

    def __init__(self, job: LeasedJob, origin: Origin) -> None:
        self._job, self._origin = job, origin

    def __enter__(self) -> None:
        job, origin = self._job, self._origin
        self._tokens: list[Token[Any]] = [
            PLUGIN.set(job.plugin),
            JOB.set(f"{job.name} {job.id}"),
            JOB_ID.set(job.id),
        ]
        if job.tenant is not None:
            self._tokens.append(TENANT.set(job.tenant.key))
        if job.kind is JobKind.WEBHOOK and (identifier := job.facts.get("identifier")):
            self._tokens.append(WEBHOOK.set(identifier))
        if origin.request_id is not None:
            self._tokens.append(REQUEST_ID.set(origin.request_id))
            if (trace_id := origin.foreign_trace_id) is not None:
                self._tokens.append(TRACE_ID.set(trace_id))
        else:
            self._tokens.append(TRACE_ID.set(origin.trace.trace_id))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for token in self._tokens:
            token.var.reset(token)
