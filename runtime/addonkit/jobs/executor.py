"""One attempt at a job: its handler, called with what it asks for, and what became of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import orjson
from pydantic import BaseModel

from addonkit.calling import calling
from addonkit.context import Tenant
from addonkit.errors import CallForbidden, GiveUp, HostError, PayloadInvalid
from addonkit.jobs.failures import sentence_of, told, where_from
from addonkit.jobs.job import JobResult, LeasedJob, done, failed, held
from addonkit.log import structlog
from addonkit.tenant_data.scope import tenant_scope
from addonkit.work import Attempt, JobInvocation, JobKind, JobSpec, JobState

log = structlog.get_logger(__name__)


HandlerScope = Callable[[], AbstractAsyncContextManager[Any]]
"""Makes what a handler runs in, such as the application's own context."""


class JobExecutor:
    """Runs handlers.

    Args:
        specs: What can be run, by plugin and name.
        settings: Of each plugin.
        surroundings: What handlers run in.
    """

    def __init__(
        self,
        specs: Mapping[tuple[str, str], JobSpec],
        settings: Mapping[str, BaseModel],
        surroundings: HandlerScope,
    ) -> None:
        self._specs, self._settings, self._surroundings = specs, settings, surroundings

    async def outcome(self, job: LeasedJob, tenant: Tenant | None) -> JobResult:
        """Try once, and give what became of it; nothing of a handler's gets out but our own cancellation."""
        spec = self._specs.get((job.plugin, job.name))
        if spec is None:
            return held(job, f"the plugin '{job.plugin}' has no '{job.name}' here; it runs where one has it")
        if job.version > spec.version:
            return held(job, f"its payload is of version {job.version}, and the code here takes {spec.version}")
        if job.tenant_id and tenant is None:
            return done(job)  # its site was purged meanwhile
        if tenant is not None and not tenant.is_active() and job.kind is not JobKind.LIFECYCLE:
            return held(job, f"its site is {tenant.state}")
        facts = {"plugin": job.plugin, "job": f"{job.name} {job.id}"}
        facts |= {"client_key": tenant.client_key} if tenant else {}
        with structlog.contextvars.bound_contextvars(**facts):
            cause = await self._failure(spec, job, tenant)
            return done(job) if cause is None else _judged(spec, job, cause)

    async def _failure(self, spec: JobSpec, job: LeasedJob, tenant: Tenant | None) -> BaseException | None:
        """Call the handler, and give what went wrong."""
        try:
            async with self._surroundings():
                call = self._call(spec, job, tenant)
                with (
                    nullcontext() if tenant is None else tenant_scope(tenant),
                    calling(spec.plugin, in_background=True),
                ):
                    await _bounded(spec, call)
        except Exception as exc:
            return exc
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # nobody cancelled us: the plugin let a cancellation of its own get out
            return exc
        return None

    def _call(self, spec: JobSpec, job: LeasedJob, tenant: Tenant | None) -> JobInvocation:
        number = job.failures + 1
        attempt = Attempt(job.id, number, spec.attempts is not None and number >= spec.attempts)
        settings = self._settings[job.plugin]
        if spec.kind is JobKind.WEBHOOK and tenant is not None:
            return JobInvocation(tenant, settings, attempt, event=job.event(spec.event or "", tenant))
        if spec.kind is JobKind.LIFECYCLE:
            return JobInvocation(tenant, settings, attempt, job.facts)
        return JobInvocation(tenant, settings, attempt, _payload(spec, job))


async def _bounded(spec: JobSpec, call: JobInvocation) -> None:
    bound = asyncio.timeout(spec.timeout_s)
    try:
        async with bound:
            await spec.run(call)
    except TimeoutError as late:
        if not bound.expired():
            raise
        raise TimeoutError(f"it was not done within {spec.timeout_s:g} s") from late


def _payload(spec: JobSpec, job: LeasedJob) -> dict[str, Any]:
    """What was put into the queue, made into what the present version takes.

    Raises:
        GiveUp: Nothing makes it into that.
    """
    values: dict[str, Any] = orjson.loads(job.payload) if job.payload else {}
    for version in range(job.version, spec.version):
        upgrade = spec.upgrades.get(version)
        if upgrade is None:
            raise GiveUp(
                f"its payload is of version {job.version}, and nothing makes version {version} into {version + 1}; "
                f"write @{spec.name}.from_version({version}) and retry it"
            )
        values = upgrade(values)
    return values


def _judged(spec: JobSpec, job: LeasedJob, cause: BaseException) -> JobResult:
    """What follows from a failure, and a line in the log."""
    final = isinstance(cause, GiveUp | PayloadInvalid | CallForbidden)
    wait = getattr(cause, "retry_after_s", None)
    at_least = float(wait) if isinstance(wait, int | float) and not isinstance(wait, bool) else 0.0
    outcome = failed(job, told(cause), 0 if final else spec.attempts, at_least)
    reason = sentence_of(cause) if final or isinstance(cause, HostError) else where_from(cause)
    if outcome.state is JobState.DEAD:
        log.error("job.dead", failures=outcome.failures, reason=reason)
    else:
        log.warning("job.failed", failures=outcome.failures, reason=reason)
    return outcome
