"""The tenant store: reads tenants, and applies lifecycle requests to them, each in one transaction.

Callers verify signatures and addresses first. Nothing is cached here.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit.context import Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import TenantUnknown
from addonkit.log import structlog
from addonkit.protocol.keys import checked_secret
from addonkit.tenancy.approvals import approve_all, scopes_of
from addonkit.tenancy.history import Change, record_change
from addonkit.tenancy.identities import IdentityTaken, is_former_installation, record_seen
from addonkit.tenancy.installs import EnqueueLifecycleJobs, Installs
from addonkit.tenancy.key_usage import FORMER, SHARED, check_keys
from addonkit.tenancy.models import PRODUCTION, TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.presence import ask_soon, clear_evidence
from addonkit.tenancy.record import IdentityKind, Installation, TenantRecord, TokenUse
from addonkit.tenancy.record_query import read_row
from addonkit.tenancy.replay import refuse_older, refuse_replayed, use_token
from addonkit.tenancy.vault import Vault

log = structlog.get_logger()

MAX_NAME = 300
"""Maximum length of a tenant's name in characters."""


class TenantStore:
    """The tenants in the database.

    Args:
        vault: Encrypts their secrets.
        enqueue: Enqueues the jobs of a lifecycle event, inside the transaction that stores the event.
    """

    def __init__(self, vault: Vault, *, enqueue: EnqueueLifecycleJobs) -> None:
        self._vault = vault
        self._enqueue = enqueue
        self._installs = Installs(vault, enqueue)

    async def find(self, kind: IdentityKind, value: str, *, environment: str = PRODUCTION) -> TenantRecord | None:
        """Read a tenant with its secrets in one query; None if the name is unknown or retired.

        Args:
            kind: The kind of the name.
            value: The name.
            environment: The environment of a cloud id or an installation.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: Its secret cannot be decrypted.
        """
        if not _is_storable(value):
            return None
        found = await read_row(kind, value, environment)
        return None if found is None else self._record(*found)

    async def check_keys(self) -> None:
        """Check that the configured keys decrypt the stored secrets.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: A secret is encrypted with another key.
        """
        with storage_errors():
            await check_keys(self._vault)

    async def get(self, tenant_id: int) -> Tenant | None:
        """Return a tenant by its number, without secrets."""
        with storage_errors():
            row = await TenantRow.get_or_none(id=tenant_id)
        return None if row is None else row.as_tenant()

    async def install(
        self,
        installation: Installation,
        use: TokenUse,
        listeners: Sequence[str],
        enabled_listeners: Sequence[str] = (),
        on_lost_key: Callable[[str], None] = lambda _: None,
    ) -> Tenant:
        """Store an install: the details of the site, the new secret, and a job for each listener.

        A site that has an installation id is enabled as well, because its host sends no `enabled`.

        Args:
            installation: The verified details of the site.
            use: The use of the request's token, which is recorded.
            listeners: Names of the plugins with a handler for `installed`.
            enabled_listeners: Names of the plugins with a handler for `enabled`.
            on_lost_key: Called with the client key that the tenant has no longer, before the transaction is committed.

        Raises:
            TokenInvalid: The token was used before, or is older than the last one that changed this tenant.
            IdentityConflict: The client key and the installation name two tenants, or another site's tenant.
            StorageUnavailable: Nothing was stored; the host can retry.
        """
        with storage_errors():
            try:
                return await self._installs.store(installation, use, listeners, enabled_listeners, on_lost_key)
            except (IntegrityError, IdentityTaken):
                # A concurrent transaction inserted the tenant or the installation first: now it exists.
                return await self._installs.store(installation, use, listeners, enabled_listeners, on_lost_key)

    async def uninstall(
        self, client_key: str, use: TokenUse, listeners: Sequence[str], installation_id: str | None = None
    ) -> bool:
        """Mark a tenant as uninstalled and keep its row; False if it already was, or if no such site ever installed.

        The host repeats what is not acknowledged, and a site may be unknown after a purge or with a restored database.
        An `uninstalled` of an installation that another one has replaced is late, and changes nothing.

        Args:
            client_key: The client key of the site.
            use: The use of the request's token, which is recorded.
            listeners: Names of the plugins with a handler for it.
            installation_id: The installation that the request names, if it names one.

        Raises:
            TokenInvalid: The token was used before, or is older than the last one that changed this tenant.
            StorageUnavailable: Nothing was stored.
        """
        with storage_errors():
            async with in_transaction(CONNECTION):
                row = await TenantRow.select_for_update().get_or_none(client_key=client_key)
                await use_token(use)
                if row is None:
                    log.info("lifecycle.site_unknown", event_name="uninstalled", tenant=client_key)
                    return False
                refuse_older(use, row)
                if installation_id and await is_former_installation(row, installation_id):
                    log.info("lifecycle.installation_replaced", tenant=client_key, installation=installation_id)
                    return False
                row.installed_iat = max(row.installed_iat, use.issued_at)
                removed = row.state != TenantState.UNINSTALLED
                if removed or row.gone_at is not None:
                    row.state, row.uninstalled_at = TenantState.UNINSTALLED, datetime.now(UTC)
                    row.gone_at = row.former_secret = row.former_until = None
                    await record_change(row, Change.UNINSTALLED)
                if removed:
                    # Plugins were called before if the site was gone.
                    await self._enqueue(row.as_tenant(), "uninstalled", listeners)
                await clear_evidence(row.id)
                await row.save()
                await record_seen(row)
                await notify_change(row.tenant_key)
                return removed

    async def set_enabled(self, client_key: str, enabled: bool, use: TokenUse, listeners: Sequence[str]) -> bool:
        """Enable or disable a tenant; False if nothing changed, for instance because it is uninstalled.

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
                await record_seen(row)
                is_approved = enabled and await approve_all(row)
                if row.tenant_state is TenantState.GONE:
                    await ask_soon(row.id)
                elif await clear_evidence(row.id):
                    await notify_change(row.tenant_key)
                if row.state == TenantState.DISABLED and not enabled and row.disabled_iat is not None:
                    row.disabled_iat = max(row.disabled_iat, use.issued_at)
                    await row.save(update_fields=["disabled_iat"])
                if row.state in (state, TenantState.UNINSTALLED):
                    if is_approved:
                        await row.save()
                        await notify_change(row.tenant_key)
                    return False
                row.state, row.disabled_iat = state, None if enabled else use.issued_at
                await row.save()
                await self._enqueue(row.as_tenant(), str(state), listeners)
                await record_change(row, Change(str(state)))
                await notify_change(row.tenant_key)
                return True

    async def check_replay(self, client_key: str, use: TokenUse, *, dated: bool) -> None:
        """Refuse a token that a lifecycle request can no longer use; the token is not recorded as used.

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

    def _record(self, row: TenantRow, is_failing: bool) -> TenantRecord:
        until, encrypted = row.former_until or 0.0, row.shared_secret
        former = row.former_secret if encrypted and until > time.time() else None
        return TenantRecord(
            tenant=row.as_tenant(),
            secret=self._secret(row, encrypted, SHARED),
            former_secret=self._secret(row, former, FORMER),
            former_until=until if former else 0.0,
            oauth_client_id=row.oauth_client_id,
            unapproved=scopes_of(row),
            unapproved_at=float(row.unapproved_at or 0),
            disabled_iat=row.disabled_iat,
            is_failing=is_failing,
        )

    def _secret(self, row: TenantRow, encrypted: str | None, column: str) -> bytes | None:
        """Decrypt a secret and check it once, so that no request that it verifies has to check it."""
        if not encrypted:
            return None
        return checked_secret(self._vault.decrypt(encrypted, tenant_key=row.tenant_key, column=column))


def _is_storable(name: str) -> bool:
    """Whether the database can store a name from a request."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return len(name) <= MAX_NAME and "\0" not in name


async def _lock_row(client_key: str) -> TenantRow:
    row = await TenantRow.select_for_update().get_or_none(client_key=client_key)
    if row is None:
        raise TenantUnknown(f"no site with the client key '{client_key}' has installed this add-on; install it first")
    return row
