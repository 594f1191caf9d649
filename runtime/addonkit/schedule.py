"""Schedules: an interval such as ``15m`` or a cron expression in UTC, and when either is due next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
SITES_PER_S = 100
"""How many sites' jobs of a run become due in a second, unless the schedule says otherwise."""
AT_ONCE = "0s"
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Schedule:
    """When jobs of one name are enqueued.

    Attributes:
        rule: An interval such as ``15m``, or a cron expression with five fields, in UTC; see :func:`parse_rule`.
        each_tenant: Whether each run enqueues one job per site that uses the add-on, instead of one in all.
        spread: The time over which the jobs of a run become due, such as ``30m``, each site's always after the same
            share of it; ``0s``: all at once; None: a hundred sites a second.
    """

    rule: str
    each_tenant: bool = False
    spread: str | None = None

    def spread_s(self, sites: int) -> float:
        """Return the seconds over which the jobs of a run become due, for so many sites."""
        return sites / SITES_PER_S if self.spread is None else float(parse_duration(self.spread) or 0)


class Interval(NamedTuple):
    """A schedule with a fixed time between two runs.

    Attributes:
        rule: The rule as written.
        seconds: Time between two runs.
    """

    rule: str
    seconds: int

    def next_after(self, moment: float) -> float:
        """Return the next run after a moment, both Unix time in seconds."""
        return moment + self.seconds


class Cron(NamedTuple):
    """A schedule by a cron expression, evaluated in UTC.

    Attributes:
        rule: The rule as written.
    """

    rule: str

    def next_after(self, moment: float) -> float:
        """Return the next run after a moment, both Unix time in seconds."""
        from cronsim import CronSim  # here, since most plugins have no cron schedule

        return next(CronSim(self.rule, datetime.fromtimestamp(moment, UTC))).timestamp()


def parse_rule(rule: str) -> Interval | Cron:
    """Parse a rule such as ``15m`` or ``0 3 * * *``.

    Raises:
        ValueError: The rule is neither, or its date never occurs; the message is the rest of a sentence whose subject
            is the handler.
    """
    if seconds := parse_duration(rule):
        return Interval(rule, seconds)
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(rule, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        raise ValueError(
            f"has the schedule {rule!r}, expected an interval such as '15m' or '6h', or a cron expression with five "
            "fields and a date that occurs; correct it"
        ) from None
    return Cron(rule)


def check_schedule(schedule: Schedule) -> None:
    """Check the rule of a schedule, and over what time its runs are spread.

    Raises:
        ValueError: One is invalid, or they do not go together; the message is as that of :func:`parse_rule`.
    """
    rule, spread = parse_rule(schedule.rule), schedule.spread
    if spread is None:
        return
    if spread != AT_ONCE and parse_duration(spread) is None:
        raise ValueError(
            f"has spread={spread!r}, expected a duration such as '30m', or '{AT_ONCE}' for all jobs at once; correct it"
        )
    if not schedule.each_tenant:
        raise ValueError(f"has spread={spread!r}, but one job for all tenants; add each_tenant=True, or remove spread")
    if isinstance(rule, Interval) and schedule.spread_s(0) > rule.seconds:
        raise ValueError(f"has spread={spread!r}, which is longer than its interval {rule.rule!r}; shorten it")


def parse_duration(text: str) -> int | None:
    """Parse a duration such as ``90s``, ``15m``, ``6h`` or ``2d``.

    Returns:
        The number of seconds, at least 1; None if the text is not a duration.
    """
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _UNIT_S[found[2]] if found else None
