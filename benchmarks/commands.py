"""Benchmark of the commands that an operator runs while a million jobs are stored, on both databases."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from addon import Deployed, environment, populated
from machine import BenchError, Sample
from postgresql import postgresql
from results import Goal, Result
from stored_jobs import JOBS, add_jobs

LIMIT_S = 1.0
COMMANDS = (
    "jobs list",
    "jobs list --count",
    "jobs list --state dead",
    "jobs list --state ready --count",
    "jobs list --tenant number:1",
    "jobs list --tenant number:1 --count",
    "jobs list --tenant number:1 --state done",
    "jobs list --tenant number:2 --kind schedule",
    "jobs list --plugin issue_panel",
    "jobs list --plugin issue_panel --count",
    "jobs list --plugin nobody",
    "jobs list --name nothing",
    "jobs list --name never",
    "jobs list --kind webhook",
    "jobs list --kind schedule",
    "jobs list --since 1h",
    "jobs list --since 1h --count",
    "jobs list --error 503",
    "jobs list --error never",
    "jobs list --error never --count",
    "tenants show number:1",
    "tenants show number:2",
)


async def commands(pairs: int, _: int) -> list[Result]:
    """Measure the commands, from the start of the process to its end."""
    results = []
    with postgresql() as server:
        for name, where in (("SQLite", None), ("PostgreSQL", server)):
            async with populated(server=where, items=0, tenants=2) as (deployed, _audience):
                await add_jobs(deployed)
                for command in COMMANDS:
                    figures = [run(deployed, command) for _ in range(max(3, pairs // 2))]
                    title = f"{command}, {JOBS:,} jobs, {name}"
                    results.append(Result(title, figures, (), "s", Goal(LIMIT_S, False), "clock"))
    return results


def run(deployed: Deployed, command: str) -> Sample:
    """Run a command and return the seconds that it took, and those of its CPU time.

    Raises:
        BenchError: It failed.
    """
    words = [Path(sys.executable).with_name("addonkit"), *command.split(), "--config", deployed.folder / "addon.toml"]
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment(deployed.folder))
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise BenchError(f"'addonkit {command}' failed: {done.stderr.strip().rpartition(chr(10))[2]}")
    return Sample(elapsed, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime)
