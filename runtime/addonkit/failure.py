"""The facts of a failure, which ``addon_failed`` of plugins receives beside the exception."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from addonkit.context import Tenant


class FailureKind(StrEnum):
    """What has failed."""

    REQUEST = "request"
    """The handler of a page or a route, or the runtime while it answered a request."""
    ADMISSION = "admission"
    """``addon_admit``; the request was refused."""
    JOB = "job"
    """An attempt at a job that a plugin has enqueued."""
    WEBHOOK = "webhook"
    """An attempt at the job of a webhook."""
    LIFECYCLE = "lifecycle"
    """An attempt at the job of a lifecycle hook or of ``addon_missed``."""
    SCHEDULE = "schedule"
    """An attempt at the job of a schedule."""
    PURGE = "purge"
    """``addon_purge``."""


@dataclass(frozen=True, slots=True)
class FailureFacts:
    """Where and for whom code has failed; no value is a secret.

    Attributes:
        kind: What has failed.
        plugin: The plugin whose code failed; ``addonkit`` is the runtime.
        name: The endpoint, the job handler or the hook, such as ``issue_panel.panel``.
        tenant: The site's client key; None if the work concerns no verified site.
        tenant_id: Number of the tenant.
        request_id: Id of the inbound request that the work comes from, which the log has as well.
        trace_id: Id of the trace that the work belongs to.
        status: HTTP status of the answer to a request.
        job_id: Number of the job.
        attempt: Number of the attempt, from 1.
        will_retry: Whether the job will be attempted again, or the purge repeated.
        webhook: The host's identifier of the webhook.
    """

    kind: FailureKind
    plugin: str
    name: str
    tenant: str | None = None
    tenant_id: int | None = None
    request_id: str | None = None
    trace_id: str | None = None
    status: int | None = None
    job_id: int | None = None
    attempt: int | None = None
    will_retry: bool = False
    webhook: str | None = None


class FailureReporter(Protocol):
    """Tells plugins of failures, in the background."""

    def report(self, error: BaseException, facts: FailureFacts, tenant: Tenant | None) -> None:
        """Have the plugins' ``addon_failed`` called soon."""

    def close(self) -> Awaitable[None]:
        """Wait a limited time for the calls that are left."""
