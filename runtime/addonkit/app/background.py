"""What a process does in the background: the plugins' jobs, their lifecycle events, and the runtime's own upkeep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from addonkit.app.deployment import Deployment
from addonkit.app.maintenance import SETTINGS, runtime_jobs
from addonkit.extension.registry import Registry
from addonkit.jobs.executor import HandlerScope, JobExecutor
from addonkit.jobs.stats import due_now
from addonkit.jobs.worker import JobWorker
from addonkit.tenancy.vault import Vault
from addonkit.work import JobInvocation, JobKind, JobSpec

EVENTS = ("installed", "enabled", "disabled", "uninstalled")
EVENT_TIMEOUT_S = 60.0
RUNTIME = "addonkit"
LAST_ROUND_S = 5.0
SETTLED_EVERY_S = 0.01


class Background:
    """The work of one process.

    Args:
        deployment: Whose.
        vault: Seals secrets; they are sealed anew with the first key in the background.
        surroundings: What handlers run in.
    """

    def __init__(self, deployment: Deployment, vault: Vault, surroundings: HandlerScope) -> None:
        registry, settings = deployment.registry, deployment.settings.jobs
        specs = {(spec.plugin, spec.name): spec for spec in _specs(deployment, vault)}
        known = {name: one.settings for name, one in registry.contributions.items()} | {RUNTIME: SETTINGS}
        self.runner = JobWorker(
            specs,
            JobExecutor(specs, known, surroundings),
            concurrency=settings.concurrency,
            per_tenant=settings.per_tenant,
            plugins=frozenset(known),
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the database is open."""
        self._task = asyncio.create_task(self.runner.run(), name="jobs")

    def is_alive(self) -> bool:
        """Whether it works, or has ended as it was told to."""
        return self._task is not None and not self._task.done()

    async def stop(self, within_s: float) -> bool:
        """End it; give whether all that ran ended by itself."""
        if self._task is None:
            return True
        is_whole = await self.runner.stop(within_s)
        # what is over is written down by a last round
        done, _ = await asyncio.wait({self._task}, timeout=LAST_ROUND_S)
        if not done:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        return is_whole and bool(done)

    async def settled(self, moment: float) -> None:
        """Wait until nothing runs that was due at a moment, in Unix time."""
        while not self.runner.is_idle() or await due_now(moment):  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(SETTLED_EVERY_S)


def webhook_paths(registry: Registry) -> dict[str, JobSpec]:
    """The webhooks of the enabled plugins, by path."""
    return {
        f"/webhooks/{spec.plugin}/{spec.name}": spec
        for one in registry.contributions.values()
        for spec in one.jobs.values()
        if spec.kind is JobKind.WEBHOOK
    }


def _specs(deployment: Deployment, vault: Vault) -> Iterable[JobSpec]:
    registry = deployment.registry
    for one in registry.contributions.values():
        yield from one.jobs.values()
    for event in EVENTS:
        for plugin in registry.listeners(f"addon_{event}"):
            tell = _told(registry, plugin, event)
            yield JobSpec(plugin, f"addon_{event}", JobKind.LIFECYCLE, tell, None, EVENT_TIMEOUT_S)
    yield from runtime_jobs(deployment, vault)


def _told(registry: Registry, plugin: str, event: str) -> Callable[[JobInvocation], Awaitable[None]]:
    """A function that tells one plugin of one event."""

    async def tell(call: JobInvocation) -> None:
        arguments: dict[str, Any] = {"tenant": call.tenant}
        if event == "installed":
            arguments["first"] = bool(call.payload.get("first"))
        await registry.ask(plugin, f"addon_{event}", **arguments)

    return tell
