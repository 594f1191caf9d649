"""Finds the sibling of a tenant, the tenant of the other product on the same site, by cloud id or base URL.

The tenants are matched by what the host sent when they installed: the base URL, whose host name the add-on checked
against ``[host] domains``, and the cloud id, if both tenants have one.
"""

from urllib.parse import urlsplit

from tortoise.expressions import Q

from addonkit.context import Tenant, TenantState
from addonkit.database.errors import storage_errors
from addonkit.tenancy.models import TenantRow


async def find_sibling(tenant: Tenant) -> Tenant | None:
    """Return the tenant of the other product on the same site; None unless both are enabled and unambiguous.

    They are unambiguous if the site has exactly one tenant of each product that is not uninstalled.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    with storage_errors():
        own = await TenantRow.get_or_none(id=tenant.id)
        if own is None:
            return None
        same = Q(base_url__istartswith=_origin(own))
        same = same | Q(cloud_id=own.cloud_id) if own.cloud_id else same
        rows = TenantRow.filter(same, environment=own.environment).exclude(state=str(TenantState.UNINSTALLED))
        on_site = [row for row in await rows if _is_same_site(row, own)]
    others = [row for row in on_site if row.product != own.product]
    mine = [row for row in on_site if row.product == own.product]
    if len(mine) != 1 or len(others) != 1 or {mine[0].state, others[0].state} != {str(TenantState.ENABLED)}:
        return None
    return others[0].as_tenant()


def _is_same_site(row: TenantRow, own: TenantRow) -> bool:
    """Whether two tenants are on one site: by their cloud ids, or by their base URLs if a cloud id is unknown."""
    if row.cloud_id and own.cloud_id:
        return row.cloud_id == own.cloud_id
    return _origin(row) == _origin(own)


def _origin(row: TenantRow) -> str:
    """Return scheme, host name and port of a base URL, in lower case."""
    parts = urlsplit(row.base_url.lower())
    return f"{parts.scheme}://{parts.netloc}"
