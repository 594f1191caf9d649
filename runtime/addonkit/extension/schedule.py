"""When something happens again: after a period, or as cron says, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

PERIOD = re.compile(r"([1-9][0-9]{0,5})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHORTEST_S = 1


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A rule that was found good.

    Attributes:
        rule: As it was written.
        period_s: Seconds from one time to the next; 0 is cron.
    """

    rule: str
    period_s: int = 0

    @classmethod
    def of(cls, rule: str) -> Rhythm:
        """Read a rule such as ``15m`` or ``0 3 * * *``.

        Raises:
            ValueError: It is none; with the rest of a sentence that begins with what has it.
        """
        if found := PERIOD.fullmatch(rule):
            return cls(rule, int(found[1]) * SECONDS[found[2]])
        from cronsim import CronSim, CronSimError  # here, for few plugins name the hour

        try:
            next(CronSim(rule, datetime.now(UTC)))
        except (CronSimError, StopIteration):
            raise ValueError(
                f"happens every {rule!r}, which is neither a period such as '15m' or '6h' nor five fields of cron with "
                "a day that comes; write one of them"
            ) from None
        return cls(rule)

    def after(self, moment: float) -> float:
        """The next time after a moment, both Unix time in seconds."""
        if self.period_s:
            return moment + self.period_s
        from cronsim import CronSim

        return next(CronSim(self.rule, datetime.fromtimestamp(moment, UTC))).timestamp()
