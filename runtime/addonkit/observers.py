"""What observes the work of the current add-on: what records spans, and what reports failures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from addonkit.current import current_work
from addonkit.errors import HostError, HostUnreachable, StorageUnavailable
from addonkit.failure import FailureFacts

if TYPE_CHECKING:
    from addonkit.context import Tenant
    from addonkit.spans import Tracer

EXPECTED = (HostError, HostUnreachable, StorageUnavailable)
"""Errors that no change of the code ends: what failed waits for the host, its administrator or the database."""


def current_tracer() -> Tracer | None:
    """Return what records the spans of the current add-on; None unless tracing is on."""
    return None if (runtime := current_work().runtime) is None else runtime.tracer


def report_failure(error: BaseException, facts: FailureFacts, tenant: Tenant | None = None) -> None:
    """Have ``addon_failed`` of the current add-on's plugins called in the background; nothing if none has it.

    Expected errors are reported only once a job has no attempts left.

    Args:
        error: The exception.
        facts: What failed; the tenant, the request and the trace are added.
        tenant: The tenant; by default that in scope.
    """
    work = current_work()
    if work.runtime is None or work.runtime.failure_reporter is None:
        return
    if isinstance(error, EXPECTED) and (facts.job_id is None or facts.will_retry):
        return
    tenant = tenant or work.tenant
    if tenant is not None:
        facts = replace(facts, tenant=tenant.key, tenant_id=tenant.id)
    if work.origin is not None:
        request_id = facts.request_id or work.origin.request_id
        facts = replace(facts, request_id=request_id, trace_id=work.origin.trace.trace_id)
    work.runtime.failure_reporter.report(error, facts, tenant)
