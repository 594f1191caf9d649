"""Decorators for the background work of a plugin: jobs that it enqueues, webhooks from the host, and schedules."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from addonkit.context import Module, Product
from addonkit.current import current_queue
from addonkit.descriptor.variables import WEBHOOK_VARIABLES
from addonkit.errors import PluginError
from addonkit.extension.arguments import Handler, JobArguments, job_arguments
from addonkit.extension.handlers import encode_payload, job_runner
from addonkit.extension.hookspecs import hookimpl
from addonkit.schedule import Schedule, check_schedule
from addonkit.text import near_matches
from addonkit.work import JobKind, JobSpec, NewJob, Upgrade

H = TypeVar("H", bound=Callable[..., Awaitable[None]])
ATTEMPTS = 8
TIMEOUT_S = 60.0
MAX_ATTEMPTS = 1000
MAX_TIMEOUT_S = 3600.0
MAX_NAME = 100
"""Longest name of a job, in characters."""
MAX_KEY = 255
"""Longest order key or dedupe key, in characters."""


class Job(Generic[H]):
    """A job handler. Call it to run the handler directly, as a test does; ``enqueue`` runs it in the background.

    Args:
        handler: The author's function.
        spec: How it runs.
        arguments: Its parameters.
    """

    def __init__(self, handler: H, spec: JobSpec, arguments: JobArguments) -> None:
        self.handler, self.spec, self._arguments = handler, spec, arguments
        self.__name__, self.__doc__ = handler.__name__, handler.__doc__
        self._upgrades = cast("dict[int, Upgrade]", spec.upgrades)

    async def __call__(self, *args: Any, **values: Any) -> None:
        """Run the handler directly, without the queue."""
        await self.handler(*args, **values)

    async def enqueue(
        self, *, dedupe: str | None = None, delay_s: float = 0.0, order: str | None = None, **values: Any
    ) -> int | None:
        """Enqueue a job for the current tenant. It runs at least once, and again after a failed attempt.

        The job is part of the current transaction: a rollback removes it from the queue.

        Args:
            dedupe: Dedupe key: no second job is enqueued while one with the same key waits; at most 255 characters.
            delay_s: Delay before the job is due, in seconds.
            order: Order key: the plugin's jobs with the same key run one after another; at most 255 characters.
            **values: The handler's parameters that the runtime does not fill.

        Returns:
            The job's id; None if one with the same ``dedupe`` waits already.

        Raises:
            TypeError: The values do not match the handler's parameters.
            TenantMissing: No tenant is in scope.
            StorageUnavailable: The database did not answer; nothing was enqueued.
        """
        spec = self.spec
        assert self._arguments.payload is not None  # noqa: S101 - every job has a payload model
        for option, key in (("dedupe", dedupe), ("order", order)):
            if key is not None and not 0 < len(key) <= MAX_KEY:
                raise TypeError(f"'{option}' has {len(key)} characters, expected 1 to {MAX_KEY}; shorten it")
        payload = encode_payload(self._arguments.payload, values, f"{spec.plugin}.{spec.name}")
        due_at = time.time() + max(0.0, delay_s)
        return await current_queue().put(
            NewJob(spec.plugin, spec.name, spec.kind, payload, spec.version, dedupe=dedupe, order=order, due_at=due_at)
        )

    def from_version(self, version: int) -> Callable[[Upgrade], Upgrade]:
        """Register a function that upgrades stored payloads of one version to the next.

        Args:
            version: The old version. The decorated function takes a payload of this version, which is a dictionary, and
                returns one of ``version + 1``.
        """

        def decorate(upgrade: Upgrade) -> Upgrade:
            if not 1 <= version < self.spec.version:
                raise PluginError(
                    f"plugin '{self.spec.plugin}': job '{self.spec.name}' has version {self.spec.version}, so a "
                    f"payload of version {version} is not older; use a version from 1 to {self.spec.version - 1}",
                    plugin=self.spec.plugin,
                )
            self._upgrades[version] = upgrade
            return upgrade

        return decorate


class Background:
    """The decorators of a plugin for background work."""

    name: str
    settings: type[BaseModel] | None

    def _begin_background(self) -> None:
        self._jobs: list[JobSpec] = []
        self._webhooks: list[Module] = []

    def job(
        self, *, attempts: int = ATTEMPTS, timeout_s: float = TIMEOUT_S, version: int = 1, name: str | None = None
    ) -> Callable[[H], Job[H]]:
        """Make a handler a job handler; ``await handler.enqueue(…)`` enqueues a job.

        Args:
            attempts: Number of attempts after which the job is dead and kept for an operator.
            timeout_s: Longest run time of one attempt, in seconds.
            version: Version of the payload. Increase it when the parameters no longer match waiting jobs, and upgrade
                those with ``from_version``.
            name: The job's stored name; the function's name by default.
        """

        def decorate(handler: H) -> Job[H]:
            arguments = self._read(handler, JobKind.JOB)
            spec = self._spec(handler, JobKind.JOB, arguments, name, attempts, timeout_s, version=version)
            return Job(handler, spec, arguments)

        return decorate

    def webhook(
        self,
        event: str,
        *,
        product: Product | None = None,
        filter: str | None = None,  # noqa: A002 - the name in the descriptor
        exclude_body: bool = False,
        property_keys: Sequence[str] = (),
        order: str | None = None,
        attempts: int = ATTEMPTS,
        timeout_s: float = TIMEOUT_S,
    ) -> Callable[[H], H]:
        """Subscribe to an event of the host: declares the webhook, its path and its handler.

        The runtime verifies and stores a webhook before it acknowledges it, and then runs the handler as a job.

        Args:
            event: The host's name for the event, such as ``jira:issue_deleted``.
            product: ``"jira"`` or ``"confluence"``, where both have this event, such as ``comment_created``. A Forge
                manifest needs it.
            filter: JQL that an issue or comment must match.
            exclude_body: Whether the host omits the body.
            property_keys: Entity properties that the host adds to the body.
            order: A parameter in the webhook's URL, such as ``issue_id``, whose value becomes the order key: webhooks
                with the same value are handled one after another.
            attempts: Number of attempts after which the job is dead.
            timeout_s: Longest run time of one attempt, in seconds.
        """

        def decorate(handler: H) -> H:
            arguments = self._read(handler, JobKind.WEBHOOK)
            self._check_order(handler, order)
            self._spec(handler, JobKind.WEBHOOK, arguments, None, attempts, timeout_s, event=event, order=order)
            names = sorted(arguments.names_from("object") | ({order} if order else set()))
            query = "&".join(f"{name}=${{{WEBHOOK_VARIABLES[name]}}}" for name in names)
            fields: dict[str, Any] = {
                "filter": filter,
                "excludeBody": exclude_body,
                "propertyKeys": list(property_keys),
            }
            body = {
                "event": event,
                "url": f"/webhooks/{self.name}/{handler.__name__}" + (f"?{query}" if query else ""),
                **{key: value for key, value in fields.items() if value},
            }
            self._webhooks.append(Module("webhooks", self.name, body, product))
            return handler

        return decorate

    def every(
        self,
        rule: str,
        *,
        each_tenant: bool = False,
        spread: str | None = None,
        attempts: int = 1,
        timeout_s: float = TIMEOUT_S,
    ) -> Callable[[H], H]:
        """Run a handler on a schedule; each run happens once across all processes of the deployment.

        If runs were missed because no process was up, the handler runs once at the next start.

        Args:
            rule: An interval such as ``"90s"``, ``"15m"``, ``"6h"`` or ``"1d"``, or a cron expression with five fields,
                in UTC.
            each_tenant: Whether it runs once for each active tenant, in that tenant's scope, instead of once.
            spread: With ``each_tenant``, the time over which the jobs of a run become due, such as ``"30m"``: each
                tenant's always after the same share of it, and never later than the next run. ``"0s"``: all at once.
                By default a hundred tenants a second.
            attempts: Number of attempts of each run.
            timeout_s: Longest run time of one attempt, in seconds.
        """
        schedule = Schedule(rule, each_tenant, spread)

        def decorate(handler: H) -> H:
            try:
                check_schedule(schedule)
            except ValueError as error:
                raise PluginError(f"plugin '{self.name}': '{handler.__name__}' {error}", plugin=self.name) from None
            arguments = self._read(handler, JobKind.SCHEDULE)
            if arguments.names_from("tenant") and not each_tenant:
                raise PluginError(
                    f"plugin '{self.name}': handler '{handler.__name__}' has a tenant parameter, but its schedule has "
                    "no tenant; add each_tenant=True, or remove the parameter",
                    plugin=self.name,
                )
            self._spec(handler, JobKind.SCHEDULE, arguments, None, attempts, timeout_s, schedule=schedule)
            return handler

        return decorate

    @hookimpl
    def addon_jobs(self) -> Iterable[JobSpec]:
        """Return what ``job``, ``webhook`` and ``every`` have declared."""
        return tuple(self._jobs)

    def _read(self, handler: Handler, kind: JobKind) -> JobArguments:
        return job_arguments(handler, self.name, kind, self.settings)

    def _spec(
        self,
        handler: Handler,
        kind: JobKind,
        arguments: JobArguments,
        name: str | None,
        attempts: int,
        timeout_s: float,
        **more: Any,
    ) -> JobSpec:
        name = name or handler.__name__
        if len(name) > MAX_NAME:
            raise PluginError(
                f"plugin '{self.name}': '{name}' has {len(name)} characters, expected at most {MAX_NAME}; shorten it",
                plugin=self.name,
            )
        if not 1 <= attempts <= MAX_ATTEMPTS or not 0 < timeout_s <= MAX_TIMEOUT_S:
            raise PluginError(
                f"plugin '{self.name}': '{name}' has attempts={attempts} and timeout_s={timeout_s:g}, expected 1 to "
                f"{MAX_ATTEMPTS} and up to {MAX_TIMEOUT_S:g}; change them",
                plugin=self.name,
            )
        spec = JobSpec(self.name, name, kind, job_runner(handler, arguments), attempts, timeout_s, upgrades={}, **more)
        self._jobs.append(spec)
        return spec

    def _check_order(self, handler: Handler, order: str | None) -> None:
        if order is not None and order not in WEBHOOK_VARIABLES:
            close = near_matches(order, WEBHOOK_VARIABLES) or tuple(WEBHOOK_VARIABLES)[:1]
            raise PluginError(
                f"plugin '{self.name}': handler '{handler.__name__}' has order='{order}', which a webhook's URL cannot "
                f"carry; did you mean '{close[0]}'",
                plugin=self.name,
            )
