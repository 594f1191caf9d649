"""Benchmarks with 100,000 sites, compared with 100: request rate, memory and start-up, on both databases."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence

from addon import Audience, Deployed, environment, populated
from addonkit.testing import Site
from addonkit.testing.postgresql import Server as PostgreSQL
from machine import HERE, BenchError, Sample
from postgresql import postgresql
from results import Goal, Result, costs, memory_of, paired, rate
from tenant_rows import add_sites

FEW, MANY = 100, 100_000
DRAWN_PER_SECOND = 5_000
"""Sites drawn for a second of a run: more than the requests of a second, so that no site occurs twice."""
MAX_LOOKUP_US = {"SQLite": 80, "PostgreSQL": 150}
"""The goals for a site that is not in memory."""
MODULE = "bench-plain"


async def tenants(pairs: int, seconds: int) -> list[Result]:
    """Run all benchmarks of this module on SQLite and then on PostgreSQL."""
    lite = await on_database("SQLite", None, pairs, seconds)
    with postgresql() as server:
        return lite + await on_database("PostgreSQL", server, pairs, seconds)


async def on_database(name: str, server: PostgreSQL | None, pairs: int, seconds: int) -> list[Result]:
    """Run all benchmarks of this module on one database."""
    async with (
        populated(server=server, tenants=FEW, items=0) as (first, small),
        populated(server=server, tenants=FEW, items=0) as (second, large),
    ):
        everyone = Audience(
            [*large.sites, *await add_sites(second, large.sites[0], MANY - FEW)],
            large.descriptor,
        )
        against = f"{MANY:,} sites : {FEW}, {name}"
        return [
            *rates(name, (second, large, everyone), (first, small), pairs, seconds),
            Result(f"start, {against}", *starts(second, first, pairs), "s", Goal(1.10, False), "clock"),
            *directory(name, second, everyone.sites),
        ]


def rates(
    name: str,
    large: tuple[Deployed, Audience, Audience],
    small: tuple[Deployed, Audience],
    pairs: int,
    seconds: int,
) -> list[Result]:
    """Compare pages of 100,000 sites in turn, and of 100 of them, with those of a deployment that has 100 sites."""
    with small[0].served() as few, large[0].served() as many:
        drawn = turns(large[2], DRAWN_PER_SECOND * seconds)
        theirs = rate(few, lambda: small[1].paths(MODULE), seconds)
        active = paired(rate(many, lambda: large[1].paths(MODULE), seconds), theirs, pairs)
        memory = [memory_of(many)], [memory_of(few)]
        all_of_them = paired(rate(many, lambda: next(drawn), seconds), theirs, pairs)
        least = DRAWN_PER_SECOND * 0.9
        if max(sample.clock for sample in all_of_them[0]) > least:
            raise BenchError(f"more than {least:,.0f} pages/s, so sites occurred twice; raise DRAWN_PER_SECOND")
        against = f"{MANY:,} sites : {FEW}, {name}"
        lookup = Goal(MAX_LOOKUP_US[name], False)
        return [
            Result(f"page, {FEW} active of {against}", *active, "req/s", Goal(0.80, True)),
            Result(f"memory, {FEW} active of {against}", *memory, "MB", Goal(1.10, False)),
            Result(f"page, each of {against}", *all_of_them, "req/s"),
            Result(f"page of a site not in memory, {name}", *costs(all_of_them), "µs", lookup, compared="difference"),
        ]


def turns(audience: Audience, count: int) -> Iterator[list[str]]:
    """Yield signed pages of this many sites: all sites in turn, shuffled, so that a site is not in memory any more."""
    sites = itertools.cycle(random.sample(audience.sites, len(audience.sites)))
    while True:
        yield Audience(list(itertools.islice(sites, count)), audience.descriptor).paths(MODULE, count)


def starts(many: Deployed, few: Deployed, pairs: int) -> tuple[list[Sample], list[Sample]]:
    """Compare the times from the start of a process to its first response."""

    def start(deployed: Deployed) -> Sample:
        with deployed.served() as server:
            return server.start

    return paired(lambda: start(many), lambda: start(few), pairs)


def directory(name: str, deployed: Deployed, sites: Sequence[Site]) -> list[Result]:
    """Measure the memory of the sites that a process keeps, and again after it has read twice as many.

    Raises:
        BenchError: The process failed.
    """
    command = [sys.executable, HERE / "directory_memory.py", deployed.folder / "addon.toml"]
    names = "\n".join(site.client_key for site in sites)
    done = subprocess.run(
        command, input=names, capture_output=True, text=True, check=False, env=environment(deployed.folder)
    )
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise BenchError(f"the directory could not be filled: {reason}")
    measured = json.loads(done.stdout)
    full, later = (Sample(measured[name], measured[name]) for name in ("full_mb", "later_mb"))
    kept = measured["kept"]
    return [
        Result(f"memory of {kept:,} sites, {name}", [full], (), "MB", Goal(32, False)),
        Result(f"after {measured['read']:,} of {len(sites):,} : {kept:,}, {name}", [later], [full], "MB"),
    ]
