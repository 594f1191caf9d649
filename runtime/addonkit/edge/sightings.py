"""Records what a valid token proves about the state of its site: it uses the add-on, whatever events were lost.

A token counts once it is verified for its request. Sessions do not count, because the add-on signs them itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from addonkit.context import Tenant, TenantState
from addonkit.errors import StorageUnavailable, TenantUnknown
from addonkit.log import structlog
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.presence import ask_soon, clear_evidence
from addonkit.tenancy.record import TenantRecord
from addonkit.tenancy.states import ROUNDING_S, TenantStates

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """Applies the sightings of sites.

    Attributes:
        states: Changes the states of tenants.
        directory: In-memory cache of tenants, invalidated after each change.
        listeners: Names of the plugins with a handler for ``enabled``.
        wake: Wakes the job worker of this process.
        is_dry_run: Whether to change nothing, and only to decide what would become of the site.
    """

    states: TenantStates
    directory: Directory
    listeners: Sequence[str]
    wake: Callable[[], None]
    is_dry_run: bool = False

    async def record(self, record: TenantRecord, issued_at: int) -> Tenant:
        """Record that a site has sent a valid token, and return its tenant.

        A disabled site is enabled if the token was issued after the disabling. The evidence that a site is gone is
        cleared. A gone site stays so, and is asked soon whether it knows the add-on.

        Args:
            record: The site, active, disabled or gone.
            issued_at: The token's ``iat``, Unix seconds.

        Raises:
            TenantUnknown: The site is and stays disabled or gone.
            StorageUnavailable: A disabled site could not be enabled.
        """
        if record.tenant.state is TenantState.DISABLED:
            return await self._enable(record, issued_at)
        if record.tenant.state is TenantState.GONE:
            if not self.is_dry_run:
                await ask_soon(record.tenant.id)
            raise TenantUnknown(f"the site '{record.tenant.key}' is gone; it is asked whether it knows the add-on")
        if record.is_failing and not self.is_dry_run:
            await self._clear(record.tenant)
        return record.tenant

    async def _enable(self, record: TenantRecord, issued_at: int) -> Tenant:
        tenant = record.tenant
        enabled = None
        if self.is_dry_run and record.disabled_iat is not None and issued_at > record.disabled_iat + ROUNDING_S:
            return replace(tenant, state=TenantState.ENABLED)
        if not self.is_dry_run and (record.disabled_iat is None or issued_at > record.disabled_iat):
            try:
                enabled = await self.states.enable_by_token(tenant.id, issued_at, self.listeners)
            finally:
                # Even after a cancellation, because the change may have been committed.
                self.directory.forget(tenant.key)
        if enabled is None:
            raise TenantUnknown(f"the site '{tenant.key}' is disabled, and the token was not issued after that")
        log.info("tenant.enabled_by_token", tenant=tenant.key)
        self.wake()
        return enabled

    async def _clear(self, tenant: Tenant) -> None:
        try:
            if await clear_evidence(tenant.id):
                await notify_change(tenant.key)
        except StorageUnavailable as exc:
            # The request needs no database; the next one tries again.
            log.warning("tenant.evidence_not_cleared", tenant=tenant.key, reason=str(exc))
            return
        self.directory.forget(tenant.key)
