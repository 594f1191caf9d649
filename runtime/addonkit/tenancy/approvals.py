"""Stores which scopes a site has not approved, so that all processes know it; ``hostapi.approvals`` finds out.

The marks are cleared when the host sends ``installed`` or ``enabled``, as it does when an administrator approves an
update, and when a call that needs the scope succeeds.
"""

from collections.abc import Collection

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.tenancy.history import Change, record_change
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.notifications import notify_change


def scopes_of(row: TenantRow) -> frozenset[str]:
    """Return the scopes that the site has not approved."""
    return frozenset((row.unapproved_scopes or "").split())


async def mark_unapproved(tenant_id: int, scope: str, at: int) -> bool:
    """Store that a site has not approved a scope; return whether this was unknown.

    Args:
        tenant_id: The site.
        scope: The scope.
        at: When its host refused a call, Unix time in seconds.

    Raises:
        StorageUnavailable: Nothing was stored.
    """
    with storage_errors():
        async with in_transaction(CONNECTION):
            row = await TenantRow.select_for_update().get_or_none(id=tenant_id)
            if row is None:
                return False
            known = scopes_of(row)
            row.unapproved_scopes, row.unapproved_at = " ".join(sorted(known | {scope})), at
            await row.save(update_fields=["unapproved_scopes", "unapproved_at"])
            if scope not in known:
                await record_change(row, Change.SCOPES_REFUSED, scope)
            await notify_change(row.tenant_key)
            return scope not in known


async def mark_approved(tenant_id: int, scopes: Collection[str]) -> frozenset[str]:
    """Store that a site has approved scopes; return those of them that were marked as not approved.

    Raises:
        StorageUnavailable: Nothing was stored.
    """
    with storage_errors():
        async with in_transaction(CONNECTION):
            row = await TenantRow.select_for_update().get_or_none(id=tenant_id)
            approved = scopes_of(row).intersection(scopes) if row is not None else frozenset[str]()
            if row is None or not approved:
                return frozenset()
            await _clear(row, approved)
            await row.save(update_fields=["unapproved_scopes", "unapproved_at"])
            await notify_change(row.tenant_key)
            return approved


async def approve_all(row: TenantRow) -> bool:
    """Clear all marks of a row, in the current transaction; the caller saves it. Return whether there were any."""
    marked = scopes_of(row)
    if marked:
        await _clear(row, marked)
    return bool(marked)


async def _clear(row: TenantRow, approved: frozenset[str]) -> None:
    left = scopes_of(row) - approved
    row.unapproved_scopes = " ".join(sorted(left)) or None
    row.unapproved_at = row.unapproved_at if left else None
    await record_change(row, Change.SCOPES_APPROVED, ", ".join(sorted(approved)))
