"""A plugin whose handlers fail in every way that a handler can, and an add-on with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from addonkit import Context, GiveUp, HostError, Plugin, StorageUnavailable, Tenant, WebhookEvent
from addonkit.app import Addon, Deployment
from addonkit.database.sql import execute
from addonkit.errors import ScopeNotApproved
from addonkit.extension.discovery import Installed
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys, RestApi
from addonkit.testing.databases import create_tables, database_settings, drop_databases
from opentelemetry import trace
from quart import abort

from tests.support.calling_plugin import CallingAddon
from tests.support.plugin_under_test import plain_log

BASE_URL = "http://localhost:8000"
SECRET = "hunter2-hunter2"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzZWNyZXQifQ.c2lnbmF0dXJlLW9mLWEtdG9rZW4"

plugin = Plugin("failing", __name__, scopes={"READ"})
tracer = trace.get_tracer(__name__)


class Unusual(Exception):
    """An error that no library knows."""


def fail(way: str) -> None:
    """Raise the error of this name; what its message says must be in no span."""
    errors: dict[str, BaseException] = {
        "lookup": KeyError(SECRET),
        "type": TypeError(f"{SECRET} is no number"),
        "unusual": Unusual(TOKEN),
        "cancelled": asyncio.CancelledError(),
        "storage": StorageUnavailable("the database did not answer"),
        "host": HostError("the host answered 500", status=500),
        "scope": ScopeNotApproved("the site has not approved READ", scope="READ", retry_after_s=300.0),
        "give up": GiveUp("there is nothing to be done"),
    }
    raise errors[way]


@plugin.module("generalPages", name="page")
async def page(context: Context, issue_id: str) -> str:
    fail(issue_id)
    return "unreachable"


@plugin.module("generalPages", name="statement")
async def statement(context: Context) -> dict[str, int]:
    return {"changed": await execute("UPDATE addonkit_job SET name = ? WHERE name = ?", [SECRET, SECRET])}


@plugin.module("generalPages", name="traced")
async def traced(context: Context) -> dict[str, int]:
    """Record spans as a plugin does, with OpenTelemetry's own API."""
    with tracer.start_as_current_span("own"):
        await statement(context)
    return {"answer": await decorated()}


@tracer.start_as_current_span("decorated")
async def decorated() -> int:
    await asyncio.sleep(0)
    return 42


@plugin.module("generalPages", name="slow", timeout_s=0.05)
async def slow(context: Context) -> str:
    await asyncio.sleep(60)
    return "unreachable"


@plugin.module("generalPages", name="refusing")
async def refusing(context: Context) -> str:
    abort(403, "you may not see this")


@plugin.job(attempts=2)
async def attempt(way: str) -> None:
    fail(way)


@plugin.post("/enqueue")
async def enqueue(way: str) -> None:
    await attempt.enqueue(way=way)


@plugin.job(attempts=1, timeout_s=0.05)
async def hang() -> None:
    await asyncio.sleep(60)


@plugin.webhook("jira:issue_updated")
async def updated(event: WebhookEvent) -> None:
    fail("lookup")


@plugin.webhook("jira:issue_deleted")
async def deleted(event: WebhookEvent) -> None:
    """Succeed."""


@plugin.every("1h")
async def hourly() -> None:
    fail("lookup")


@plugin.hook
async def addon_disabled(tenant: Tenant) -> None:
    fail("lookup")


class FailingDeployment(Deployment):
    """A deployment with the plugin of this module, and others that a test adds."""

    extra: Mapping[str, str] = {}

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        places = {"failing": f"{__name__}:plugin", **self.extra}
        return {
            name: (Installed(name, "addonkit-tests", "1", EntryPoint(name, place, "addonkit")),)
            for name, place in places.items()
        }


@asynccontextmanager
async def failing_addon(
    directory: Path, extra: Mapping[str, str] | None = None, **sections: Mapping[str, Any]
) -> AsyncIterator[CallingAddon]:
    """Start the add-on, with a host that has installed it on one Jira site.

    Args:
        directory: The folder of its database.
        extra: Further plugins: name and place of the object.
        sections: Tables of the configuration.
    """
    keys = InstallKeys()
    rest = RestApi(keys)
    extra = extra or {}
    async with rest.serve() as url:
        defaults: dict[str, dict[str, Any]] = {
            "addon": {
                "key": "com.example.test",
                "name": "Test",
                "base_url": BASE_URL,
                "plugins": ["failing", *extra],
            },
            "database": database_settings(directory, create=False),
            "host": {"install_keys": [url], "token_server": url, "domains": ["127.0.0.1"]},
        }
        merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {**defaults, **sections}}
        deployment = FailingDeployment(read_settings(None, merged), directory)
        deployment.extra = extra
        addon = Addon(deployment)
        await create_tables(addon.deployment.location, {})
        async with Host(addon, keys, BASE_URL, rest) as host:
            await host.install()
            with plain_log():
                yield CallingAddon(addon, host, rest)
    drop_databases(directory)
