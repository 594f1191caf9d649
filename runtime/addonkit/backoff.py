"""Exponential back-off with jitter: the pause before a retry."""

from __future__ import annotations

import random


def backoff_s(failures: int, *, first_s: float, longest_s: float, jitter: bool = True) -> float:
    """Return the seconds to wait after consecutive failures.

    Args:
        failures: Number of failures so far, from 1; 0 or less gives no pause.
        first_s: Pause after the first failure; it doubles with each further one.
        longest_s: Longest pause.
        jitter: Whether to reduce the pause by a random part, up to half, so that processes do not retry together.
    """
    if failures < 1:
        return 0.0
    pause = min(longest_s, first_s * 2.0 ** min(failures - 1, 30))
    return pause * random.uniform(0.5, 1.0) if jitter else pause  # noqa: S311 - not a secret
