"""What happened to each site: one row for each change, written in the transaction of the change. Never a secret."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from tortoise.expressions import Subquery
from tortoise.functions import Max
from tortoise.queryset import QuerySet

from addonkit.context import TenantState
from addonkit.tenancy.models import TenantHistory, TenantRow
from addonkit.tenancy.record import Installation


class Change(StrEnum):
    """What may happen to a site."""

    INSTALLED = "installed"
    """For the first time."""
    REINSTALLED = "reinstalled"
    """It came back, or the host renewed what it says of it."""
    ROTATED = "rotated"
    """It has another secret."""
    RENAMED = "renamed"
    """It has another base URL."""
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNINSTALLED = "uninstalled"
    ADOPTED = "adopted"
    """Its data went over to another client key of the same site."""
    NOTED = "noted"
    """An operator wrote something down."""
    PURGING = "purging"
    """Its data is being deleted; the client key is free for a new beginning."""


STATES = (Change.INSTALLED, Change.REINSTALLED, Change.ENABLED, Change.DISABLED, Change.UNINSTALLED, Change.ADOPTED)
"""What may have given a site the state that it is in."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a site.

    Attributes:
        at: When, UTC.
        what: One of :class:`Change`.
        client_key: What the host called it from then on.
        base_url: Where it was from then on.
        detail: The rest, for people.
    """

    at: datetime
    what: str
    client_key: str
    base_url: str
    detail: str


async def record_change(row: TenantRow, what: Change, detail: str = "") -> None:
    """Add to a site's history, in the transaction at hand."""
    await TenantHistory.create(
        tenant_id=row.id,
        at=datetime.now(UTC),
        what=str(what),
        client_key=row.client_key,
        base_url=row.base_url,
        detail=detail,
    )


def differences(row: TenantRow, installation: Installation, known: Container[Change]) -> dict[Change, str]:
    """Give what an install call is about to change of a known site beside its secret, with the detail of each.

    Args:
        row: The site as it was.
        installation: What the call says.
        known: What is to be written down anyway; a call that changes nothing at all is told as well.
    """
    renamed = row.base_url != installation.base_url
    found = {Change.RENAMED: f"was '{row.base_url}'"} if renamed else {}
    told = {
        "product": installation.product,
        "display_url": row.display_url if renamed else installation.display_url or installation.base_url,
        "oauth_client_id": installation.oauth_client_id,
        "installation_id": installation.installation_id,
    }
    said = [f"was {row.state}"] if row.state in (TenantState.UNINSTALLED, TenantState.DISABLED) else []
    said += [f"another {name}" for name, value in told.items() if getattr(row, name) != value]
    if said or not (known or found):
        found[Change.REINSTALLED] = ", ".join(said)
    return found


async def neighbours(installation: Installation) -> str:
    """Give the detail of a first install whose base URL another site has: it may be that site after an import."""
    same = TenantRow.filter(product=installation.product, base_url=installation.base_url).order_by("id")
    numbers = await same.values_list("id", flat=True)
    return f"same base URL as tenant {', '.join(str(number) for number in numbers)}" if numbers else ""


async def history_of(tenant_id: int) -> list[Entry]:
    """Give all that happened to a site, the oldest first."""
    rows = await TenantHistory.filter(tenant_id=tenant_id).order_by("id")
    return [Entry(row.at, row.what, row.client_key, row.base_url, row.detail) for row in rows]


async def once_called(client_key: str) -> list[int]:
    """Give the numbers of the sites that the host has ever called so."""
    told = TenantHistory.filter(client_key=client_key, tenant_id__in=Subquery(TenantRow.all().values("id")))
    return sorted(set(await _numbers(told)))


async def given_up_numbers(before: datetime) -> list[int]:
    """Give the numbers that no site has any more since another one adopted its client key, before a moment."""
    told = TenantHistory.filter(what=str(Change.ADOPTED), at__lte=before)
    return sorted(set(await _numbers(told.exclude(tenant_id__in=Subquery(TenantRow.all().values("id"))))))


async def _numbers(told: QuerySet[TenantHistory]) -> list[int]:
    return [row.tenant_id for row in await told.only("id", "tenant_id")]


async def in_state_since(tenant_ids: Iterable[int]) -> dict[int, datetime]:
    """Give since when each site is in its state, for those whose history tells."""
    told = TenantHistory.filter(tenant_id__in=list(tenant_ids), what__in=[str(what) for what in STATES])
    last = told.annotate(last=Max("id")).group_by("tenant_id").values("last")
    rows = await TenantHistory.filter(id__in=Subquery(last))
    return {row.tenant_id: row.at for row in rows}
