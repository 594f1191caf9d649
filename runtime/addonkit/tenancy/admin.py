"""The sites as an operator sees them: listed, found by what people call them, with what was noted of each."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from tortoise.expressions import Q
from tortoise.functions import Count
from tortoise.transactions import in_transaction

from addonkit.context import Product, Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import AddonkitError
from addonkit.tenancy.history import Change, in_state_since, once_called, record_change
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.vault import key_id_of
from addonkit.text import near_matches

LOOKED_UP_AT_ONCE = 500
HINTS = 200
"""Most sites that are compared with a part of a misspelt name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A site and how it stands.

    Attributes:
        tenant: The site.
        since: Since when it is in its state, UTC.
        is_due: Whether its data has been kept for long enough after it uninstalled.
        same_site: Numbers of the others with the same product and base URL: one may have been the other.
        key_id: Id of the key that sealed its secret; None if it has none.
        note: What an operator wrote of it.
    """

    tenant: Tenant
    since: datetime
    is_due: bool
    same_site: tuple[int, ...]
    key_id: str | None
    note: str | None


def retention_cutoff(retention_days: int) -> datetime:
    """Give the end of the retention: the data of a site that uninstalled before this moment is due for its purge."""
    return datetime.now(UTC) - timedelta(days=retention_days)


async def list_sites(
    retention_days: int,
    *,
    state: TenantState | None = None,
    product: Product | None = None,
    site: str | None = None,
    limit: int | None = None,
) -> list[Standing]:
    """Give the sites by number.

    Args:
        retention_days: How long data is kept after an uninstall.
        state: Those in this state alone.
        product: Those of this product alone.
        site: Those alone whose client key or address has this in it, in any case.
        limit: At most so many.
    """
    rows = TenantRow.all().order_by("id")
    if state is not None:
        rows = rows.filter(state=str(state))
    if product is not None:
        rows = rows.filter(product=product)
    if site is not None:
        rows = rows.filter(Q(client_key__icontains=site) | Q(base_url__icontains=site) | Q(display_url__icontains=site))
    with storage_errors():
        return await _standings(await (rows.limit(limit) if limit else rows), retention_days)


async def active_sites(product: Product) -> AsyncIterator[Tenant]:
    """Give the sites of a product that use the add-on, by number; so many at a time are read."""
    last, states = 0, [str(TenantState.INSTALLED), str(TenantState.ENABLED)]
    while True:
        with storage_errors():
            some = TenantRow.filter(id__gt=last, product=product, state__in=states)
            rows = await some.order_by("id").limit(LOOKED_UP_AT_ONCE)
        if not rows:
            return
        for row in rows:
            yield row.as_tenant()
        last = rows[-1].id


async def standing_of(tenant_id: int, retention_days: int) -> Standing:
    """Give how one site stands."""
    with storage_errors():
        [standing] = await _standings(await TenantRow.filter(id=tenant_id), retention_days)
    return standing


async def find_site(text: str) -> Tenant:
    """Give the site that is meant: by its number, its client key, its base URL or that one's host.

    Raises:
        AddonkitError: There is none, or more than one; near ones are named.
    """
    with storage_errors():
        rows = await _named(text)
        if len(rows) == 1:
            return rows[0].as_tenant()
        if rows:
            listed = ", ".join(f"{row.id} ('{row.client_key}', {row.product}, {row.state})" for row in rows)
            raise AddonkitError(f"'{text}' is the site of {len(rows)} tenants: {listed}; name one by its number")
        raise AddonkitError(f"no site is called '{text}'; {await _hint(text)}")


async def set_note(tenant_id: int, note: str | None) -> None:
    """Keep what an operator writes of a site, in place of what was written before; None removes it.

    Raises:
        AddonkitError: There is no site of that number.
        StorageUnavailable: Nothing was stored.
    """
    with storage_errors():
        async with in_transaction(CONNECTION):
            row = await TenantRow.select_for_update().get_or_none(id=tenant_id)
            if row is None:
                raise AddonkitError(f"no site has the number {tenant_id}; look at 'addonkit tenants list'")
            row.note = note
            await row.save(update_fields=["note"])
            await record_change(row, Change.NOTED, "removed" if note is None else "written")


async def _standings(rows: Iterable[TenantRow], retention_days: int) -> list[Standing]:
    rows, due, same = list(rows), retention_cutoff(retention_days), await _same_sites()
    since: dict[int, datetime] = {}
    for start in range(0, len(rows), LOOKED_UP_AT_ONCE):
        since |= await in_state_since(row.id for row in rows[start : start + LOOKED_UP_AT_ONCE])
    return [
        Standing(
            tenant=row.as_tenant(),
            since=row.uninstalled_at or since.get(row.id) or row.created_at,
            is_due=row.state == TenantState.UNINSTALLED
            and row.uninstalled_at is not None
            and row.uninstalled_at <= due,
            same_site=tuple(number for number in same.get((row.product, row.base_url), ()) if number != row.id),
            key_id=None if row.shared_secret is None else key_id_of(row.shared_secret),
            note=row.note,
        )
        for row in rows
    ]


async def _same_sites() -> dict[tuple[str, str], list[int]]:
    """Numbers of the sites that share product and base URL with another, by these."""
    shared = (
        await TenantRow.annotate(number=Count("id"))
        .filter(number__gt=1)
        .group_by("product", "base_url")
        .values("product", "base_url")
    )
    found: dict[tuple[str, str], list[int]] = {(row["product"], row["base_url"]): [] for row in shared}
    for row in await TenantRow.filter(base_url__in=[base_url for _, base_url in found]).order_by("id"):
        if (row.product, row.base_url) in found:
            found[row.product, row.base_url].append(row.id)
    return found


async def _named(text: str) -> list[TenantRow]:
    """The sites that a text names, by the first kind of name that fits any."""
    if text.isascii() and text.isdecimal() and len(text) < 10 and (rows := await TenantRow.filter(id=int(text))):
        return rows
    if rows := await TenantRow.filter(client_key=text):
        return rows
    wanted = text.rstrip("/").lower()
    rows = await TenantRow.filter(base_url__icontains=wanted).order_by("id")
    return [row for row in rows if wanted in (row.base_url.lower(), _host(row.base_url))]


def _host(base_url: str) -> str:
    """Give the host of a base URL, with its port if that is unusual."""
    return urlsplit(base_url).netloc.lower()


async def _hint(text: str) -> str:
    if former := await once_called(text):
        return f"that was the client key of tenant {former[-1]} before it was given another"
    for part in _parts(text):
        names: dict[str, int] = {}
        alike = TenantRow.filter(Q(client_key__icontains=part) | Q(base_url__icontains=part)).order_by("id")
        for row in await alike.limit(HINTS).only("id", "client_key", "base_url"):
            names |= {row.client_key: row.id, row.base_url: row.id, _host(row.base_url): row.id}
        if close := near_matches(text, names):
            return "did you mean " + " or ".join(f"'{name}' (tenant {names[name]})" for name in close)
    return "look at 'addonkit tenants list'"


def _parts(text: str) -> tuple[str, str, str]:
    """Give what may be right of a misspelt name: the word that tells it from others, and the two halves of that."""
    word = text.rpartition("://")[2].partition("/")[0].partition(".")[0] or text
    size = max(2, len(word) // 2)
    return word, word[:size], word[-size:]
