"""CPU time of each request: behind wrk, beyond a bare application on the same server, and without a server at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from addon import DESCRIPTOR, Audience, Deployed, environment, populated
from background import ONLY_STORED, WEBHOOK_PATH, tokens
from machine import HERE, BenchError, Sample, Server, bare, on_servers_core
from results import Goal, Result, costs, paired, rate
from wrk import pages_per_second, webhooks_per_second

SERVERS = ("hypercorn", "granian")
STATE = "/bench_page/state"
Lines = Callable[[Server], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request.

    Attributes:
        name: Its name in the results.
        lines: Returns requests as ``rotate.lua`` takes them, made anew for each run; for webhooks only their tokens.
        is_webhook: Whether it is a webhook.
        behind: Goal behind hypercorn, in µs beyond a bare application.
        inside: Goal without a server, in µs.
    """

    name: str
    lines: Lines
    is_webhook: bool = False
    behind: float | None = None
    inside: float | None = None


def kinds(audience: Audience) -> list[Kind]:
    """Return the kinds of requests that are judged."""
    return [
        Kind("page with session token", lambda _: audience.paths("bench-session"), behind=260, inside=165),
        Kind("list of 10 rows", lambda _: audience.paths("bench-rows"), behind=700, inside=450),
        Kind("session call", lambda server: audience.calls(server, STATE), behind=160, inside=100),
        Kind("webhook, jobs elsewhere", lambda _: tokens(audience), is_webhook=True, behind=150, inside=90),
        Kind("descriptor", lambda _: [DESCRIPTOR], behind=10),
    ]


async def cpu(pairs: int, seconds: int) -> list[Result]:
    """Measure all kinds of requests on both servers, and in process; and webhooks of a default deployment."""
    results = []
    async with populated(more=ONLY_STORED) as (deployed, audience), populated() as (default, others):
        for engine in SERVERS:
            with bare(server=engine) as other:
                with deployed.served(engine) as addon:
                    results += [beyond_bare(kind, addon, other, engine, pairs, seconds) for kind in kinds(audience)]
                with default.served(engine) as addon:
                    kind = Kind("webhook, and jobs run beside", lambda _: tokens(others), is_webhook=True)
                    results.append(beyond_bare(kind, addon, other, engine, pairs, seconds))
        results += [in_process(kind, deployed, pairs) for kind in kinds(audience)]
    return results


def beyond_bare(kind: Kind, addon: Server, other: Server, engine: str, pairs: int, seconds: int) -> Result:
    """Compare the CPU time of a request with that of a bare one on the same server."""

    def ours() -> Sample:
        lines = kind.lines(addon)
        if kind.is_webhook:
            return webhooks_per_second(addon, WEBHOOK_PATH, lines, seconds)[0]
        return pages_per_second(addon, lines, seconds)

    sides = paired(ours, rate(other, lambda: ["/"], seconds), pairs)
    goal = Goal(kind.behind, False) if kind.behind and engine == SERVERS[0] else None
    return Result(f"{kind.name}, beyond bare {engine}", *costs(sides), "µs", goal, compared="difference")


def in_process(kind: Kind, deployed: Deployed, pairs: int) -> Result:
    """Measure the CPU time of a request without a server, in a process of its own for each reading."""
    with deployed.served() as server:
        lines = kind.lines(server)
    if kind.is_webhook:
        lines = [f"{WEBHOOK_PATH}\tJWT {token}" for token in lines]
    figures = [run_in_process(deployed, "POST" if kind.is_webhook else "GET", lines) for _ in range(pairs)]
    goal = Goal(kind.inside, False) if kind.inside else None
    return Result(f"{kind.name}, in process", figures, (), "µs", goal)


def run_in_process(deployed: Deployed, method: str, lines: Sequence[str]) -> Sample:
    """Run ``in_process.py`` and return the µs of one request.

    Raises:
        BenchError: It failed.
    """
    command = [*on_servers_core(), sys.executable, HERE / "in_process.py", deployed.folder / "addon.toml", method]
    done = subprocess.run(
        command,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        env=environment(deployed.folder),
    )
    if done.returncode != 0:
        raise BenchError(f"requests in process failed: {done.stderr.strip().rpartition(chr(10))[2]}")
    return Sample(**json.loads(done.stdout.strip().rpartition("\n")[2]))
