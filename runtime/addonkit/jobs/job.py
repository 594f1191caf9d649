"""A job that this process has begun, and what became of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from addonkit.context import Tenant
from addonkit.work import JobKind, JobState, WebhookEvent

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True, slots=True)
class LeasedJob:
    """One job that is this process's until its lease ends.

    Attributes:
        id: Its number.
        tenant_id: Number of the site that it is about; 0 is the deployment.
        plugin: Whose it is.
        name: Which.
        kind: Where it comes from.
        payload: JSON, or what the host sent.
        version: Of the payload.
        facts: What else is known of it.
        dedupe: The word that it is known by once; of a webhook, the host's identifier.
        order: The word that it is ordered by.
        starts: How often it was begun, this time included.
        failures: How often it has failed.
        created_at: When it was put into the queue, Unix time in seconds.
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

    @classmethod
    def of(cls, row: Any) -> LeasedJob:
        """Read a row of the claim."""
        return cls(
            row["id"],
            row["tenant_id"],
            row["plugin"],
            row["name"],
            JobKind(row["kind"]),
            bytes(row["payload"]),
            row["version"],
            orjson.loads(row["facts"]),
            row["dedupe"],
            row["order_key"],
            row["starts"],
            row["failures"],
            row["created_at"],
        )

    def event(self, name: str, tenant: Tenant) -> WebhookEvent:
        """What the host told, of a webhook."""
        facts = self.facts
        return WebhookEvent(
            name,
            tenant,
            self.payload,
            datetime.fromtimestamp(self.created_at, UTC),
            facts.get("objects", {}),
            facts.get("identifier"),
            facts.get("retry", 0),
            facts.get("flow", ""),
        )


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of one attempt.

    Attributes:
        job: Which.
        state: Where the job stands now.
        due_at: When it may begin again, Unix time in seconds.
        failures: How often it has failed by now.
        error: What went wrong.
        counts: Whether the attempt was one.
    """

    job: LeasedJob
    state: JobState
    due_at: float = 0.0
    failures: int = 0
    error: str | None = None
    counts: bool = True

    def values(self) -> list[Any]:
        """The values of ``SETTLE``."""
        now = time.time()
        ended = self.state in (JobState.DONE, JobState.DEAD)
        starts = self.job.starts - (0 if self.counts else 1)
        return [
            *(str(self.state), self.due_at or now, now if ended else None, starts, self.failures, self.error),
            *(self.job.id, self.job.starts),
        ]


def done(job: LeasedJob) -> JobResult:
    """Its handler returned."""
    return JobResult(job, JobState.DONE, failures=job.failures)


def handed_back(job: LeasedJob) -> JobResult:
    """This process ends before it did; the attempt is as if it had not been."""
    return JobResult(job, JobState.READY, failures=job.failures, counts=False)


def held(job: LeasedJob, reason: str) -> JobResult:
    """It cannot run for now."""
    return JobResult(job, JobState.HELD, failures=job.failures, error=reason, counts=False)


def failed(job: LeasedJob, error: str, attempts: int | None, at_least_s: float = 0.0) -> JobResult:
    """It went wrong: again later, or dead once its attempts are used up.

    Args:
        job: Which.
        error: What went wrong.
        attempts: How many it has; None is any number.
        at_least_s: Seconds for which trying again is of no use.
    """
    failures = job.failures + 1
    if attempts is not None and failures >= attempts:
        return JobResult(job, JobState.DEAD, failures=failures, error=error)
    pause = max(at_least_s, back_off(failures))
    return JobResult(job, JobState.WAITING, time.time() + pause, failures, error)


def back_off(failures: int) -> float:
    """Give the seconds to wait after so many failures: doubling, scattered, an hour at most."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 20))
    return longest * secrets.SystemRandom().uniform(0.5, 1.0)
