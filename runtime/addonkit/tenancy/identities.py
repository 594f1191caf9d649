"""Identities: the names by which the host identifies a tenant, and the rule for names that disagree.

A tenant has one key of its own, which never names another one. The host knows it by a client key (Connect), a cloud id
or the id of an installation. A retired identity no longer names its tenant and is kept for history; it does not block
the name: the next tenant that proves it takes over the row.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import AddonkitError, IdentityConflict, StorageUnavailable
from addonkit.tenancy.history import Change, record_change
from addonkit.tenancy.models import PRODUCTION, TenantIdentity, TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.record import IdentityKind, Installation

SEEN_EVERY = timedelta(days=1)
"""Minimum time between two writes of ``last_seen``."""


class IdentityTaken(StorageUnavailable):
    """A concurrent transaction has given the identity to another tenant; the caller runs its own transaction again."""


class Identity(NamedTuple):
    """One name of a tenant.

    Attributes:
        id: Its number.
        tenant_id: Number of the tenant.
        kind: One of :class:`~addonkit.tenancy.record.IdentityKind`, except ``key``.
        value: The client key; ``<product>:<id>`` for a cloud id or an installation.
        environment: The environment of the app at the host; ``production`` for Connect.
        first_seen: Time at which the tenant got it, UTC.
        last_seen: Time of the last lifecycle request that contained it, UTC; up to a day too early.
        retired_at: Time since which it no longer names the tenant; None while it does.
    """

    id: int
    tenant_id: int
    kind: str
    value: str
    environment: str
    first_seen: datetime
    last_seen: datetime
    retired_at: datetime | None


def identity_value(product: str, id_: str) -> str:
    """Return the value of a cloud id or an installation: product and id, because one id can occur in both products."""
    return f"{product}:{id_}"


async def find_row(installation: Installation) -> TenantRow | None:
    """Find and lock the row of an install request's tenant; None if the tenant is new. Call it within a transaction.

    The client key decides. If no tenant has it, the tenant that the installation names is used, provided that it has no
    client key, or is at the base URL of the request.

    Raises:
        IdentityConflict: The client key and the installation name two tenants; or the client key is new, and the
            installation names a tenant with another client key at another base URL.
    """
    row = await TenantRow.select_for_update().get_or_none(client_key=installation.client_key)
    if not installation.installation_id:
        return row
    value = identity_value(installation.product, installation.installation_id)
    identity = await live_identity(IdentityKind.INSTALLATION, value)
    if identity is None or (row is not None and row.id == identity.tenant_id):
        return row
    if row is not None:
        other = await TenantRow.get_or_none(id=identity.tenant_id)
        if other is not None:
            raise IdentityConflict(_of_two_tenants(installation, row, other, identity))
        return row
    found = await TenantRow.select_for_update().get_or_none(id=identity.tenant_id)
    if found is not None and found.client_key is not None and found.base_url != installation.base_url:
        raise IdentityConflict(_of_another_site(installation, found, identity))
    return found


async def is_former_installation(row: TenantRow, installation_id: str) -> bool:
    """Return whether another installation has replaced this one of the tenant."""
    if row.installation_id in (None, installation_id):
        return False
    value = identity_value(row.product, installation_id)
    former = TenantIdentity.filter(kind=IdentityKind.INSTALLATION.value, value=value, environment=row.environment)
    return await former.filter(tenant_id=row.id, retired_at__isnull=False).exists()


async def record_identities(row: TenantRow, installation: Installation) -> None:
    """Record the identities of an install request for its tenant, and retire those that it replaces.

    Call it in the transaction of the install, after the row was saved.
    """
    now = datetime.now(UTC)
    values = {IdentityKind.CLIENT_KEY: installation.client_key}
    if installation.installation_id:
        values[IdentityKind.INSTALLATION] = identity_value(installation.product, installation.installation_id)
    for kind, value in values.items():
        await record_identity(row, kind, value, now)
        others = TenantIdentity.filter(tenant_id=row.id, kind=kind.value, retired_at__isnull=True)
        await others.exclude(value=value).update(retired_at=now)


async def record_seen(row: TenantRow) -> None:
    """Update ``last_seen`` of a tenant's client key after a lifecycle request, at most once a day."""
    now = datetime.now(UTC)
    seen = TenantIdentity.filter(kind=IdentityKind.CLIENT_KEY.value, value=row.client_key, tenant_id=row.id)
    await seen.filter(retired_at__isnull=True, last_seen__lt=now - SEEN_EVERY).update(last_seen=now)


async def move_identities(new: TenantRow, old: TenantRow) -> None:
    """Move the new tenant's identities to the old tenant, and retire those that they replace.

    Call it in the transaction of the adoption, before the rows change.
    """
    replaced = [IdentityKind.CLIENT_KEY.value, IdentityKind.INSTALLATION.value]
    replaced += [IdentityKind.CLOUD.value] if new.cloud_id else []
    former = TenantIdentity.filter(tenant_id=old.id, kind__in=replaced, retired_at__isnull=True)
    await former.update(retired_at=datetime.now(UTC))
    await TenantIdentity.filter(tenant_id=new.id).update(tenant_id=old.id)


async def identities_of(tenant_id: int | None = None) -> list[Identity]:
    """List the identities of one or all tenants, including retired ones, ordered by tenant and number."""
    with storage_errors():
        rows = TenantIdentity.all() if tenant_id is None else TenantIdentity.filter(tenant_id=tenant_id)
        return [_identity(row) for row in await rows.order_by("tenant_id", "id")]


async def retire_identity(tenant_id: int, identity_id: int) -> Identity:
    """Retire an identity, which then no longer names its tenant, and record this in the tenant's history.

    Raises:
        AddonkitError: The tenant has no such identity, or the identity is already retired or the tenant's client key.
        StorageUnavailable: Nothing was stored.
    """
    with storage_errors():
        async with in_transaction(CONNECTION):
            row = await TenantIdentity.select_for_update().get_or_none(id=identity_id, tenant_id=tenant_id)
            tenant = await TenantRow.select_for_update().get_or_none(id=tenant_id)
            if row is None or tenant is None:
                raise AddonkitError(
                    f"tenant {tenant_id} has no identity {identity_id}; see 'addonkit tenants identities {tenant_id}'"
                )
            if row.retired_at is not None:
                raise AddonkitError(f"the identity {identity_id} of tenant {tenant_id} is retired already")
            if row.kind == IdentityKind.CLIENT_KEY:
                raise AddonkitError(
                    f"the identity {identity_id} is the client key of tenant {tenant_id}, without which its site is "
                    "unknown; uninstall and purge it, or give its data to another tenant with 'addonkit tenants adopt'"
                )
            row.retired_at = datetime.now(UTC)
            await row.save(update_fields=["retired_at"])
            await _forget(tenant, row)
            await record_change(tenant, Change.IDENTITY_RETIRED, f"{row.kind} '{row.value}'")
            await notify_change(tenant.tenant_key)
            return _identity(row)


async def live_identity(kind: IdentityKind, value: str, environment: str = PRODUCTION) -> TenantIdentity | None:
    """Return the row of an identity that names a tenant; None if nobody has it, or it is retired."""
    return await TenantIdentity.get_or_none(
        kind=kind.value, value=value, environment=environment, retired_at__isnull=True
    )


async def record_identity(row: TenantRow, kind: IdentityKind, value: str, now: datetime) -> None:
    """Insert an identity, take over the row of a retired one, or update ``last_seen``. Call it in a transaction.

    Raises:
        IdentityTaken: It is a live identity of another tenant.
    """
    name = TenantIdentity.select_for_update().filter(kind=kind.value, value=value, environment=row.environment)
    found = await name.get_or_none()
    if found is None:
        found = TenantIdentity(kind=kind.value, value=value, environment=row.environment, first_seen=now)
    elif found.tenant_id == row.id and found.retired_at is None:
        if now - found.last_seen < SEEN_EVERY:
            return
    elif found.tenant_id != row.id:
        if found.retired_at is None:
            raise IdentityTaken(f"the {kind} '{value}' has become a name of tenant {found.tenant_id} in the meantime")
        found.first_seen = now
    found.tenant_id, found.last_seen, found.retired_at = row.id, now, None
    await found.save()


async def _forget(tenant: TenantRow, identity: TenantIdentity) -> None:
    """Remove a retired cloud id or installation from the tenant's row."""
    name = "cloud_id" if identity.kind == IdentityKind.CLOUD else "installation_id"
    if identity.value == identity_value(tenant.product, getattr(tenant, name) or ""):
        setattr(tenant, name, None)
        await tenant.save(update_fields=[name, "updated_at"])


def _of_two_tenants(installation: Installation, row: TenantRow, other: TenantRow, identity: TenantIdentity) -> str:
    return (
        f"the installation '{installation.installation_id}' names tenant {other.id} ('{other.tenant_key}'), and "
        f"the client key '{installation.client_key}' names tenant {row.id}; if they are one site, run 'addonkit "
        f"tenants adopt {row.id} --from {other.id}', else 'addonkit tenants identities {other.id} --retire "
        f"{identity.id}', and install again"
    )


def _of_another_site(installation: Installation, other: TenantRow, identity: TenantIdentity) -> str:
    return (
        f"the installation '{installation.installation_id}' names tenant {other.id} ('{other.tenant_key}' at "
        f"'{other.base_url}'), but both the client key '{installation.client_key}' and the base URL "
        f"'{installation.base_url}' are others; run 'addonkit tenants identities {other.id} --retire {identity.id}' "
        "and install again, which makes a new tenant; if they are one site, give it the data with 'addonkit tenants "
        f"adopt NEW --from {other.id} --despite base-url'"
    )


def _identity(row: TenantIdentity) -> Identity:
    return Identity(
        id=row.id,
        tenant_id=row.tenant_id,
        kind=row.kind,
        value=row.value,
        environment=row.environment,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        retired_at=row.retired_at,
    )
