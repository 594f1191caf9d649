"""What is known of each site, and how lifecycle calls change it. Each change is one transaction.

Nothing here checks a signature or an address: callers hand in what they have verified. Nothing is cached here either.
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
from addonkit.tenancy.history import Change, differences, neighbours, record_change
from addonkit.tenancy.key_usage import FORMER, SHARED, check_keys
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.notifications import announce
from addonkit.tenancy.record import Installation, TenantRecord, TokenUse
from addonkit.tenancy.replay import refuse_older, refuse_used, spend
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
    """The sites, in the database.

    Args:
        vault: Seals their secrets.
        enqueue: Enqueues the jobs of a lifecycle event, inside the transaction that stores the event.
    """

    def __init__(self, vault: Vault, *, enqueue: EnqueueLifecycleJobs) -> None:
        self._vault = vault
        self._enqueue = enqueue

    async def find(self, client_key: str) -> TenantRecord | None:
        """Give a site with its secrets, in one query; None if nobody of that name ever installed.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: Its secret cannot be opened.
        """
        if not _may_exist(client_key):
            return None
        with storage_errors():
            row = await _read(client_key)
        return None if row is None or row.shared_secret is None else self._record(row, row.shared_secret)

    async def check_keys(self) -> None:
        """See that the keys at hand open what is stored.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: Something was sealed with others.
        """
        with storage_errors():
            await check_keys(self._vault)

    async def get(self, tenant_id: int) -> Tenant | None:
        """Give a site by its number, without secrets."""
        with storage_errors():
            row = await TenantRow.get_or_none(id=tenant_id)
        return None if row is None else row.as_tenant()

    async def install(self, installation: Installation, use: TokenUse, listeners: Sequence[str]) -> Tenant:
        """Store what an install call brings: the new secret, and a job for each listener.

        Args:
            installation: What the call says, verified.
            use: Its token, which is spent by this.
            listeners: Names of the plugins that want to be told.

        Raises:
            TokenInvalid: The token was used before, or is older than the last one that changed this site.
            StorageUnavailable: Nothing was stored; the host may try again.
        """
        with storage_errors():
            try:
                return await self._install(installation, use, listeners)
            except IntegrityError:
                # Where transactions run side by side, another one made the row first: now it is there.
                return await self._install(installation, use, listeners)

    async def uninstall(self, client_key: str, use: TokenUse, listeners: Sequence[str]) -> bool:
        """Mark a site as uninstalled and keep its row; False if it was so already.

        Raises:
            TenantUnknown: Nobody of that name ever installed.
            TokenInvalid: The token was used before, or is older than the last one that changed this site.
            StorageUnavailable: Nothing was stored.
        """
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _locked(client_key)
                await spend(use)
                refuse_older(use, row)
                row.installed_iat = max(row.installed_iat, use.issued_at)
                removed = row.state != TenantState.UNINSTALLED
                if removed:
                    row.state, row.uninstalled_at = TenantState.UNINSTALLED, datetime.now(UTC)
                    row.former_secret = row.former_until = None
                    await self._enqueue(row.as_tenant(), "uninstalled", listeners)
                    await record_change(row, Change.UNINSTALLED)
                await row.save()
                await announce(row.client_key)
                return removed

    async def set_enabled(self, client_key: str, enabled: bool, use: TokenUse, listeners: Sequence[str]) -> bool:
        """Enable or disable a site; False if nothing changed, as with one that is uninstalled.

        A token may be older than the install: the host sends `disabled` and `uninstalled` in either order.

        Raises:
            TenantUnknown: Nobody of that name ever installed.
            TokenInvalid: The token was used before.
            StorageUnavailable: Nothing was stored.
        """
        state = TenantState.ENABLED if enabled else TenantState.DISABLED
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await _locked(client_key)
                await spend(use)
                if row.state in (state, TenantState.UNINSTALLED):
                    return False
                row.state = state
                await row.save()
                await self._enqueue(row.as_tenant(), str(state), listeners)
                await record_change(row, Change(str(state)))
                await announce(row.client_key)
                return True

    async def refuse_spent(self, client_key: str, use: TokenUse, *, dated: bool) -> None:
        """Refuse a token that a lifecycle call could not be made with any more; nothing is spent by this.

        Args:
            client_key: Of the site; it may be unknown.
            use: The token.
            dated: Whether an older token than the site's last one is refused.

        Raises:
            TokenInvalid: It could not.
            StorageUnavailable: The database did not answer.
        """
        with storage_errors():
            await refuse_used(use)
            row = await TenantRow.get_or_none(client_key=client_key) if dated else None
            if row is not None:
                refuse_older(use, row)

    async def _install(self, installation: Installation, use: TokenUse, listeners: Sequence[str]) -> Tenant:
        async with in_transaction(CONNECTION):
            row = await TenantRow.select_for_update().get_or_none(client_key=installation.client_key)
            first = row is None
            await spend(use)
            if row is None:
                row = TenantRow(client_key=installation.client_key)
                changes = {Change.INSTALLED: await neighbours(installation)}
            else:
                refuse_older(use, row)
                rotated = self._replace_secret(row, installation.shared_secret.encode())
                changes = differences(row, installation, rotated) | rotated
            self._describe(row, installation, use)
            await row.save()
            for what, detail in changes.items():
                await record_change(row, what, detail)
            await self._enqueue(row.as_tenant(), "installed", listeners, first=first)
            await announce(row.client_key)
            return row.as_tenant()

    def _describe(self, row: TenantRow, installation: Installation, use: TokenUse) -> None:
        row.product = installation.product
        row.base_url = installation.base_url
        row.display_url = installation.display_url or installation.base_url
        row.oauth_client_id = installation.oauth_client_id
        row.installation_id = installation.installation_id
        row.shared_secret = self._vault.seal(
            installation.shared_secret.encode(), client_key=installation.client_key, column=SHARED
        )
        row.installed_iat = use.issued_at
        row.uninstalled_at = None
        if row.state != TenantState.ENABLED:
            row.state = TenantState.INSTALLED

    def _replace_secret(self, row: TenantRow, fresh: bytes) -> dict[Change, str]:
        """Let the replaced secret be taken for a while, unless the site had left us meanwhile; tell what changes."""
        present = None
        try:
            if row.shared_secret is not None:
                present = self._vault.open(row.shared_secret, client_key=row.client_key, column=SHARED)
        except VaultLocked:
            # Its key is lost; an install is how a site comes back from that.
            present = None
        left = row.state == TenantState.UNINSTALLED
        if present == fresh and not left:
            return {}
        row.former_secret = row.former_until = None
        if present is not None and not left:
            row.former_secret = self._vault.seal(present, client_key=row.client_key, column=FORMER)
            row.former_until = time.time() + FORMER_SECRET_S
        return {} if present == fresh else {Change.ROTATED: ""}

    def _record(self, row: TenantRow, sealed: str) -> TenantRecord:
        until = row.former_until or 0.0
        former = row.former_secret if until > time.time() else None
        return TenantRecord(
            tenant=row.as_tenant(),
            secret=self._vault.open(sealed, client_key=row.client_key, column=SHARED),
            former_secret=self._vault.open(former, client_key=row.client_key, column=FORMER) if former else None,
            former_until=until if former else 0.0,
            oauth_client_id=row.oauth_client_id,
        )


def _may_exist(client_key: str) -> bool:
    """Whether a name that anybody may have written can be looked for at all."""
    try:
        client_key.encode()
    except UnicodeEncodeError:
        return False
    return len(client_key) <= CLIENT_KEY_LENGTH and "\0" not in client_key


async def _read(client_key: str) -> TenantRow | None:
    """Read what a record is made of, and nothing else of the row: it is not one to be saved.

    Each first request of a site asks this; the ORM, which makes the query anew each time, costs three times as much.
    """
    found = await fetch(_READ, [client_key])
    return TenantRow.construct(**found[0]) if found else None


async def _locked(client_key: str) -> TenantRow:
    row = await TenantRow.select_for_update().get_or_none(client_key=client_key)
    if row is None:
        raise TenantUnknown(f"no site '{client_key}' ever installed this add-on; install it first")
    return row
