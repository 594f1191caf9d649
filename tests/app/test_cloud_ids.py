"""Backfills of cloud ids: how many sites are asked at a time, and runs that end early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from addonkit.app import cloud_ids
from addonkit.app.cloud_ids import Backfill, Backfilled
from addonkit.database.location import Location
from addonkit.errors import StorageUnavailable
from addonkit.hostapi.tenant_info import TenantInfo
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.connection import tenant_database

from tests.support.tenant_rows import InstalledSites

NUMBER = 30


class AskedSites:
    """Stands for the sites, and answers each after a while.

    Attributes:
        urls: The base URLs that were asked, in order.
        most: The maximum number of requests at a time.
    """

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.running = self.most = 0

    async def fetch(self, base_url: str) -> str:
        self.urls.append(base_url)
        number = len(self.urls)
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(50):
            await asyncio.sleep(0)
        self.running -= 1
        return f"11223344-a1b2-3b33-c444-{number:012}"


@pytest.fixture
async def sites(location: Location, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AskedSites]:
    monkeypatch.setattr(cloud_ids, "START_PAUSE_S", 0)
    async with tenant_database(location, {}):
        for number in range(NUMBER):
            await InstalledSites().install(f"site-{number}", f"https://{number}.atlassian.net")
        yield AskedSites()


async def backfill(sites: AskedSites) -> list[Backfilled]:
    results: list[Backfilled] = []
    assert await Backfill(cast("TenantInfo", sites), results.append).run() is None
    return results


async def test_backfill_asks_a_few_sites_at_a_time_and_reports_them_in_order(sites: AskedSites) -> None:
    results = await backfill(sites)
    assert 1 < sites.most <= cloud_ids.CONCURRENT
    assert [one.tenant.id for one in results] == sorted(one.tenant.id for one in results)
    assert len(results) == len(set(sites.urls)) == NUMBER
    assert await TenantRow.filter(cloud_id__isnull=True).count() == 0


async def test_backfill_pauses_between_the_starts_of_requests(
    sites: AskedSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []
    sleep = asyncio.sleep

    async def slept(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(cloud_ids, "START_PAUSE_S", 0.1)
    monkeypatch.setattr(asyncio, "sleep", slept)
    await backfill(sites)
    assert pauses == [0.1] * (NUMBER - 1)


@pytest.mark.parametrize("failure", [StorageUnavailable("no room"), asyncio.CancelledError()], ids=["outage", "Ctrl-C"])
async def test_backfill_that_ends_early_is_continued_by_the_next_one(
    sites: AskedSites, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    link, links = cloud_ids.link_cloud_id, 0

    async def fail_later(*args: object, **options: object) -> bool:
        nonlocal links
        links += 1
        if links > 5:
            raise failure
        return await link(*args, **options)  # type: ignore[arg-type]

    tasks = asyncio.all_tasks()
    with monkeypatch.context() as patch:
        patch.setattr(cloud_ids, "link_cloud_id", fail_later)
        with pytest.raises(type(failure)):
            await backfill(sites)
    assert asyncio.all_tasks() == tasks
    assert await TenantRow.filter(cloud_id__isnull=False).count() == 5
    assert len(await backfill(sites)) == NUMBER - 5
    assert await TenantRow.filter(cloud_id__isnull=True).count() == 0
