"""A long run: mixed load on two machines behind nginx, with a failover of the database and a rolling restart."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.dashboard import filled, queries
from tests.support.deploy_folder import DEPLOY
from tests.support.mixed_load import MixedLoad, mixed_load, prepare, simulated_host
from tests.support.nginx_two_machines import Proxy, two_machines
from tests.support.postgresql_pair import Pair, postgresql_pair
from tests.support.process_group import free_ports, until_served
from tests.support.prometheus_tools import answer, prometheus
from tests.support.promql import parsed
from tests.support.served import until
from tests.support.serving_group import ServingGroup, slope_mb_per_hour

DATABASE = "kit"
WORKERS = 2
CLIENTS = {"page": 2, "updated": 4, "commented": 1, "created": 3, "install": 1}
PAUSE_S = 0.15
RECOVERY_S = 120.0
SAMPLE_S, SCRAPE_S = 2.0, 5
# Parts of the whole time: the load warms up, one machine is restarted, the primary is lost, and memory is compared from
# here to the end.
RESTART_AT, FAILOVER_AT, STEADY_AT = 0.15, 0.4, 0.6
# Requests may fail until so long after the machines are ready again: nginx has left both out for 5 s.
GRACE_S = 15.0
OF_PROMETHEUS = {"up", "ALERTS"}
# Queries about what is wrong, and about a certificate: these machines have none.
MAY_BE_EMPTY = re.compile(" > 0|addonkit_tls_certificate")

EFFECTS = "SELECT name, count(*) FROM stranger_mixed_effect GROUP BY name"
IN_ORDER = "SELECT name FROM stranger_mixed_effect WHERE issue_id <> '' ORDER BY issue_id, id"
RUNS = (
    "SELECT count(*) - count(DISTINCT name) FROM stranger_mixed_run WHERE name <> 'tick' AND name NOT LIKE 'installed%'"
)
TICKS = "SELECT count(*) FROM stranger_mixed_run WHERE name = 'tick'"
UNFINISHED = "SELECT count(*) FROM addonkit_job WHERE kind = 'webhook' AND state NOT IN ('done', 'dead')"
DEAD = "SELECT count(*) FROM addonkit_job WHERE state = 'dead'"


@dataclass
class Observed:
    """What the operator sees during the run.

    Attributes:
        scrapes: Number of answers of the metrics endpoints, by status.
        queries: Number of answers to queries of the dashboard, with and without values.
        missing: Series of the dashboard that a machine does not expose.
        alerts: Names of the alerts that have fired.
    """

    scrapes: Counter[int] = field(default_factory=Counter)
    queries: Counter[str] = field(default_factory=Counter)
    missing: set[str] = field(default_factory=set)
    alerts: set[str] = field(default_factory=set)


@dataclass
class Soak:
    """The parts of a run.

    Attributes:
        seconds: How long it lasts.
        pair: The database's servers.
        groups: The two machines.
        proxy: nginx.
        load: The clients.
        observed: What the operator sees.
        prometheus: A client of Prometheus; None if it is not installed.
        began: When the load began, by the clock of the day.
        outage: When the database was lost, and when both machines were ready again.
    """

    seconds: float
    pair: Pair
    groups: Sequence[ServingGroup]
    proxy: Proxy
    load: MixedLoad
    prometheus: httpx2.AsyncClient | None
    observed: Observed = field(default_factory=Observed)
    began: float = field(default_factory=time.time)
    outage: tuple[float, float] = (0.0, 0.0)

    async def run(self) -> None:
        """Run the load and the events; return when all that was acknowledged is done."""
        async with self.load.running(**CLIENTS):
            watching = asyncio.create_task(self._watch())
            await self._until(RESTART_AT)
            for group in self.groups:
                group.warm_mb = group.total_mb(last=True)
            self.groups[0].send(signal.SIGHUP)
            await until(lambda: self.groups[0].restarts == 1, RECOVERY_S)
            await self._until(FAILOVER_AT)
            await self._fail_over()
            await self._until(STEADY_AT)
            for group in self.groups:
                group.memory.clear()
            await self._until(1.0)
            watching.cancel()
        [result] = await asyncio.gather(watching, return_exceptions=True)
        if isinstance(result, Exception):
            raise result
        await until(self._is_drained, RECOVERY_S)

    async def _until(self, part: float) -> None:
        await asyncio.sleep(max(0.0, self.began + part * self.seconds - time.time()))

    async def _fail_over(self) -> None:
        """Kill the primary, wait until both machines have noticed, and promote the standby."""
        lost_at = time.time()
        await asyncio.to_thread(self.pair.primary.kill)
        await until(partial(self._have_readiness, 503), RECOVERY_S)
        await asyncio.to_thread(self.pair.promote)
        await until(partial(self._have_readiness, 200), RECOVERY_S)
        self.outage = lost_at, time.time()

    async def _have_readiness(self, status: int) -> bool:
        return {await group.status("/readyz") for group in self.groups} == {status}

    async def _is_drained(self) -> bool:
        return await self.fetch(UNFINISHED) == [(0,)]

    async def fetch(self, query: str) -> list[Any]:
        """Rows of the database, as it is after the failover."""
        return await asyncio.to_thread(self.pair.on_standby().fetch, DATABASE, query)

    async def _watch(self) -> None:
        """Sample memory and metrics until cancelled."""
        looked_at = 0.0
        while True:
            for group in self.groups:
                group.sample_memory()
            if time.time() - looked_at > SCRAPE_S:
                looked_at = time.time()
                await self._scrape()
            await asyncio.sleep(SAMPLE_S)

    async def _scrape(self) -> None:
        for group in self.groups:
            self.observed.scrapes[await group.status("/metrics")] += 1
        if self.prometheus is not None:
            for alert in (await answer(self.prometheus, "alerts"))["alerts"]:
                if alert["state"] == "firing":
                    self.observed.alerts.add(alert["labels"]["alertname"])

    async def look_at_dashboard(self) -> None:
        """Ask all queries of the dashboard, or without Prometheus look for the series that they name."""
        asked = [filled(query) for _, query, _ in queries()]
        if self.prometheus is not None:
            for query in asked:
                has_values = bool((await answer(self.prometheus, "query", query=query))["result"])
                self.observed.queries["with values" if has_values else "without"] += 1
                if not has_values and not MAY_BE_EMPTY.search(query):
                    self.observed.missing.add(query)
            return
        named = {one.name for query in asked for one in parsed(query).selectors} - OF_PROMETHEUS
        expected = {name for name in named if not MAY_BE_EMPTY.search(name)}
        for group in self.groups:
            families = text_string_to_metric_families(await group.metrics())
            self.observed.missing |= expected - {sample.name for family in families for sample in family.samples}
            self.observed.queries["of series"] += len(named)

    def failures(self) -> list[tuple[float, str, int | str]]:
        """Requests that failed without the database being away, in seconds from the beginning."""
        first, last = self.outage
        found = [one for one in self.load.failed_at if not first - 1 <= one[0] <= last + GRACE_S]
        return [(round(when - self.began, 1), what, status) for when, what, status in found]

    def errors(self) -> list[dict[str, Any]]:
        """Lines of the logs that are errors and that the loss of the database does not explain."""
        first, last = self.outage
        lines = [line for group in self.groups for line in group.lines() if line["level"] in ("error", "critical")]
        return [line for line in lines if not (first - 1 <= _time(line) <= last + GRACE_S and _is_of_database(line))]

    async def figures(self) -> dict[str, str]:
        """The figures of the run, for its table."""
        effects = await self.fetch(EFFECTS)
        seconds = sorted(self.load.seconds)
        percentiles = statistics.quantiles(seconds, n=100)
        answers = Counter[str]()
        for (_, status), count in self.load.answers.items():
            answers[str(status)] += count
        rows = {
            "length": f"{self.seconds / 60:.0f} minutes",
            "requests": f"{sum(answers.values()):,}, of these {_listed(answers)}",
            "failed outside of the outage": str(len(self.failures())),
            "acknowledged webhooks and installations": f"{len(set(self.load.acknowledged)):,}",
            "done": f"{len(effects):,}",
            "done twice": str(sum(count > 1 for _, count in effects)),
            "lost": str(len(self.lost({name for name, _ in effects}))),
            "handlers that ran again": str((await self.fetch(RUNS))[0][0]),
            "runs of the schedule of each site": f"{(await self.fetch(TICKS))[0][0]:,}",
            "p50, p99, longest": ", ".join(
                f"{value * 1000:,.0f} ms" for value in (percentiles[49], percentiles[98], seconds[-1])
            ),
            "without a primary": f"{self.outage[1] - self.outage[0]:.1f} s",
            "rolling restarts": str(sum(group.restarts for group in self.groups)),
            "workers that ended": str(sum(group.exits() for group in self.groups)),
            "answers of /metrics": _listed(self.observed.scrapes),
            "dashboard": f"{_listed(self.observed.queries)}; {'' if self.prometheus else 'not '}asked by Prometheus",
            "alerts that fired": ", ".join(sorted(self.observed.alerts)) or "none",
        }
        for number, group in enumerate(self.groups, 1):
            slopes = ", ".join(f"{slope_mb_per_hour(samples):+.1f}" for samples in group.memory.values())
            rows[f"memory of machine {number}"] = (
                f"{group.warm_mb:.0f} MB when warm, {group.total_mb(last=True):.0f} MB at the end; by worker {slopes} "
                f"MB an hour, over the last {(1 - STEADY_AT) * self.seconds / 60:.0f} minutes"
            )
        return rows

    def lost(self, effects: set[str]) -> list[str]:
        """What was acknowledged and is not done."""
        return sorted(set(self.load.acknowledged) - effects)

    def growth_mb(self) -> list[float]:
        """By how much each worker has grown since the failover was over, in MB."""
        hours = (1 - STEADY_AT) * self.seconds / 3600
        return [slope_mb_per_hour(samples) * hours for group in self.groups for samples in group.memory.values()]


@asynccontextmanager
async def soak(folder: Path, minutes: float) -> AsyncIterator[Soak]:
    """Start everything for a run of so many minutes."""
    port, *ports = free_ports(1 + 2 * 2)
    async with AsyncExitStack() as stack:
        pair = stack.enter_context(postgresql_pair())
        pair.server.create(DATABASE)
        rest = await stack.enter_async_context(simulated_host())
        groups = []
        for number in range(2):
            group = ServingGroup(folder / f"machine-{number + 1}", ports[number], ports[2 + number], WORKERS)
            await asyncio.to_thread(group.folder.mkdir)
            operations = {"bind": f"127.0.0.1:{group.operations}"}
            prepare(group.folder, rest.url, pair.settings(DATABASE), operations=operations, server={"drain_s": 1})
            stack.push_async_callback(group.destroy)
            await group.start()
            groups.append(group)
        for group in groups:
            await until_served(f"http://127.0.0.1:{group.port}")
            # A supervisor whose workers have not all started yet stops if the database is lost.
            await until(lambda one=group: one.is_started, RECOVERY_S)
        proxy = await stack.enter_async_context(two_machines(folder / "nginx", port, ports[:2]))
        client = None
        if shutil.which("prometheus"):
            targets = {f"addonkit-{number}": f"127.0.0.1:{one.operations}" for number, one in enumerate(groups, 1)}
            rules = DEPLOY / "prometheus" / "alerts.yaml"
            client = await stack.enter_async_context(prometheus(rules, folder, targets, SCRAPE_S))
        load = await stack.enter_async_context(mixed_load(proxy.url, rest, PAUSE_S))
        yield Soak(minutes * 60, pair, groups, proxy, load, client)


def _time(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp() if "timestamp" in line else 0.0


def _is_of_database(line: dict[str, Any]) -> bool:
    """Whether a line of the log says that the database is away."""
    return bool(re.search(r"database|connection|server|storage", str(line), re.IGNORECASE))


def _listed(counts: Counter[Any]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))
