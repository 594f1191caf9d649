"""A webhook that was acknowledged is handled exactly once, however often processes are killed."""

from __future__ import annotations

import asyncio
import random

import pytest
from addonkit.testing import InstallKeys
from addonkit.testing.databases import database_settings, run_sql

from tests.support.job_counts import differences
from tests.support.process_group import crashing, free_ports, prepare

pytestmark = pytest.mark.crash

WEBHOOKS, CLIENTS = 5000, 6
DRAINED_S = 120.0
KILL_EVERY = 600
"""Largest number of accepted deliveries between two kills."""

# Done jobs move to a table of their own after a minute.
STATES = """
SELECT state, count(*) FROM (
    SELECT state, kind FROM addonkit_job UNION ALL SELECT 'done', kind FROM addonkit_done_job
) AS job WHERE kind = 'webhook' GROUP BY state
"""


@pytest.mark.sqlite
async def test_webhooks_survive_killed_processes_on_sqlite(tmp_path):
    [port] = free_ports(1)
    await crash(tmp_path, [port], [["serve", "--no-migrate", "--bind", f"127.0.0.1:{port}"]])


@pytest.mark.postgresql
async def test_webhooks_survive_killed_processes_on_postgresql(tmp_path):
    ports = free_ports(2)
    serve = [["serve", "--no-migrate", "--bind", f"127.0.0.1:{port}"] for port in ports]
    await crash(tmp_path, ports, [*serve, ["work", "--no-migrate"], ["work", "--no-migrate"]])


async def crash(folder, ports, commands):
    keys = InstallKeys()
    async with keys.serve() as url:
        prepare(folder, url, database_settings(folder), in_server=len(commands) == len(ports))
        deliveries = [f"delivery-{number}" for number in range(WEBHOOKS)]
        async with crashing(folder, keys, ports, commands) as (processes, sender):
            killing = asyncio.create_task(kill_repeatedly(processes, sender))
            await sender.send_all(deliveries, CLIENTS)
            killing.cancel()
            await asyncio.wait({killing})
            await drained(folder)
            assert processes.kills >= WEBHOOKS // KILL_EVERY - 2
            assert sender.accepted == set(deliveries)
            assert sender.statuses <= {503}
            assert await processes.end() == [0] * len(commands)
    effects = [row[0] for row in run_sql(folder, "SELECT identifier FROM stranger_teller_effect")]
    assert sorted(effects) == sorted(deliveries)
    states = run_sql(folder, STATES)
    assert [tuple(row) for row in states] == [("done", WEBHOOKS)]
    assert differences(folder) == []


async def kill_repeatedly(processes, sender):
    """Kill a process after every few hundred accepted deliveries, at a random moment."""
    rng, next_kill = random.Random(7), KILL_EVERY
    while True:
        if len(sender.accepted) >= next_kill:
            next_kill = len(sender.accepted) + rng.randint(KILL_EVERY // 2, KILL_EVERY)
            await asyncio.sleep(rng.random() / 10)
            await processes.kill_one(rng)
        await asyncio.sleep(0.005)


async def drained(folder):
    unfinished = "SELECT count(*) FROM addonkit_job WHERE kind = 'webhook' AND state NOT IN ('done', 'dead')"
    async with asyncio.timeout(DRAINED_S):
        while (await asyncio.to_thread(run_sql, folder, unfinished))[0][0]:  # noqa: ASYNC110 - other processes do the work
            await asyncio.sleep(0.2)
