"""Logs and reports a request that failed by an unexpected error of the runtime."""

from __future__ import annotations

from addonkit.edge.request import RUNTIME, InboundRequest
from addonkit.failure import FailureFacts, FailureKind
from addonkit.log import structlog
from addonkit.observers import report_failure
from addonkit.spans import failure_of

log = structlog.get_logger()


def log_failed_request(request: InboundRequest, error: Exception) -> None:
    """Log the exception that is being handled, with its traceback, and report it to plugins."""
    record = request.record
    record.error = failure_of(error)
    record.is_logged = True
    log.exception(
        "request.failed", path=request.logged_path, method=request.logged_method, request_id=request.request_id
    )
    name = record.route or record.template or RUNTIME
    status = record.status or 500
    report_failure(
        error, FailureFacts(FailureKind.REQUEST, RUNTIME, name, request_id=request.request_id, status=status)
    )
