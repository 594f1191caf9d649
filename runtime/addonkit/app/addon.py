"""Assembles one add-on, an ASGI application, from a deployment; starts and stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

from addonkit.app.authenticator import build_authenticator
from addonkit.app.background import Background, webhook_paths
from addonkit.app.deployment import Deployment
from addonkit.app.gone_sites import GoneSites
from addonkit.app.host_clients import HostClientPool
from addonkit.app.lifespan import serve_lifespan
from addonkit.app.metrics import build_metrics, follow_process
from addonkit.app.operations import build_operations
from addonkit.app.page_head import PageHead
from addonkit.app.request_observers import request_observers
from addonkit.app.startup import plugin_assets, runtime_for, started_application
from addonkit.app.tracing import build_tracing
from addonkit.current import Runtime, RuntimeScope
from addonkit.database.clock import warn_of_clock
from addonkit.database.connection import AppModules, Database
from addonkit.edge.asgi import Edge
from addonkit.edge.authentication import Authenticator
from addonkit.edge.forwarded import TrustedProxies
from addonkit.edge.install_keys import InstallKeys
from addonkit.edge.lifecycle import Lifecycle
from addonkit.edge.operations import Operations
from addonkit.edge.refusal_file import RefusalFile
from addonkit.edge.refused_webhooks import RefusedWebhooks
from addonkit.edge.request import Receive, Scope, Send
from addonkit.edge.response import SecurityHeaders
from addonkit.edge.session_renewal import SessionRenewal
from addonkit.edge.webhooks import Webhooks
from addonkit.extension.assets import Assets
from addonkit.jobs.executor import HandlerScope
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.jobs.notifier import notifying
from addonkit.jobs.queue import JobQueue
from addonkit.jobs.writer import WebhookWriter
from addonkit.log import structlog
from addonkit.protocol.sessions import Sessions
from addonkit.protocol.urls import path_of
from addonkit.supervised_task import SupervisedTask
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.install_key_store import InstallKeyStore
from addonkit.tenancy.notifications import watch_changes
from addonkit.tenancy.states import TenantStates
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault
from addonkit.tenant_data.connection import tenant_database

STATIC = Path(__file__).parent.parent / "static"

log = structlog.get_logger()


class Addon:
    """One add-on as an ASGI application.

    Args:
        deployment: The configuration and the installed plugins.

    Attributes:
        draining: Whether it accepts no new jobs, because the process is about to stop.
        gone_sites: Asks sites whether they know the add-on.
        on_exhausted: Called once, when so many job handlers hang that this process takes no more jobs.
        operations: The ASGI application of ``/healthz``, ``/readyz`` and ``/metrics`` for a listener of their own.
        runtime: The objects that code working for this add-on uses through the current work.

    Raises:
        AddonkitError: The deployment cannot be used.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        settings, registry = deployment.settings, deployment.registry
        self._tracing = build_tracing(deployment)
        keys = deployment.encryption_keys()
        vault = Vault(keys)
        self.store = TenantStore(vault, enqueue=enqueue_lifecycle_jobs)
        self.directory = Directory(self.store, settings.tenants.in_memory)
        refresh_s, network = settings.host.key_refresh_hours * 3600, deployment.network
        self._install_keys = InstallKeys(
            settings.host.install_keys, store=InstallKeyStore(), refresh_s=refresh_s, network=network
        )
        self._stack = AsyncExitStack()
        self._draining = self._cut = False
        self._works = settings.jobs.in_server
        self.on_exhausted: Callable[[], None] = lambda: None
        sessions = Sessions(keys, settings.addon.key)
        security = SecurityHeaders(settings.addon.base_url, settings.host.domains, settings.host.all_js)
        runtime_assets = Assets("addonkit", STATIC)
        # First, since a plugin that fails at its start is removed from the registry, which the others read.
        self.application = started_application(
            deployment, self._new_runtime, PageHead(sessions, security, runtime_assets)
        )
        self.metrics = self.runtime.job_observer = build_metrics(
            deployment, self.directory, lambda: self.background.schedules
        )
        count_call = self.metrics.count_call if self.metrics else None
        self.host_clients = HostClientPool(deployment, self.directory, count_call)
        self._readiness, operations = build_operations(
            deployment,
            security,
            self.metrics,
            is_draining=lambda: self.draining,
            is_alive=self.is_alive,
            is_working=lambda: not self._works or self.background.is_alive(),
        )
        self.operations = self.runtime.scoped(operations)
        states = TenantStates(enqueue_lifecycle_jobs)
        self.gone_sites = GoneSites(registry, self.store, states, self.directory, self.host_clients.presence)
        self.background = Background(
            deployment,
            vault,
            cast("HandlerScope", self.application.work_context),
            lambda: self.on_exhausted(),
            self.gone_sites.run if settings.tenants.gone_days else None,
        )
        authenticator = build_authenticator(deployment, self.runtime, self.directory, sessions, states)
        self._refused = RefusedWebhooks(
            authenticator=authenticator,
            plugins=registry.listeners("addon_missed"),
            file=RefusalFile(deployment.data_directory),
            count=self.metrics.count_refused_webhook if self.metrics else lambda _: None,
        )
        self.edge = self._new_edge(
            authenticator=authenticator,
            renewal=SessionRenewal(authenticator=authenticator, sessions=sessions),
            runtime_assets=runtime_assets,
            security=security,
            operations=operations,
        )
        if self.metrics is not None:
            follow_process(self.metrics, deployment, self.edge.webhooks.writer, self._database, self.background)

    def _new_edge(
        self,
        *,
        authenticator: Authenticator,
        renewal: SessionRenewal,
        runtime_assets: Assets,
        security: SecurityHeaders,
        operations: Operations,
    ) -> Edge:
        settings, registry = self.deployment.settings, self.deployment.registry
        observers, scope_of = request_observers(self.deployment, self.metrics, self.runtime.tracer)
        writer = WebhookWriter(settings.jobs.intake_rows, settings.jobs.intake_mb * 1024 * 1024)
        return Edge(
            app=self.application.asgi_app,
            descriptor=self.deployment.descriptor,
            authenticator=authenticator,
            lifecycle=Lifecycle(
                registry=registry,
                store=self.store,
                directory=self.directory,
                install_keys=self._install_keys,
                wake=self.runtime.notify,
                has_proxies=bool(settings.server.trusted_proxies),
            ),
            webhooks=Webhooks(
                specs=webhook_paths(registry), authenticator=authenticator, writer=writer, refused=self._refused
            ),
            renewal=renewal,
            assets={"addonkit": runtime_assets, **plugin_assets(registry)},
            security=security,
            base_path=path_of(settings.addon.base_url),
            base_path_stripped=settings.server.base_path_stripped,
            operations=operations,
            proxies=TrustedProxies(settings.server.trusted_proxies) if settings.server.trusted_proxies else None,
            observers=observers,
            scope_of=scope_of,
        )

    def _new_runtime(self) -> Runtime:
        """Create the runtime and the database for the plugins in the registry."""
        self.runtime = runtime_for(self.deployment.registry, lambda *subject: self.host_clients.host_of(*subject))
        self.runtime.tracer = self._tracing.tracer if self._tracing else None
        self._database = self.database()
        return self.runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or lifespan."""
        if scope["type"] == "lifespan":
            await serve_lifespan(self, receive, send)
        else:
            self.background.worker.throttle.busy_at = time.monotonic()
            with self.runtime.scope():
                await self.edge(scope, receive, send)

    def scope(self) -> RuntimeScope:
        """Make this add-on current for a ``with`` block, as when one of its handlers runs."""
        return self.runtime.scope()

    @property
    def draining(self) -> bool:
        """Whether this process accepts no new jobs."""
        return self._draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._draining = draining
        if draining:
            self.background.worker.stop_leasing()

    async def start(self, *, working: bool | None = None) -> None:
        """Open the database and start the background work.

        Args:
            working: Whether this process runs jobs; ``[jobs] in_server`` is the default.

        Raises:
            AddonkitError: The database cannot be opened, or is encrypted with other keys.
        """
        self._works = self.deployment.settings.jobs.in_server if working is None else working
        for skipped in self.deployment.registry.skipped:
            log.warning("plugin.skipped", plugin=skipped.name, reason=skipped.reason)
        if self._tracing is not None:
            self._tracing.start()
            self._stack.push_async_callback(self._tracing.stop)
        await self._database.open()
        self._stack.push_async_callback(self._database.close)
        await self._stack.enter_async_context(self.edge.webhooks.writer.accepting())
        # Tasks started here, and those that they start, work for this add-on.
        with self.scope():
            await self._begin()

    async def _begin(self) -> None:
        await self.store.check_keys()
        await warn_of_clock()
        if self.runtime.failure_reporter:
            self._stack.push_async_callback(self.runtime.failure_reporter.close)
        self._stack.push_async_callback(self._install_keys.close)
        self._stack.push_async_callback(self._readiness.close)
        self.runtime.queue = JobQueue()
        self._stack.callback(setattr, self.runtime, "queue", None)
        self._stack.push_async_callback(self.host_clients.close)
        self._stack.push_async_callback(SupervisedTask("changes", self._watch_changes).cancel)
        self._stack.push_async_callback(self._refused.close)
        self._stack.push_async_callback(SupervisedTask("refused webhooks", self._refused.run).cancel)
        if self.metrics is not None:
            self._stack.push_async_callback(self.metrics.close)
            self._stack.push_async_callback(SupervisedTask("metrics", self.metrics.measure_lag).cancel)
        await self._stack.enter_async_context(notifying(self.runtime))
        await self.application.startup()
        self._stack.push_async_callback(self.application.shutdown)
        if self._works:
            self.background.start()
            self._stack.push_async_callback(self._stop_working)

    async def _watch_changes(self) -> None:
        location, changed = self.deployment.location, self._changed_elsewhere
        await watch_changes(location, changed, self.directory.clear, self.runtime.notify)

    async def settled(self) -> None:
        """Wait until no job that is due now is waiting or running."""
        with self.scope():
            await self.background.settled(time.time())

    async def stop(self) -> bool:
        """Stop the background work and close the database; return whether every running job ended in time."""
        with self.scope():
            await self._stack.aclose()
        return not self._cut

    async def _stop_working(self) -> None:
        left_s = self.deployment.settings.server.stop_s - self.background.worker.stopping_s()
        self._cut = not await self.background.stop(max(0.0, left_s))

    def hurry(self) -> None:
        """Let :meth:`stop` wait no longer for running jobs."""
        self.background.hurry()

    def database(self) -> Database:
        """Return the deployment's database with the tables of the enabled plugins, not yet open."""
        apps = {
            name: AppModules(one.models, None)
            for name, one in self.deployment.registry.contributions.items()
            if one.models is not None
        }
        return tenant_database(self.deployment.location, apps, self.runtime)

    def is_alive(self) -> bool:
        """Whether this process need not be replaced: it takes jobs, since not too many of their handlers hang."""
        return not self.background.worker.is_exhausted()

    def _changed_elsewhere(self, tenant_key: str | None) -> None:
        """Drop a tenant that another process changed from the cache, or all if it is None, and wake the job workers."""
        if tenant_key is None:
            self.directory.clear()
        else:
            self.directory.forget(tenant_key)
        self.runtime.notify()
