"""Giving one site's data to another client key of the same site, which has one since it was imported from a backup.

Nothing that a request says leads here: an operator decides. The old site's number stays, and all rows with it; it gets
what the host now says of the new one. The new site's own number is given up.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tortoise.transactions import in_transaction

from addonkit.context import Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import AddonkitError
from addonkit.tenancy.history import Change, given_up, write_down
from addonkit.tenancy.models import TenantHistory, TenantRow
from addonkit.tenancy.notifications import announce
from addonkit.tenant_data.purge import delete_rows, retired_key
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.tables import count_rows, tenant_tables

SAID_BY_THE_HOST = (
    "client_key",
    "product",
    "base_url",
    "display_url",
    "oauth_client_id",
    "installation_id",
    "shared_secret",
    "former_secret",
    "former_until",
    "state",
    "installed_iat",
    "uninstalled_at",
)
"""What the old row takes from the new one; secrets were sealed for the new client key, and stay so."""


SWEPT_AFTER_S = 3600.0

MoveJobs = Callable[[Tenant, Tenant, Sequence[str]], Awaitable[None]]


class Difference(StrEnum):
    """In what two sites may differ that are said to be one."""

    PRODUCT = "product"
    BASE_URL = "base-url"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What an adoption is to do.

    Attributes:
        new: The site whose client key and secret stay.
        old: The site whose number and rows stay.
        rows: How many rows the old site has in plugins' tables, by table.
        discarded: How many the new one has, which have to go.
        differences: What speaks against their being one site.
    """

    new: Tenant
    old: Tenant
    rows: dict[str, int]
    discarded: dict[str, int]
    differences: tuple[Difference, ...]

    def check(self, discard: bool, despite: Collection[Difference]) -> None:
        """Refuse what an operator has not asked for in so many words.

        Args:
            discard: Whether the new site's rows may go.
            despite: In what the two may differ.

        Raises:
            AddonkitError: The sites differ, or the new one has rows.
        """
        for difference in self.differences:
            if difference not in despite:
                what = difference.value.replace("-", " ")
                attribute = difference.value.replace("-", "_")
                raise AddonkitError(
                    f"the sites differ in their {what}: tenant {self.new.id} has '{getattr(self.new, attribute)}' and "
                    f"tenant {self.old.id} has '{getattr(self.old, attribute)}', so that one customer may get "
                    f"another's data; if you know them to be one site, say --despite {difference}"
                )
        if self.discarded and not discard:
            counts = ", ".join(f"{table}: {rows}" for table, rows in self.discarded.items())
            raise AddonkitError(
                f"tenant {self.new.id} has data of its own by now ({counts}); say --discard to delete it, and keep "
                f"that of tenant {self.old.id}"
            )


async def plan_adoption(new_id: int, old_id: int, plugins: Sequence[str]) -> Adoption:
    """Look what an adoption would do; nothing is changed.

    Args:
        new_id: The site whose client key and secret are to stay.
        old_id: The site whose number and rows are to stay.
        plugins: Names of all installed plugins, switched on or not.

    Raises:
        AddonkitError: It cannot be, whatever an operator says.
    """
    with storage_errors():
        new, old = await _both(new_id, old_id)
        tables = [table for table in await tenant_tables(plugins) if not table.is_own]
        with tenant_scope(new):
            discarded = await count_rows(tables, new.id)
        with tenant_scope(old):
            rows = await count_rows(tables, old.id)
    found = {Difference.PRODUCT: new.product != old.product, Difference.BASE_URL: new.base_url != old.base_url}
    return Adoption(
        new,
        old,
        {table: number for table, number in rows.items() if number},
        {table: number for table, number in discarded.items() if number},
        tuple(difference for difference, differs in found.items() if differs),
    )


async def adopt(
    plan: Adoption,
    plugins: Sequence[str],
    listeners: Sequence[str],
    *,
    discard: bool,
    despite: Collection[Difference],
    move_jobs: MoveJobs,
) -> Tenant:
    """Do it, in one transaction, and give the site as it is then; the old client key is unknown from that moment on.

    What plugins were still to be told of the new site they are told of the adopted one, behind what they were to be
    told of the old.

    Args:
        plan: What was looked at.
        plugins: Names of all installed plugins.
        listeners: Those that want to hear of an ``installed``: they are told of this as of one that is not the first.
        discard: Whether the new site's rows may go.
        despite: In what the two may differ.
        move_jobs: Gives the jobs of the new tenant to the old one, for these listeners, in the current transaction.

    Raises:
        AddonkitError: It may not be done, or something has changed since it was looked at; nothing was changed.
    """
    plan.check(discard, despite)
    with storage_errors(), tenant_scope(plan.new):
        tables = [table for table in await tenant_tables(plugins) if not table.is_own]
        async with in_transaction(CONNECTION):
            locked = {row.id: row for row in await _locked(plan.new.id, plan.old.id)}
            new, old = locked.get(plan.new.id), locked.get(plan.old.id)
            if new is None or old is None or (new.as_tenant(), old.as_tenant()) != (plan.new, plan.old):
                raise AddonkitError("one of the sites has changed since it was looked at; look again")
            if discard:
                await delete_rows(tables, new.id)
            elif any((await count_rows(tables, new.id)).values()):
                raise AddonkitError(f"tenant {new.id} has just stored something; look again")
            await _unite(new, old)
            await move_jobs(plan.new, old.as_tenant(), listeners)
            return old.as_tenant()


async def sweep(plugins: Sequence[str], min_age_s: float = SWEPT_AFTER_S) -> int:
    """Delete what requests have written for numbers that were given up meanwhile; give how many numbers that were.

    Args:
        plugins: Names of all installed plugins, switched on or not.
        min_age_s: How long ago they must have been given up, so that nobody is still at it.
    """
    with storage_errors():
        before = datetime.now(UTC) - timedelta(seconds=min_age_s)
        numbers = await given_up(before)
        for number in numbers:
            with tenant_scope(Tenant(number, "", "jira", "", "", TenantState.UNINSTALLED)):
                await delete_rows(await tenant_tables(plugins), number)
    return len(numbers)


async def _unite(new: TenantRow, old: TenantRow) -> None:
    """Give the old row what the host says of the new one, and take that away."""
    await TenantHistory.filter(tenant_id=new.id).update(tenant_id=old.id)
    was = f"was '{old.client_key}' at '{old.base_url}', took over from tenant {new.id}"
    for client_key in (old.client_key, new.client_key):
        await announce(client_key)
    await new.delete()
    for name in SAID_BY_THE_HOST:
        setattr(old, name, getattr(new, name))
    old.note = "\n".join(note for note in (old.note, new.note) if note) or None
    await old.save()
    await write_down(old, Change.ADOPTED, was)
    # Of the number alone, which is nobody's any more: what a request under way still writes for it is found by this.
    new.client_key = new.base_url = ""
    await write_down(new, Change.ADOPTED, f"given up for tenant {old.id}")


async def _locked(*numbers: int) -> list[TenantRow]:
    # In the same order everywhere, so that no two wait for each other.
    return await TenantRow.filter(id__in=numbers).order_by("id").select_for_update()


async def _both(new_id: int, old_id: int) -> tuple[Tenant, Tenant]:
    if new_id == old_id:
        raise AddonkitError(f"tenant {new_id} is to adopt its own data; name two sites")
    rows = {row.id: row for row in await TenantRow.filter(id__in=[new_id, old_id])}
    for number in (new_id, old_id):
        if number not in rows:
            raise AddonkitError(f"no site has the number {number}; look at 'addonkit tenants list'")
        if rows[number].client_key == retired_key(number):
            raise AddonkitError(f"the data of tenant {number} is being deleted; 'addonkit tenants purge' ends that")
    new = rows[new_id].as_tenant()
    if new.state is TenantState.UNINSTALLED:
        raise AddonkitError(
            f"tenant {new_id} ('{new.client_key}') is uninstalled; it must install the add-on before it adopts data"
        )
    return new, rows[old_id].as_tenant()
