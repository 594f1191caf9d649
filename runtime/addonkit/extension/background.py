"""What a plugin does in the background: jobs that it puts into the queue, webhooks, and what happens repeatedly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from addonkit.context import Module
from addonkit.descriptor.variables import WEBHOOK_VARIABLES
from addonkit.errors import PluginError
from addonkit.extension.hookspecs import hookimpl
from addonkit.extension.job_arguments import Handler, JobArguments, call_with, job_arguments_of, payload_of
from addonkit.extension.job_queue import queue
from addonkit.schedule import Schedule, parse_rule
from addonkit.text import near_matches
from addonkit.work import JobKind, JobSpec, NewJob, Upgrade

H = TypeVar("H", bound=Handler)
ATTEMPTS = 8
TIMEOUT_S = 60.0
LONGEST_TIMEOUT_S = 3600.0
LONGEST_NAME = 100
LONGEST_WORD = 255


class Job(Generic[H]):
    """A handler that runs in the background; call it to run it here and now, as a test does.

    Args:
        handler: What the plugin's author wrote.
        spec: How it runs.
        wants: What it asks for.
    """

    def __init__(self, handler: H, spec: JobSpec, wants: JobArguments) -> None:
        self.handler, self.spec, self._wants = handler, spec, wants
        self.__name__, self.__doc__ = handler.__name__, handler.__doc__
        self._upgrades = cast("dict[int, Upgrade]", spec.upgrades)

    async def __call__(self, *args: Any, **values: Any) -> None:
        """Run the handler itself, past the queue."""
        await self.handler(*args, **values)

    async def enqueue(
        self, *, dedupe: str | None = None, delay_s: float = 0.0, order: str | None = None, **values: Any
    ) -> int | None:
        """Have it run in the background for the tenant in scope: at least once, and again if it fails.

        It joins the transaction at hand: what is rolled back was never put into the queue.

        Args:
            dedupe: While one with the same word has not begun, a second one is not made; at most 255 characters.
            delay_s: How many seconds from now it may begin at the earliest.
            order: Of the plugin's jobs with the same word, one begins when the one before is done.
            **values: What the handler asks for beyond what the runtime knows.

        Returns:
            The job's number; None if one with the same ``dedupe`` is waiting already.

        Raises:
            TypeError: The values do not fit the handler's parameters.
            TenantMissing: No tenant is in scope.
            StorageUnavailable: The database did not answer; nothing was put into the queue.
        """
        spec = self.spec
        assert self._wants.payload is not None  # noqa: S101 - what has none has no enqueue of its own
        for word, said in (("dedupe", dedupe), ("order", order)):
            if said is not None and not 0 < len(said) <= LONGEST_WORD:
                raise TypeError(f"'{word}' has {len(said)} characters, expected 1 to {LONGEST_WORD}; shorten it")
        payload = payload_of(self._wants.payload, values, f"'{spec.plugin}.{spec.name}'")
        due_at = time.time() + max(0.0, delay_s)
        return await queue().put(
            NewJob(spec.plugin, spec.name, spec.kind, payload, spec.version, dedupe=dedupe, order=order, due_at=due_at)
        )

    def from_version(self, version: int) -> Callable[[Upgrade], Upgrade]:
        """Make the payloads that an older release left in the queue into those of the next version.

        Args:
            version: Of the payload that the decorated function takes, a dictionary; it gives one of ``version + 1``.
        """

        def decorate(upgrade: Upgrade) -> Upgrade:
            if not 1 <= version < self.spec.version:
                raise PluginError(
                    f"plugin '{self.spec.plugin}': '{self.spec.name}' is of version {self.spec.version}, and no "
                    f"payload of version {version} can be older; say a version from 1 to {self.spec.version - 1}",
                    plugin=self.spec.plugin,
                )
            self._upgrades[version] = upgrade
            return upgrade

        return decorate


class Background:
    """The words of a plugin for what it does in the background."""

    name: str
    settings: type[BaseModel] | None

    def _begin_background(self) -> None:
        self._jobs: list[JobSpec] = []
        self._webhooks: list[Module] = []

    def job(
        self, *, attempts: int = ATTEMPTS, timeout_s: float = TIMEOUT_S, version: int = 1, name: str | None = None
    ) -> Callable[[H], Job[H]]:
        """Let a handler run in the background, by ``await handler.enqueue(…)``.

        Args:
            attempts: How often it is tried before it is given up and kept for an operator.
            timeout_s: Longest time of one attempt, in seconds.
            version: Of what it asks for; raise it when a waiting job's values would no longer fit, and say by
                ``from_version`` what becomes of those.
            name: What waiting jobs know it by; the function's name if not given.
        """

        def decorate(handler: H) -> Job[H]:
            wants = self._wants(handler, JobKind.JOB)
            spec = self._spec(handler, JobKind.JOB, wants, name, attempts, timeout_s, version=version)
            return Job(handler, spec, wants)

        return decorate

    def webhook(
        self,
        event: str,
        *,
        filter: str | None = None,  # noqa: A002 - the host's own word for it
        exclude_body: bool = False,
        property_keys: Sequence[str] = (),
        order: str | None = None,
        attempts: int = ATTEMPTS,
        timeout_s: float = TIMEOUT_S,
    ) -> Callable[[H], H]:
        """Have the host tell of an event: descriptor entry, path and handler in one.

        What the host sends is verified and stored before it is acknowledged; the handler runs afterwards, as a job.

        Args:
            event: The host's name for it, such as ``jira:issue_deleted``.
            filter: JQL; the host tells of issues and comments that it fits.
            exclude_body: Whether the host leaves the body out.
            property_keys: Entity properties that the host adds to the body.
            order: A name that the webhook's URL carries, such as ``issue_id``: events about one are handled one after
                another.
            attempts: How often handling is tried.
            timeout_s: Longest time of one attempt, in seconds.
        """

        def decorate(handler: H) -> H:
            wants = self._wants(handler, JobKind.WEBHOOK)
            self._check_order(handler, order)
            self._spec(handler, JobKind.WEBHOOK, wants, None, attempts, timeout_s, event=event, order=order)
            names = sorted(wants.objects | ({order} if order else set()))
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
            self._webhooks.append(Module("webhooks", self.name, body))
            return handler

        return decorate

    def every(
        self, rule: str, *, each_tenant: bool = False, attempts: int = 1, timeout_s: float = TIMEOUT_S
    ) -> Callable[[H], H]:
        """Have something happen again and again, once across all processes of the deployment.

        What was missed while nothing ran happens once when something runs again.

        Args:
            rule: A period such as ``"90s"``, ``"15m"``, ``"6h"`` or ``"1d"``, or five fields of cron, in UTC.
            each_tenant: Whether it happens for each site that uses the add-on, under its scope, and not once.
            attempts: How often it is tried each time.
            timeout_s: Longest time of one attempt, in seconds.
        """

        def decorate(handler: H) -> H:
            try:
                parse_rule(rule)
            except ValueError as wrong:
                raise PluginError(f"plugin '{self.name}': '{handler.__name__}' {wrong}", plugin=self.name) from None
            wants = self._wants(handler, JobKind.SCHEDULE)
            if "tenant" in wants.named.values() and not each_tenant:
                raise PluginError(
                    f"plugin '{self.name}': '{handler.__name__}' asks for a tenant and happens once for all; say "
                    "each_tenant=True, or drop the parameter",
                    plugin=self.name,
                )
            schedule = Schedule(rule, each_tenant)
            self._spec(handler, JobKind.SCHEDULE, wants, None, attempts, timeout_s, schedule=schedule)
            return handler

        return decorate

    @hookimpl
    def addon_jobs(self) -> Iterable[JobSpec]:
        """What ``job``, ``webhook`` and ``every`` collected."""
        return tuple(self._jobs)

    def _wants(self, handler: Handler, kind: JobKind) -> JobArguments:
        return job_arguments_of(handler, self.name, kind, self.settings)

    def _spec(
        self,
        handler: Handler,
        kind: JobKind,
        wants: JobArguments,
        name: str | None,
        attempts: int,
        timeout_s: float,
        **more: Any,
    ) -> JobSpec:
        name = name or handler.__name__
        if not 1 <= attempts <= 1000 or not 0 < timeout_s <= LONGEST_TIMEOUT_S or len(name) > LONGEST_NAME:
            raise PluginError(
                f"plugin '{self.name}': '{name}' has attempts={attempts} and timeout_s={timeout_s:g}, expected 1 to "
                f"1000 and up to {LONGEST_TIMEOUT_S:g}; change them",
                plugin=self.name,
            )
        spec = JobSpec(self.name, name, kind, call_with(handler, wants), attempts, timeout_s, upgrades={}, **more)
        self._jobs.append(spec)
        return spec

    def _check_order(self, handler: Handler, order: str | None) -> None:
        if order is not None and order not in WEBHOOK_VARIABLES:
            close = near_matches(order, WEBHOOK_VARIABLES) or tuple(WEBHOOK_VARIABLES)[:1]
            raise PluginError(
                f"plugin '{self.name}': '{handler.__name__}' is ordered by '{order}', which no webhook's URL can "
                f"carry; did you mean '{close[0]}'",
                plugin=self.name,
            )
