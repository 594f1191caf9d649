"""Finds sites that have disappeared without an uninstall: asks each site once a day, and marks sites as gone.

One process at a time does it, as a scheduled job. Each run calls the sites whose moment has come, with pauses between
the calls, so that the calls of all sites are spread over the day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

from addonkit.errors import StorageUnavailable
from addonkit.extension.registry import Registry
from addonkit.jobs.executor import error_reason
from addonkit.log import structlog
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.presence import (
    DayOfFailures,
    count_enrolled,
    count_past_days,
    due,
    enrol,
    failures_today,
    gone_tenants,
    record_answer,
)
from addonkit.tenancy.record import IdentityKind
from addonkit.tenancy.states import TenantStates
from addonkit.tenancy.store import TenantStore

if TYPE_CHECKING:
    from addonkit.hostapi.presence import PresenceCall

RUN_S = 300
"""Seconds between two runs."""
RUNS_A_DAY = 86400 // RUN_S
CALLING_S = 240.0
"""Time over which the calls of a run are spread, in seconds."""
MAX_PAUSE_S = 2.0
"""Longest pause between the starts of two calls, in seconds."""
MIN_CALLS = 20
CATCH_UP = 2
"""A run makes at most this many times its share of the day's calls: after an outage, the calls are not made at once."""
CONCURRENT_CALLS = 8

log = structlog.get_logger(__name__)


class GoneSites:
    """Asks sites whether they know the add-on, and marks and restores gone ones.

    Args:
        registry: The enabled plugins and the deployment's settings.
        store: Reads tenants with their secrets.
        states: Changes the states of tenants.
        directory: In-memory cache of tenants, invalidated after each change.
        presence: Returns what makes the calls.
    """

    def __init__(
        self,
        registry: Registry,
        store: TenantStore,
        states: TenantStates,
        directory: Directory,
        presence: Callable[[], PresenceCall],
    ) -> None:
        self._gone_days = registry.settings.tenants.gone_days
        self._listeners = {event: registry.listeners(f"addon_{event}") for event in ("installed", "enabled")}
        self._uninstalled = registry.listeners("addon_uninstalled")
        self._store, self._states, self._directory, self._presence = store, states, directory, presence
        self._suspended_on: date | None = None

    async def run(self) -> None:
        """Mark the sites that past days have shown to be gone, and call the sites that are due.

        Raises:
            StorageUnavailable: The database did not answer; the next run continues.
        """
        await self._mark_gone()
        await enrol()
        sites = await due(max(MIN_CALLS, -(-CATCH_UP * await count_enrolled() // RUNS_A_DAY)))
        pause_s = min(MAX_PAUSE_S, CALLING_S / max(1, len(sites)))
        slots = asyncio.Semaphore(CONCURRENT_CALLS)
        failure: Exception | None = None

        async def ask(tenant_id: int, key: str) -> None:
            try:
                await self._ask(tenant_id, key)
            finally:
                slots.release()

        try:
            async with asyncio.TaskGroup() as calls:
                for index, site in enumerate(sites):
                    if index:
                        await asyncio.sleep(pause_s)
                    await slots.acquire()
                    calls.create_task(ask(*site))
        except* StorageUnavailable as group:
            failure = group.exceptions[0]
        if failure is not None:
            raise failure
        self._report_if_suspended(await failures_today())

    async def _mark_gone(self) -> None:
        """Count the failures of past days; mark sites as gone unless the last of these days or today is suspended."""
        days = [*await count_past_days(), await failures_today()]
        if any(self._report_if_suspended(day) for day in days[-2:]):
            return
        for number in await gone_tenants(self._gone_days):
            tenant = await self._states.mark_gone(number, self._gone_days, self._uninstalled)
            if tenant is not None:
                self._directory.forget(tenant.key)
                log.warning("tenant.gone", tenant=tenant.key, site=tenant.base_url, days=self._gone_days)

    def _report_if_suspended(self, day: DayOfFailures) -> bool:
        """Log a suspended day once per process; return whether it is suspended."""
        if day.is_suspended and self._suspended_on != day.day:
            self._suspended_on = day.day
            log.error(
                "tenants.gone_suspended",
                day=day.day.isoformat(),
                failing=day.failing,
                active=day.active,
                reason="so many sites refuse the add-on on one day that the fault must be its own; no site is marked "
                "as gone; check this machine's clock, [addon] key and base_url, and the proxy to the sites",
            )
        return day.is_suspended

    async def _ask(self, tenant_id: int, key: str) -> None:
        """Ask one site, and store its answer."""
        try:
            record = await self._store.find(IdentityKind.KEY, key)
            status = None if record is None else await self._presence().ask(record)
        except StorageUnavailable:
            raise
        except Exception as exc:
            # Whatever is wrong with one site must not keep the others from being asked.
            log.warning("tenant.not_asked", tenant=key, reason=error_reason(exc))
            record, status = None, None
        has_changed = await record_answer(tenant_id, status)
        is_present = status is not None and 200 <= status < 300
        if is_present and status is not None and record is not None and not record.tenant.is_active():
            tenant = await self._states.restore(tenant_id, status, self._listeners)
            if tenant is not None:
                log.warning("tenant.restored", tenant=tenant.key, site=tenant.base_url, answer=status)
                has_changed = True
        if has_changed:
            self._directory.forget(key)
            # Other processes look at each request of a failing site.
            await notify_change(key)
