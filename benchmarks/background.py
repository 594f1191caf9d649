"""Benchmarks of webhooks and jobs: storing webhooks, draining the queue, and pages while the queue drains."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from addon import Audience, Deployed, environment, installed, populated
from machine import CONNECTIONS, HERE, BenchError, Sample, Server, cpu_s, free_port, serving
from postgresql import postgresql
from results import Goal, Result, paired, rate

WEBHOOK_PATH = "/webhooks/bench_page/issue_updated"
DRAINED_JOBS = 20_000
BESIDE = {0: 100_000, 5: 10_000, 20: 3_000}
"""Number of jobs that wait beside pages, by the milliseconds of CPU time that each takes."""
ONLY_STORED = "\n[jobs]\nin_server = false\n"
MAX_TAIL_RATIO = 10.0
MAX_FILLS = 5

_runs = itertools.count()


@contextmanager
def bare_endpoint() -> Iterator[Server]:
    """Run the bare endpoint, which reads the body and responds 204, on the same server software as the add-on."""
    port = free_port()
    with serving([sys.executable, HERE / "bare_asgi.py", f"127.0.0.1:{port}", "204"], port, "/") as server:
        yield server


def tokens(audience: Audience) -> list[str]:
    """Return a webhook token for each site, valid for three minutes."""
    webhooks = audience.descriptor["modules"]["webhooks"]
    [module] = [one for one in webhooks if one["url"].startswith(WEBHOOK_PATH)]
    calls = (site.webhook_request(audience.descriptor, module, b"{}") for site in audience.sites)
    return [headers["authorization"].removeprefix("JWT ") for _, _, headers, _ in calls]


def webhook_rate(server: Server, signed: list[str], seconds: int) -> tuple[Sample, float]:
    """Return the webhooks that a server answers per second, and the ratio of the 99th percentile to the median.

    Raises:
        BenchError: wrk failed, or the server refused some requests.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(signed) + "\n")
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", HERE / "post.lua"]
        command += [f"http://127.0.0.1:{server.port}", "--", file.name, WEBHOOK_PATH, str(next(_runs))]
        before = cpu_s(server.pid)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        used = cpu_s(server.pid) - before
    if done.returncode != 0 or not done.stdout:
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    counted = json.loads(done.stdout.strip().splitlines()[-1])
    if counted["refused"]:
        raise BenchError(f"{counted['refused']} of {counted['requests']} webhooks were refused")
    sample = Sample(counted["requests"] / counted["duration_us"] * 1e6, counted["requests"] / used)
    return sample, counted["p99_us"] / max(1, counted["p50_us"])


async def webhooks(pairs: int, seconds: int) -> list[Result]:
    """Compare storing webhooks durably with the bare endpoint, on both databases."""
    results = []
    with postgresql() as server, bare_endpoint() as bare:
        for name, where in (("SQLite", None), ("PostgreSQL", server)):
            async with installed(server=where, more=ONLY_STORED) as (addon, audience):
                tails: list[Sample] = []

                def ours(addon: Server = addon, audience: Audience = audience, tails: list[Sample] = tails) -> Sample:
                    sample, tail = webhook_rate(addon, tokens(audience), seconds)
                    tails.append(Sample(tail, tail))
                    return sample

                def theirs(audience: Audience = audience) -> Sample:
                    return webhook_rate(bare, tokens(audience), seconds)[0]

                goal = Goal(0.5, True) if where is None else None
                results.append(
                    Result(f"webhook stored, {name} : bare 204", *paired(ours, theirs, pairs), "req/s", goal)
                )
                results.append(Result(f"p99 : p50 of it, {name}", tails, (), "", Goal(MAX_TAIL_RATIO, False), "clock"))
    return results


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
