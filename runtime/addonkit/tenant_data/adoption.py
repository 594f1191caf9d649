"""Adoption: gives one tenant's data to another client key of the same site by merging two rows in one transaction.

A site has another client key after the import of a backup. Only an operator can start an adoption, not a request.
The old tenant keeps its number and all rows, and takes the new tenant's client key, secrets and state. The new
tenant's number is no longer used.
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
from addonkit.tenancy.history import Change, given_up_numbers, record_change
from addonkit.tenancy.identities import move_identities
from addonkit.tenancy.models import PresenceRow, TenantHistory, TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenant_data.purge import delete_rows
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.tables import count_rows, tenant_tables

HOST_COLUMNS = (
    "key",
    "client_key",
    "environment",
    "product",
    "base_url",
    "former_base_url",
    "renamed_at",
    "display_url",
    "help_center_url",
    "oauth_client_id",
    "installation_id",
    "shared_secret",
    "former_secret",
    "former_until",
    "state",
    "installed_iat",
    "uninstalled_at",
    "gone_at",
    "disabled_iat",
)
"""The columns that the old row takes from the new one; secrets are encrypted for the new key and stay unchanged."""


DELETE_AFTER_S = 3600.0

MoveJobs = Callable[[Tenant, Tenant, Sequence[str]], Awaitable[None]]


class Difference(StrEnum):
    """A difference between two tenants that are supposed to be one site."""

    PRODUCT = "product"
    BASE_URL = "base-url"
    CLOUD_ID = "cloud-id"
    """Both cloud ids are known and differ."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """The plan of an adoption.

    Attributes:
        new: The tenant whose client key and secrets stay.
        old: The tenant whose number and rows stay.
        rows: Number of the old tenant's rows in plugins' tables, by table.
        discarded: Number of the new tenant's rows, which must be deleted, by table.
        differences: Differences that suggest two separate sites.
        cloud_ids: The cloud ids of the new and the old tenant, as far as they are known.
    """

    new: Tenant
    old: Tenant
    rows: dict[str, int]
    discarded: dict[str, int]
    differences: tuple[Difference, ...]
    cloud_ids: tuple[str | None, str | None] = (None, None)

    def check(self, discard: bool, despite: Collection[Difference]) -> None:
        """Check that the operator has accepted all differences and the deletion of the new tenant's rows.

        Args:
            discard: Whether the new tenant's rows may be deleted.
            despite: The differences that are accepted.

        Raises:
            AddonkitError: There is an unaccepted difference, or the new tenant has rows.
        """
        for difference in self.differences:
            if difference not in despite:
                what = difference.value.replace("-", " ")
                new, old = self._values(difference)
                raise AddonkitError(
                    f"the tenants differ in their {what}: tenant {self.new.id} has '{new}', tenant {self.old.id} has "
                    f"'{old}'; one customer could get another's data; if they are the same site, add --despite "
                    f"{difference}"
                )
        if self.discarded and not discard:
            counts = ", ".join(f"{table}: {rows}" for table, rows in self.discarded.items())
            raise AddonkitError(
                f"tenant {self.new.id} already has data ({counts}); add --discard to delete it and keep the "
                f"data of tenant {self.old.id}"
            )

    def describes(self, new: TenantRow, old: TenantRow) -> bool:
        """Return whether the tenants are as they were planned."""
        planned = (self.new, self.old, self.cloud_ids)
        return (new.as_tenant(), old.as_tenant(), (new.cloud_id, old.cloud_id)) == planned

    def _values(self, difference: Difference) -> tuple[str | None, str | None]:
        """Return what differs: the value of the new and of the old tenant."""
        if difference is Difference.CLOUD_ID:
            return self.cloud_ids
        attribute = difference.value.replace("-", "_")
        return getattr(self.new, attribute), getattr(self.old, attribute)


async def plan_adoption(new_id: int, old_id: int, plugins: Sequence[str]) -> Adoption:
    """Plan an adoption; nothing is changed.

    Args:
        new_id: Number of the tenant whose client key and secrets stay.
        old_id: Number of the tenant whose number and rows stay.
        plugins: Names of all installed plugins, enabled or not.

    Raises:
        AddonkitError: The adoption is impossible.
    """
    with storage_errors():
        new_row, old_row = await _read_both(new_id, old_id)
        new, old = new_row.as_tenant(), old_row.as_tenant()
        tables = [table for table in await tenant_tables(plugins) if not table.is_runtime]
        with tenant_scope(new):
            discarded = await count_rows(tables, new.id)
        with tenant_scope(old):
            rows = await count_rows(tables, old.id)
    cloud_ids = (new_row.cloud_id, old_row.cloud_id)
    found = {
        Difference.PRODUCT: new.product != old.product,
        Difference.BASE_URL: new.base_url != old.base_url,
        Difference.CLOUD_ID: None not in cloud_ids and new_row.cloud_id != old_row.cloud_id,
    }
    return Adoption(
        new,
        old,
        {table: number for table, number in rows.items() if number},
        {table: number for table, number in discarded.items() if number},
        tuple(difference for difference, differs in found.items() if differs),
        cloud_ids,
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
    """Carry out an adoption in one transaction and return the adopted tenant; its old client key becomes unknown.

    Pending lifecycle events of the new tenant are delivered for the adopted one, after its own pending events.

    Args:
        plan: The plan.
        plugins: Names of all installed plugins.
        listeners: Names of the enabled plugins with a handler for ``installed``, which is called for the adoption.
        discard: Whether the new tenant's rows may be deleted.
        despite: The differences that are accepted.
        move_jobs: Moves the new tenant's jobs for these listeners to the old tenant, in the current transaction.

    Raises:
        AddonkitError: The adoption is refused, or a tenant has changed since the plan; nothing was changed.
    """
    plan.check(discard, despite)
    with storage_errors(), tenant_scope(plan.new):
        tables = [table for table in await tenant_tables(plugins) if not table.is_runtime]
        async with in_transaction(CONNECTION):
            locked = {row.id: row for row in await _lock_rows(plan.new.id, plan.old.id)}
            new, old = locked.get(plan.new.id), locked.get(plan.old.id)
            if new is None or old is None or not plan.describes(new, old):
                raise AddonkitError("one of the tenants has changed since the plan; run this again")
            if discard:
                await delete_rows(tables, new.id)
            elif any((await count_rows(tables, new.id)).values()):
                raise AddonkitError(f"tenant {new.id} has stored data since the plan; run this again")
            await _merge_rows(new, old)
            await move_jobs(plan.new, old.as_tenant(), listeners)
            return old.as_tenant()


async def delete_late_rows(plugins: Sequence[str], min_age_s: float = DELETE_AFTER_S) -> int:
    """Delete rows that requests wrote for a number after an adoption gave it up; return the count of these numbers.

    Args:
        plugins: Names of all installed plugins, enabled or not.
        min_age_s: Minimum time since the adoption in seconds; requests that ran during the adoption have ended by then.
    """
    with storage_errors():
        before = datetime.now(UTC) - timedelta(seconds=min_age_s)
        numbers = await given_up_numbers(before)
        for number in numbers:
            with tenant_scope(Tenant(number, "", "jira", "", "", TenantState.UNINSTALLED)):
                await delete_rows(await tenant_tables(plugins), number)
    return len(numbers)


async def _merge_rows(new: TenantRow, old: TenantRow) -> None:
    """Copy the host's columns from the new row to the old one, and delete the new row."""
    await TenantHistory.filter(tenant_id=new.id).update(tenant_id=old.id)
    was = f"was '{old.tenant_key}' at '{old.base_url}', took over from tenant {new.id}"
    for tenant_key in (old.tenant_key, new.tenant_key):
        await notify_change(tenant_key)
    await move_identities(new, old)
    await PresenceRow.filter(tenant_id__in=[new.id, old.id]).delete()
    await new.delete()
    for name in HOST_COLUMNS:
        setattr(old, name, getattr(new, name))
    old.cloud_id = new.cloud_id or old.cloud_id
    old.note = "\n".join(note for note in (old.note, new.note) if note) or None
    await old.save()
    await record_change(old, Change.ADOPTED, was)
    # Recorded under the given-up number, without a key; delete_late_rows() finds the number by this row.
    new.key = new.client_key = new.base_url = ""
    await record_change(new, Change.ADOPTED, f"given up for tenant {old.id}")


async def _lock_rows(*numbers: int) -> list[TenantRow]:
    # Rows are locked in the same order everywhere, to avoid deadlocks.
    return await TenantRow.filter(id__in=numbers).order_by("id").select_for_update()


async def _read_both(new_id: int, old_id: int) -> tuple[TenantRow, TenantRow]:
    if new_id == old_id:
        raise AddonkitError(f"tenant {new_id} cannot adopt its own data; use two tenants")
    rows = {row.id: row for row in await TenantRow.filter(id__in=[new_id, old_id])}
    for number in (new_id, old_id):
        if number not in rows:
            raise AddonkitError(f"there is no tenant {number}; see 'addonkit tenants list'")
        if rows[number].is_purging:
            raise AddonkitError(f"the data of tenant {number} is being purged; 'addonkit tenants purge' completes that")
    new = rows[new_id]
    if new.tenant_state in (TenantState.UNINSTALLED, TenantState.GONE):
        raise AddonkitError(
            f"tenant {new_id} ('{new.tenant_key}') is {new.tenant_state}; install the add-on on the site first"
        )
    return new, rows[old_id]
