"""The finished add-on: one ASGI callable, put together from a deployment, with its life from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from addonkit.app.application import Application
from addonkit.app.deployment import Deployment
from addonkit.app.pages import PageHead
from addonkit.app.readiness import checks_of
from addonkit.context import Tenant
from addonkit.edge.access import write_access
from addonkit.edge.asgi import Edge
from addonkit.edge.authentication import Authenticator
from addonkit.edge.headers import SecurityHeaders
from addonkit.edge.inbound import Message, Receive, Scope, Send
from addonkit.edge.install_keys import InstallKeys
from addonkit.edge.lifecycle import EVENTS, Lifecycle
from addonkit.edge.metrics import Metrics
from addonkit.edge.operations import Operations
from addonkit.edge.probes import Readiness
from addonkit.edge.proxies import Proxies
from addonkit.edge.renewal import Renewal
from addonkit.errors import AddonkitError
from addonkit.extension.assets import Assets
from addonkit.extension.handlers import SETTINGS_KEY
from addonkit.extension.plugin import TEMPLATES_KEY, Plugin
from addonkit.extension.registry import Registry
from addonkit.log import structlog
from addonkit.protocol.sessions import Sessions
from addonkit.protocol.urls import path_of
from addonkit.settings import read_settings
from addonkit.tenancy import AppModules, Database, Directory, Notice, Outbox, TenantStore, Vault
from addonkit.tenancy.changes import watch

STATIC = Path(__file__).parent.parent / "static"

log = structlog.get_logger()


class Addon:
    """An add-on, as an ASGI server runs it.

    Args:
        deployment: What it is made of.

    Attributes:
        draining: Whether it takes no new work, because the process is about to end.
        operations: What operators look at, to be served on a listener of their own.

    Raises:
        AddonkitError: The deployment cannot be used.
    """

    draining = False

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        settings, registry = deployment.settings, deployment.registry
        keys = deployment.encryption_keys()
        self.store = TenantStore(Vault(keys))
        self.directory = Directory(self.store, settings.tenants.in_memory)
        self.outbox = Outbox(self._deliver, self.store, tuple(registry.contributions))
        self._install_keys = InstallKeys(settings.host.install_keys)
        self._delivery: asyncio.Task[None] | None = None
        self._life = AsyncExitStack()
        sessions = Sessions(keys, settings.addon.key)
        security = SecurityHeaders(settings.addon.base_url, settings.host.domains, settings.host.all_js)
        own = Assets("addonkit", STATIC)
        self.metrics = self._metrics()
        self._readiness = Readiness(checks_of(deployment, self._is_delivering))
        self.operations = Operations(
            self._readiness, lambda: self.draining, self.metrics, settings.operations.metrics_token, security
        )
        self.application = _application(registry, PageHead(sessions, security, own))
        authenticator = Authenticator(
            self.directory,
            sessions,
            settings.addon.key,
            settings.addon.base_url,
            settings.host.clock_leeway_s,
            {path: names for one in registry.contributions.values() for path, names in one.filled.items()},
        )
        self.edge = Edge(
            self.application.asgi_app,
            deployment.descriptor,
            authenticator,
            Lifecycle(registry, self.store, self.directory, self._install_keys, authenticator, self.outbox.wake),
            Renewal(authenticator, sessions),
            {"addonkit": own, **_assets(registry)},
            security,
            path_of(settings.addon.base_url),
            settings.server.base_path_stripped,
            self.operations,
            Proxies(settings.server.trusted_proxies) if settings.server.trusted_proxies else None,
            (*([self.metrics.count] if self.metrics else []), *([write_access] if settings.log.access else [])),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's worth of ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self.edge(scope, receive, send)

    async def start(self) -> None:
        """Open the database and begin to deliver what is waiting.

        Raises:
            AddonkitError: The database cannot be opened, or was sealed with other keys.
        """
        for skipped in self.deployment.registry.skipped:
            log.warning("plugin skipped", plugin=skipped.name, reason=skipped.reason)
        await self._life.enter_async_context(self.database())
        await self.store.check_keys()
        self._life.push_async_callback(self._install_keys.close)
        self._life.push_async_callback(self._readiness.close)
        self._delivery = asyncio.create_task(self.outbox.run(), name="outbox")
        self._life.push_async_callback(_ended, self._delivery)
        watching = watch(self.deployment.location, self._changed_elsewhere, self.directory.clear)
        self._life.push_async_callback(_ended, asyncio.create_task(watching, name="changes"))
        if self.metrics is not None:
            self._life.push_async_callback(_ended, asyncio.create_task(self.metrics.pulse(), name="metrics"))
        await self.application.startup()
        self._life.push_async_callback(self.application.shutdown)

    async def stop(self) -> None:
        """Stop delivering and close the database."""
        await self._life.aclose()

    def database(self) -> Database:
        """The deployment's database with the tables of the enabled plugins, not yet open."""
        apps = {
            name: AppModules(one.models, None)
            for name, one in self.deployment.registry.contributions.items()
            if one.models is not None
        }
        return Database(self.deployment.location, apps)

    def _metrics(self) -> Metrics | None:
        """What is counted; nothing where nobody could read it."""
        settings, plugins = self.deployment.settings.operations, self.deployment.registry.contributions
        if settings.bind is None and settings.metrics_token is None:
            return None
        versions = {name: one.installed.version for name, one in plugins.items()}
        return Metrics(self.directory, self.outbox.waiting, versions, tuple(("lifecycle", event) for event in EVENTS))

    def _is_delivering(self) -> bool:
        return self._delivery is not None and not self._delivery.done()

    def _changed_elsewhere(self, client_key: str | None) -> None:
        """Forget what another process has changed: one site, or who knows which; there may be news to deliver."""
        if client_key is None:
            self.directory.clear()
        else:
            self.directory.forget(client_key)
        self.outbox.wake()

    async def _deliver(self, notice: Notice, tenant: Tenant) -> None:
        """Tell one plugin of one event."""
        caller = self.deployment.registry.caller(f"addon_{notice.event.name}", notice.plugin)
        arguments: dict[str, Any] = {"tenant": tenant}
        if notice.event.name == "installed":
            arguments["first"] = notice.event.first
        for answer in caller(**arguments):
            await answer

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message: Message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except AddonkitError as wrong:
                    await self.stop()
                    await send({"type": "lifespan.startup.failed", "message": str(wrong)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def create_addon(config: Mapping[str, Any], directory: Path) -> Addon:
    """An add-on from values in place of a file.

    Args:
        config: Sections and keys as in ``addon.toml``; the environment does not change them.
        directory: The folder that relative paths are relative to.

    Raises:
        AddonkitError: The configuration cannot be used.
    """
    return Addon(Deployment(read_settings(None, config), directory))


def _application(registry: Registry, head: PageHead) -> Application:
    application = Application(registry)
    application.extensions[SETTINGS_KEY] = {name: one.settings for name, one in registry.contributions.items()}
    application.jinja_env.globals.update(addonkit_head=head, addon_name=registry.settings.addon.name)
    application.jinja_env.trim_blocks = application.jinja_env.lstrip_blocks = True
    # a template that awaits nothing is rendered at once, which takes a fraction of the time
    application.extensions[TEMPLATES_KEY] = application.jinja_env.overlay(enable_async=False)
    registry.manager.hook.addon_startup(app=application)
    return application


def _assets(registry: Registry) -> dict[str, Assets]:
    """The static folders of the plugins that have one."""
    return {
        name: one.blueprint.assets for name, one in registry.contributions.items() if isinstance(one.blueprint, Plugin)
    }


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
