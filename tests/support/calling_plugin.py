"""Three plugins that call the host, and an add-on made of them: what the tests of calls drive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeVar

from addonkit import Context, Plugin, Tenant
from addonkit import Host as HostApi
from addonkit.app import Addon, Deployment
from addonkit.calling import calling
from addonkit.extension.discovery import Installed
from addonkit.hostapi.client import HostClients
from addonkit.settings import read_settings
from addonkit.testing import Host, InstallKeys, RestApi, Site
from addonkit.testing.databases import give_tables, named_settings, release
from quart import render_template_string

from tests.support.plugin_under_test import plain_log

T = TypeVar("T")
BASE_URL = "http://localhost:8000"

plugin = Plugin("asking", __name__, scopes={"READ", "WRITE", "DELETE", "ACT_AS_USER"})
poor = Plugin("poor", __name__)
neighbour = Plugin("neighbour", __name__, scopes={"READ"})

seen: list[Any] = []


@plugin.module("generalPages", name="issue")
async def issue(context: Context, issue_id: str) -> dict[str, Any]:
    """What the host says of the issue on view."""
    return {"issue": await context.host.get(f"/rest/api/3/issue/{issue_id}"), "account": context.account_id}


@plugin.module("generalPages", name="as_viewer")
async def as_viewer(context: Context) -> dict[str, Any]:
    """What the host says of itself to who looks."""
    return dict(await context.host.as_user().get("/rest/api/3/myself"))


@plugin.module("generalPages", name="forbidden")
async def forbidden(context: Context) -> dict[str, Any]:
    return dict(await context.host.get("//evil.example.com/rest"))


@poor.module("generalPages", name="unscoped")
async def unscoped(context: Context) -> dict[str, Any]:
    return dict(await context.host.get("/rest/api/3/myself"))


@plugin.job()
async def look(tenant: Tenant, issue_id: str) -> None:
    seen.append(await tenant.host.get(f"/rest/api/3/issue/{issue_id}"))


@plugin.post("/look")
async def look_later(issue_id: str) -> None:
    await look.enqueue(issue_id=issue_id)


@plugin.webhook("jira:issue_updated")
async def updated(tenant: Tenant, issue_id: str) -> None:
    seen.append((issue_id, await tenant.host.get("/rest/api/3/myself")))


@plugin.get("/guarded")
@plugin.requires(issue="EDIT_ISSUES")
async def guarded(account_id: str | None) -> dict[str, str | None]:
    return {"account": account_id}


@plugin.module("generalPages", name="administration")
@plugin.requires(project="ADMINISTER_PROJECTS")
async def administration() -> str:
    return "administration"


@plugin.module("generalPages", name="start")
async def start(issue_id: str) -> str:
    return await render_template_string("<html><head>{{ addonkit_head() }}</head><body></body></html>")


AVAILABLE = {
    name: (Installed(name, "addonkit-tests", "1", EntryPoint(name, f"{__name__}:{attribute}", "addonkit")),)
    for name, attribute in {"asking": "plugin", "poor": "poor", "neighbour": "neighbour"}.items()
}


class AskingDeployment(Deployment):
    """A deployment whose plugins are those of this module."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        return AVAILABLE


@dataclass
class Asking:
    """A running add-on, its host, and what the add-on asks it with."""

    addon: Addon
    host: Host
    rest: RestApi

    @property
    def clients(self) -> HostClients:
        return self.addon.calls.clients

    async def tenant(self, site: Site | None = None) -> Tenant:
        record = await self.addon.directory.get((site or self.host.site).client_key)
        assert record is not None
        return record.tenant

    async def __call__(
        self,
        ask: Callable[[HostApi], Awaitable[T]],
        *,
        site: Site | None = None,
        account: str | None = "acc-1",
        plugin: str = "asking",
        in_background: bool = False,
    ) -> T:
        """Ask a site as a plugin would."""
        tenant = await self.tenant(site)
        with calling(plugin, in_background=in_background):
            return await ask(self.clients.of(tenant, account))


@asynccontextmanager
async def asking_addon(directory: Path, **sections: Mapping[str, Any]) -> AsyncIterator[Asking]:
    """A running add-on, with a host that has installed it on one Jira site."""
    keys = InstallKeys()
    rest = RestApi(keys)
    async with rest.serve() as url:
        defaults: dict[str, dict[str, Any]] = {
            "addon": {
                "key": "com.example.test",
                "name": "Test",
                "base_url": BASE_URL,
                "plugins": ["asking", "poor", "neighbour"],
            },
            "database": named_settings(directory),
            "host": {"install_keys": [url], "token_server": url, "domains": ["127.0.0.1"]},
        }
        merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {**defaults, **sections}}
        addon = Addon(AskingDeployment(read_settings(None, merged), directory))
        await give_tables(addon.deployment.location, {})
        async with Host(addon, keys, BASE_URL, rest) as host:
            await host.install()
            with plain_log():
                yield Asking(addon, host, rest)
    release(directory)


async def site_at(asking: Asking, base_url: str) -> Tenant:
    """A new site that is served elsewhere: what a fault of its server does to calls."""
    return await asking.tenant(await asking.host.install("jira", base_url))
