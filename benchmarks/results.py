"""What a measure gives, and how two sides are held against each other: in turn, so that a slow minute hits both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from machine import Sample, Server, requests_per_second

Reading = Callable[[], Sample]
Clock = Literal["clock", "cpu"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What the median is held against.

    Attributes:
        bound: The value.
        least: Whether the median has to be at least that; at most otherwise.
    """

    bound: float
    least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.bound:g}"

    def is_met(self, value: float) -> bool:
        """Whether the value is on the right side."""
        return value >= self.bound if self.least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Result:
    """One measure: the figures of each pair.

    Attributes:
        name: What was measured, against what.
        ours: One figure for each pair.
        theirs: The other side's; empty where the figure itself is held against the goal.
        unit: Of the figures.
        goal: None: shown for comparison.
        judged_by: Requests by the time that the server had its core, which it fills; starts by the clock, as they wait.
    """

    name: str
    ours: Sequence[Sample]
    theirs: Sequence[Sample]
    unit: str
    goal: Goal | None = None
    judged_by: Clock = "cpu"

    def values(self, clock: Clock) -> list[float]:
        """What the goal is about: the ratio of each pair, or the figures as they are."""
        ours, theirs = ([getattr(sample, clock) for sample in side] for side in (self.ours, self.theirs))
        return [one / other for one, other in zip(ours, theirs, strict=True)] if theirs else ours

    def median(self, clock: Clock) -> float:
        """Of the values."""
        return statistics.median(self.values(clock))

    @property
    def is_met(self) -> bool | None:
        """None where there is no goal."""
        return self.goal.is_met(self.median(self.judged_by)) if self.goal else None


def paired(ours: Reading, theirs: Reading, pairs: int) -> tuple[list[Sample], list[Sample]]:
    """Readings of both sides in turn, after one of each that does not count; who goes first alternates."""
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    readings = (ours, theirs)
    for reading in readings:
        reading()
    for number in range(pairs):
        for side in (0, 1) if number % 2 else (1, 0):
            sides[side].append(readings[side]())
    return sides


def rate(server: Server, paths: Callable[[], Sequence[str]], seconds: int) -> Reading:
    """Requests per second, with addresses signed afresh: they live for three minutes."""
    return lambda: requests_per_second(server, paths(), seconds)


def held(server: Server) -> Sample:
    """The memory that a server holds; no clock has a part in it."""
    return Sample(server.memory_mb, server.memory_mb)
