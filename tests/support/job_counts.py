"""The numbers of jobs by counting the rows, to compare with those that the triggers maintain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from addonkit.database.sql import fetch
from addonkit.jobs.counts import JobCounts, read_counts
from addonkit.jobs.recount import NAMES
from addonkit.testing.databases import on_postgresql, run_sql

UNFINISHED = ("waiting", "ready", "blocked", "held", "running")


async def counted() -> dict[str, JobCounts]:
    """Count the rows of the job table, by plugin."""
    found: dict[str, dict[str, int]] = {}
    rows = await fetch(
        "SELECT plugin, state, failures > 0 AS failing, count(*) AS jobs FROM addonkit_job "
        "WHERE state <> 'done' GROUP BY plugin, state, failures > 0"
    )
    for row in rows:
        numbers = found.setdefault(row["plugin"], {})
        numbers[row["state"]] = numbers.get(row["state"], 0) + row["jobs"]
        if row["failing"] and row["state"] in UNFINISHED:
            numbers["failing"] = numbers.get("failing", 0) + row["jobs"]
    return {plugin: JobCounts(**numbers) for plugin, numbers in found.items()}


async def maintained() -> dict[str, JobCounts]:
    """Give the maintained numbers of plugins that have jobs."""
    counts = await read_counts()
    assert counts is not None
    return {plugin: one for plugin, one in counts.items() if not one.is_empty()}


def differences(folder: Path) -> list[tuple[Any, ...]]:
    """Give the plugins and states whose maintained number differs from the number of rows, with the difference."""
    kept = [f"SELECT plugin, {', '.join(NAMES)} FROM addonkit_job_count WHERE plugin <> ''"]
    kept += [f"SELECT plugin, {', '.join(NAMES)} FROM addonkit_job_delta"] if on_postgresql() else []
    numbers = Counter[tuple[str, str]]()
    for plugin, *values in (row for statement in kept for row in run_sql(folder, statement)):
        numbers.update({(plugin, name): value for name, value in zip(NAMES, values, strict=True)})
    for plugin, state, is_failing, jobs in run_sql(
        folder, "SELECT plugin, state, failures > 0, count(*) FROM addonkit_job GROUP BY plugin, state, failures > 0"
    ):
        if state != "done":
            numbers[plugin, state] -= jobs
            numbers[plugin, "failing"] -= jobs if is_failing and state != "dead" else 0
    return [(*key, number) for key, number in numbers.items() if number]
