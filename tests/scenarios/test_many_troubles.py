"""A job that kills its process, a full disk, a database outage: no acknowledged webhook is lost, and pages respond."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import asynccontextmanager

import httpx2
import pytest
from addonkit.testing import InstallKeys
from addonkit.testing.databases import database_settings, drop_databases, run_sql

from tests.support.process_group import crashing, free_ports, prepare
from tests.support.restartable_postgresql import restartable
from tests.support.served import until

pytestmark = pytest.mark.crash
FAILURES = 3
"""Failed attempts of an outage that is long enough for back-off."""
DATABASE = "outage"
DEATHS = 5
UNFINISHED = "SELECT count(*) FROM addonkit_job WHERE kind = 'webhook' AND state NOT IN ('done', 'dead')"
EFFECTS = "SELECT count(*) FROM stranger_teller_effect"


@asynccontextmanager
async def deployed(folder, database=None):
    keys = InstallKeys()
    [port] = free_ports(1)
    async with keys.serve() as url:
        prepare(folder, url, database or database_settings(folder))
        serve = ["serve", "--no-migrate", "--bind", f"127.0.0.1:{port}"]
        async with (
            crashing(folder, keys, [port], [serve]) as (processes, sender),
            httpx2.AsyncClient(trust_env=False, timeout=30) as client,
        ):
            yield processes, sender, client


@asynccontextmanager
async def kept_alive(processes):
    """Restart the process whenever it exits, as a service manager does, for the duration of the block."""

    async def keep():
        while True:
            if processes.has_exited():
                await processes.start(0)
            await asyncio.sleep(0.02)

    keeping = asyncio.create_task(keep())
    yield
    keeping.cancel()
    await asyncio.wait({keeping})


async def send_batch(sender, client, count, prefix):
    """Send webhooks at once; give the identifiers of those that were acknowledged."""
    names = [f"{prefix}-{number}" for number in range(count)]
    statuses = await asyncio.gather(*(sender.send_once(client, name) for name in names))
    assert set(statuses) <= {204, 503}
    return {name for name, status in zip(names, statuses, strict=True) if status == 204}


def command(*words):
    return subprocess.run(words, check=False, capture_output=True).returncode


async def drained(folder):
    async def is_empty():
        return (await asyncio.to_thread(run_sql, folder, UNFINISHED))[0][0] == 0

    await until(is_empty, 60)


@pytest.mark.sqlite
async def test_job_that_kills_its_process_is_dead_and_its_neighbours_are_done(tmp_path):
    async with deployed(tmp_path) as (processes, sender, client):
        neighbours = [f"neighbour-{number}" for number in range(30)]
        assert await sender.send_once(client, "poison", "jira:issue_deleted") == 204
        async with kept_alive(processes):
            await sender.send_all(neighbours, 3)
            await drained(tmp_path)
        assert await sender.open_page(client) == 200
    states = run_sql(
        tmp_path, "SELECT name, state, deaths, error FROM addonkit_job WHERE state <> 'done' AND kind = 'webhook'"
    )
    assert [tuple(row) for row in states] == [("poison", "dead", DEATHS, f"{DEATHS} processes died while it ran")]
    assert run_sql(tmp_path, EFFECTS)[0][0] == len(neighbours)


@pytest.mark.sqlite
async def test_full_disk_gives_503_and_loses_nothing(tmp_path):
    if os.geteuid() != 0 or command("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", tmp_path) != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        async with deployed(tmp_path) as (_, sender, client):
            sender.body = b'{"text": "' + b"x" * 100_000 + b'"}'
            accepted = set()
            for number in range(20):
                batch = await send_batch(sender, client, 10, f"full-{number}")
                accepted |= batch
                if not batch:
                    break
            assert len(accepted) < 200, "the disk was never full"
            assert await sender.open_page(client) == 200
            assert command("mount", "-o", "remount,size=200m", tmp_path) == 0
            accepted |= await send_batch(sender, client, 10, "later")
            await drained(tmp_path)
            assert {row[0] for row in run_sql(tmp_path, "SELECT identifier FROM stranger_teller_effect")} == accepted
    finally:
        command("umount", "--lazy", tmp_path)


@pytest.mark.postgresql
async def test_database_outage_gives_503_and_work_continues_afterwards(tmp_path):
    postgresql = restartable()
    server = postgresql.server
    server.create(DATABASE)
    database = {
        "url": server.url_of(DATABASE, server.application),
        "owner_url": server.url_of(DATABASE, server.owner),
    }
    try:
        async with deployed(tmp_path, database) as (_, sender, client):
            accepted = await send_batch(sender, client, 50, "before")
            assert await sender.open_page(client) == 200
            await asyncio.to_thread(postgresql.stop)
            assert await send_batch(sender, client, 10, "meanwhile") == set()
            # The tenant is in memory until the process notices, at a heartbeat, that no notifications arrive.
            assert await sender.open_page(client) in {200, 503}
            await until(lambda: has_retried(tmp_path), 60)
            await asyncio.to_thread(postgresql.start)
            accepted |= await send_until_accepted(sender, client)
            await until(lambda: asyncio.to_thread(is_done, server, accepted), 60)
    finally:
        postgresql.start()
        server.drop(DATABASE)
        drop_databases(tmp_path)


def has_retried(folder):
    """Return whether the process has failed several times to read the queue and to receive notifications."""
    log = (folder / "log-0").read_text()
    return all(log.count(event) >= FAILURES for event in ("jobs.storage_failed", "tenants.notifications_lost"))


async def send_until_accepted(sender, client):
    """Send webhooks until some are acknowledged."""
    number = 0
    async with asyncio.timeout(60):
        while not (accepted := await send_batch(sender, client, 5, f"after-{number}")):
            number += 1
            await asyncio.sleep(0.1)
    return accepted


def is_done(server, accepted):
    rows = server.fetch(DATABASE, "SELECT identifier FROM stranger_teller_effect")
    return {row[0] for row in rows} == accepted
