"""The tenant store: reads tenants, and applies lifecycle requests to them, each in one transaction.

Callers verify signatures and addresses before. Nothing is cached here.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit.context import Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import fetch
from addonkit.errors import TenantUnknown, VaultLocked
from addonkit.tenancy.history import Change, describe_changes, record_change, same_site_detail
from addonkit.tenancy.key_usage import FORMER, SHARED, check_keys
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.record import Installation, TenantRecord, TokenUse
from addonkit.tenancy.replay import refuse_older, refuse_replayed, use_token
from addonkit.tenancy.vault import Vault

FORMER_SECRET_S = 300.0
CLIENT_KEY_LENGTH = 255
_READ = """
SELECT id, client_key, product, base_url, display_url, state, oauth_client_id, shared_secret, former_secret,
    former_until
FROM addonkit_tenant WHERE client_key = ?"""


class EnqueueLifecycleJobs(Protocol):
    """Enqueues one job for each listener of a lifecycle event, in the current transaction."""

    async def __call__(self, tenant: Tenant, event: str, listeners: Iterable[str], *, first: bool = False) -> None:
        """Enqueue the jobs; the tenant is as the event leaves it, ``first`` marks its first install."""


class TenantStore:
    """The tenants in the database.

    Args:
        vault: Encrypts their secrets.
        enqueue: Enqueues the jobs of a lifecycle event, inside the transaction that stores the event.
    """

    def __init__(self, vault: Vault, *, enqueue: EnqueueLifecycleJobs) -> None:
        self._vault = vault
        self._enqueue = enqueue

    async def find(self, client_key: str) -> TenantRecord | None:
        """Give a tenant with its secrets, in one query; None if no site with this client key ever installed.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: Its secret cannot be decrypted.
        """
        if not _is_storable(client_key):
            return None
        row = await _read(client_key)
        return None if row is None or row.shared_secret is None else self._record(row, row.shared_secret)

    async def check_keys(self) -> None:
        """Check that the configured keys decrypt the stored secrets.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: A secret is encrypted with another key.
        """
        with storage_errors():
            await check_keys(self._vault)

    async def get(self, tenant_id: int) -> Tenant | None:
        """Give a tenant by its number, without secrets."""
        with storage_errors():
            row = await TenantRow.get_or_none(id=tenant_id)
        return None if row is None else row.as_tenant()

    async def install(self, installation: Installation, use: TokenUse, listeners: Sequence[str]) -> Tenant:
        """Store an install: the details of the site, the new secret, and a job for each listener.

        Args:
            installation: The verified details of the site.
            use: The use of the request's token, which is recorded.
            listeners: Names of the plugins with a handler for it.

        Raises:
            TokenInvalid: The token was used before, or is older than the last one that changed this tenant.
            StorageUnavailable: Nothing was stored; the host can retry.
        """
        with storage_errors():
            try:
                return await self._install(installation, use, listeners)
            except IntegrityError:
                # A concurrent transaction inserted the row first: now it exists.
                return await self._install(installation, use, listeners)

    async def uninstall(self, client_key: str, use: TokenUse, listeners: Sequence[str]) -> bool:
        """Mark a tenant as uninstalled and keep its row; False if it already was.

        Raises:
            TenantUnknown: No site with this client key ever installed.
            TokenInvalid: The token was used before, or is older than the last one that changed this tenant.
            StorageUnavailable: Nothing was stored.
        """
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _lock_row(client_key)
                await use_token(use)
                refuse_older(use, row)
                row.installed_iat = max(row.installed_iat, use.issued_at)
                removed = row.state != TenantState.UNINSTALLED
                if removed:
                    row.state, row.uninstalled_at = TenantState.UNINSTALLED, datetime.now(UTC)
                    row.former_secret = row.former_until = None
                    await self._enqueue(row.as_tenant(), "uninstalled", listeners)
                    await record_change(row, Change.UNINSTALLED)
                await row.save()
                await notify_change(row.client_key)
                return removed

    async def set_enabled(self, client_key: str, enabled: bool, use: TokenUse, listeners: Sequence[str]) -> bool:
        """Enable or disable a tenant; False if nothing changed, also if it is uninstalled.

        The token may be older than the install: the host sends `disabled` and `uninstalled` in either order.

        Raises:
            TenantUnknown: No site with this client key ever installed.
            TokenInvalid: The token was used before.
            StorageUnavailable: Nothing was stored.
        """
        state = TenantState.ENABLED if enabled else TenantState.DISABLED
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _lock_row(client_key)
                await use_token(use)
                if row.state in (state, TenantState.UNINSTALLED):
                    return False
                row.state = state
                await row.save()
                await self._enqueue(row.as_tenant(), str(state), listeners)
                await record_change(row, Change(str(state)))
                await notify_change(row.client_key)
                return True

    async def check_replay(self, client_key: str, use: TokenUse, *, dated: bool) -> None:
        """Refuse a token that a lifecycle request could no longer use, without using it.

        Args:
            client_key: Client key of the tenant; it may be unknown.
            use: The use of the token.
            dated: Whether to refuse a token that is older than the tenant's last one.

        Raises:
            TokenInvalid: The token was used, or is too old.
            StorageUnavailable: The database did not answer.
        """
        with storage_errors():
            await refuse_replayed(use)
            row = await TenantRow.get_or_none(client_key=client_key) if dated else None
            if row is not None:
                refuse_older(use, row)

    async def _install(self, installation: Installation, use: TokenUse, listeners: Sequence[str]) -> Tenant:
        async with in_transaction(CONNECTION):
            row = await TenantRow.select_for_update().get_or_none(client_key=installation.client_key)
            first = row is None
            await use_token(use)
            if row is None:
                row = TenantRow(client_key=installation.client_key)
                changes = {Change.INSTALLED: await same_site_detail(installation)}
            else:
                refuse_older(use, row)
                rotated = self._replace_secret(row, installation.shared_secret.encode())
                changes = describe_changes(row, installation, rotated) | rotated
            self._describe(row, installation, use)
            await row.save()
            for what, detail in changes.items():
                await record_change(row, what, detail)
            await self._enqueue(row.as_tenant(), "installed", listeners, first=first)
            await notify_change(row.client_key)
            return row.as_tenant()

    def _describe(self, row: TenantRow, installation: Installation, use: TokenUse) -> None:
        row.product = installation.product
        row.base_url = installation.base_url
        row.display_url = installation.display_url or installation.base_url
        row.oauth_client_id = installation.oauth_client_id
        row.installation_id = installation.installation_id
        row.shared_secret = self._vault.encrypt(
            installation.shared_secret.encode(), client_key=installation.client_key, column=SHARED
        )
        row.installed_iat = use.issued_at
        row.uninstalled_at = None
        if row.state != TenantState.ENABLED:
            row.state = TenantState.INSTALLED

    def _replace_secret(self, row: TenantRow, fresh: bytes) -> dict[Change, str]:
        """Keep the replaced secret for a short time, unless the tenant was uninstalled; give the change to record."""
        present = None
        try:
            if row.shared_secret is not None:
                present = self._vault.decrypt(row.shared_secret, client_key=row.client_key, column=SHARED)
        except VaultLocked:
            # Its key is lost; a new install is the way to recover from that.
            present = None
        was_uninstalled = row.state == TenantState.UNINSTALLED
        if present == fresh and not was_uninstalled:
            return {}
        row.former_secret = row.former_until = None
        if present is not None and not was_uninstalled:
            row.former_secret = self._vault.encrypt(present, client_key=row.client_key, column=FORMER)
            row.former_until = time.time() + FORMER_SECRET_S
        return {} if present == fresh else {Change.ROTATED: ""}

    def _record(self, row: TenantRow, encrypted: str) -> TenantRecord:
        until = row.former_until or 0.0
        former = row.former_secret if until > time.time() else None
        return TenantRecord(
            tenant=row.as_tenant(),
            secret=self._vault.decrypt(encrypted, client_key=row.client_key, column=SHARED),
            former_secret=self._vault.decrypt(former, client_key=row.client_key, column=FORMER) if former else None,
            former_until=until if former else 0.0,
            oauth_client_id=row.oauth_client_id,
        )


def _is_storable(client_key: str) -> bool:
    """Whether a client key from a request can be stored in the database at all."""
    try:
        client_key.encode()
    except UnicodeEncodeError:
        return False
    return len(client_key) <= CLIENT_KEY_LENGTH and "\0" not in client_key


async def _read(client_key: str) -> TenantRow | None:
    """Read the columns of a record; the row must not be saved, since its other columns are not read.

    This runs at each cache miss. The ORM builds the query anew each time, which costs three times as much.
    """
    found = await fetch(_READ, [client_key])
    return TenantRow.construct(**found[0]) if found else None


async def _lock_row(client_key: str) -> TenantRow:
    row = await TenantRow.select_for_update().get_or_none(client_key=client_key)
    if row is None:
        raise TenantUnknown(f"no site with the client key '{client_key}' has installed this add-on; install it first")
    return row
