"""An add-on that has answered every kind of request, and run every kind of job, so that it exposes all its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx2
from addonkit import Context, Plugin, Tenant
from addonkit.app import Addon, Deployment
from addonkit.errors import GiveUp
from addonkit.extension.discovery import Installed
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys, RestApi, loopback
from addonkit.testing.databases import create_tables, database_settings, drop_databases
from addonkit.webhook_event import WebhookEvent

from tests.support.plugin_under_test import BASE_URL, plain_log
from tests.support.public_address import Authority
from tests.support.wire import Wire

KEY = "com.example.monitored"
FAILURES = 5

plugin = Plugin("monitored", __name__, scopes={"READ"})


@plugin.module("generalPages", name="Page")
async def page(context: Context) -> str:
    return str(await context.host.get("/rest/api/3/myself"))


@plugin.module("generalPages", name="Failing")
async def failing() -> str:
    raise LookupError("nothing")


@plugin.webhook("jira:issue_updated")
async def updated(event: WebhookEvent, tenant: Tenant) -> None:
    await tenant.host.get("/rest/api/3/myself")


@plugin.job()
async def fail() -> None:
    raise LookupError("nothing")


@plugin.job()
async def give_up() -> None:
    raise GiveUp("there is nothing to be done")


@plugin.every("1h")
async def hourly() -> None:
    """Do nothing."""


@plugin.post("/jobs")
async def enqueue() -> None:
    await fail.enqueue()
    await give_up.enqueue()


class MonitoredDeployment(Deployment):
    """A deployment whose plugin is that of this module."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        point = EntryPoint("monitored", f"{__name__}:plugin", "addonkit")
        return {"monitored": (Installed("monitored", "addonkit-tests", "1", point),)}


@asynccontextmanager
async def monitored_addon(directory: Path, **operations: Any) -> AsyncIterator[str]:
    """Run the add-on and its traffic; yields the URL of its operations listener.

    Args:
        directory: Folder for its database and its certificate.
        operations: Settings of ``[operations]``.
    """
    keys = InstallKeys()
    rest = RestApi(keys)
    certificate, key = Authority(directory).certify("localhost", days=5)
    async with rest.serve() as url:
        sections: dict[str, dict[str, Any]] = {
            "addon": {"key": KEY, "name": "Monitored", "base_url": BASE_URL, "plugins": ["monitored"]},
            "database": database_settings(directory, create=False),
            "host": {"install_keys": [url], "token_server": url, "domains": ["127.0.0.1"]},
            "operations": {"bind": "127.0.0.1:1", **operations},
            "server": {"tls_certificate": str(certificate), "tls_key": str(key)},
        }
        addon = Addon(MonitoredDeployment(read_settings(None, sections), directory))
        await create_tables(addon.deployment.location, {})
        async with Host(addon, keys, BASE_URL, rest) as host:
            await host.install()
            with plain_log():
                await make_traffic(Wire(addon, host), rest)
                async with loopback.serving(addon.operations, loopback.bind()) as listener:
                    yield listener
    drop_databases(directory)


async def make_traffic(wire: Wire, rest: RestApi) -> None:
    """Open pages, send webhooks, refuse requests, fail jobs, and make host calls that are retried."""
    host = wire.host
    opened = await host.open("monitored-page")
    assert opened.session is None
    rest.answer("GET", "/rest/api/3/myself", {}, status=429, headers={"Retry-After": "0"})
    await host.open("monitored-page")
    rest.remove_last_answer()
    for _ in range(FAILURES):
        await host.open("monitored-failing")
    await host.fire("jira:issue_updated", issue={"id": "10001", "key": "AB-1"})
    path = "/monitored/page"
    assert (await wire.open(path, iat=2**32, exp=2**32 + 180)).status == 401
    token = wire.token("POST", "/monitored/jobs", qsh="context-qsh")
    assert (await wire.send(f"JWT {token}", "POST", "/monitored/jobs")).status == 204
    await host.settled()


async def scraped(url: str, accept: str = "text/plain") -> str:
    """Return the metrics, once they contain those of the queue."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        async with asyncio.timeout(60):
            while True:
                text = (await client.get(f"{url}/metrics", headers={"accept": accept})).text
                if "addonkit_queue_values_age_seconds" in text:
                    return text
                await asyncio.sleep(0.2)
