"""Benchmarks of webhooks and jobs: storing webhooks, draining the queue, and pages while the queue drains."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from addon import Audience, Deployed, environment, installed, populated
from machine import HERE, BenchError, Sample, Server, bare
from postgresql import postgresql
from results import Goal, Result, paired, rate
from wrk import webhooks_per_second

WEBHOOK_PATH = "/webhooks/bench_page/issue_updated"
DRAINED_JOBS = 20_000
BESIDE = {0: 100_000, 5: 10_000, 20: 3_000}
"""Number of jobs that wait beside pages, by the milliseconds of CPU time that each takes."""
ONLY_STORED = "\n[jobs]\nin_server = false\n"
TOKEN_AGES = 16
MAX_TAIL_RATIO = 10.0
MAX_FILLS = 5


def tokens(audience: Audience) -> list[str]:
    """Return webhook tokens of all sites, valid for two minutes and more; a site's are of different seconds."""
    webhooks = audience.descriptor["modules"]["webhooks"]
    [module] = [one for one in webhooks if one["url"].startswith(WEBHOOK_PATH)]
    now = int(time.time())
    calls = (
        site.webhook_request(audience.descriptor, module, b"{}", issued_at=now - age)
        for age in range(TOKEN_AGES)
        for site in audience.sites
    )
    return [headers["authorization"].removeprefix("JWT ") for _, _, headers, _ in calls]


async def webhooks(pairs: int, seconds: int) -> list[Result]:
    """Compare storing webhooks durably with the bare endpoint: default deployments, whose server also runs the jobs."""
    results = []
    with postgresql() as server, bare("204") as other:
        for name, where in (("SQLite", None), ("PostgreSQL", server)):
            async with installed(server=where) as (addon, audience):
                goal = Goal(0.5, True) if where is None else None
                results += against_bare(f"webhook stored, {name}", addon, other, audience, (pairs, seconds), goal)
            async with installed(server=where, more=ONLY_STORED) as (addon, audience):
                title = f"webhook stored, {name}, jobs elsewhere"
                results += against_bare(title, addon, other, audience, (pairs, seconds), None)
    return results


def against_bare(
    name: str, addon: Server, other: Server, audience: Audience, amount: tuple[int, int], goal: Goal | None
) -> list[Result]:
    """Compare webhooks of an add-on with the bare endpoint, and its slow responses with its median."""
    pairs, seconds = amount
    tails: list[Sample] = []

    def ours() -> Sample:
        sample, counts = webhooks_per_second(addon, WEBHOOK_PATH, tokens(audience), seconds)
        tails.append(counts.tail)
        return sample

    def theirs() -> Sample:
        return webhooks_per_second(other, WEBHOOK_PATH, tokens(audience), seconds)[0]

    stored = Result(f"{name} : bare 204", *paired(ours, theirs, pairs), "req/s", goal)
    return [stored, Result(f"p99 : p50 of {name}", tails[1:], (), "", Goal(MAX_TAIL_RATIO, False), "clock")]


async def jobs(pairs: int, _: int) -> list[Result]:
    """Measure the jobs that one process runs per second, on both databases."""
    results = []
    with postgresql() as server:
        for name, where, least in (("SQLite", None, 500), ("PostgreSQL", server, 1500)):
            async with populated(server=where, items=0) as (deployed, _audience):
                figures = [job_rate(deployed) for _ in range(max(3, pairs // 2))]
                results.append(
                    Result(f"jobs in one process, {name}", figures, (), "jobs/s", Goal(least, True), "clock")
                )
    return results


async def backlog(pairs: int, _: int) -> list[Result]:
    """Compare the jobs per second behind a million jobs that cannot run, half of them ordered, with an empty queue."""
    results = []
    with postgresql() as server:
        for name, where in (("SQLite", None), ("PostgreSQL", server)):
            async with populated(server=where, items=0) as (full, _), populated(server=where, items=0) as (empty, _):

                def ours(full: Deployed = full) -> Sample:
                    return job_rate(full, "backlog")

                def theirs(empty: Deployed = empty) -> Sample:
                    return job_rate(empty)

                title = f"jobs behind 1,000,000 waiting : alone, {name}"
                figures = paired(ours, theirs, min(pairs, MAX_FILLS))
                results.append(Result(title, *figures, "jobs/s", Goal(0.8, True), "clock"))
    return results


async def beside(pairs: int, seconds: int) -> list[Result]:
    """Compare pages while jobs of 0, 5 and 20 ms of CPU time run in the same process with pages of an idle process."""
    results = []
    async with populated(items=0) as (deployed, audience):

        def pages() -> Sample:
            with deployed.served() as server:
                return rate(server, lambda: audience.paths("bench-plain"), seconds)()

        def idle() -> Sample:
            drain(deployed, 0, "left")
            return pages()

        for cpu_ms, count in BESIDE.items():
            done: list[Sample] = []

            def busy(cpu_ms: int = cpu_ms, count: int = count, done: list[Sample] = done) -> Sample:
                drain(deployed, 0, "left")
                drain(deployed, count, f"fill{cpu_ms}")
                sample = pages()
                jobs = count - drain(deployed, 0, "left")["jobs"]
                done.append(Sample(jobs, jobs))
                return sample

            figures = paired(busy, idle, min(pairs, MAX_FILLS))
            title = f"page beside jobs of {cpu_ms} ms : alone"
            results.append(Result(title, *figures, "req/s", Goal(0.7, True), "clock"))
            results.append(Result(f"jobs of {cpu_ms} ms done beside it", done[1:], (), "jobs"))
    return results


def job_rate(deployed: Deployed, *words: str) -> Sample:
    """Fill the queue and return the jobs that are run per second."""
    taken = drain(deployed, DRAINED_JOBS, *words)
    return Sample(taken["jobs"] / taken["clock_s"], taken["jobs"] / taken["cpu_s"])


def drain(deployed: Deployed, count: int, *words: str) -> dict[str, float]:
    """Run ``drain_queue.py`` and return what it prints.

    Raises:
        BenchError: It failed.
    """
    command = [sys.executable, HERE / "drain_queue.py", deployed.folder / "addon.toml", str(count), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(deployed.folder))
    if done.returncode != 0:
        raise BenchError(f"the queue could not be drained: {done.stderr.strip().rpartition(chr(10))[2]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
