"""The number of this worker process, which its supervisor passes in the environment."""

from __future__ import annotations

import os

NUMBER_VARIABLE = "ADDONKIT_WORKER"
MAX_DIGITS = 6


def worker_number() -> int | None:
    """Return the number of this worker process; None if no supervisor has started this process."""
    text = os.environ.get(NUMBER_VARIABLE, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None
