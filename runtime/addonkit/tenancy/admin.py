"""Operator queries on tenants: lists, states and notes. ``names`` finds one tenant by a name."""

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tortoise.expressions import Q
from tortoise.functions import Count
from tortoise.transactions import in_transaction

from addonkit.context import Product, Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import AddonkitError
from addonkit.tenancy.approvals import scopes_of
from addonkit.tenancy.history import Change, record_change, state_since
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.vault import key_id_of

BATCH = 500


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """A tenant with its status.

    Attributes:
        tenant: The tenant.
        since: Start of its present state, UTC.
        is_due: Whether its retention has ended, so that the next purge deletes it.
        same_site: Numbers of other tenants with the same product and base URL, which may be the same site.
        key_id: Id of the key that encrypts its secret; None without a secret.
        note: The operator's note.
        cloud_id: The cloud id of its site, if it is known.
        unapproved: Scopes of this release that the site has not approved, in alphabetical order.
    """

    tenant: Tenant
    since: datetime
    is_due: bool
    same_site: tuple[int, ...]
    key_id: str | None
    note: str | None
    cloud_id: str | None = None
    unapproved: tuple[str, ...] = ()


def retention_cutoff(retention_days: int) -> datetime:
    """Return the time, UTC, before which a site must have uninstalled for its data to be due for purge."""
    return datetime.now(UTC) - timedelta(days=retention_days)


async def list_tenants(
    retention_days: int,
    *,
    state: TenantState | None = None,
    product: Product | None = None,
    site: str | None = None,
    limit: int | None = None,
) -> list[TenantStatus]:
    """List tenants by number.

    Args:
        retention_days: Retention after an uninstall.
        state: Only tenants in this state.
        product: Only tenants of this product.
        site: Only tenants whose key, client key or URL contains this text, regardless of case.
        limit: Maximum number of tenants.
    """
    rows = TenantRow.all().order_by("id")
    if state in (TenantState.GONE, TenantState.UNINSTALLED):
        rows = rows.filter(state=str(TenantState.UNINSTALLED), gone_at__isnull=state is TenantState.UNINSTALLED)
    elif state is not None:
        rows = rows.filter(state=str(state))
    if product is not None:
        rows = rows.filter(product=product)
    if site is not None:
        columns = ("key", "client_key", "base_url", "display_url")
        rows = rows.filter(Q(*[Q(**{f"{column}__icontains": site}) for column in columns], join_type=Q.OR))
    with storage_errors():
        return await _statuses(await (rows.limit(limit) if limit else rows), retention_days)


async def active_tenants(product: Product) -> AsyncIterator[Tenant]:
    """Yield the active tenants of a product in order of their numbers, reading them in batches."""
    last, states = 0, [str(TenantState.INSTALLED), str(TenantState.ENABLED)]
    while True:
        with storage_errors():
            query = TenantRow.filter(id__gt=last, product=product, state__in=states)
            rows = await query.order_by("id").limit(BATCH)
        if not rows:
            return
        for row in rows:
            yield row.as_tenant()
        last = rows[-1].id


async def gone_numbers() -> list[int]:
    """Return the numbers of the tenants whose sites are gone, due for a purge or not."""
    with storage_errors():
        rows = TenantRow.filter(state=str(TenantState.UNINSTALLED), gone_at__isnull=False)
        return [row.id for row in await rows.order_by("id").only("id")]


async def tenant_status(tenant_id: int, retention_days: int) -> TenantStatus:
    """Return the status of one tenant."""
    with storage_errors():
        [status] = await _statuses(await TenantRow.filter(id=tenant_id), retention_days)
    return status


async def set_note(tenant_id: int, note: str | None) -> None:
    """Replace the operator's note of a tenant; None removes it.

    Raises:
        AddonkitError: There is no tenant with that number.
        StorageUnavailable: Nothing was stored.
    """
    with storage_errors():
        async with in_transaction(CONNECTION):
            row = await TenantRow.select_for_update().get_or_none(id=tenant_id)
            if row is None:
                raise AddonkitError(f"there is no tenant {tenant_id}; see 'addonkit tenants list'")
            row.note = note
            await row.save(update_fields=["note"])
            await record_change(row, Change.NOTED, "removed" if note is None else "written")


async def _statuses(rows: Iterable[TenantRow], retention_days: int) -> list[TenantStatus]:
    rows, due = list(rows), retention_cutoff(retention_days)
    same = await _same_sites([row.base_url for row in rows] if len(rows) < BATCH else None)
    since: dict[int, datetime] = {}
    for start in range(0, len(rows), BATCH):
        since |= await state_since(row.id for row in rows[start : start + BATCH])
    return [
        TenantStatus(
            tenant=row.as_tenant(),
            since=row.uninstalled_at or since.get(row.id) or row.created_at,
            is_due=row.state == TenantState.UNINSTALLED
            and row.uninstalled_at is not None
            and row.uninstalled_at <= due,
            same_site=tuple(number for number in same.get((row.product, row.base_url), ()) if number != row.id),
            key_id=None if row.shared_secret is None else key_id_of(row.shared_secret),
            note=row.note,
            cloud_id=row.cloud_id,
            unapproved=tuple(sorted(scopes_of(row))),
        )
        for row in rows
    ]


async def _same_sites(base_urls: Collection[str] | None) -> dict[tuple[str, str], list[int]]:
    """Map each product and base URL that several tenants share to the numbers of these tenants.

    Args:
        base_urls: Only these base URLs; None: all.
    """
    if base_urls is None:
        shared = TenantRow.annotate(number=Count("id")).filter(number__gt=1).group_by("product", "base_url")
        base_urls = [row["base_url"] for row in await shared.values("product", "base_url")]
    found: dict[tuple[str, str], list[int]] = {}
    for row in await TenantRow.filter(base_url__in=list(base_urls)).order_by("id").only("id", "product", "base_url"):
        found.setdefault((row.product, row.base_url), []).append(row.id)
    return {site: numbers for site, numbers in found.items() if len(numbers) > 1}
