"""Runs one attempt at a job: calls its handler within a time limit and turns an exception into a result.

Error texts have a maximum length, contain no tokens, and can be stored in any database.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
from pydantic import BaseModel

from addonkit.context import Tenant
from addonkit.current import origin_scope
from addonkit.errors import (
    AddonkitError,
    CallForbidden,
    GiveUp,
    HostError,
    HostUnavailable,
    PayloadInvalid,
    RateLimited,
    ScopeNotApproved,
    StorageUnavailable,
)
from addonkit.failure import FailureFacts, FailureKind
from addonkit.jobs.attempt_log import attempt_log
from addonkit.jobs.attempt_span import attempt_span
from addonkit.jobs.job import JobResult, LeasedJob, done, failed, held, paused
from addonkit.log import structlog
from addonkit.observers import current_tracer, report_failure
from addonkit.origin import Origin
from addonkit.spans import Span, failure_of
from addonkit.tenant_data.scope import work_scope
from addonkit.text import masked, one_line, without_tokens
from addonkit.time_limit import TimeLimit
from addonkit.work import Attempt, JobInvocation, JobKind, JobSpec, JobState

MAX_MESSAGE_LENGTH = 500
MAX_ERROR_LENGTH = 4000
MAX_FRAMES = 12

log = structlog.get_logger(__name__)

KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "timeout"),
    (RateLimited, "rate_limited"),
    (HostUnavailable, "host_unavailable"),
    (HostError, "host"),
    (StorageUnavailable, "storage"),
)
"""Words for failures, the most special kind first."""

HandlerScope = Callable[[], AbstractAsyncContextManager[Any]]
"""Makes the context manager that a handler runs in, such as the application context."""


class JobExecutor:
    """Runs job handlers.

    Args:
        specs: Job handlers, by plugin and name.
        settings: Settings of each plugin.
        handler_scope: Makes the context manager that a handler runs in.
    """

    def __init__(
        self,
        specs: Mapping[tuple[str, str], JobSpec],
        settings: Mapping[str, BaseModel],
        handler_scope: HandlerScope,
    ) -> None:
        self._specs, self._settings, self._handler_scope = specs, settings, handler_scope

    async def run(self, job: LeasedJob) -> JobResult:
        """Run one attempt at a leased job.

        Returns:
            The result; an exception of the handler is part of it. Only a cancellation of this task is raised.
        """
        tenant = job.tenant
        if job.fault:
            return held(job, job.fault)
        spec = self._specs.get((job.plugin, job.name))
        if spec is None:
            return held(job, f"plugin '{job.plugin}' has no job handler '{job.name}' in this deployment")
        if job.version > spec.version:
            return held(
                job, f"its payload has version {job.version}, but this release of the plugin supports {spec.version}"
            )
        if job.tenant_id and tenant is None:
            return done(job)  # the tenant was purged while the job waited
        if tenant is not None and not tenant.is_active() and job.kind is not JobKind.LIFECYCLE:
            return held(job, f"its site is {tenant.state}")
        if (tracer := current_tracer()) is None:
            return await self._attempt(spec, job, tenant, job.origin())
        with attempt_span(tracer, job, tenant) as span:
            result = await self._attempt(spec, job, tenant, job.origin(tracer.position), span)
            span.set({"addonkit.job.outcome": result.outcome})
            return result

    async def _attempt(
        self, spec: JobSpec, job: LeasedJob, tenant: Tenant | None, origin: Origin, span: Span | None = None
    ) -> JobResult:
        with attempt_log(job, origin):
            exc = await self._exception(spec, job, tenant, origin)
            if exc is None:
                return done(job)
            if span is not None:
                span.fail(failure_of(exc), error_place(exc))
            result = _failed(spec, job, exc)
            with origin_scope(origin):
                _report(job, tenant, exc, result)
            return result

    async def _exception(
        self, spec: JobSpec, job: LeasedJob, tenant: Tenant | None, origin: Origin
    ) -> BaseException | None:
        """Call the handler and return the exception that it raised; None if it returned."""
        try:
            async with self._handler_scope():
                invocation = self._invocation(spec, job, tenant)
                with work_scope(tenant, spec.plugin, background=True, origin=origin):
                    await _run_within_limit(spec, invocation)
        except Exception as exc:
            return exc
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # This task was not cancelled: the handler itself raised CancelledError.
            return exc
        return None

    def _invocation(self, spec: JobSpec, job: LeasedJob, tenant: Tenant | None) -> JobInvocation:
        number = job.failures + 1
        attempt = Attempt(job.id, number, spec.attempts is not None and number >= spec.attempts)
        settings = self._settings[job.plugin]
        if spec.kind is JobKind.WEBHOOK and tenant is not None:
            return JobInvocation(tenant, settings, attempt, event=job.event(spec.event or "", tenant))
        if spec.kind is JobKind.LIFECYCLE:
            return JobInvocation(tenant, settings, attempt, job.facts)
        return JobInvocation(tenant, settings, attempt, _current_payload(spec, job))


def error_text(exc: BaseException) -> str:
    """Return type, message and traceback of an exception, as stored with the job; values of variables are omitted."""
    frames = [
        f"  {frame.f_globals.get('__name__')}:{frame.f_code.co_name}:{line}"
        for frame, line in traceback.walk_tb(exc.__traceback__)
    ][-MAX_FRAMES:]
    return _storable("\n".join([f"{type(exc).__name__}: {_message(exc)}", *frames]), MAX_ERROR_LENGTH)


def error_place(exc: BaseException) -> str:
    """Return type and place of an exception for the log: ``Type at module:function:line``.

    The message is omitted: it may contain addresses or user input, and ``str()`` itself may fail.
    """
    frames = list(traceback.walk_tb(exc.__traceback__))
    text = type(exc).__name__
    if frames:
        frame, line = frames[-1]
        text = f"{text} at {frame.f_globals.get('__name__')}:{frame.f_code.co_name}:{line}"
    return _storable(text, MAX_MESSAGE_LENGTH)


def error_reason(exc: BaseException) -> str:
    """Return the reason of a failure for the log.

    For an ``AddonkitError`` it is the message, without text that the host sent; for another exception, type and place.
    """
    if isinstance(exc, HostError):
        return _without_secrets(exc.brief)
    return _message(exc) if isinstance(exc, AddonkitError) else error_place(exc)


def failure_kind(exc: BaseException) -> str:
    """Return the kind of a failure, a fixed word for the metrics."""
    return next((word for kind, word in KINDS if isinstance(exc, kind)), "error")


async def _run_within_limit(spec: JobSpec, invocation: JobInvocation) -> None:
    limit = TimeLimit(spec.timeout_s)
    try:
        await limit.run(spec.run(invocation))
    except TimeoutError as exc:
        if not limit.expired():
            raise
        raise TimeoutError(f"the handler did not finish within {spec.timeout_s:g} s") from exc


def _current_payload(spec: JobSpec, job: LeasedJob) -> dict[str, Any]:
    """Return the payload, upgraded to the version that the handler expects.

    Raises:
        GiveUp: The plugin has no upgrade for one of the versions in between.
    """
    values: dict[str, Any] = orjson.loads(job.payload) if job.payload else {}
    for version in range(job.version, spec.version):
        upgrade = spec.upgrades.get(version)
        if upgrade is None:
            raise GiveUp(
                f"its payload has version {job.version}, and there is no upgrade from version {version} to "
                f"{version + 1}; add @{spec.name}.from_version({version}) and retry the job"
            )
        values = upgrade(values)
    return values


def _failed(spec: JobSpec, job: LeasedJob, exc: BaseException) -> JobResult:
    """Log a failed attempt and return its result."""
    if isinstance(exc, ScopeNotApproved):
        log.warning("job.paused", reason=error_reason(exc))
        return paused(job, error_text(exc))
    is_permanent = isinstance(exc, GiveUp | PayloadInvalid | CallForbidden)
    pause: Any = getattr(exc, "retry_after_s", None)
    min_pause_s = float(pause) if isinstance(pause, int | float) and not isinstance(pause, bool) else 0.0
    result = failed(job, error_text(exc), 0 if is_permanent else spec.attempts, min_pause_s, failure_kind(exc))
    reason = error_reason(exc) if is_permanent or isinstance(exc, HostError) else error_place(exc)
    if result.state is JobState.DEAD:
        log.error("job.dead", failures=result.failures, reason=reason)
    else:
        log.warning("job.failed", failures=result.failures, reason=reason)
    return result


def _report(job: LeasedJob, tenant: Tenant | None, exc: BaseException, result: JobResult) -> None:
    """Report a failed attempt to plugins."""
    facts = FailureFacts(
        FailureKind(job.kind),
        job.plugin,
        job.name,
        request_id=job.request_id,
        job_id=job.id,
        attempt=job.failures + 1,
        will_retry=result.state is not JobState.DEAD,
        webhook=job.facts.get("identifier"),
    )
    report_failure(exc, facts, tenant)


def _message(exc: BaseException) -> str:
    try:
        text = str(exc)
    except Exception:
        return "(the exception has no message: its str() failed)"
    return _without_secrets(text)


def _without_secrets(text: str) -> str:
    words = without_tokens(text[:MAX_MESSAGE_LENGTH]).split(" ")
    return one_line(" ".join(masked(word) for word in words))


def _storable(text: str, max_length: int) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "?")[:max_length]
