"""Compares this machine's clock with the database's, which decides about leases and due times."""

from __future__ import annotations

import time

from addonkit.database.sql import database_time, on_postgres
from addonkit.log import structlog

MAX_DIFFERENCE_S = 5.0
"""Difference of two clocks that is reported; less may be the time that an answer takes."""

log = structlog.get_logger(__name__)


async def clock_difference_s() -> float:
    """Give the seconds that this machine's clock is ahead of the database's; negative if it is behind.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    before = time.time()
    at_database = await database_time()
    return (before + time.time()) / 2 - at_database


async def warn_of_clock() -> None:
    """Log a warning if this machine's clock differs from that of a PostgreSQL server.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    if on_postgres() and abs(difference_s := await clock_difference_s()) > MAX_DIFFERENCE_S:
        log.warning("database.clock_differs", reason=difference_text(difference_s), remedy="set both clocks by NTP")


def difference_text(seconds: float) -> str:
    """Give a difference of clocks as text."""
    side = "ahead of" if seconds > 0 else "behind"
    return f"this machine's clock is {abs(seconds):.1f} s {side} the clock of the database's server"
