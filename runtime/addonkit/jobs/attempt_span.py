"""Records a span of each attempt at a job, in the trace of the request or job that enqueued it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from addonkit.context import Tenant
from addonkit.jobs.job import LeasedJob
from addonkit.spans import Span, SpanKind, Tracer


def attempt_span(tracer: Tracer, job: LeasedJob, tenant: Tenant | None) -> AbstractContextManager[Span]:
    """Record a span of an attempt: a child of the span that enqueued the job, or a new trace for a schedule's job."""
    attributes: dict[str, str | int | None] = {
        "messaging.system": "addonkit",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": f"{job.plugin}.{job.name}",
        "messaging.message.id": str(job.id),
        "addonkit.plugin": job.plugin,
        "addonkit.job.kind": str(job.kind),
        "addonkit.job.attempt": job.failures + 1,
        "addonkit.tenant": tenant.key if tenant else None,
        "addonkit.request_id": job.request_id,
        "addonkit.webhook": job.facts.get("identifier"),
    }
    known = {name: value for name, value in attributes.items() if value is not None}
    name = f"process {job.plugin}.{job.name}"
    return tracer.span(name, SpanKind.CONSUMER, known, traceparent=job.traceparent, is_new=True)
