"""The history of tenants: one row per change, inserted in the transaction of the change. It contains no secrets."""

from collections.abc import Container, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from tortoise.expressions import Subquery
from tortoise.functions import Max
from tortoise.queryset import QuerySet

from addonkit.context import TenantState
from addonkit.database.sql import fetch
from addonkit.tenancy.models import TenantHistory, TenantRow
from addonkit.tenancy.record import Installation


class Change(StrEnum):
    """A kind of change to a tenant."""

    INSTALLED = "installed"
    """The first install of the site."""
    REINSTALLED = "reinstalled"
    """The site installed again, or the host sent other details of it."""
    ROTATED = "rotated"
    """The shared secret was replaced."""
    RENAMED = "renamed"
    """The base URL changed."""
    INSTALLATION_CHANGED = "installation changed"
    """The add-on has a Forge manifest, and the site has a first or another installation of it."""
    CLIENT_KEY_CHANGED = "client key changed"
    """The installation has another client key."""
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNINSTALLED = "uninstalled"
    GONE = "gone"
    """The site did not know the add-on for ``[tenants] gone_days``."""
    ADOPTED = "adopted"
    """An adoption gave its data to another client key of the same site."""
    NOTED = "noted"
    """An operator wrote or removed the note."""
    LINKED = "linked"
    """An operator, or the site itself, has named the site's cloud id."""
    IDENTITY_RETIRED = "identity retired"
    """An operator retired an identity, which no longer names the tenant."""
    SCOPES_REFUSED = "scopes refused"
    """The host refused a call because the site has not approved a scope; the detail names the scopes."""
    SCOPES_APPROVED = "scopes approved"
    """The site approved scopes that it had not approved before."""
    PURGING = "purging"
    """A purge has begun; the key is free for a new tenant."""


STATES = (
    Change.INSTALLED,
    Change.REINSTALLED,
    Change.ENABLED,
    Change.DISABLED,
    Change.UNINSTALLED,
    Change.GONE,
    Change.ADOPTED,
)
"""The changes that set a tenant's state."""

SELECT_ONCE_CALLED = """
SELECT DISTINCT tenant_id FROM addonkit_tenant_history
WHERE client_key = ? AND tenant_id IN (SELECT id FROM addonkit_tenant) ORDER BY tenant_id
"""


class HistoryEntry(NamedTuple):
    """One change of a tenant.

    Attributes:
        at: Time of the change, UTC.
        what: One of :class:`Change`.
        key: The key after the change; the table's column is ``client_key``.
        base_url: The base URL after the change.
        detail: Details for people.
    """

    at: datetime
    what: str
    key: str
    base_url: str
    detail: str


async def record_change(row: TenantRow, what: Change, detail: str = "") -> None:
    """Insert a history row, in the current transaction."""
    await TenantHistory.create(
        tenant_id=row.id,
        at=datetime.now(UTC),
        what=str(what),
        client_key=row.tenant_key,
        base_url=row.base_url,
        detail=detail,
    )


def describe_changes(row: TenantRow, installation: Installation, recorded: Container[Change]) -> dict[Change, str]:
    """Return the changes that an install makes to a known tenant except its secret, with a detail for each.

    Args:
        row: The tenant before the install.
        installation: The details in the install request.
        recorded: Changes that the caller records; if there are no changes at all, ``REINSTALLED`` is returned.
    """
    renamed = row.base_url != installation.base_url
    found = {Change.RENAMED: f"was '{row.base_url}'"} if renamed else {}
    if row.client_key not in (None, installation.client_key):
        found[Change.CLIENT_KEY_CHANGED] = f"was '{row.client_key}'"
    if installation.installation_id and row.installation_id != installation.installation_id:
        former = f", was '{row.installation_id}'" if row.installation_id else ", the first one"
        found[Change.INSTALLATION_CHANGED] = f"'{installation.installation_id}'{former}"
    present = {
        "product": installation.product,
        "display_url": row.display_url if renamed else installation.display_url or installation.base_url,
        "oauth_client_id": installation.oauth_client_id,
    }
    state = row.tenant_state
    active = (TenantState.INSTALLED, TenantState.ENABLED)
    details = [] if state in active else [f"was {state}"]
    details += [f"another {name}" for name, value in present.items() if getattr(row, name) != value]
    if row.installation_id and not installation.installation_id:
        details.append(f"no installation, was '{row.installation_id}'")
    if details or not (recorded or found):
        found[Change.REINSTALLED] = ", ".join(details)
    return found


async def same_site_detail(installation: Installation) -> str:
    """Return the history detail that lists tenants with the same base URL: after an import it may be the same site."""
    same = TenantRow.filter(product=installation.product, base_url=installation.base_url).order_by("id")
    numbers = await same.values_list("id", flat=True)
    return f"same base URL as tenant {', '.join(str(number) for number in numbers)}" if numbers else ""


async def history_of(tenant_id: int) -> list[HistoryEntry]:
    """Return the history of a tenant, oldest first."""
    rows = await TenantHistory.filter(tenant_id=tenant_id).order_by("id")
    return [HistoryEntry(row.at, row.what, row.client_key, row.base_url, row.detail) for row in rows]


async def tenants_once_called(key: str) -> list[int]:
    """Return the numbers of the tenants that have or had a key."""
    # Not by the ORM, which refuses text that is longer than the column.
    return [row["tenant_id"] for row in await fetch(SELECT_ONCE_CALLED, [key])]


async def given_up_numbers(before: datetime) -> list[int]:
    """Return the tenant numbers that adoptions gave up before a time, and that no tenant has now."""
    entries = TenantHistory.filter(what=str(Change.ADOPTED), at__lte=before)
    return sorted(set(await _numbers(entries.exclude(tenant_id__in=Subquery(TenantRow.all().values("id"))))))


async def _numbers(entries: QuerySet[TenantHistory]) -> list[int]:
    return [row.tenant_id for row in await entries.only("id", "tenant_id")]


async def state_since(tenant_ids: Iterable[int]) -> dict[int, datetime]:
    """Return when each tenant entered its present state, by its history; tenants without history are missing."""
    entries = TenantHistory.filter(tenant_id__in=list(tenant_ids), what__in=[str(what) for what in STATES])
    last = entries.annotate(last=Max("id")).group_by("tenant_id").values("last")
    rows = await TenantHistory.filter(id__in=Subquery(last))
    return {row.tenant_id: row.at for row in rows}
