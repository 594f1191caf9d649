"""Times that others state, as datetimes; a time that no calendar has is None."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_time(at: object, per_second: int = 1) -> datetime | None:
    """Return Unix time as a datetime; None if it is no number, or outside of the years 1 to 9999.

    Args:
        at: The time in seconds, or in parts of a second.
        per_second: Number of these parts in a second.
    """
    if not isinstance(at, int | float) or isinstance(at, bool):
        return None
    try:
        return datetime.fromtimestamp(at / per_second, UTC)
    except (ValueError, OverflowError, OSError):
        return None
