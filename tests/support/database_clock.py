"""The database's clock, which stands still at the time that a test sets, so that an age is exactly at its limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from addonkit.database import sql


class DatabaseClock:
    """Sets the time of the database's clock in the statements of this process."""

    def __init__(self) -> None:
        self._real = dict(sql.CLOCKS)

    def set(self, at: float) -> None:
        """Let the clock stand still at this time, Unix time in seconds."""
        self._use(dict.fromkeys(sql.CLOCKS, f"CAST({at!r} AS double precision)"))

    def reset(self) -> None:
        """Use the real clock again."""
        self._use(self._real)

    def _use(self, clocks: dict[str, str]) -> None:
        sql.CLOCKS.update(clocks)
        sql._with_sqlite_clock.cache_clear()
        sql._with_numbers.cache_clear()


@contextmanager
def database_clock() -> Iterator[DatabaseClock]:
    """Give the database's clock for a block, and use the real one after it."""
    clock = DatabaseClock()
    try:
        yield clock
    finally:
        clock.reset()
