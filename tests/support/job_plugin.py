"""A plugin with jobs, webhooks and schedules, and an add-on with it, for the tests of jobs and webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from addonkit import Plugin, Tenant, current_tenant
from addonkit.app import Addon, Deployment
from addonkit.errors import GiveUp
from addonkit.extension.discovery import Installed
from addonkit.jobs.models import JobRow
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys
from addonkit.testing.databases import create_tables, database_settings, drop_databases
from addonkit.webhook_event import WebhookEvent
from addonkit.work import Attempt
from pydantic import BaseModel

from tests.support.plugin_under_test import BASE_URL, plain_log
from tests.support.wire import Answer, Wire

HOOK = "/webhooks/working/forget"
ORDERED = "/webhooks/working/changed"


class Settings(BaseModel):
    """The plugin's settings."""

    word: str = "hello"


plugin = Plugin("working", __name__, scopes={"READ"}, settings=Settings)
seen: list[Any] = []
gates: dict[str, asyncio.Event] = {}


@plugin.job(attempts=3)
async def note(text: str, tenant: Tenant, settings: Settings, attempt: Attempt, times: int = 1) -> None:
    assert current_tenant() == tenant
    seen.append((text, times, settings.word, attempt.number, plugin.current_settings().word))


@plugin.job(attempts=3)
async def fail(text: str, attempt: Attempt) -> None:
    seen.append((text, attempt.number, attempt.is_last))
    raise LookupError(f"nothing about {text}")


@plugin.job()
async def give_up() -> None:
    raise GiveUp("there is nothing to be done")


@plugin.job()
async def wait(gate: str) -> None:
    seen.append(f"{gate} begins")
    await gates.setdefault(gate, asyncio.Event()).wait()
    seen.append(f"{gate} ends")


@plugin.job(attempts=1, timeout_s=0.05)
async def hang() -> None:
    await asyncio.sleep(60)


@plugin.job(attempts=3, timeout_s=0.05)
async def cling(way: str) -> None:
    """Run until its gate opens, whatever cancels it, or deal with a cancellation in another way."""
    gate = gates.setdefault(way, asyncio.Event())
    seen.append(f"{way} begins")
    if way == "shielded":
        await asyncio.shield(asyncio.ensure_future(gate.wait()))
    while not gate.is_set():
        try:
            await gate.wait()
        except asyncio.CancelledError as exc:
            if way == "raises another":
                raise RuntimeError("cancelled") from exc
            if way == "returns":
                return
            if way == "cleans up":
                await asyncio.sleep(0.1)
                raise
    seen.append(f"{way} ends")


@plugin.job(version=2)
async def renamed(title: str) -> None:
    seen.append(title)


@renamed.from_version(1)
def _renamed_from_1(old: dict[str, Any]) -> dict[str, Any]:
    return {"title": old["name"]}


@plugin.webhook("jira:issue_deleted", filter="project = AB")
async def forget(event: WebhookEvent, tenant: Tenant) -> None:
    assert event.tenant == tenant == current_tenant()
    seen.append((event.name, event.issue_id, event.identifier, event.retry, event.flow))


@plugin.webhook("jira:issue_updated", order="issue_id")
async def changed(event: WebhookEvent, issue_id: str) -> None:
    seen.append((issue_id, event.body))


@plugin.every("1h")
async def hourly() -> None:
    seen.append("hourly")


@plugin.every("0 3 * * *", each_tenant=True)
async def nightly(tenant: Tenant) -> None:
    seen.append(("nightly", tenant.id))


@plugin.hook
async def addon_installed(tenant: Tenant, first: bool) -> None:
    seen.append(("installed", first))


@plugin.hook
async def addon_missed(tenant: Tenant, since: datetime) -> None:
    assert tenant == current_tenant()
    seen.append(("missed", tenant.id, since.timestamp()))


AVAILABLE = {
    "working": (Installed("working", "addonkit-tests", "1", EntryPoint("working", f"{__name__}:plugin", "a")),)
}


class WorkingDeployment(Deployment):
    """A deployment whose plugin is that of this module."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        return AVAILABLE


@asynccontextmanager
async def working_addon(directory: Path, **sections: Mapping[str, Any]) -> AsyncIterator[Wire]:
    """A running add-on, with a host that has installed it on one Jira site."""
    keys = InstallKeys()
    async with keys.serve() as url:
        addon = Addon(deployment(directory, url, **sections))
        await create_tables(addon.deployment.location, {})
        async with Host(addon, keys, BASE_URL) as host:
            await host.install()
            with plain_log():
                yield Wire(addon, host)
    drop_databases(directory)


def deployment(directory: Path, url: str = "http://127.0.0.1:1", **sections: Mapping[str, Any]) -> Deployment:
    """Give a deployment of the plugin; the sections override the defaults of these tests."""
    defaults: dict[str, dict[str, Any]] = {
        "addon": {"key": "com.example.test", "name": "Test", "base_url": BASE_URL, "plugins": ["working"]},
        "database": database_settings(directory, create=False),
        "host": {"install_keys": [url], "domains": ["127.0.0.1"]},
    }
    merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {**defaults, **sections}}
    return WorkingDeployment(read_settings(None, merged), directory)


async def until_seen(what: Any) -> None:
    """Wait until a handler has appended something to ``seen``."""
    async with asyncio.timeout(60):
        while what not in seen:  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.005)


async def until_settled(wire: Wire) -> None:
    """Wait until no job runs that is due now."""
    async with asyncio.timeout(60):
        await wire.addon.settled()


async def deliver(
    wire: Wire, body: bytes = b"{}", target: str = HOOK, identifier: str | None = None, **changes: Any
) -> Answer:
    """Send one webhook as the host does."""
    headers = [("authorization", f"JWT {wire.token('POST', target, **changes)}")]
    headers += [("x-atlassian-webhook-identifier", identifier)] if identifier else []
    return await wire.ask("POST", target, [*headers, ("x-atlassian-webhook-flow", "Primary")], body)


async def jobs(**conditions: Any) -> list[JobRow]:
    """Give the plugin's rows of the queue that meet these conditions, by id."""
    return await JobRow.filter(plugin="working", **conditions).order_by("id")
