"""Results of measures; the two sides of a comparison run in turn, so that a busy machine slows both."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from machine import Sample, Server
from wrk import pages_per_second

Reading = Callable[[], Sample]
Clock = Literal["clock", "cpu"]
Comparison = Literal["ratio", "ratio of medians", "difference"]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for the median of a result.

    Attributes:
        bound: The bound.
        is_minimum: Whether the median has to be at least the bound; otherwise at most.
    """

    bound: float
    is_minimum: bool

    def __str__(self) -> str:
        return f"{'≥' if self.is_minimum else '≤'} {self.bound:g}"

    def is_met(self, value: float) -> bool:
        """Return whether a value meets the goal."""
        return value >= self.bound if self.is_minimum else value <= self.bound


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one measure.

    Attributes:
        name: What is measured, and what it is compared with.
        ours: The add-on's figures, one for each pair.
        theirs: The figures of the other side; empty if the goal is about the figure itself.
        unit: Unit of the figures.
        goal: The goal; None if the result is shown for comparison only.
        judged_by: Figure that the goal is about: ``cpu`` for requests, because a loaded server fills its core;
            ``clock`` for start-up, which also waits for disks.
        compared: How the sides are compared: the median of the ratios or differences of all pairs, or the ratio of
            both sides' medians.
    """

    name: str
    ours: Sequence[Sample]
    theirs: Sequence[Sample]
    unit: str
    goal: Goal | None = None
    judged_by: Clock = "cpu"
    compared: Comparison = "ratio"

    def values(self, clock: Clock) -> list[float]:
        """Return the ratio or difference of each pair, or the figures if there is no other side."""
        ours, theirs = self._figures(clock)
        if not theirs:
            return ours
        compare = operator.sub if self.compared == "difference" else operator.truediv
        return [compare(one, other) for one, other in zip(ours, theirs, strict=True)]

    def median(self, clock: Clock) -> float:
        """Return the median of the values, or the ratio of the medians."""
        if self.compared == "ratio of medians":
            ours, theirs = self._figures(clock)
            return statistics.median(ours) / statistics.median(theirs)
        return statistics.median(self.values(clock))

    @property
    def failed(self) -> int:
        """Number of requests that failed on both sides."""
        return sum(sample.failed for sample in (*self.ours, *self.theirs))

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met, which it is not if requests failed; None without a goal."""
        return not self.failed and self.goal.is_met(self.median(self.judged_by)) if self.goal else None

    def _figures(self, clock: Clock) -> tuple[list[float], list[float]]:
        ours, theirs = ([getattr(sample, clock) for sample in side] for side in (self.ours, self.theirs))
        return ours, theirs


def paired(ours: Reading, theirs: Reading, pairs: int) -> tuple[list[Sample], list[Sample]]:
    """Take readings of both sides in turn, in alternating order, after one of each to warm up."""
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    readings = (ours, theirs)
    for reading in readings:
        reading()
    for number in range(pairs):
        for side in (0, 1) if number % 2 else (1, 0):
            sides[side].append(readings[side]())
    return sides


def rate(server: Server, lines: Callable[[], Sequence[str]], seconds: int) -> Reading:
    """Return a reading of requests per second; ``lines`` signs URLs for each run, as tokens expire in three minutes."""
    return lambda: pages_per_second(server, lines(), seconds)


def cost(rate: Sample) -> Sample:
    """Return the µs for each request at a rate per second."""
    return Sample(1e6 / rate.clock, 1e6 / rate.cpu, rate.failed)


def costs(sides: tuple[list[Sample], list[Sample]]) -> tuple[list[Sample], list[Sample]]:
    """Return the µs for each request at the rates of two sides."""
    ours, theirs = ([cost(rate) for rate in side] for side in sides)
    return ours, theirs


def memory_of(server: Server) -> Sample:
    """Return the memory of a server; both figures are the same."""
    return Sample(server.memory_mb, server.memory_mb)
