"""How the log is written: for people on a console, or as JSON lines; what libraries log by ``logging`` as well.

Each line that belongs to a request bears its id, and its plugin and site as soon as they are known.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from addonkit.log import structlog
from addonkit.settings import LogSettings
from addonkit.text import one_line, without_tokens

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from addonkit.app.deployment import Deployment

OURS = "addonkit"
TRACES = ("exception", "stack")
"""What may stand on several lines."""


def configure(settings: LogSettings, packages: Iterable[str] = ()) -> None:
    """Send all that is logged to standard error, in the form that the deployment asked for.

    Args:
        settings: The deployment's.
        packages: Whose records of ``logging`` are written at the level as set; those of others from warnings on, for
            what libraries tell of themselves holds queries, headers and rows.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_as_json() if settings.format == "json" else _for_people()),
            _last_guard,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # standard error as it is when something is said: it may have been replaced since
        logger_factory=lambda *_: Lines(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _take_over_logging(level, {OURS, *packages})


def configure_for(deployment: Deployment) -> None:
    """Likewise, with the packages of the plugins that are on."""
    known = (one for name in deployment.settings.addon.plugins for one in deployment.installed.get(name, ()))
    configure(deployment.settings.log, {one.entry.module.partition(".")[0] for one in known})


class Lines(structlog.PrintLogger):
    """Writes lines; one that cannot be written, as on a full disk, is lost and fails nobody."""

    def msg(self, message: str) -> None:
        """Write one line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


class Handed(logging.Handler):
    """Hands what is logged by ``logging`` to structlog, which writes it like everything else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a message that cannot be made is told by its place."""
        try:
            said = record.getMessage()
        except Exception:
            said = f"a message of {record.pathname}:{record.lineno} cannot be made from its arguments"
        facts: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(_known_level(record.levelno), said, logger=record.name, **facts)


def _known_level(number: int) -> int:
    """The nearest level below that everybody has a name for."""
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO)
    return next((level for level in levels if number >= level), logging.DEBUG)


def _take_over_logging(level: int, packages: Iterable[str]) -> None:
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, Handed)]
    root.addHandler(Handed())
    root.setLevel(max(level, logging.WARNING))
    for package in packages:
        logging.getLogger(package).setLevel(level)


def _as_json() -> list[Processor]:
    # a frame's variables may hold a token or a body
    told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(told), structlog.processors.JSONRenderer()]


def _for_people() -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [_on_one_line, renderer]


def _on_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What callers wrote can neither end its line nor speak to a terminal; JSON sees to that by itself."""
    for name, value in event.items():
        if isinstance(value, str) and name not in TRACES:
            event[name] = one_line(value)
    return event


def _last_guard(_logger: WrappedLogger, _method: str, line: Any) -> str:
    """Take out tokens that somebody put into a message, such as an address with its query."""
    return without_tokens(line)
