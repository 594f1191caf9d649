"""Changes of a tenant's state that no lifecycle request makes, each in one transaction with its history and its jobs.

An operator enables or disables a site; a token proves that a disabled site is enabled; daily calls show that a site is
gone, or has come back. ``store`` handles lifecycle requests.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tortoise.transactions import in_transaction

from addonkit.context import Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import AddonkitError
from addonkit.tenancy.approvals import approve_all
from addonkit.tenancy.history import Change, record_change, state_since
from addonkit.tenancy.installs import EnqueueLifecycleJobs
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.presence import clear_evidence, evidence_of

HELD = 2**62
"""``disabled_iat`` of a site that an operator has disabled: no token is issued later."""
ROUNDING_S = 1
"""Tolerance for times in whole seconds, and for the clocks of the host's own servers."""
TOKEN_AGE_S = 300
"""Maximum age of a lifecycle token when it is received; a time that is older than that is one of an earlier event."""

Listeners = Mapping[str, Sequence[str]]
"""Names of the plugins with a handler, by event: ``{"installed": ("macro",)}``."""


class TenantStates:
    """Changes the states of tenants.

    Args:
        enqueue: Enqueues the jobs of a lifecycle event, inside the transaction that stores it.
    """

    def __init__(self, enqueue: EnqueueLifecycleJobs) -> None:
        self._enqueue = enqueue

    async def set_by_operator(self, tenant_id: int, *, enabled: bool, listeners: Sequence[str]) -> Tenant:
        """Enable or disable a site in an operator's name.

        A site that an operator has disabled stays disabled until the operator enables it, or the host sends `installed`
        or `enabled`.

        Raises:
            AddonkitError: It is uninstalled, gone or unknown.
            StorageUnavailable: Nothing was stored.
        """
        state = TenantState.ENABLED if enabled else TenantState.DISABLED
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _lock(tenant_id)
                if row is None:
                    raise AddonkitError(f"there is no tenant {tenant_id}; see 'addonkit tenants list'")
                if row.state == TenantState.UNINSTALLED:
                    raise AddonkitError(
                        f"tenant {tenant_id} ('{row.tenant_key}') is {row.tenant_state}; only an install of the add-on "
                        "on the site can bring it back"
                    )
                changed = row.state != state
                row.disabled_iat = None if enabled else HELD
                row.state = state
                await row.save(update_fields=["state", "disabled_iat", "updated_at"])
                if changed:
                    await self._enqueue(row.as_tenant(), str(state), listeners)
                    await record_change(row, Change(str(state)), "by an operator")
                    await notify_change(row.tenant_key)
                return row.as_tenant()

    async def enable_by_token(self, tenant_id: int, issued_at: int, listeners: Sequence[str]) -> Tenant | None:
        """Enable a disabled site that has sent a valid token issued after the disabling; None if it stays as it is.

        Its `enabled` was lost: the host shows no module of a disabled app, and sends it no webhooks.

        Args:
            tenant_id: The tenant's number.
            issued_at: The token's ``iat``, Unix seconds; the token is verified.
            listeners: Names of the plugins with a handler for ``enabled``.
        """
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _lock(tenant_id)
                if row is None or row.state == TenantState.UNINSTALLED:
                    return None
                if row.state == TenantState.DISABLED:
                    if issued_at <= await _disabled_iat(row) + ROUNDING_S:
                        return None
                    row.state, row.disabled_iat = TenantState.ENABLED, None
                    await approve_all(row)
                    await row.save()
                    await self._enqueue(row.as_tenant(), "enabled", listeners)
                    issued = datetime.fromtimestamp(issued_at, UTC)
                    await record_change(row, Change.ENABLED, f"by a token issued at {issued:%Y-%m-%d %H:%M:%S} UTC")
                    await notify_change(row.tenant_key)
                return row.as_tenant()

    async def mark_gone(self, tenant_id: int, gone_days: int, listeners: Sequence[str]) -> Tenant | None:
        """Mark a site as gone; None if it is not active any more, or has given a sign of life.

        Args:
            tenant_id: The tenant's number.
            gone_days: Number of days in a row on which its site must have failed.
            listeners: Names of the plugins with a handler for ``uninstalled``.
        """
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _lock(tenant_id)
                found = await evidence_of(tenant_id)
                if row is None or found is None or row.state not in (TenantState.INSTALLED, TenantState.ENABLED):
                    return None
                if not found.is_failing or found.failed_days < gone_days:
                    return None
                row.state, row.uninstalled_at = TenantState.UNINSTALLED, datetime.now(UTC)
                row.gone_at = row.uninstalled_at
                row.former_secret = row.former_until = None
                await row.save()
                await self._enqueue(row.as_tenant(), "uninstalled", listeners)
                await record_change(row, Change.GONE, f"the site {found}")
                await notify_change(row.tenant_key)
                return row.as_tenant()

    async def restore(self, tenant_id: int, answer: int, listeners: Listeners) -> Tenant | None:
        """Restore a gone site that knows the add-on again, as an install followed by `enabled` would.

        Returns:
            The tenant; None if it is not gone.

        Args:
            tenant_id: The tenant's number.
            answer: The HTTP status that the site answered, for the history.
            listeners: Names of the plugins with a handler for ``installed`` and for ``enabled``.
        """
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _lock(tenant_id)
                # A purge that has begun removes the secret.
                if row is None or row.tenant_state != TenantState.GONE or row.shared_secret is None:
                    return None
                row.uninstalled_at = row.gone_at = row.disabled_iat = None
                row.state = TenantState.INSTALLED
                await clear_evidence(row.id)
                await self._enqueue(row.as_tenant(), "installed", listeners.get("installed", ()))
                await record_change(row, Change.REINSTALLED, f"was gone, and answered {answer}")
                row.state = TenantState.ENABLED
                await approve_all(row)
                await row.save()
                await self._enqueue(row.as_tenant(), "enabled", listeners.get("enabled", ()))
                await record_change(row, Change.ENABLED)
                await notify_change(row.tenant_key)
                return row.as_tenant()


async def _lock(tenant_id: int) -> TenantRow | None:
    return await TenantRow.select_for_update().get_or_none(id=tenant_id)


async def _disabled_iat(row: TenantRow) -> int:
    """Return when the token of the last `disabled` was issued, Unix seconds.

    A process of an earlier release stores no such time; then it is the time of the entry in the history.
    """
    since = (await state_since([row.id])).get(row.id)
    received = int(since.timestamp()) if since is not None else int(time.time())
    known = row.disabled_iat
    return received if known is None or known < received - TOKEN_AGE_S else known
