"""The access log: one line a request, without anything that could be a credential.

The query is where tokens travel, so it is left out, as are all headers of the caller's.
"""

from __future__ import annotations

from addonkit.edge.request import InboundRequest
from addonkit.log import structlog
from addonkit.text import shortened

LONGEST_METHOD = 16

# whoever asks for this log gets it whatever level the rest is written at
log = structlog.wrap_logger(None, wrapper_class=structlog.BoundLogger)


def write_access(request: InboundRequest, seconds: float) -> None:
    """Write the line of one request that is over.

    Args:
        request: With its outcome; status 0 says that the caller left before there was an answer.
        seconds: From its arrival to its end.
    """
    outcome = request.outcome
    log.info(
        "access",
        method=shortened(request.method, LONGEST_METHOD),
        path=request.shown_path,
        status=outcome.status,
        duration_ms=round(seconds * 1000, 1),
        bytes=outcome.size,
        client=shortened(request.client, LONGEST_METHOD * 3),
        request_id=request.request_id,
        plugin=outcome.plugin or None,
        endpoint=outcome.route or None,
        client_key=outcome.client_key,
    )
