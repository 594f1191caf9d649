"""A job that this process has leased, and the result of one attempt at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from addonkit.backoff import backoff_s
from addonkit.context import Tenant
from addonkit.origin import Origin, Trace
from addonkit.tenancy.models import tenant_of
from addonkit.webhook_event import WebhookEvent
from addonkit.work import JobKind, JobState

FIRST_BACKOFF_S = 2.0
MAX_BACKOFF_S = 3600.0
APPROVAL_PAUSE_S = 300.0
"""How long a job waits whose site has not approved a scope; an approval may take days."""


@dataclass(slots=True)  # if it were frozen, making one would take much longer
class LeasedJob:
    """A job that belongs to this process until its lease expires.

    Attributes:
        id: The job's number.
        tenant_id: Number of its tenant; 0 is the deployment itself.
        plugin: The plugin that handles it.
        name: Name of its handler within the plugin.
        kind: What enqueued it.
        payload: JSON, or the body of a webhook.
        version: Version of the payload.
        facts: Further JSON values, such as a webhook's objects.
        dedupe: Its dedupe key; for a webhook, the host's identifier of the delivery.
        order: Its order key.
        starts: Number of times it was started, including this time.
        failures: Number of failed attempts.
        created_at: When it was enqueued, Unix time in seconds.
        deaths: Number of processes that have died with it since it last ended by itself.
        request_id: Id of the inbound request that it comes from.
        traceparent: The trace that it belongs to.
        waited_s: How long after its due time it was leased, in seconds.
        fault: Why its row cannot be read by this release; kind, payload and facts are placeholders then.
        tenant: Its tenant, as stored when it was leased; None if it concerns the deployment, or the tenant was purged.
    """

    id: int
    tenant_id: int
    plugin: str
    name: str
    kind: JobKind
    payload: bytes = field(repr=False)
    version: int
    facts: Mapping[str, Any]
    dedupe: str | None
    order: str | None
    starts: int
    failures: int
    created_at: float
    deaths: int = 0
    waited_s: float = 0.0
    request_id: str | None = None
    traceparent: str | None = None
    fault: str | None = None
    tenant: Tenant | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any], tenant_row: Mapping[str, Any] | None) -> LeasedJob:
        """Read the rows of a leased job and its tenant; a fault in them must not stop the jobs leased with it."""
        fault, tenant = None, None
        try:
            kind, payload, facts = JobKind(row["kind"]), _payload(row["payload"]), read_facts(row["facts"])
            tenant = None if tenant_row is None else tenant_of(tenant_row, row["tenant_id"])
        except (TypeError, ValueError) as error:
            kind, payload, facts = JobKind.JOB, b"", {}
            fault = f"its row cannot be read by this release of addonkit: {error}"
        return cls(
            id=row["id"],
            tenant_id=row["tenant_id"],
            plugin=row["plugin"],
            name=row["name"],
            kind=kind,
            payload=payload,
            version=row["version"],
            facts=facts,
            dedupe=row["dedupe"],
            order=row["order_key"],
            starts=row["starts"],
            failures=row["failures"],
            deaths=row["deaths"],
            created_at=row["created_at"],
            waited_s=max(0.0, row["waited_s"]),
            request_id=row["request_id"],
            traceparent=row["traceparent"],
            fault=fault,
            tenant=tenant,
        )

    def origin(self, position: Callable[[], Trace | None] | None = None) -> Origin:
        """Return the request and the trace that this attempt belongs to; without one, a new trace begins.

        Args:
            position: Returns the position of the span that is being recorded, if spans are recorded.
        """
        return Origin(self.request_id, self.traceparent, position)

    def event(self, name: str, tenant: Tenant) -> WebhookEvent:
        """Return the event that a webhook's handler receives."""
        facts = self.facts
        return WebhookEvent(
            name=name,
            tenant=tenant,
            body=self.payload,
            received_at=datetime.fromtimestamp(self.created_at, UTC),
            objects=facts.get("objects", {}),
            identifier=facts.get("identifier"),
            retry=facts.get("retry", 0),
            flow=facts.get("flow", ""),
        )


@dataclass(slots=True)  # as above
class JobResult:
    """The result of one attempt, to be written by the SETTLE statement.

    Attributes:
        job: The job.
        state: Its new state.
        due_at: When it may start again, Unix time in seconds by this process's clock; 0 is now.
        failures: Number of failed attempts so far.
        error: The error text.
        counts: Whether the attempt counts as a start.
        reason: Why the job is attempted again, a fixed word; empty if it is not.
    """

    job: LeasedJob
    state: JobState
    due_at: float = 0.0
    failures: int = 0
    error: str | None = None
    counts: bool = True
    reason: str = ""

    def values(self) -> list[Any]:
        """Bind values for the SETTLE statement, in its column order."""
        pause_s = max(0.0, self.due_at - time.time()) if self.due_at else 0.0
        starts = self.job.starts - (0 if self.counts else 1)
        # An attempt that was broken off says nothing about whether the job kills its process.
        deaths = self.job.deaths if self.state is JobState.READY else 0
        return [
            *(str(self.state), pause_s, self.is_final(), starts, self.failures, self.error, deaths),
            *(self.job.id, self.job.starts),
        ]

    @property
    def outcome(self) -> str:
        """What became of the attempt, for the metrics; see :class:`addonkit.work.JobObserver`."""
        if self.state is JobState.WAITING:
            return "failed" if self.counts else "paused"
        return "released" if self.state is JobState.READY else str(self.state)

    def is_done(self) -> bool:
        """Whether the handler returned."""
        return self.state is JobState.DONE

    def is_final(self) -> bool:
        """Whether the job is finished."""
        return self.state in (JobState.DONE, JobState.DEAD)


def _payload(stored: object) -> bytes:
    if not isinstance(stored, bytes | bytearray | memoryview):
        raise TypeError(f"the payload is stored as {type(stored).__name__}, not as bytes")
    return bytes(stored)


def read_facts(stored: str) -> dict[str, Any]:
    """Return the facts of a stored job.

    Raises:
        ValueError: They are not JSON.
        TypeError: They are not an object.
    """
    facts = orjson.loads(stored)
    if not isinstance(facts, dict):
        raise TypeError(f"the facts are a JSON {type(facts).__name__}, not an object")
    return facts


def done(job: LeasedJob) -> JobResult:
    """Return the result of a job whose handler returned."""
    return JobResult(job, JobState.DONE, failures=job.failures)


def released(job: LeasedJob) -> JobResult:
    """Return the result of a job that a stopping process did not finish; the attempt does not count."""
    return JobResult(job, JobState.READY, failures=job.failures, counts=False, reason="stopped")


def held(job: LeasedJob, reason: str) -> JobResult:
    """Return the result of a job that cannot run for now; the attempt does not count."""
    return JobResult(job, JobState.HELD, failures=job.failures, error=reason, counts=False)


def paused(job: LeasedJob, error: str) -> JobResult:
    """Return the result of a job that waits for an administrator of its site; the attempt does not count."""
    return JobResult(
        job, JobState.WAITING, time.time() + APPROVAL_PAUSE_S, job.failures, error, counts=False, reason="scope"
    )


def failed(
    job: LeasedJob, error: str, attempts: int | None, min_pause_s: float = 0.0, reason: str = "error"
) -> JobResult:
    """Return the result of a failed attempt: a retry after the back-off, or dead after the last attempt.

    Args:
        job: The job.
        error: The error text.
        attempts: Number of attempts that the job has; None is unlimited.
        min_pause_s: Minimum number of seconds until the retry.
        reason: Why it failed, a fixed word.
    """
    failures = job.failures + 1
    if attempts is not None and failures >= attempts:
        return JobResult(job, JobState.DEAD, failures=failures, error=error)
    pause_s = max(min_pause_s, backoff_s(failures, first_s=FIRST_BACKOFF_S, longest_s=MAX_BACKOFF_S))
    return JobResult(job, JobState.WAITING, time.time() + pause_s, failures, error, reason=reason)
