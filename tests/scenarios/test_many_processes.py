"""Two machines with two processes each on one PostgreSQL database: changes by one hold for all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import asyncpg
import pytest
import pytest_asyncio
from addonkit.testing import Site
from addonkit.testing.databases import database_settings, run_sql

from tests.support.fleet import Fleet, Line, fleet
from tests.support.served import until
from tests.support.visitors import Visitors

pytestmark = [pytest.mark.crash, pytest.mark.postgresql, pytest.mark.asyncio(loop_scope="module")]

PROPAGATION_S = 2.0
"""Longest time until a change holds everywhere."""
NO_FAILURES = ({200}, [], [])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    async with fleet(folder, database_settings(folder)) as running:
        yield running


async def all_respond(machines: Fleet, site: Site, lines: Sequence[Line], status: int) -> bool:
    """Return whether all processes answer the same page with this status."""
    return set(await machines.statuses(site, lines)) == {status}


def outcome(visitors: Visitors) -> tuple[set[int], list[int], list[str]]:
    """Check the results of the visitors' requests."""
    return set(visitors.statuses), visitors.broken, visitors.wrong


async def test_install_by_one_process_is_served_by_all_at_once(machines):
    async with machines.lines() as lines:
        for line in lines * 3:
            site = machines.site()
            assert await machines.send_lifecycle(site, "installed", line) == 204
            assert await machines.statuses(site, lines) == [200] * 4


async def test_install_of_a_site_refused_before_is_served_by_all(machines):
    async with machines.lines() as lines:
        for line in lines:
            site = machines.site()
            assert await machines.statuses(site, lines) == [401] * 4
            assert await machines.send_lifecycle(site, "installed", line) == 204
            assert await machines.statuses(site, lines) == [200] * 4


async def test_new_secret_is_accepted_by_all_and_the_former_one_for_a_while(machines):
    async with machines.lines() as lines:
        site = await machines.site_with_row(lines[0])
        assert await machines.statuses(site, lines) == [200] * 4
        for line in lines:
            former = replace(site)
            assert await machines.send_lifecycle(site, "installed", line) == 204
            assert await machines.statuses(site, lines) == [200] * 4
            assert await machines.statuses(former, lines) == [200] * 4


async def test_new_secret_causes_no_refusal_of_visitors(machines):
    async with machines.lines() as lines:
        sites = [await machines.site_with_row(lines[0]) for _ in range(8)]
        visitors = Visitors(machines, sites)
        async with visitors.running():
            for number, site in enumerate(sites):
                renewed = replace(site)
                assert await machines.send_lifecycle(renewed, "installed", lines[number % 4]) == 204
                sites[number] = renewed
                await visitors.answered(20)
    assert outcome(visitors) == NO_FAILURES


async def test_uninstall_by_one_process_is_followed_by_all_soon(machines):
    async with machines.lines() as lines:
        for line in lines:
            site = await machines.site_with_row(line)
            assert await machines.statuses(site, lines) == [200] * 4
            assert await machines.send_lifecycle(site, "uninstalled", line) == 204

            await until(partial(all_respond, machines, site, lines, 401), PROPAGATION_S)


async def test_disabled_by_one_process_is_followed_by_all_soon(machines):
    async with machines.lines() as lines:
        site = await machines.site_with_row(lines[0])
        assert await machines.send_lifecycle(site, "disabled", lines[1]) == 204
        await until(partial(all_respond, machines, site, lines, 401), PROPAGATION_S)
        assert await machines.send_lifecycle(site, "enabled", lines[2]) == 204
        await until(partial(all_respond, machines, site, lines, 200), PROPAGATION_S)


async def test_killed_process_loses_only_its_own_requests(machines):
    async with machines.lines() as lines:
        visitors = Visitors(machines, [await machines.site_with_row(lines[0]) for _ in range(4)])
        victim = lines[0].pid
    async with visitors.running():
        await visitors.answered()
        os.kill(victim, signal.SIGKILL)
        await visitors.answered()
    assert set(visitors.broken) <= {victim, 0}
    assert len(visitors.broken) <= visitors.count
    assert (set(visitors.statuses), visitors.wrong) == ({200}, [])


async def test_killed_process_is_replaced(machines):
    async with machines.lines() as lines:
        before = {line.pid for line in lines}
        victim = lines[-1].pid
    os.kill(victim, signal.SIGKILL)

    async def replaced():
        async with machines.lines() as lines:
            return {line.pid for line in lines}

    after = await until(replaced)
    assert len(after) == 4
    assert before - after == {victim}


async def test_rolling_restart_of_all_processes_fails_no_request(machines):
    async with machines.lines() as lines:
        visitors = Visitors(machines, [await machines.site_with_row(lines[0]) for _ in range(4)])
        before = {line.pid for line in lines}
    async with visitors.running():
        for machine in machines.machines:
            machine.send(signal.SIGHUP)
            await until(lambda machine=machine: "workers.restarted" in machine.errors(), 60)
        await visitors.answered()
    async with machines.lines() as lines:
        assert not before & {line.pid for line in lines}
    assert outcome(visitors) == NO_FAILURES


async def test_rolling_restart_of_all_machines_fails_no_request(machines):
    async with machines.lines() as lines:
        visitors = Visitors(machines, [await machines.site_with_row(lines[0]) for _ in range(4)])
    async with visitors.running():
        for number, machine in enumerate(tuple(machines.machines)):
            machine.send(signal.SIGTERM)
            await visitors.readiness_changed(machine)
            assert await machine.ended() == 0, machine.errors()[-4000:]
            [machines.machines[number]] = await machines.start(machine.directory)
            await visitors.readiness_changed(machines.machines[number], back=True)
            await visitors.answered()
    assert outcome(visitors) == NO_FAILURES


@asynccontextmanager
async def migrations_held_back(settings: Mapping[str, str], waiting: int) -> AsyncIterator[None]:
    """Block the creation of the migrations table until so many processes wait for it, or for one that does."""
    waiting_count = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    connection = await asyncpg.connect(settings["owner_url"])
    lock = connection.transaction()
    await lock.start()
    await connection.execute("CREATE TABLE tortoise_migrations (held boolean)")

    async def release_lock() -> None:
        other = await asyncpg.connect(settings["owner_url"])

        async def are_waiting() -> bool:
            return await other.fetchval(waiting_count) >= waiting

        try:
            await until(are_waiting, 60)
        finally:
            await other.close()
            await lock.rollback()
            await connection.close()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(release_lock())
        yield


async def test_migration_runs_once_for_processes_that_start_at_once(tmp_path):
    settings = database_settings(tmp_path)
    together = migrations_held_back(settings, 4)
    async with together, fleet(tmp_path, settings, 4, workers=1) as machines, machines.lines() as lines:
        assert len(lines) == 4
        await machines.site_with_row(lines[0])
    applied = run_sql(tmp_path, "SELECT app, name, count(*) FROM tortoise_migrations GROUP BY 1, 2")
    assert {number for _, _, number in applied} == {1}
