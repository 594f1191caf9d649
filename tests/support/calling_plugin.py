"""Three plugins that make host calls, and an add-on made of them, which the tests of host calls drive."""

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
from addonkit.current import plugin_scope
from addonkit.extension.discovery import Installed
from addonkit.hostapi.client import HostClients
from addonkit.settings import read_settings
from addonkit.tenancy.record import IdentityKind
from addonkit.testing import Host, InstallKeys, RestApi, Site
from addonkit.testing.databases import create_tables, database_settings, drop_databases
from quart import render_template_string

from tests.support.plugin_under_test import plain_log

T = TypeVar("T")
BASE_URL = "http://localhost:8000"

plugin = Plugin("caller", __name__, scopes={"READ", "WRITE", "DELETE", "ACT_AS_USER"}, siblings=True)
poor = Plugin("poor", __name__)
neighbour = Plugin("neighbour", __name__, scopes={"READ"})

seen: list[Any] = []


@plugin.module("generalPages", name="issue")
async def issue(context: Context, issue_id: str) -> dict[str, Any]:
    """Return the issue on view as the host describes it."""
    return {"issue": await context.host.get(f"/rest/api/3/issue/{issue_id}"), "account": context.account_id}


@plugin.module("generalPages", name="as_viewer")
async def as_viewer(context: Context) -> dict[str, Any]:
    """Return the account that the host sees when the page acts as its user."""
    return dict(await context.host.as_user().get("/rest/api/3/myself"))


@plugin.module("generalPages", name="forbidden")
async def forbidden(context: Context) -> dict[str, Any]:
    return dict(await context.host.get("//evil.example.com/rest"))


@plugin.module("generalPages", name="spaces")
async def spaces(context: Context) -> dict[str, Any]:
    """Return the spaces of the Confluence site beside this Jira site; the host is called in its own scope."""
    sibling = await context.tenant.sibling()
    if sibling is None:
        return {"sibling": None}
    with sibling.scope() as tenant:
        return {"sibling": sibling.key, "spaces": await tenant.host.get("/rest/api/space")}


@plugin.module("generalPages", name="escaping")
async def escaping(context: Context) -> dict[str, Any]:
    """Try to call the sibling's host outside of its scope, with a host that was taken inside."""
    sibling = await context.tenant.sibling()
    assert sibling is not None
    with sibling.scope() as tenant:
        host = tenant.host
    return dict(await host.get("/rest/api/space"))


@poor.module("generalPages", name="curious")
async def curious(context: Context) -> dict[str, Any]:
    return {"sibling": await context.tenant.sibling()}


@poor.module("generalPages", name="unscoped")
async def unscoped(context: Context) -> dict[str, Any]:
    return dict(await context.host.get("/rest/api/3/myself"))


@plugin.job()
async def fetch_issue(tenant: Tenant, issue_id: str) -> None:
    seen.append(await tenant.host.get(f"/rest/api/3/issue/{issue_id}"))


@plugin.post("/fetch")
async def enqueue_fetch(issue_id: str) -> None:
    await fetch_issue.enqueue(issue_id=issue_id)


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
    for name, attribute in {"caller": "plugin", "poor": "poor", "neighbour": "neighbour"}.items()
}


class CallingDeployment(Deployment):
    """A deployment with the plugins of this module."""

    @cached_property
    def installed(self) -> Mapping[str, tuple[Installed, ...]]:
        return AVAILABLE


@dataclass
class CallingAddon:
    """A running add-on, its simulated host, and the host's REST API; called, it makes a host call."""

    addon: Addon
    host: Host
    rest: RestApi

    @property
    def clients(self) -> HostClients:
        return self.addon.host_clients.clients

    async def tenant(self, site: Site | None = None) -> Tenant:
        record = await self.addon.directory.get(IdentityKind.CLIENT_KEY, (site or self.host.site).client_key)
        assert record is not None
        return record.tenant

    async def __call__(
        self,
        call: Callable[[HostApi], Awaitable[T]],
        *,
        site: Site | None = None,
        account: str | None = "acc-1",
        plugin: str = "caller",
        in_background: bool = False,
    ) -> T:
        """Call a site as a plugin would."""
        tenant = await self.tenant(site)
        with plugin_scope(plugin, background=in_background):
            return await call(self.clients.of(tenant, account))


@asynccontextmanager
async def calling_addon(directory: Path, **sections: Mapping[str, Any]) -> AsyncIterator[CallingAddon]:
    """Start the add-on, with a host that has installed it on one Jira site."""
    keys = InstallKeys()
    rest = RestApi(keys)
    async with rest.serve() as url:
        defaults: dict[str, dict[str, Any]] = {
            "addon": {
                "key": "com.example.test",
                "name": "Test",
                "base_url": BASE_URL,
                "plugins": ["caller", "poor", "neighbour"],
            },
            "database": database_settings(directory, create=False),
            "host": {"install_keys": [url], "token_server": url, "domains": ["127.0.0.1"]},
        }
        merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {**defaults, **sections}}
        addon = Addon(CallingDeployment(read_settings(None, merged), directory))
        await create_tables(addon.deployment.location, {})
        async with Host(addon, keys, BASE_URL, rest) as host:
            await host.install()
            with plain_log():
                yield CallingAddon(addon, host, rest)
    drop_databases(directory)


async def site_at(caller: CallingAddon, base_url: str) -> Tenant:
    """Install a new site whose REST API is served at another URL, for example by a faulty server."""
    return await caller.tenant(await caller.host.install("jira", base_url))
