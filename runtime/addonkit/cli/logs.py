"""How the log is written: for people on a console, or as JSON lines."""

from __future__ import annotations

import logging
import sys

from addonkit.log import structlog
from addonkit.settings import LogSettings


def configure(settings: LogSettings) -> None:
    """Send all that is logged to standard error, in the form that the deployment asked for."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    last: structlog.typing.Processor
    if settings.format == "json":
        last = structlog.processors.JSONRenderer()
        # a frame's variables may hold a token or a body
        told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        exceptions: list[structlog.typing.Processor] = [structlog.processors.ExceptionRenderer(told)]
    else:
        last = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        exceptions = []
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # standard error as it is when something is said: it may have been replaced since
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
