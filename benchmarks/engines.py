"""Comparison of the queue with other engines on the same PostgreSQL server: rate, fairness, and killed workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from addon import Deployed, environment, populated
from addonkit.testing.postgresql import Server as PostgreSQL
from background import drain
from machine import HERE, BenchError, Sample, on_servers_core
from postgresql import postgresql
from results import Goal, Result, costs
from worker_log import Event, Recovery, open_jobs, recovery_of

FOLDER = HERE / "engines"
WORK = HERE.parent / ".bench" / "engines"
PEERS = ("procrastinate", "pgqueuer", "dbos")
JOBS = 20_000
SLOW_JOBS = {"procrastinate": 2_000, "dbos": 2_000}
"""Fewer jobs where 20,000 would take minutes."""
RECOVERY_JOBS = 200
RUNNING = 8
"""Jobs that a worker is running when it is killed, at least."""
RESTART_S = 1.0
LIMIT_S = 180.0
RUN_LIMIT_S = 900
MIN_RATES = {"PostgreSQL": 6_000, "SQLite": 7_000}
MAX_LONE_MS = 20
ROUNDS = 3


@dataclass
class Engine:
    """A queue that is measured.

    Attributes:
        name: Its module is ``engines/on_<name>.py``.
        title: Its name in the results.
        python: The interpreter that has its package.
        fresh: Returns the address of an empty queue.
        variables: The environment of its processes; None for that of this process.
        workers: Workers of which one is killed: one on SQLite, which only one process uses; none without a recovery.
    """

    name: str
    title: str
    python: str | Path
    fresh: Callable[[], str]
    variables: dict[str, str] | None = None
    workers: int = 2
    rates: list[Sample] = field(default_factory=list)
    waits: list[Sample] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)

    def command(self, database: str, *words: object) -> list[str]:
        """Return the command of its driver."""
        return [*on_servers_core(), str(self.python), str(FOLDER / "driver.py"), self.name, database, *map(str, words)]

    def run(self, database: str, *words: object) -> dict[str, float]:
        """Run its driver, and return what it prints.

        Raises:
            BenchError: It failed.
        """
        command = self.command(database, *words)
        try:
            done = subprocess.run(
                command, env=self.variables, capture_output=True, text=True, check=False, timeout=RUN_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.title} did not complete '{words[0]}' within {RUN_LIMIT_S} s") from None
        if done.returncode != 0:
            raise BenchError(f"{self.title} failed in '{words[0]}': {done.stderr.strip().rpartition(chr(10))[2]}")
        figures: dict[str, float] = json.loads(done.stdout.strip().rpartition("\n")[2])
        return figures

    def measure(self) -> None:
        """Take one reading of everything."""
        self.rates.append(Sample(**self.run(self.fresh(), "rate", SLOW_JOBS.get(self.name, JOBS))))
        waited = self.run(self.fresh(), "lone", JOBS)
        self.waits.append(Sample(waited["clock"] * 1000, waited["cpu"] * 1000))
        if self.workers:
            self.recoveries.append(self.recover(self.fresh()))

    def recover(self, database: str) -> Recovery:
        """Kill a worker while it runs jobs, and start it again a second later, as a service manager does."""
        self.run(database, "put", RECOVERY_JOBS)
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            log.touch()
            with ExitStack() as stack:
                workers = {
                    name: stack.enter_context(self.worker(database, name, log))
                    for name in (f"worker-{number}" for number in range(self.workers))
                }
                name = self.busy_worker(workers, log)
                workers[name].send_signal(signal.SIGKILL)
                workers[name].wait()
                killed, interrupted = time.time(), open_jobs(events(log), workers[name].pid)
                time.sleep(RESTART_S)
                stack.enter_context(self.worker(database, name, log))
                end = time.monotonic() + LIMIT_S
                while True:
                    found = recovery_of(events(log), RECOVERY_JOBS, interrupted, killed)
                    if found.is_complete or time.monotonic() > end:
                        return found
                    time.sleep(0.1)

    def busy_worker(self, workers: Mapping[str, subprocess.Popen[bytes]], log: Path) -> str:
        """Wait until a worker runs some jobs, and return its name.

        Raises:
            BenchError: None did in time.
        """
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            for name, process in workers.items():
                if len(open_jobs(events(log), process.pid)) >= RUNNING:
                    return name
            time.sleep(0.05)
        raise BenchError(f"no worker of {self.title} ran {RUNNING} jobs within {LIMIT_S:.0f} s")

    @contextmanager
    def worker(self, database: str, name: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker that writes what it does to a log; it is killed at the end."""
        variables = None if self.variables is None else self.variables | {"BENCH_LOG": str(log)}
        command = self.command(database, "work", name, log)
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def engines(pairs: int, _: int) -> list[Result]:
    """Compare all engines in rounds; without those whose packages cannot be installed."""
    peers: Sequence[str] = PEERS
    try:
        install_peers()
    except BenchError as error:
        print(f"left out: procrastinate, pgqueuer and DBOS, because {error}", file=sys.stderr)
        peers = ()
    with postgresql() as server:
        async with populated(server=server, items=0) as (ours, _audience), populated(items=0) as (lite, _other):
            measured = [own("PostgreSQL", ours), own("SQLite", lite, workers=1)]
            measured.append(other("bare", sys.executable, server, workers=0))
            measured += [other(name, WORK / "bin" / "python", server) for name in peers]
            for number in range(max(ROUNDS, pairs // 2)):
                for engine in measured if number % 2 else reversed(measured):
                    engine.measure()
    return results(measured)


def own(name: str, deployed: Deployed, workers: int = 2) -> Engine:
    """Return our queue in a deployment, with its default settings."""

    def fresh() -> str:
        drain(deployed, 0, "left")
        return str(deployed.folder / "addon.toml")

    variables = environment(deployed.folder)
    variables["PYTHONPATH"] += f":{FOLDER}"
    return Engine("addonkit", name, sys.executable, fresh, variables, workers)


def other(name: str, python: str | Path, server: PostgreSQL, workers: int = 2) -> Engine:
    """Return another engine, with a database of its own for each reading."""
    number = 0

    def fresh() -> str:
        nonlocal number
        number += 1
        server.create(f"{name}_{number}")
        return server.url_of(f"{name}_{number}").replace("postgres://", "postgresql://", 1)

    return Engine(name, name, python, fresh, None, workers)


def results(measured: Sequence[Engine]) -> list[Result]:
    """Return the results of all engines, those on PostgreSQL compared with ours."""
    ours, lite, *others = measured
    found = []
    for engine in (ours, lite):
        goal = Goal(MIN_RATES[engine.title], True)
        found.append(Result(f"no-op jobs, addonkit on {engine.title}", engine.rates, (), "jobs/s", goal, "clock"))
        lone = Goal(MAX_LONE_MS, False)
        found.append(Result(f"lone site, addonkit on {engine.title}", engine.waits, (), "ms", lone, "clock"))
    for engine in others:
        pair = ours.rates, engine.rates
        found.append(Result(f"no-op jobs : {engine.title}", *pair, "jobs/s", compared="ratio of medians"))
        found.append(Result(f"CPU of a job : {engine.title}", *costs(pair), "µs", compared="ratio of medians"))
        found.append(Result(f"lone site : {engine.title}", ours.waits, engine.waits, "ms", compared="ratio of medians"))
    for engine in filter(lambda one: one.recoveries, measured):
        name = f"addonkit on {engine.title}" if engine in (ours, lite) else engine.title
        for title, unit, value in (
            ("recovery", "s", lambda one: one.seconds),
            ("jobs lost", "jobs", lambda one: one.lost),
            ("jobs completed twice", "jobs", lambda one: one.twice),
        ):
            figures = [Sample(value(one), value(one)) for one in engine.recoveries]
            found.append(Result(f"{title}, {name}", figures, (), unit))
    return found


def install_peers() -> None:
    """Install the packages that ``requirements.lock`` names into an environment of their own, once.

    Raises:
        BenchError: They cannot be installed.
    """
    lock = FOLDER / "requirements.lock"
    ready = WORK / "ready"
    if ready.exists() and ready.read_bytes() == lock.read_bytes():
        return
    print("installing procrastinate, pgqueuer and DBOS with pip", file=sys.stderr)
    pip = [WORK / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    for command in ([sys.executable, "-m", "venv", "--clear", WORK], [*pip, "--require-hashes", "-r", lock]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = done.stderr.strip().rpartition("\n")[2]
            raise BenchError(f"'{' '.join(map(str, command[1:4]))}' failed: {reason}")
    ready.write_bytes(lock.read_bytes())


def events(log: Path) -> list[Event]:
    """Return what the workers have written to a log."""
    return [Event(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
