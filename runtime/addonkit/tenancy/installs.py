"""Stores an `installed`: the site's details, secret and identities, and the jobs of plugins, in one transaction.

The tenant is found by the client key or by the installation (``identities``). Callers verify signatures and addresses
first.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from tortoise.transactions import in_transaction

from addonkit.context import Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.errors import VaultLocked
from addonkit.tenancy.approvals import approve_all
from addonkit.tenancy.history import Change, describe_changes, record_change, same_site_detail
from addonkit.tenancy.identities import find_row, record_identities
from addonkit.tenancy.key_usage import FORMER, SHARED
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.presence import clear_evidence
from addonkit.tenancy.record import Installation, TokenUse
from addonkit.tenancy.replay import refuse_older, use_token
from addonkit.tenancy.vault import Vault

FORMER_SECRET_S = 300.0
ENABLED_BY_INSTALL = "with 'installed', because hosts send no 'enabled' for a Forge app"


class EnqueueLifecycleJobs(Protocol):
    """Enqueues one job for each listener of a lifecycle event, in the current transaction."""

    async def __call__(self, tenant: Tenant, event: str, listeners: Iterable[str], *, first: bool = False) -> None:
        """Enqueue the jobs; ``tenant`` has its state after the event, ``first`` marks its first install."""


class Installs:
    """Stores installs.

    Args:
        vault: Encrypts secrets.
        enqueue: Enqueues the jobs of a lifecycle event, inside the transaction that stores the event.
    """

    def __init__(self, vault: Vault, enqueue: EnqueueLifecycleJobs) -> None:
        self._vault, self._enqueue = vault, enqueue

    async def store(
        self,
        installation: Installation,
        use: TokenUse,
        listeners: Sequence[str],
        enabled_listeners: Sequence[str],
        on_lost_key: Callable[[str], None],
    ) -> Tenant:
        """Store one install in a transaction; see :meth:`addonkit.tenancy.store.TenantStore.install`."""
        async with in_transaction(CONNECTION):
            row = await find_row(installation)
            first = row is None
            await use_token(use)
            if row is None:
                row = TenantRow(key=installation.client_key)
                changes = {Change.INSTALLED: await same_site_detail(installation)}
            else:
                refuse_older(use, row)
                changes = self._changes(row, installation)
                await self._replace_client_key(row, installation, on_lost_key)
            self._describe(row, installation, use)
            becomes_enabled = _enable(row, installation)
            await approve_all(row)
            await row.save()
            await clear_evidence(row.id)
            await record_identities(row, installation)
            for what, detail in changes.items():
                await record_change(row, what, detail)
            await self._enqueue(row.as_tenant(), "installed", listeners, first=first)
            if becomes_enabled:
                await record_change(row, Change.ENABLED, ENABLED_BY_INSTALL)
                await self._enqueue(row.as_tenant(), "enabled", enabled_listeners)
            await notify_change(row.tenant_key)
            return row.as_tenant()

    def _changes(self, row: TenantRow, installation: Installation) -> dict[Change, str]:
        """Replace the secret of a known tenant, and return the changes to record."""
        rotated = self._replace_secret(row, installation.shared_secret.encode())
        return describe_changes(row, installation, rotated) | rotated

    async def _replace_client_key(
        self, row: TenantRow, installation: Installation, on_lost_key: Callable[[str], None]
    ) -> None:
        """Give a tenant that its installation has found the client key of the request; the former one is lost.

        As after an adoption, the key follows, unless the tenant has one that is not its client key.
        """
        former = row.client_key
        if former is None or former == installation.client_key:
            return
        if row.tenant_key == former:
            row.key = installation.client_key
        # No token of the former client key is looked up any more.
        row.former_secret = row.former_until = None
        on_lost_key(former)
        await notify_change(former)

    def _describe(self, row: TenantRow, installation: Installation, use: TokenUse) -> None:
        row.client_key = installation.client_key
        row.product = installation.product
        _move(row, installation.base_url)
        row.display_url = installation.display_url or installation.base_url
        row.help_center_url = installation.help_center_url
        row.oauth_client_id = installation.oauth_client_id
        row.installation_id = installation.installation_id
        row.shared_secret = self._vault.encrypt(
            installation.shared_secret.encode(), tenant_key=row.tenant_key, column=SHARED
        )
        row.installed_iat = use.issued_at
        row.uninstalled_at = row.gone_at = row.disabled_iat = None
        if row.state != TenantState.ENABLED:
            row.state = TenantState.INSTALLED

    def _replace_secret(self, row: TenantRow, fresh: bytes) -> dict[Change, str]:
        """Keep the replaced secret for a short time, unless the tenant is uninstalled; return the change to record."""
        present = None
        try:
            if row.shared_secret is not None:
                present = self._vault.decrypt(row.shared_secret, tenant_key=row.tenant_key, column=SHARED)
        except VaultLocked:
            # The key of the old secret is lost; a new install recovers from that.
            present = None
        was_uninstalled = row.state == TenantState.UNINSTALLED
        if present == fresh and not was_uninstalled:
            return {}
        row.former_secret = row.former_until = None
        if present is not None and not was_uninstalled:
            row.former_secret = self._vault.encrypt(present, tenant_key=row.tenant_key, column=FORMER)
            row.former_until = time.time() + FORMER_SECRET_S
        return {} if present == fresh else {Change.ROTATED: ""}


def _move(row: TenantRow, base_url: str) -> None:
    """Replace the base URL, and keep the former one of a site that has installed the add-on: see ``siblings``."""
    if row.id is not None and row.state != TenantState.UNINSTALLED and row.base_url != base_url:
        row.former_base_url, row.renamed_at = row.base_url, datetime.now(UTC)
    row.base_url = base_url


def _enable(row: TenantRow, installation: Installation) -> bool:
    """Enable the site of a Forge app; return whether it was not enabled before.

    The host sends an installation id for add-ons with a Forge manifest, and sends these neither `enabled` nor
    `disabled`.
    """
    if not installation.installation_id or row.state == TenantState.ENABLED:
        return False
    row.state = TenantState.ENABLED
    return True
