"""Finds the sibling of a tenant: the tenant of the other product on the same site.

The tenants are matched by what the host sent when they installed: the installation id, and the base URL, whose host
name the add-on checked against ``[host] domains``; and by the cloud id, if both tenants have one. Each product of a
renamed site gets an ``installed`` of its own, so that for a day the former base URL counts as well.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from tortoise.expressions import Q

from addonkit.context import Tenant, TenantState
from addonkit.database.errors import storage_errors
from addonkit.tenancy.models import TenantRow

RENAMING = timedelta(days=1)
"""Time after a rename for which the former base URL counts, until the other product's ``installed`` has arrived."""


async def find_sibling(tenant: Tenant) -> Tenant | None:
    """Return the tenant of the other product on the same site; None unless both are enabled and unambiguous.

    They are unambiguous if the site has exactly one tenant of each product that is not uninstalled.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    with storage_errors():
        own = await TenantRow.get_or_none(id=tenant.id)
        other = None if own is None else await _only_other(own)
        # Seen from the other tenant, a third one may be on the site.
        found = None if other is None else await _only_other(other)
    if other is None or found is None or found.id != tenant.id:
        return None
    return other.as_tenant() if {found.state, other.state} == {str(TenantState.ENABLED)} else None


async def _only_other(own: TenantRow) -> TenantRow | None:
    """Return the tenant of the other product on the site of this one, if the site has one tenant of each product."""
    rows = TenantRow.filter(_may_be_same_site(own), environment=own.environment)
    candidates, now = await rows.exclude(state=str(TenantState.UNINSTALLED)), datetime.now(UTC)
    on_site = [row for row in candidates if row.id == own.id or _is_same_site(row, own, now)]
    others = [row for row in on_site if row.product != own.product]
    return others[0] if len(on_site) == 2 and len(others) == 1 else None


def _may_be_same_site(own: TenantRow) -> Q:
    """Return the condition for tenants that have a name in common with this one."""
    condition = Q(base_url__istartswith=_origin(own.base_url)) | Q(former_base_url__istartswith=_origin(own.base_url))
    if own.former_base_url:
        condition |= Q(base_url__istartswith=_origin(own.former_base_url))
    if own.installation_id:
        condition |= Q(installation_id=own.installation_id)
    return condition | Q(cloud_id=own.cloud_id) if own.cloud_id else condition


def _is_same_site(row: TenantRow, own: TenantRow, now: datetime) -> bool:
    """Whether two tenants are on one site: by cloud id if both are known, else by installation or base URL."""
    if row.cloud_id and own.cloud_id:
        return row.cloud_id == own.cloud_id
    if row.installation_id and row.installation_id == own.installation_id:
        return True
    return _origin(row.base_url) == _origin(own.base_url) or _was_beside(row, own, now) or _was_beside(own, row, now)


def _was_beside(renamed: TenantRow, other: TenantRow, now: datetime) -> bool:
    """Whether the other tenant is where this one was until its rename, and was stored before that."""
    if not renamed.former_base_url or renamed.renamed_at is None or now - renamed.renamed_at > RENAMING:
        return False
    return other.created_at <= renamed.renamed_at and _origin(renamed.former_base_url) == _origin(other.base_url)


def _origin(base_url: str) -> str:
    """Return scheme, host name and port of a base URL, in lower case."""
    parts = urlsplit(base_url.lower())
    return f"{parts.scheme}://{parts.netloc}"
