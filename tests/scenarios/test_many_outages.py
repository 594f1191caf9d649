"""Outage of PostgreSQL under load: callers get 503 until it is back, and nothing else fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from addonkit.testing import Site

from tests.support.fleet import Fleet, Line, fleet
from tests.support.restartable_postgresql import Restartable, restartable
from tests.support.served import until
from tests.support.visitors import Visitors

pytestmark = [pytest.mark.crash, pytest.mark.postgresql, pytest.mark.asyncio(loop_scope="module")]

DATABASE = "fleet"
RECOVERY_S = 30.0


@pytest.fixture(scope="module")
def postgresql() -> Restartable:
    return restartable()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machines(postgresql: Restartable, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    server = postgresql.server
    server.create(DATABASE)
    urls = {"url": server.url_of(DATABASE, server.application), "owner_url": server.url_of(DATABASE, server.owner)}
    async with fleet(tmp_path_factory.mktemp("fleet"), urls) as running:
        yield running
        postgresql.start()
    server.drop(DATABASE)


async def is_served(machines: Fleet, site: Site, lines: list[Line]) -> bool:
    return set(await machines.statuses(site, lines)) == {200}


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_outage_of_the_database_causes_only_503_and_recovers_by_itself(machines, postgresql, how):
    async with machines.lines() as lines:
        visitors = Visitors(machines, [await machines.site_with_row(lines[0]) for _ in range(4)])
        async with visitors.running():
            await asyncio.to_thread(postgresql.stop, how)
            await visitors.answered(10, status=503)
            await asyncio.to_thread(postgresql.start)
            await until(partial(is_served, machines, visitors.sites[0], lines), RECOVERY_S)
            await visitors.answered()
    assert set(visitors.statuses) == {200, 503}
    assert (visitors.broken, visitors.wrong) == ([], [])


async def test_outage_refuses_an_install_and_the_next_one_is_accepted(machines, postgresql):
    async with machines.lines() as lines:
        site = machines.site()
        await asyncio.to_thread(postgresql.stop)
        try:
            statuses = [await machines.send_lifecycle(site, "installed", line) for line in lines]
        finally:
            await asyncio.to_thread(postgresql.start)
        assert statuses == [503] * 4

        async def is_accepted() -> bool:
            return await machines.send_lifecycle(site, "installed", lines[0]) == 204

        await until(is_accepted, RECOVERY_S)
        assert await machines.statuses(site, lines) == [200] * 4


async def test_outage_of_the_database_fails_readiness(machines, postgresql):
    async with machines.lines() as lines:
        await asyncio.to_thread(postgresql.stop)
        try:
            await until(partial(has_readiness, lines, 503))
            assert [(await line.client.get("/healthz")).status_code for line in lines] == [200] * 4
        finally:
            await asyncio.to_thread(postgresql.start)
        await until(partial(has_readiness, lines, 200), RECOVERY_S)


async def has_readiness(lines: list[Line], status: int) -> bool:
    return {(await line.client.get("/readyz")).status_code for line in lines} == {status}
