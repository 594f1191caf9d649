"""The cost of a standby, and of PostgreSQL itself: webhooks and jobs with each kind of replication, on one machine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from addon import Audience, populated
from background import DRAINED_JOBS, ONLY_STORED, WEBHOOK_PATH, drain, tokens
from machine import HERE, BenchError, Sample, Server, cpu_s
from results import Result
from wrk import Counts, webhooks_per_second

sys.path.append(str(HERE.parent))

from tests.support.postgresql_pair import STANDBY, Node, Pair, postgresql_pair, until

NONE = "no standby"
# None: no standby is named, so no commit waits for it.
MODES: dict[str, str | None] = {
    NONE: None,
    "asynchronous": None,
    "remote_write": "remote_write",
    "on": "on",
    "remote_apply": "remote_apply",
}
STATES = """
SELECT current_setting('synchronous_commit'), state, sync_state, replay_lsn = pg_current_wal_lsn()
FROM (SELECT 1) AS one LEFT JOIN pg_stat_replication ON true
"""


@dataclass
class Figures:
    """What was measured with one kind of replication."""

    rates: list[Sample] = field(default_factory=list)
    medians: list[Sample] = field(default_factory=list)
    tails: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample, counts: Counts) -> None:
        """Add a run."""
        self.rates.append(sample)
        self.medians.append(milliseconds(counts.p50_us, counts))
        self.tails.append(milliseconds(counts.p99_us, counts))


async def replication(pairs: int, seconds: int) -> list[Result]:
    """Store webhooks with each kind of replication in turn; then measure the CPU time of PostgreSQL itself."""
    with pair_on_disk() as pair:
        async with populated(server=pair.server, items=0) as (deployed, audience):
            with deployed.served() as addon:
                found = in_turn(pair, addon, audience, pairs, seconds)
        with replicating(pair, NONE):
            async with populated(server=pair.server, items=0, more=ONLY_STORED) as (deployed, audience):
                with deployed.served() as addon:
                    found.append(cost_of_webhook(pair.primary, addon, audience, pairs, seconds))
                found.append(cost_of_job(pair.primary, lambda: drain(deployed, DRAINED_JOBS), pairs))
    return found


@contextmanager
def pair_on_disk() -> Iterator[Pair]:
    """Run both servers with their data on the disk, since commits are measured, and with autovacuum, the default."""
    with tempfile.TemporaryDirectory(prefix="addonkit-bench-") as folder:
        # The servers run with another account.
        Path(folder).chmod(0o755)
        with postgresql_pair(Path(folder)) as pair:
            pair.server.execute("ALTER SYSTEM SET autovacuum = on", "SELECT pg_reload_conf()")
            yield pair


def in_turn(pair: Pair, addon: Server, audience: Audience, pairs: int, seconds: int) -> list[Result]:
    """Compare all kinds of replication, in rounds of opposite order, after one to warm up."""
    figures = {mode: Figures() for mode in MODES}
    for number in range(pairs + 1):
        for mode in MODES if number % 2 else reversed(MODES):
            with replicating(pair, mode):
                sample, counts = webhooks_per_second(addon, WEBHOOK_PATH, tokens(audience), seconds)
            if number:
                figures[mode].add(sample, counts)
    alone = figures[NONE]
    results = []
    for mode, found in figures.items():
        against = (found.rates, () if found is alone else alone.rates)
        name = mode if found is alone else f"{mode} : {NONE}"
        results.append(Result(f"webhooks, {name}", *against, "req/s", judged_by="clock"))
        results.append(Result(f"p50 of webhooks, {mode}", found.medians, (), "ms", judged_by="clock"))
        results.append(Result(f"p99 of webhooks, {mode}", found.tails, (), "ms", judged_by="clock"))
    return results


@contextmanager
def replicating(pair: Pair, mode: str) -> Iterator[None]:
    """Use a kind of replication for the duration of the block; the standby has everything when it begins."""
    commit = MODES[mode]
    pair.server.execute(
        f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY if commit else ''}'",
        f"ALTER SYSTEM SET synchronous_commit = '{commit or 'on'}'",
        "SELECT pg_reload_conf()",
    )
    wanted = (commit or "on", "streaming", "sync" if commit else "async", True)
    if mode == NONE:
        pair.standby.stop()
        wanted = ("on", None, None, None)
    try:
        until(lambda: pair.server.fetch(None, STATES) == [wanted], f"the replication is not '{mode}'")
        yield
    finally:
        if mode == NONE:
            pair.standby.start(STANDBY)


def cost_of_webhook(node: Node, addon: Server, audience: Audience, pairs: int, seconds: int) -> Result:
    """Measure the CPU time of PostgreSQL for a webhook that one process stores, with jobs elsewhere."""
    figures = []
    for _ in range(pairs):
        before = server_cpu_s(node)
        _, counts = webhooks_per_second(addon, WEBHOOK_PATH, tokens(audience), seconds)
        figures.append(each(server_cpu_s(node) - before, counts.answered, counts.failed))
    return Result("CPU of PostgreSQL for a webhook", figures, (), "µs")


def cost_of_job(node: Node, run: Callable[[], dict[str, float]], pairs: int) -> Result:
    """Measure the CPU time of PostgreSQL for a no-op job that one process enqueues and runs."""
    figures = []
    for _ in range(pairs):
        before = server_cpu_s(node)
        jobs = int(run()["jobs"])
        figures.append(each(server_cpu_s(node) - before, jobs))
    return Result("CPU of PostgreSQL for a job", figures, (), "µs")


def server_cpu_s(node: Node) -> float:
    """Return the CPU time of a server and of all its connections, the closed ones as well, in seconds."""
    main = psutil.Process(int((node.data / "postmaster.pid").read_text(encoding="ascii").split()[0]))
    closed = main.cpu_times()
    living = sum(cpu_s(one.pid) for one in (main, *main.children(recursive=True)))
    return living + closed.children_user + closed.children_system


def each(seconds: float, count: int, failed: int = 0) -> Sample:
    """Return the µs for each of a number of things."""
    if not count:
        raise BenchError("nothing was done while the CPU time of PostgreSQL was measured")
    return Sample(seconds / count * 1e6, seconds / count * 1e6, failed)


def milliseconds(us: int, counts: Counts) -> Sample:
    """Return a response time in ms."""
    return Sample(us / 1000, us / 1000, counts.failed)
