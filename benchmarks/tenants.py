"""A hundred thousand sites against a hundred: the rate, the memory and the start, on both databases."""

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
from results import Goal, Result, held, paired, rate
from tenant_rows import add_sites

FEW, MANY = 100, 100_000
DRAWN_A_SECOND = 2_500
"""Sites of a drawn run: more than it can ask for, so that none is asked for twice."""
MODULE = "bench-plain"


async def tenants(pairs: int, seconds: int) -> list[Result]:
    """Both databases, one after the other."""
    lite = await crowd("SQLite", None, pairs, seconds)
    with postgresql() as server:
        return lite + await crowd("PostgreSQL", server, pairs, seconds)


async def crowd(name: str, server: PostgreSQL | None, pairs: int, seconds: int) -> list[Result]:
    """All figures of one database."""
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
    """The page for the same number of active sites, and for sites drawn from all, most of which are not in memory."""
    with small[0].served() as few, large[0].served() as many:

        def drawn() -> list[str]:
            sites = random.sample(large[2].sites, DRAWN_A_SECOND * seconds)
            return Audience(sites, large[2].descriptor).paths(MODULE, len(sites))

        theirs = rate(few, lambda: small[1].paths(MODULE), seconds)
        active = paired(rate(many, lambda: large[1].paths(MODULE), seconds), theirs, pairs)
        memory = [held(many)], [held(few)]
        return [
            Result(f"page, {against}", *active, "req/s", Goal(0.80, True)),
            Result(f"memory, {against}", *memory, "MB", Goal(1.10, False)),
            Result(f"page, drawn from {against}", *paired(rate(many, drawn, seconds), theirs, pairs), "req/s"),
        ]


def starts(many: Deployed, few: Deployed, pairs: int) -> tuple[list[Sample], list[Sample]]:
    """From the start of a process to its first answer."""

    def start(deployed: Deployed) -> Sample:
        with deployed.served() as server:
            return server.start

    return paired(lambda: start(many), lambda: start(few), pairs)


def directory(name: str, deployed: Deployed, sites: Sequence[Site]) -> list[Result]:
    """What the sites in memory take: of a process that has had twice as many as it keeps.

    Raises:
        BenchError: It could not read them.
    """
    command = [sys.executable, HERE / "directory_memory.py", deployed.folder / "addon.toml"]
    names = "\n".join(site.client_key for site in sites)
    done = subprocess.run(
        command, input=names, capture_output=True, text=True, check=False, env=environment(deployed.folder)
    )
    if done.returncode != 0:
        words = done.stderr.strip().rpartition("\n")[2]
        raise BenchError(f"the directory could not be filled; it said: {words}")
    said = json.loads(done.stdout)
    full, later = Sample(said["full_mb"], said["full_mb"]), Sample(said["later_mb"], said["later_mb"])
    return [
        Result(f"memory of {said['kept']:,} sites, {name}", [full], (), "MB", Goal(32, False)),
        Result(f"after {said['read']:,} of {len(sites):,} : {said['kept']:,}, {name}", [later], [full], "MB"),
    ]
