"""Two add-ons with the same plugin in one process, served through one ASGI application."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from addonkit.app.embedded import EmbeddedAddon
from addonkit.current import current_work
from addonkit.database.lock import AlreadyServed
from addonkit.jobs.models import JobRow
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import IdentityKind
from addonkit.testing import Host
from addonkit.testing.asgi import running
from addonkit.testing.databases import database_settings, drop_databases, run_sql

from tests.support import twin as twins
from tests.support.mounts import Mounts, installed, product
from tests.support.twin import plugin, twin
from tests.support.wire import Wire

KINDS = [
    pytest.param(("sqlite", "sqlite"), id="both on SQLite"),
    pytest.param(("sqlite", "postgres"), id="one on PostgreSQL", marks=pytest.mark.postgresql),
    pytest.param(("postgres", "postgres"), id="both on PostgreSQL", marks=pytest.mark.postgresql),
]
WORDS = ("amber", "birch")
OUTER = "http://localhost:8000"


@dataclass
class Side:
    """One of the add-ons, and the host that has installed it."""

    word: str
    dialect: str
    folder: Path
    addon: EmbeddedAddon
    host: Host

    async def page(self):
        page = await self.host.open("notes-page")
        assert page.status == 200, page.text
        return page.text, json.loads(re.search(r'id="facts">(.*?)</script>', page.text, re.S)[1])

    def titles(self):
        """The titles of all notes in its database, read from outside."""
        return sorted(title for (title,) in run_sql(self.folder, "SELECT title FROM notes_note"))

    async def metrics(self):
        headers = {"authorization": f"Bearer {self.word}-metrics-token-of-32-characters"}
        return (await self.host.request("GET", "/metrics", headers=headers)).text


@asynccontextmanager
async def two(folder: Path, kinds: tuple[str, str], config: dict | None = None):
    """Two running add-ons, each installed on a site of its own."""
    twins.started.clear()
    async with AsyncExitStack() as stack:
        made, hosts = [], []
        for word, kind in zip(WORDS, kinds, strict=True):
            place = folder / word
            place.mkdir()
            stack.callback(drop_databases, place)
            keys, rest, host = await stack.enter_async_context(product())
            rest.answer("GET", "/rest/api/3/myself", {"host": word})
            database = (
                {"url": f"sqlite://{place}/addonkit.db"} if kind == "sqlite" else database_settings(place, create=False)
            )
            sections = {"database": database, "host": host, **(config or {})}
            made.append(await twin(place, word, f"{OUTER}/{word}", sections))
            hosts.append((keys, rest))
        outer = Mounts(
            {f"/{a.deployment.settings.addon.base_url.rpartition('/')[2]}": a for a in made}, *(a.running for a in made)
        )
        await stack.enter_async_context(running(outer))
        sides = []
        for word, kind, addon, (keys, rest) in zip(WORDS, kinds, made, hosts, strict=True):
            host = await stack.enter_async_context(installed(outer, keys, rest, f"{OUTER}/{word}"))
            sides.append(Side(word, kind, folder / word, addon, host))
        yield tuple(sides)


@pytest.mark.parametrize("kinds", KINDS)
async def test_rows_settings_jobs_and_templates_of_two_addons_never_cross(tmp_path, kinds):
    async with two(tmp_path, kinds) as sides:
        seen = await asyncio.gather(*(side.page() for _ in range(8) for side in sides))
        for number, (text, facts) in enumerate(seen):
            side = sides[number % 2]
            assert f"Add-on {side.word} says {side.word}" in text
            assert f'data-base="/{side.word}"' in text
            assert facts == {
                "word": side.word,
                "thread": side.word,
                "site": side.host.site.client_key,
                "dialect": side.dialect,
                "addon": f"Add-on {side.word}",
                "titles": [side.word],
                "open": True,
                "slug": side.word,
            }
        await asyncio.gather(*(side.host.fire("jira:issue_deleted", issue={"id": "1", "key": "A-1"}) for side in sides))
        await asyncio.gather(*(side.addon.settled() for side in sides))
        for side in sides:
            job = f"job of {side.word} in {side.word} {side.word} {side.dialect}"
            expected = [side.word] * 8 + [job] * 8 + [f"webhook in {side.word}"]
            assert side.titles() == sorted(expected)


@pytest.mark.parametrize("kinds", KINDS)
async def test_queues_tenants_and_directories_of_two_addons_never_cross(tmp_path, kinds):
    async with two(tmp_path, kinds) as sides:
        await asyncio.gather(*(side.page() for side in sides))
        await asyncio.gather(*(side.addon.settled() for side in sides))
        for side, other in (sides, sides[::-1]):
            with side.addon.scope():
                assert {row.plugin for row in await JobRow.filter(name="keep")} == {"notes"}
                assert await JobRow.filter(name="keep").count() == 1
                assert [row.client_key for row in await TenantRow.all()] == [side.host.site.client_key]
                assert await side.addon.directory.get(IdentityKind.CLIENT_KEY, other.host.site.client_key) is None
            answer = await side.host.open("notes-page", site=other.host.site)
            assert answer.status == 401


async def test_metrics_of_two_addons_never_cross(tmp_path):
    async with two(tmp_path, ("sqlite", "sqlite")) as sides:
        amber, birch = sides
        for _ in range(3):
            await amber.page()
        await birch.page()
        for side, pages in ((amber, 3), (birch, 1)):
            text = await side.metrics()
            found = re.findall(r'addonkit_inbound_requests_total\{[^}]*route="notes\.page"[^}]*\} (\d+)', text)
            assert [int(one) for one in found] == [pages]
        refused = await amber.host.request("GET", "/metrics", headers={"authorization": "Bearer birch-metrics-token"})
        assert refused.status_code != 200


async def test_host_calls_of_two_addons_go_to_their_own_hosts(tmp_path):
    async with two(tmp_path, ("sqlite", "sqlite")) as sides:
        pages = await asyncio.gather(*(side.host.open("notes-ask-host") for _ in range(4) for side in sides))
        assert [page.json()["host"] for page in pages] == list(WORDS) * 4


async def test_startup_hook_of_each_addon_sees_its_own_settings(tmp_path):
    async with two(tmp_path, ("sqlite", "sqlite")):
        assert sorted(twins.started) == [(f"Add-on {word}", word) for word in WORDS]


@pytest.mark.parametrize("kinds", KINDS)
async def test_addon_that_stops_leaves_the_other_working(tmp_path, kinds):
    async with two(tmp_path, kinds) as (amber, birch):
        await asyncio.gather(amber.page(), birch.page())
        await amber.addon.stop()
        _, facts = await birch.page()
        assert facts["word"] == "birch"
        await birch.addon.settled()
        assert len([title for title in birch.titles() if title.startswith("job of")]) == 2
        with pytest.raises(RuntimeError, match="has not been started"):
            await amber.host.request("GET", "/atlassian-connect.json")
        await amber.addon.start()
        _, facts = await amber.page()
        assert facts["titles"] == ["amber"]


async def test_second_addon_on_one_sqlite_file_is_refused(tmp_path):
    async with two(tmp_path, ("sqlite", "sqlite")) as (amber, _):
        second = EmbeddedAddon(amber.addon.deployment)
        with pytest.raises(AlreadyServed):
            await second.start()
        _, facts = await amber.page()
        assert facts["word"] == "amber"


async def test_code_outside_of_two_addons_belongs_to_none(tmp_path):
    async with two(tmp_path, ("sqlite", "sqlite")) as (amber, _):
        assert current_work().runtime is None
        with pytest.raises(RuntimeError, match="no add-on is current"):
            plugin.current_settings()
        with pytest.raises(RuntimeError, match="TortoiseContext"):
            await TenantRow.all()
        with amber.addon.scope():
            assert plugin.current_settings().word == "amber"
        assert current_work().runtime is None


async def test_operations_listener_of_each_addon_sees_its_own_database(tmp_path):
    async with two(tmp_path, ("sqlite", "sqlite")) as (amber, birch):
        await amber.page()
        await asyncio.gather(amber.addon.settled(), birch.addon.settled())
        for side, requests in ((amber, 1), (birch, 0)):
            operators = Wire(side.addon.operations, side.host)
            assert (await operators.ask("GET", "/readyz")).status == 200
            text = (await operators.ask("GET", "/metrics")).text
            assert len(re.findall(r'addonkit_inbound_requests_total\{[^}]*route="notes\.page"', text)) == requests
            assert 'addonkit_jobs_pending{plugin="notes"' in text
        await amber.addon.stop()
        assert (await Wire(birch.addon.operations, birch.host).ask("GET", "/readyz")).status == 200


async def test_runtime_shows_no_settings(tmp_path):
    async with two(tmp_path, ("sqlite", "sqlite")) as (amber, _):
        with amber.addon.scope():
            assert "word" not in repr(current_work())
