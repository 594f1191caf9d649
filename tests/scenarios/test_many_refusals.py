"""Webhooks of Confluence during a real outage of PostgreSQL: plugins are notified once for each site."""

from __future__ import annotations

import asyncio

import pytest
from addonkit.app.addon import Addon
from addonkit.testing import Host

from tests.support.job_plugin import BASE_URL, HOOK, jobs, seen, until_settled, working_addon
from tests.support.restartable_postgresql import Restartable, restartable
from tests.support.served import until
from tests.support.wire import Wire

pytestmark = [pytest.mark.crash, pytest.mark.postgresql]

DATABASE = "refusals"


@pytest.fixture(scope="module")
def postgresql() -> Restartable:
    return restartable()


@pytest.fixture
def database(postgresql):
    server = postgresql.server
    server.create(DATABASE)
    yield {"url": server.url_of(DATABASE, server.application), "owner_url": server.url_of(DATABASE, server.owner)}
    postgresql.start()
    server.drop(DATABASE)


async def statuses(wire, sites):
    """Deliver a webhook of each site, and return the statuses of the responses."""
    found = []
    for site in sites:
        headers = [("authorization", f"JWT {wire.token('POST', HOOK, site)}")]
        found.append((await wire.ask("POST", HOOK, headers, b"{}")).status)
    return found


def missed():
    return sorted(one[1] for one in seen if one[0] == "missed")


async def are_notified():
    return len(missed()) >= 3 and not await jobs(name="addon_missed", state__not="done")


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_refusals_of_an_outage_call_the_hook_once_for_each_site(tmp_path, postgresql, database, how):
    async with working_addon(tmp_path, database=database) as wire:
        sites = [await wire.host.install("confluence") for _ in range(3)]
        assert await statuses(wire, sites[:2]) == [204] * 2
        await until_settled(wire)
        seen.clear()
        await asyncio.to_thread(postgresql.stop, how)
        # The third site was never read by this process, so its token is verified after the outage.
        for _ in range(3):
            assert await statuses(wire, [*sites, wire.host.site]) == [503] * 4
        await asyncio.to_thread(postgresql.start)
        await until(are_notified, 60.0)
        assert len(missed()) == len(set(missed())) == 3
        assert list(tmp_path.glob("addonkit-missed-*")) == []


async def test_refusals_of_an_outage_call_the_hook_after_a_restart(tmp_path, postgresql, database):
    async with working_addon(tmp_path, database=database) as wire:
        sites = [await wire.host.install("confluence") for _ in range(3)]
        assert await statuses(wire, sites) == [204] * 3
        await until_settled(wire)
        seen.clear()
        await asyncio.to_thread(postgresql.stop, "immediate")
        assert await statuses(wire, sites) == [503] * 3
        await wire.addon.stop()
        assert len(list(tmp_path.glob("addonkit-missed-*"))) == 1
        await asyncio.to_thread(postgresql.start)
        addon = Addon(wire.addon.deployment)
        async with Host(addon, wire.host.keys, BASE_URL) as host:
            assert Wire(addon, host).addon is addon
            await until(are_notified, 60.0)
            assert len(missed()) == len(set(missed())) == 3
