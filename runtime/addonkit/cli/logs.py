"""Logging configuration: console or JSON lines on standard error, for structlog and the standard library's ``logging``.

Each line of a request has the request's id, and its plugin and site once they are known.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from addonkit.cli.traceback_text import indented, traceback_text
from addonkit.log import structlog
from addonkit.settings import LogSettings
from addonkit.text import one_line, without_tokens

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from addonkit.app.deployment import Deployment

RUNTIME_LOGGER = "addonkit"
MULTILINE_FIELDS = ("exception", "stack")
"""Fields that are written below the line, indented."""
PLAIN = (bool, int, float, type(None))
"""Types whose text has no control characters."""


def configure(settings: LogSettings, packages: Iterable[str] = ()) -> None:
    """Write all log records to standard error in the configured format.

    Args:
        settings: The deployment's log settings.
        packages: Packages whose ``logging`` records are written at the configured level. Of all other libraries, only
            warnings and errors are written, because their debug records contain queries, headers and rows.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    packages = frozenset(packages)
    is_debug = level <= logging.DEBUG
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_json_renderers() if settings.format == "json" else _console_renderers(packages, whole=is_debug)),
            _mask_tokens,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up for each record, because standard error may have been replaced.
        logger_factory=lambda *_: LineLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _redirect_logging(level, {RUNTIME_LOGGER, *packages})


def configure_for(deployment: Deployment) -> None:
    """Configure logging for a deployment, with the packages of its enabled plugins."""
    enabled = (found for name in deployment.settings.addon.plugins for found in deployment.installed.get(name, ()))
    configure(deployment.settings.log, {plugin.root for plugin in enabled})


class LineLogger(structlog.PrintLogger):
    """Writes lines; a line that cannot be written, for example on a full disk, is dropped without an error."""

    def msg(self, message: str) -> None:
        """Write one line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


class StructlogHandler(logging.Handler):
    """Forwards records of the standard library's ``logging`` to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Forward one record; a message that cannot be formatted is replaced by its source location."""
        try:
            message = record.getMessage()
        except Exception:
            message = f"the message of {record.pathname}:{record.lineno} does not match its arguments"
        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(_named_level(record.levelno), message, logger=record.name, **fields)


def _named_level(number: int) -> int:
    """Return the highest standard level that is not above a level."""
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO)
    return next((level for level in levels if number >= level), logging.DEBUG)


def _redirect_logging(level: int, packages: Iterable[str]) -> None:
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, StructlogHandler)]
    root.addHandler(StructlogHandler())
    root.setLevel(max(level, logging.WARNING))
    for package in packages:
        logging.getLogger(package).setLevel(level)


def _json_renderers() -> list[Processor]:
    # Without local variables, because these may hold tokens or bodies.
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(transformer), structlog.processors.JSONRenderer()]


def _console_renderers(packages: Collection[str], *, whole: bool) -> list[Processor]:
    def write_traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Write the exception of an event below its line."""
        error = _error_of(event.pop("exc_info", None))
        if error is not None:
            event["exception"] = traceback_text(error, packages, whole=whole)
        return event

    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [_clean, write_traceback, renderer]


def _clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters in names and values, so that they cannot start a line or control a terminal."""
    return {
        one_line(str(name)): value if name == "exc_info" else _cleaned(name, value) for name, value in event.items()
    }


def _cleaned(name: str, value: object) -> object:
    if name in MULTILINE_FIELDS:
        return indented(str(value))
    if isinstance(value, PLAIN):
        return value
    return one_line(value if isinstance(value, str) else repr(value))


def _error_of(exc_info: object) -> BaseException | None:
    """Return the exception that ``exc_info`` stands for: itself, the second of three, or the current one."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 and isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _mask_tokens(_logger: WrappedLogger, _method: str, line: Any) -> str:
    """Mask tokens in the finished line, such as those in a logged URL."""
    return without_tokens(line)
