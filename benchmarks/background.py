"""What webhooks and jobs cost: stored durably against a bare endpoint, drained, and beside pages."""

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

HOOK = "/webhooks/bench_page/told"
DRAINED, CROWD = 20_000, 100_000
ONLY_STORED = "\n[jobs]\nin_server = false\n"
LONGEST_TAIL = 10.0
MOST_FILLS = 5

_runs = itertools.count()


@contextmanager
def taker() -> Iterator[Server]:
    """The bare endpoint: reads a body and answers 204, on the server that the add-on runs on."""
    port = free_port()
    with serving([sys.executable, HERE / "bare_asgi.py", f"127.0.0.1:{port}", "204"], port, "/") as server:
        yield server


def tokens(audience: Audience) -> list[str]:
    """One for each site, good for three minutes."""
    [module] = audience.descriptor["modules"]["webhooks"]
    calls = (site.webhook_request(audience.descriptor, module, b"{}") for site in audience.sites)
    return [headers["authorization"].removeprefix("JWT ") for _, _, headers, _ in calls]


def told(server: Server, signed: list[str], seconds: int) -> tuple[Sample, float]:
    """Webhooks that a server answers in a second, and how often the median the slowest hundredth takes.

    Raises:
        BenchError: It refused some.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(signed) + "\n")
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", HERE / "post.lua"]
        command += [f"http://127.0.0.1:{server.port}", "--", file.name, HOOK, str(next(_runs))]
        before = cpu_s(server.pid)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        used = cpu_s(server.pid) - before
    if done.returncode != 0 or not done.stdout:
        raise BenchError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    counted = json.loads(done.stdout.strip().splitlines()[-1])
    if counted["refused"]:
        raise BenchError(f"{counted['refused']} of {counted['requests']} webhooks were refused")
    rate = Sample(counted["requests"] / counted["duration_us"] * 1e6, counted["requests"] / used)
    return rate, counted["p99_us"] / max(1, counted["p50_us"])


async def webhooks(pairs: int, seconds: int) -> list[Result]:
    """Webhooks stored durably against the bare endpoint, on both databases."""
    results = []
    with postgresql() as server, taker() as bare:
        for name, where in (("SQLite", None), ("PostgreSQL", server)):
            async with installed(server=where, more=ONLY_STORED) as (addon, audience):
                tails: list[Sample] = []

                def ours(addon: Server = addon, audience: Audience = audience, tails: list[Sample] = tails) -> Sample:
                    sample, tail = told(addon, tokens(audience), seconds)
                    tails.append(Sample(tail, tail))
                    return sample

                def theirs(audience: Audience = audience) -> Sample:
                    return told(bare, tokens(audience), seconds)[0]

                goal = Goal(0.5, True) if where is None else None
                results.append(
                    Result(f"webhook stored, {name} : bare 204", *paired(ours, theirs, pairs), "req/s", goal)
                )
                results.append(Result(f"p99 : p50 of it, {name}", tails, (), "", Goal(LONGEST_TAIL, False), "clock"))
    return results


async def jobs(pairs: int, _: int) -> list[Result]:
    """Jobs that one process runs in a second, on both databases."""
    results = []
    with postgresql() as server:
        for name, where, least in (("SQLite", None, 500), ("PostgreSQL", server, 1500)):
            async with populated(server=where, items=0) as (deployed, _audience):
                figures = [drained(deployed) for _ in range(max(3, pairs // 2))]
                results.append(
                    Result(f"jobs in one process, {name}", figures, (), "jobs/s", Goal(least, True), "clock")
                )
    return results


async def beside(pairs: int, seconds: int) -> list[Result]:
    """Pages while a hundred thousand jobs drain in the same process, against pages of the same process alone."""
    async with populated(items=0) as (deployed, audience):

        def pages() -> Sample:
            with deployed.served() as server:
                return rate(server, lambda: audience.paths("bench-plain"), seconds)()

        def busy() -> Sample:
            call(deployed, CROWD, "fill")
            return pages()

        def idle() -> Sample:
            call(deployed, 1)
            return pages()

        figures = paired(busy, idle, min(pairs, MOST_FILLS))
        return [Result("page while 100,000 jobs drain : alone", *figures, "req/s", Goal(0.7, True), "clock")]


def drained(deployed: Deployed) -> Sample:
    """How many jobs a second are run, filled anew each time."""
    said = call(deployed, DRAINED)
    return Sample(said["jobs"] / said["clock_s"], said["jobs"] / said["cpu_s"])


def call(deployed: Deployed, count: int, *words: str) -> dict[str, float]:
    """Run ``drain_queue.py``.

    Raises:
        BenchError: It failed.
    """
    command = [sys.executable, HERE / "drain_queue.py", deployed.folder / "addon.toml", str(count), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(deployed.folder))
    if done.returncode != 0:
        raise BenchError(f"the queue could not be drained; it said: {done.stderr.strip().rpartition(chr(10))[2]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
