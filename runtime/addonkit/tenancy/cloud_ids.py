"""Cloud ids: links a tenant to the id that the host's platform has for its site.

Connect sends no cloud id. An operator names it, or it is read from the site (``app.cloud_ids``). One cloud id names at
most one tenant of each product. A link is never replaced: an operator retires the identity first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit.context import Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import AddonkitError, IdentityConflict
from addonkit.tenancy.history import Change, record_change
from addonkit.tenancy.identities import IdentityTaken, identity_value, live_identity, record_identity
from addonkit.tenancy.models import TenantIdentity, TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenancy.record import IdentityKind

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NIL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class UnlinkedTenant:
    """A tenant without a cloud id.

    Attributes:
        tenant: The tenant.
        is_purging: Whether its data is being deleted.
        same_site: Numbers of the other installed tenants of the product that have the same base URL and no cloud id.
    """

    tenant: Tenant
    is_purging: bool
    same_site: tuple[int, ...]


def parse_cloud_id(text: str) -> str:
    """Return a cloud id in lower case.

    Raises:
        ValueError: It is not a UUID, or the nil UUID.
    """
    cloud_id = text.strip().lower()
    if not _UUID.fullmatch(cloud_id) or cloud_id == _NIL:
        raise ValueError("not a cloud id, which is a UUID such as '11223344-a1b2-3b33-c444-def123456789'")
    return cloud_id


async def unlinked_tenants(after: int, limit: int) -> list[UnlinkedTenant]:
    """Return tenants without a cloud id in order of their numbers.

    Args:
        after: Only tenants with a greater number.
        limit: Maximum number of tenants.
    """
    with storage_errors():
        rows = await TenantRow.filter(id__gt=after, cloud_id__isnull=True).order_by("id").limit(limit)
        urls = {row.base_url for row in rows}
        there = TenantRow.filter(base_url__in=list(urls), cloud_id__isnull=True)
        others = await there.exclude(state=str(TenantState.UNINSTALLED)).order_by("id")
    at: dict[tuple[str, str, str], list[int]] = {}
    for other in others:
        at.setdefault((other.product, other.base_url, other.environment), []).append(other.id)
    return [
        UnlinkedTenant(
            row.as_tenant(),
            row.is_purging,
            tuple(n for n in at.get((row.product, row.base_url, row.environment), ()) if n != row.id),
        )
        for row in rows
    ]


async def count_unlinked(after: int) -> int:
    """Return the number of tenants without a cloud id, as :func:`unlinked_tenants` lists them."""
    with storage_errors():
        return await TenantRow.filter(id__gt=after, cloud_id__isnull=True).count()


async def link_cloud_id(
    tenant_id: int, cloud_id: str, source: str, *, base_url: str | None = None, dry_run: bool = False
) -> bool:
    """Link a tenant to a cloud id, with an entry in its history; False if it is linked to this one already.

    Args:
        tenant_id: The tenant's number.
        cloud_id: The cloud id, from :func:`parse_cloud_id`.
        source: Where it comes from, for the history.
        base_url: The base URL that the tenant must still have, and at which it must still be installed; None: any.
        dry_run: Whether to change nothing.

    Raises:
        AddonkitError: The tenant has another cloud id, is being purged, or has changed.
        IdentityConflict: Another tenant of the product has the cloud id.
        StorageUnavailable: Nothing was stored.
    """
    with storage_errors():
        try:
            return await _link(tenant_id, cloud_id, source, base_url, dry_run)
        except (IntegrityError, IdentityTaken):
            # A concurrent transaction has linked a tenant to it.
            return await _link(tenant_id, cloud_id, source, base_url, dry_run)


async def _link(tenant_id: int, cloud_id: str, source: str, base_url: str | None, dry_run: bool) -> bool:
    async with in_transaction(CONNECTION):
        row = await TenantRow.select_for_update().get_or_none(id=tenant_id)
        if row is None:
            raise AddonkitError(f"there is no tenant {tenant_id}; see 'addonkit tenants list'")
        if row.is_purging:
            raise AddonkitError(f"the data of tenant {row.id} is being purged; 'addonkit tenants purge' completes that")
        if base_url is not None and (row.base_url != base_url or row.state == TenantState.UNINSTALLED):
            raise AddonkitError(f"tenant {row.id} was renamed or uninstalled in the meantime; run this again")
        value = identity_value(row.product, cloud_id)
        holder = await live_identity(IdentityKind.CLOUD, value, row.environment)
        if holder is not None and holder.tenant_id != row.id:
            raise IdentityConflict(await _of_another_tenant(row, cloud_id, holder))
        if row.cloud_id not in (None, cloud_id):
            raise AddonkitError(await _has_another(row))
        if row.cloud_id == cloud_id and holder is not None:
            return False
        if not dry_run:
            row.cloud_id = cloud_id
            await row.save(update_fields=["cloud_id", "updated_at"])
            await record_identity(row, IdentityKind.CLOUD, value, datetime.now(UTC))
            await record_change(row, Change.LINKED, f"cloud id '{cloud_id}', {source}")
            await notify_change(row.tenant_key)
        return True


async def _of_another_tenant(row: TenantRow, cloud_id: str, holder: TenantIdentity) -> str:
    other = await TenantRow.get(id=holder.tenant_id)
    installed = sorted(one.id for one in (row, other) if one.state != TenantState.UNINSTALLED)
    old = sum((row.id, other.id)) - installed[-1] if installed else None
    adopt = f"if they are one site, run 'addonkit tenants adopt {installed[-1]} --from {old}'; " if installed else ""
    return (
        f"the cloud id '{cloud_id}' names tenant {other.id} ('{other.tenant_key}', {other.tenant_state}); {adopt}if it "
        f"is wrong there, run 'addonkit tenants identities {other.id} --retire {holder.id}' and link tenant {row.id} "
        "again"
    )


async def _has_another(row: TenantRow) -> str:
    own = await live_identity(IdentityKind.CLOUD, identity_value(row.product, row.cloud_id or ""), row.environment)
    retire = f"'addonkit tenants identities {row.id} --retire {own.id}'" if own else "'addonkit tenants identities'"
    return (
        f"tenant {row.id} ('{row.tenant_key}') has the cloud id '{row.cloud_id}'; if that is wrong, run {retire} and "
        "link it again"
    )
