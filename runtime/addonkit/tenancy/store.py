"""What is known of each site, and how lifecycle calls change it. Each change is one transaction.

Nothing here checks a signature or an address: callers hand in what they have verified. Nothing is cached here either.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast

from tortoise.exceptions import BaseORMException, IntegrityError
from tortoise.transactions import in_transaction

from addonkit.context import Product, Tenant, TenantState
from addonkit.errors import StorageUnavailable, TenantUnknown, TokenInvalid, VaultLocked
from addonkit.tenancy.current import CONNECTION
from addonkit.tenancy.models import LifecycleNotice, TenantRow, UsedToken
from addonkit.tenancy.record import Installation, TenantRecord, TokenUse
from addonkit.tenancy.vault import Vault

FORMER_SECRET_S = 300.0
# Longer than any leeway that a token's end is checked with.
USED_TOKEN_MARGIN_S = 300
SWEPT_AT_ONCE = 100
SHARED, FORMER = "shared_secret", "former_secret"


class TenantStore:
    """The sites, in the database.

    Args:
        vault: Seals their secrets.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def find(self, client_key: str) -> TenantRecord | None:
        """Give a site with its secrets, in one query; None if nobody of that name ever installed.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: Its secret cannot be opened.
        """
        with storage_errors():
            row = await TenantRow.get_or_none(client_key=client_key)
        return None if row is None or row.shared_secret is None else self._record(row, row.shared_secret)

    async def check_keys(self) -> None:
        """See that the keys at hand are those that sealed what is stored, by the site that was stored last.

        Raises:
            StorageUnavailable: The database did not answer.
            VaultLocked: They are others.
        """
        with storage_errors():
            row = await TenantRow.filter(shared_secret__isnull=False).order_by("-updated_at").first()
        if row is None or row.shared_secret is None:
            return
        try:
            self._record(row, row.shared_secret)
        except VaultLocked as locked:
            raise VaultLocked(
                "the database holds secrets that the keys at hand do not open; bring back the key file or the entry of "
                "[security] encryption_keys that sealed them, or remove the database and have sites install anew"
            ) from locked

    async def get(self, tenant_id: int) -> Tenant | None:
        """Give a site by its number, without secrets."""
        with storage_errors():
            row = await TenantRow.get_or_none(id=tenant_id)
        return None if row is None else _tenant(row)

    async def install(self, installation: Installation, use: TokenUse, listeners: Sequence[str]) -> Tenant:
        """Store what an install call brings: the new secret, and a notice for each listener.

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
                await _spend(use)
                _refuse_older(use, row)
                row.installed_iat = max(row.installed_iat, use.issued_at)
                removed = row.state != TenantState.UNINSTALLED
                if removed:
                    row.state, row.uninstalled_at = TenantState.UNINSTALLED, datetime.now(UTC)
                    row.former_secret = row.former_until = None
                    await _notify(row, "uninstalled", listeners)
                await row.save()
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
                await _spend(use)
                if row.state in (state, TenantState.UNINSTALLED):
                    return False
                row.state = state
                await row.save()
                await _notify(row, str(state), listeners)
                return True

    async def _install(self, installation: Installation, use: TokenUse, listeners: Sequence[str]) -> Tenant:
        async with in_transaction(CONNECTION):
            row = await TenantRow.select_for_update().get_or_none(client_key=installation.client_key)
            first = row is None
            await _spend(use)
            if row is None:
                row = TenantRow(client_key=installation.client_key)
            else:
                _refuse_older(use, row)
                self._keep_former(row, installation.shared_secret.encode())
            self._describe(row, installation, use)
            await row.save()
            await _notify(row, "installed", listeners, first=first)
            return _tenant(row)

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

    def _keep_former(self, row: TenantRow, fresh: bytes) -> None:
        """Let the replaced secret be taken for a while, unless the site had left us meanwhile."""
        if row.state == TenantState.UNINSTALLED or row.shared_secret is None:
            row.former_secret = row.former_until = None
            return
        try:
            present = self._vault.open(row.shared_secret, client_key=row.client_key, column=SHARED)
        except VaultLocked:
            # Its key is lost; an install is how a site comes back from that.
            row.former_secret = row.former_until = None
            return
        if present != fresh:
            row.former_secret = self._vault.seal(present, client_key=row.client_key, column=FORMER)
            row.former_until = time.time() + FORMER_SECRET_S

    def _record(self, row: TenantRow, sealed: str) -> TenantRecord:
        until = row.former_until or 0.0
        former = row.former_secret if until > time.time() else None
        return TenantRecord(
            tenant=_tenant(row),
            secret=self._vault.open(sealed, client_key=row.client_key, column=SHARED),
            former_secret=self._vault.open(former, client_key=row.client_key, column=FORMER) if former else None,
            former_until=until if former else 0.0,
            oauth_client_id=row.oauth_client_id,
        )


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what the database says when it cannot go on into our word for it."""
    try:
        yield
    except (BaseORMException, sqlite3.Error, OSError) as exc:
        raise StorageUnavailable(
            f"the database did not answer ({type(exc).__name__}: {exc}); nothing was stored, try again"
        ) from exc


def _tenant(row: TenantRow) -> Tenant:
    return Tenant(
        id=row.id,
        client_key=row.client_key,
        product=cast("Product", row.product),
        base_url=row.base_url,
        display_url=row.display_url,
        state=TenantState(row.state),
    )


async def _locked(client_key: str) -> TenantRow:
    row = await TenantRow.select_for_update().get_or_none(client_key=client_key)
    if row is None:
        raise TenantUnknown(f"no site '{client_key}' ever installed this add-on; install it first")
    return row


def _refuse_older(use: TokenUse, row: TenantRow) -> None:
    if use.issued_at < row.installed_iat:
        raise TokenInvalid(
            f"the lifecycle token was issued at {use.issued_at}, before the one of {row.installed_iat} that changed "
            "this site last; send a new one"
        )


async def _spend(use: TokenUse) -> None:
    if await UsedToken.exists(digest=use.digest):
        raise TokenInvalid("the lifecycle token was used before, each is taken once; send a new one")
    await UsedToken.create(digest=use.digest, expires_at=use.expires_at)
    stale = UsedToken.filter(expires_at__lt=int(time.time()) - USED_TOKEN_MARGIN_S)
    # By number, since SQLite knows no DELETE with a LIMIT.
    if numbers := await stale.limit(SWEPT_AT_ONCE).values_list("id", flat=True):
        await UsedToken.filter(id__in=list(numbers)).delete()


async def _notify(row: TenantRow, event: str, listeners: Sequence[str], *, first: bool = False) -> None:
    now = datetime.now(UTC)
    for plugin in listeners:
        await LifecycleNotice.create(
            tenant_id=row.id, plugin=plugin, event=event, is_first=first, at=now, due_at=now.timestamp()
        )
