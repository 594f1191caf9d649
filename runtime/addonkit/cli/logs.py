"""Logging configuration: console or JSON lines on standard error, for structlog and the standard library's ``logging``.

Each line of a request has the request's id, and its plugin and site once they are known.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addonkit.cli.traceback_text import indented, traceback_text
from addonkit.log import structlog
from addonkit.settings import LogSettings, worker_number
from addonkit.text import one_line, text_of, without_tokens

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from addonkit.app.deployment import Deployment

RUNTIME_LOGGER = "addonkit"
MULTILINE_FIELDS = ("exception", "stack")
"""Fields that are written below the line, indented."""
PLAIN = (bool, int, float, type(None))
"""Types whose text has no control characters; a type derived from them may have another text."""
MAX_NUMBER = 10**300
"""Python writes no longer numbers than some thousand digits."""


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
            *_worker_adders(),
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


def configure_for(deployment: Deployment, level: str | None = None) -> None:
    """Configure logging for a deployment, with the packages of its enabled plugins.

    Args:
        deployment: The deployment.
        level: A level in place of the configured one.
    """
    enabled = (found for name in deployment.settings.addon.plugins for found in deployment.installed.get(name, ()))
    configure(_at_level(deployment.settings.log, level), {plugin.root for plugin in enabled})


def adjustable_for(deployment: Deployment, process: str) -> AbstractAsyncContextManager[None]:
    """Let 'addonkit log-level' change the level of this process for an ``async with`` block.

    Args:
        deployment: The deployment.
        process: What this process does, for the command's output.
    """
    from addonkit.server.log_level import LogLevel
    from addonkit.server.log_level_socket import adjustable

    level = LogLevel(deployment.settings.log.level, partial(configure_for, deployment))
    return adjustable(deployment.path, level, process)


def adjustable_alone(path: Path, settings: LogSettings, process: str) -> AbstractAsyncContextManager[None]:
    """Let 'addonkit log-level' change the level of a process without plugins, for an ``async with`` block."""
    from addonkit.server.log_level import LogLevel
    from addonkit.server.log_level_socket import adjustable

    return adjustable(path, LogLevel(settings.level, lambda level: configure(_at_level(settings, level))), process)


def _at_level(settings: LogSettings, level: str | None) -> LogSettings:
    return settings if level is None else settings.model_copy(update={"level": level})


def log_stray_failures() -> None:
    """Log the failures of threads, of finalizers and of this process, which Python would write unchanged."""

    def log_thread(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_type is not SystemExit:
            name = failed.thread.name if failed.thread else None
            structlog.get_logger().error("thread.failed", thread=name, exc_info=failed.exc_value)

    def log_finalizer(failed: sys.UnraisableHookArgs) -> None:
        structlog.get_logger().error("finalizer.failed", object=failed.object, exc_info=failed.exc_value)

    def log_process(kind: type[BaseException], error: BaseException, _traceback: object) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, error.__traceback__)
        else:
            structlog.get_logger().critical("process.failed", exc_info=error)

    threading.excepthook, sys.unraisablehook, sys.excepthook = log_thread, log_finalizer, log_process


class LineLogger(structlog.PrintLogger):
    """Writes lines; a line that cannot be written, for example on a full disk, is dropped without an error."""

    def msg(self, message: str) -> None:
        """Write one line, in one call: processes and threads that share the file must not mix their lines."""
        with suppress(OSError):
            self._file.write(message + "\n")
            self._file.flush()

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


def _worker_adders() -> list[Processor]:
    """Return what adds the number of this worker process to lines: also to those of other threads."""
    number = worker_number()
    if number is None:
        return []

    def add_worker(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["worker"] = number
        return event

    return [add_worker]


def _json_renderers() -> list[Processor]:
    # Without local variables, because these may hold tokens or bodies.
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(transformer), structlog.processors.JSONRenderer(_json_text)]


def _json_text(event: EventDict, **_: Any) -> str:
    """Return an event as JSON; values that JSON cannot hold are written as text."""
    try:
        return json.dumps(event, default=text_of, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps({text_of(name): _json_value(value) for name, value in event.items()})


def _json_value(value: object) -> object:
    try:
        json.dumps(value, default=text_of, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return text_of(value)
    return value


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
        one_line(text_of(name)): value if name == "exc_info" else _cleaned(name, value) for name, value in event.items()
    }


def _cleaned(name: str, value: object) -> object:
    if name in MULTILINE_FIELDS:
        return indented(text_of(value))
    if type(value) in PLAIN and not (isinstance(value, int) and abs(value) > MAX_NUMBER):
        return value
    return one_line(text_of(value))


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
