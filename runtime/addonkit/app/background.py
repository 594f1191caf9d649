"""Background work of one process: jobs of plugins, lifecycle events, and the runtime's own maintenance jobs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from addonkit.app.deployment import Deployment
from addonkit.app.maintenance import RUNTIME, SETTINGS, runtime_jobs
from addonkit.app.migrate import environment_for
from addonkit.database.free_space import SpaceKeeper
from addonkit.extension.registry import Registry
from addonkit.jobs.counts import CountKeeper
from addonkit.jobs.done import DoneJobs
from addonkit.jobs.executor import HandlerScope, JobExecutor
from addonkit.jobs.leases import LeaseKeeper
from addonkit.jobs.missed import HOOK, since_in
from addonkit.jobs.query import count_due
from addonkit.jobs.suspects import SuspectRunner
from addonkit.jobs.unblocking import Unblocker
from addonkit.jobs.worker import JobWorker
from addonkit.supervised_task import SupervisedTask
from addonkit.tenancy.vault import Vault
from addonkit.work import JobInvocation, JobKind, JobRunner, JobSpec

EVENTS = ("installed", "enabled", "disabled", "uninstalled")
EVENT_TIMEOUT_S = 60.0
LAST_CYCLE_S = 5.0
SETTLED_POLL_S = 0.01


class Background:
    """The job worker of one process.

    Args:
        deployment: The deployment.
        vault: The encryption keys; stored secrets are re-encrypted with the first one in the background.
        handler_scope: Makes the context manager that handlers run in.
        on_exhausted: Called once, when so many handlers hang that this process takes no more jobs.
        ask_sites: Asks sites whether they know the add-on; None if no site is to be asked.

    Attributes:
        worker: The job worker.
        schedules: Plugin and name of each handler that has a schedule.
    """

    def __init__(
        self,
        deployment: Deployment,
        vault: Vault,
        handler_scope: HandlerScope,
        on_exhausted: Callable[[], None] = lambda: None,
        ask_sites: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        registry, jobs = deployment.registry, deployment.settings.jobs
        specs = {(spec.plugin, spec.name): spec for spec in _specs(deployment, vault, ask_sites)}
        self.schedules = frozenset(key for key, spec in specs.items() if spec.schedule is not None)
        settings = {name: one.settings for name, one in registry.contributions.items()} | {RUNTIME: SETTINGS}
        self._new_worker = partial(
            JobWorker,
            specs,
            JobExecutor(specs, settings, handler_scope),
            concurrency=jobs.concurrency,
            per_tenant=jobs.per_tenant,
            plugins=frozenset(settings),
            on_exhausted=on_exhausted,
        )
        self.worker = self._new_worker()
        self._suspects = SuspectRunner(self.worker, suspect_command(deployment), environment_for(deployment.location))
        self._task: SupervisedTask | None = None
        self._keep_payloads_hours = jobs.keep_payloads_hours
        self._is_postgres = deployment.location.is_postgres
        self._upkeep: list[SupervisedTask] = []

    def start(self) -> None:
        """Start the worker and the upkeep of the queue; the database must be open."""
        self._task = SupervisedTask("jobs", self.worker.run)
        self._upkeep = [
            SupervisedTask("job leases", LeaseKeeper(self.worker.name, self.worker.running_ids).run),
            SupervisedTask("order keys", Unblocker().run),
            SupervisedTask("suspect jobs", self._suspects.run),
            SupervisedTask("done jobs", DoneJobs(self._keep_payloads_hours).run),
            SupervisedTask("job counts", CountKeeper().run),
            *([] if self._is_postgres else [SupervisedTask("free space", SpaceKeeper().run)]),
        ]

    def start_suspects(self, worker: str) -> SupervisedTask:
        """Start a worker that runs suspect jobs alone, and give its task, which ends when there are no more."""
        self.worker = self._new_worker(name=worker)
        self._task = SupervisedTask("suspect jobs", self.worker.run_suspects)
        self._upkeep = [SupervisedTask("job leases", LeaseKeeper(worker, self.worker.running_ids).run)]
        return self._task

    def is_alive(self) -> bool:
        """Whether the worker's task runs."""
        return self._task is not None and self._task.is_running()

    def free_slots(self) -> int:
        """How many jobs this process can start now; 0 if it runs none."""
        return self.worker.free() if self.is_alive() else 0

    def hurry(self) -> None:
        """Let :meth:`stop` wait no longer for running jobs."""
        self.worker.hurry()
        self._suspects.hurry()

    async def stop(self, within_s: float) -> bool:
        """Stop the worker.

        Args:
            within_s: Longest time for running jobs to finish, in seconds.

        Returns:
            Whether all jobs finished in time.
        """
        if self._task is None:
            return True
        self.worker.stop_leasing()
        all_finished = all(await asyncio.gather(self.worker.stop(within_s), self._suspects.stop(within_s)))
        # The worker's last cycle writes the results down.
        is_written = await self._task.wait(LAST_CYCLE_S)
        for task in [self._task, *self._upkeep]:
            await task.cancel()
        return all_finished and is_written

    async def settled(self, moment: float) -> None:
        """Wait until no job runs that was due at a moment, in Unix time."""
        while not self.worker.is_idle() or await count_due(moment):  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(SETTLED_POLL_S)


def suspect_command(deployment: Deployment) -> list[str] | None:
    """Give the command of a child process that runs suspect jobs; the name of its worker is added.

    None if no child can have the same configuration: it was not read from a file, or was overridden.
    """
    if deployment.path is None or deployment.is_overridden:
        return None
    return [sys.executable, "-m", "addonkit", "work", "--config", str(deployment.path), "--suspects"]


def webhook_paths(registry: Registry) -> dict[str, JobSpec]:
    """Return the webhooks of the enabled plugins, by path."""
    return {
        f"/webhooks/{spec.plugin}/{spec.name}": spec
        for one in registry.contributions.values()
        for spec in one.jobs.values()
        if spec.kind is JobKind.WEBHOOK
    }


def _specs(deployment: Deployment, vault: Vault, ask_sites: Callable[[], Awaitable[None]] | None) -> Iterable[JobSpec]:
    """All job handlers of the deployment."""
    registry = deployment.registry
    for one in registry.contributions.values():
        yield from one.jobs.values()
    for event in EVENTS:
        for plugin in registry.listeners(f"addon_{event}"):
            handler = _event_handler(registry, plugin, event)
            yield JobSpec(plugin, f"addon_{event}", JobKind.LIFECYCLE, handler, None, EVENT_TIMEOUT_S)
    for plugin in registry.listeners(HOOK):
        yield JobSpec(plugin, HOOK, JobKind.JOB, _missed_handler(registry, plugin), None, EVENT_TIMEOUT_S)
    yield from runtime_jobs(deployment, vault, ask_sites)


def _missed_handler(registry: Registry, plugin: str) -> JobRunner:
    """A job handler that calls one plugin's hook after an outage."""

    async def run(invocation: JobInvocation) -> None:
        await registry.ask(plugin, HOOK, tenant=invocation.tenant, since=since_in(invocation.payload))

    return run


def _event_handler(registry: Registry, plugin: str, event: str) -> JobRunner:
    """A job handler that calls one plugin's hook for one lifecycle event."""

    async def run(invocation: JobInvocation) -> None:
        arguments: dict[str, Any] = {"tenant": invocation.tenant}
        if event == "installed":
            arguments["first"] = bool(invocation.payload.get("first"))
        await registry.ask(plugin, f"addon_{event}", **arguments)

    return run
