"""What workers have logged: which jobs run, and what became of those whose worker was killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """A job has begun or ended.

    Attributes:
        event: ``begin`` or ``end``.
        job: Number of the job.
        process: Id of the process that runs it.
        at: Unix time in seconds.
    """

    event: str
    job: int
    process: int
    at: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of the jobs of a killed worker, and of all others.

    Attributes:
        seconds: Time from the kill until the last interrupted job has begun again; infinite if one has not.
        lost: Number of jobs that have not ended.
        twice: Number of jobs that have ended more than once.
    """

    seconds: float
    lost: int
    twice: int

    @property
    def is_complete(self) -> bool:
        """Whether every job has ended."""
        return not self.lost


def open_jobs(events: Sequence[Event], process: int) -> set[int]:
    """Return the jobs that a process has begun and not ended."""
    begun = {one.job for one in events if one.process == process and one.event == "begin"}
    return begun - {one.job for one in events if one.process == process and one.event == "end"}


def recovery_of(events: Sequence[Event], jobs: int, interrupted: set[int], killed_at: float) -> Recovery:
    """Return what became of a number of jobs, some of which a kill has interrupted."""
    again: dict[int, float] = {}
    for one in events:
        if one.event == "begin" and one.job in interrupted and one.at > killed_at:
            again.setdefault(one.job, one.at)
    ended = Counter(one.job for one in events if one.event == "end")
    seconds = max(again.values(), default=killed_at) - killed_at if again.keys() == interrupted else float("inf")
    return Recovery(seconds, jobs - len(ended), sum(1 for count in ended.values() if count > 1))
