"""What is measured, and what is asked of it. The sides of a measure run in turn, so that a slow minute hits both."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from addon import DESCRIPTOR, PAGES, TENANTS, Audience, Deployed, add_sites, deploy, installed
from machine import HERE, Sample, Server, free_port, requests_per_second, serving

Reading = Callable[[], Sample]
Clock = Literal["clock", "cpu"]
MANY_TENANTS = 10_000
DRAWN = 4_000
SHIPPED = ("issue_panel", "macro", "licensing")


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


@contextmanager
def bare() -> Iterator[Server]:
    """The bare ASGI callable, served."""
    port = free_port()
    with serving([sys.executable, HERE / "bare.py", f"127.0.0.1:{port}"], port, "/") as server:
        yield server


@asynccontextmanager
async def fleet() -> AsyncIterator[tuple[Deployed, Server, Audience]]:
    """An installed add-on in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        async with installed(Path(folder)) as it:
            yield it


def hello() -> list[str]:
    """What the bare callable is asked for."""
    return ["/"]


async def page(pairs: int, seconds: int) -> list[Result]:
    """Authenticated pages against the bare callable."""
    async with fleet() as (_, addon, audience):
        with bare() as other:
            theirs = rate(other, hello, seconds)

            def against(module: str, name: str, goal: Goal | None = None) -> Result:
                ours = rate(addon, lambda: audience.paths(module), seconds)
                return Result(name, *paired(ours, theirs, pairs), "req/s", goal)

            return [
                against("bench-plain", "page : bare ASGI", Goal(0.40, True)),
                against("bench-session", "page with session token : bare ASGI"),
                against("issue-panel-panel", "checklist of 10 items : bare ASGI"),
            ]


async def descriptor(pairs: int, seconds: int) -> list[Result]:
    """The descriptor against the bare callable."""
    with tempfile.TemporaryDirectory() as folder, deploy(Path(folder), PAGES).served() as addon, bare() as other:
        ours, theirs = rate(addon, lambda: [DESCRIPTOR], seconds), rate(other, hello, seconds)
        return [Result("descriptor : bare ASGI", *paired(ours, theirs, pairs), "req/s", Goal(0.75, True))]


async def granian(pairs: int, seconds: int) -> list[Result]:
    """The same add-on on two servers, one database."""
    async with fleet() as (deployed, addon, audience):
        second = Deployed(deployed.folder, free_port())
        with second.served("granian") as other:

            def paths() -> list[str]:
                return audience.paths("bench-plain")

            both = paired(rate(other, paths, seconds), rate(addon, paths, seconds), pairs)
            return [Result("page on granian : on hypercorn", *both, "req/s", Goal(1.5, True))]


async def start(pairs: int, _: int) -> list[Result]:
    """From the start of the process to its first answer, with the shipped plugins, against the bare stack."""
    with tempfile.TemporaryDirectory() as folder:
        deployed = deploy(Path(folder), SHIPPED)

        def ours() -> Sample:
            with deployed.served() as server:
                return server.start

        def theirs() -> Sample:
            port = free_port()
            with serving([sys.executable, HERE / "stack.py", f"127.0.0.1:{port}"], port, "/") as server:
                return server.start

        return [
            Result(
                "cold start : Quart + Tortoise + pydantic", *paired(ours, theirs, pairs), "s", Goal(1.2, False), "clock"
            )
        ]


async def memory(pairs: int, _: int) -> list[Result]:
    """What the add-on with the shipped plugins holds when it has just answered once."""
    with tempfile.TemporaryDirectory() as folder:
        deployed = deploy(Path(folder), SHIPPED)
        figures = []
        for _ in range(max(3, pairs // 2)):
            with deployed.served() as server:
                await asyncio.sleep(0.5)
                figures.append(held(server))
        return [Result("idle memory, MB", figures, (), "MB", Goal(75, False))]


async def tenants(pairs: int, seconds: int) -> list[Result]:
    """64 sites and 10,000: the same page for the same number of active sites, then for sites drawn from all."""
    async with fleet() as (_, few, small), fleet() as (deployed, many, large):
        added = add_sites(deployed, large.sites[0], MANY_TENANTS - TENANTS)

        def busy(audience: Audience) -> Callable[[], list[str]]:
            return lambda: audience.paths("bench-plain")

        ours, theirs = rate(many, busy(large), seconds), rate(few, busy(small), seconds)
        pages = paired(ours, theirs, pairs)
        memories = Result("memory, 10,000 tenants : 64", [held(many)], [held(few)], "MB", Goal(1.05, False))
        return [
            Result("page, 10,000 tenants : 64", *pages, "req/s", Goal(0.90, True)),
            memories,
            *all_active(few, many, small, Audience(added, large.descriptor), pairs, seconds),
        ]


def all_active(few: Server, many: Server, small: Audience, large: Audience, pairs: int, seconds: int) -> list[Result]:
    """Sites drawn from all of them, most of which are not in memory: the price of reading one for a request."""

    def drawn() -> list[str]:
        return Audience(random.sample(large.sites, DRAWN), large.descriptor).paths("bench-plain", DRAWN)

    pages = paired(rate(many, drawn, seconds), rate(few, lambda: small.paths("bench-plain"), seconds), pairs)
    return [
        Result("page, drawn from 10,000 tenants : 64", *pages, "req/s"),
        Result("memory after that : 64 tenants", [held(many)], [held(few)], "MB"),
    ]


MEASURES = {
    "page": page,
    "descriptor": descriptor,
    "start": start,
    "memory": memory,
    "tenants": tenants,
    "granian": granian,
}
