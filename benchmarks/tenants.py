"""Benchmarks with 100,000 sites, compared with 100: request rate, memory and start-up, on both databases."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence

from addon import Audience, Deployed, environment, populated
from addonkit.testing import Site
from addonkit.testing.postgresql import Server as PostgreSQL
from machine import HERE, BenchError, Sample
from postgresql import postgresql
from results import Goal, Result, memory_of, paired, rate
from tenant_rows import add_sites

FEW, MANY = 100, 100_000
DRAWN_PER_SECOND = 2_500
"""Sites drawn per second of a run: more than the requests of a second, so that no site occurs twice."""
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
            *rates(against, (second, large, everyone), (first, small), pairs, seconds),
            Result(f"start, {against}", *starts(second, first, pairs), "s", Goal(1.10, False), "clock"),
            *directory(name, second, everyone.sites),
        ]


def rates(
    against: str,
    large: tuple[Deployed, Audience, Audience],
    small: tuple[Deployed, Audience],
    pairs: int,
    seconds: int,
) -> list[Result]:
    """Compare pages of equally many active sites, and pages of sites drawn at random, most of them not in memory."""
    with small[0].served() as few, large[0].served() as many:

        def drawn() -> list[str]:
            sites = random.sample(large[2].sites, DRAWN_PER_SECOND * seconds)
            return Audience(sites, large[2].descriptor).paths(MODULE, len(sites))

        theirs = rate(few, lambda: small[1].paths(MODULE), seconds)
        active = paired(rate(many, lambda: large[1].paths(MODULE), seconds), theirs, pairs)
        memory = [memory_of(many)], [memory_of(few)]
        return [
            Result(f"page, {against}", *active, "req/s", Goal(0.80, True)),
            Result(f"memory, {against}", *memory, "MB", Goal(1.10, False)),
            Result(f"page, drawn from {against}", *paired(rate(many, drawn, seconds), theirs, pairs), "req/s"),
        ]


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
