"""What a supervisor passes to its worker processes in the environment: their number, and a level of the log."""

from __future__ import annotations

import os

NUMBER_VARIABLE = "ADDONKIT_WORKER"
LEVEL_VARIABLE = "ADDONKIT_TEMPORARY_LOG_LEVEL"
"""A level of the log and the Unix time at which it ends: ``debug 1795837063``."""
MAX_DIGITS = 6


def worker_number() -> int | None:
    """Return the number of this worker process; None if no supervisor has started this process."""
    text = os.environ.get(NUMBER_VARIABLE, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None
