"""Values of background work: a plugin's job handlers, new jobs, and one attempt at a job.

They are frozen and do no I/O. Plugins declare handlers through ``extension``; ``jobs`` stores and runs jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel

from addonkit.context import Tenant
from addonkit.schedule import Schedule
from addonkit.webhook_event import WebhookEvent

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Converts the payload of one version to that of the next."""


class JobKind(StrEnum):
    """What enqueued a job."""

    JOB = "job"
    """A plugin, by ``enqueue``."""
    WEBHOOK = "webhook"
    """A webhook of the host."""
    LIFECYCLE = "lifecycle"
    """A lifecycle event: a site installed, enabled, disabled or uninstalled the add-on."""
    SCHEDULE = "schedule"
    """A schedule."""


class JobState(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    """Not due yet, or failed and to be retried."""
    READY = "ready"
    """Due; runs when its tenant's turn comes."""
    BLOCKED = "blocked"
    """Behind an earlier unfinished job with the same order key."""
    HELD = "held"
    """Not runnable for now: its plugin is not enabled, its site is disabled, or its payload is too new."""
    RUNNING = "running"
    """Leased by a process."""
    DONE = "done"
    """The handler returned."""
    DEAD = "dead"
    """Failed for good; kept until an operator retries or deletes it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job; passed to a handler that has a parameter of this type.

    Attributes:
        job_id: The job's number, the same for each attempt, by which a handler can detect a repetition.
        number: Number of the attempt, from 1.
        is_last: Whether the job is dead if this attempt fails.
    """

    job_id: int
    number: int
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class JobInvocation:
    """The values that a job handler receives its arguments from.

    Attributes:
        tenant: The job's tenant; None if the job concerns the deployment.
        settings: The plugin's settings.
        attempt: The attempt.
        payload: Enqueued values by name, converted to the handler's version.
        event: The event, if the job is a webhook.
    """

    tenant: Tenant | None
    settings: BaseModel
    attempt: Attempt
    payload: Mapping[str, Any] = field(default_factory=dict)
    event: WebhookEvent | None = None


JobRunner = Callable[[JobInvocation], Coroutine[Any, Any, None]]
"""Calls a job handler; an exception is a failed attempt."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job handler with its options.

    Attributes:
        plugin: The plugin's name.
        name: The handler's name within the plugin; stored with each job, so it must not change while jobs wait.
        kind: What enqueues its jobs.
        run: Calls the handler; an exception is a failed attempt.
        attempts: Number of attempts; None is unlimited.
        timeout_s: Longest time of one attempt, in seconds.
        version: Version of the payload.
        upgrades: Conversions to the next version of the payload, by version.
        schedule: For a scheduled handler, when its jobs are enqueued.
        event: For a webhook, the host's name of the event.
        order: For a webhook, the name of the object whose value is the order key.
    """

    plugin: str
    name: str
    kind: JobKind
    run: JobRunner
    attempts: int | None = 8
    timeout_s: float = 60.0
    version: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    schedule: Schedule | None = None
    event: str | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be enqueued.

    Attributes:
        plugin: The plugin that handles it.
        name: Name of its handler within the plugin.
        kind: What enqueues it.
        payload: JSON, or the body of a webhook.
        version: Version of the payload.
        facts: Further JSON values, such as a webhook's objects.
        dedupe: Dedupe key: the job is not enqueued while one with this key waits; for a webhook, while one is stored.
        order: Order key: the tenant's jobs of the plugin with the same key run one after another.
        due_at: Earliest start, Unix time in seconds; 0 is now.
        tenant_id: Number of its tenant; 0 is the deployment itself, None the tenant of the current scope.
        request_id: Id of the inbound request that it comes from; by default that of the running code.
        traceparent: The trace that it belongs to; by default that of the running code.
    """

    plugin: str
    name: str
    kind: JobKind
    payload: bytes = b""
    version: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    dedupe: str | None = None
    order: str | None = None
    due_at: float = 0.0
    tenant_id: int | None = None
    request_id: str | None = None
    traceparent: str | None = None


class JobObserver(Protocol):
    """Counts the attempts of this process: the metrics."""

    def job_started(self, plugin: str, waited_s: float) -> None:
        """Count an attempt that begins so many seconds after the job was due."""

    def job_ended(
        self, plugin: str, name: str, outcome: str, seconds: float, *, job_id: int, traceparent: str | None
    ) -> None:
        """Count an attempt that has ended.

        Args:
            plugin: The plugin whose handler ran.
            name: The handler's name.
            outcome: ``done``, ``failed`` (to be retried), ``dead``, ``held``, ``paused`` (waits for an administrator of
                the site) or ``released`` (the process stopped).
            seconds: How long it took.
            job_id: The job's number.
            traceparent: The trace that it belongs to.
        """

    def job_retried(self, plugin: str, reason: str) -> None:
        """Count a job that will be attempted again, for a reason that is a fixed word."""


class Queue(Protocol):
    """Enqueues jobs; plugins reach it through their job handlers."""

    async def put(self, job: NewJob) -> int | None:
        """Enqueue a job, within the current transaction if there is one.

        Returns:
            The job's number; None if a job with its dedupe key exists already.
        """
