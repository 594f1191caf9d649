"""Purge: deletes an uninstalled tenant and all rows that plugins stored for it, in batches.

The add-on serves requests during a purge. First the plugins are called. Then, in one transaction, the tenant loses its
key and its identities: if the site installs again, it becomes a new tenant. Then rows are deleted in batches; the next
run continues an interrupted purge. The tenant's own row is deleted last, and its number is not assigned again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from graphlib import CycleError, TopologicalSorter

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from addonkit.context import Tenant, TenantState
from addonkit.database import CONNECTION
from addonkit.database.errors import error_summary, storage_errors
from addonkit.database.sql import execute, on_postgres, quoted
from addonkit.tenancy.history import Change, history_of, record_change
from addonkit.tenancy.models import TenantHistory, TenantRow, retired_key
from addonkit.tenancy.notifications import notify_change
from addonkit.tenant_data.scope import in_open_transaction, tenant_scope
from addonkit.tenant_data.tables import Table, count_rows, count_tenant_rows, tenant_tables

KEPT = frozenset({TenantRow.Meta.table, TenantHistory.Meta.table})
"""The runtime's tables that keep a tenant's rows until the plugins' rows are deleted."""

FIRST_BATCH_ROWS, MAX_BATCH_ROWS = 128, 8192
"""Number of rows in the first batch, and maximum number of rows in a batch."""
SHORT_BATCH_S, LONG_BATCH_S = 0.1, 0.5
"""Intended duration of a batch: after a faster one the next is larger, after a slower one it is smaller.

On SQLite other writers wait for the batch. Where a foreign key has no index, each deleted row costs a scan of the
referring table."""

Progress = Callable[[str, int], None]
"""Called with a table and the number of its rows processed so far."""
AskPlugins = Callable[[Tenant], Awaitable[str | None]]
"""Calls ``addon_purge`` of the plugins, in the tenant's scope; returns an error message if one of them failed."""


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """The result of the purge of one tenant.

    Attributes:
        tenant: The tenant, with its former client key.
        rows: Number of rows before, by table.
        left: Number of rows afterwards, by table.
        failure: Why the purge failed or was refused; None if it succeeded.
    """

    tenant: Tenant
    rows: Mapping[str, int]
    left: Mapping[str, int]
    failure: str | None = None


async def tenants_due(uninstalled_before: datetime) -> list[int]:
    """Return the numbers of tenants that uninstalled before a time, such as ``tenancy.admin.retention_cutoff()``."""
    with storage_errors():
        gone = TenantRow.filter(state=str(TenantState.UNINSTALLED), uninstalled_at__lte=uninstalled_before)
        return [row.id for row in await gone.order_by("id").only("id")]


async def purge_tenant(
    tenant_id: int,
    plugins: Sequence[str],
    ask_plugins: AskPlugins,
    on_progress: Progress = lambda _table, _rows: None,
    uninstalled_before: datetime | None = None,
) -> PurgeResult | None:
    """Purge an uninstalled tenant; None if there is no tenant with that number.

    Args:
        tenant_id: The tenant's number.
        plugins: Names of all installed plugins, enabled or not.
        ask_plugins: Calls the plugins before anything is deleted; if one fails, all rows stay.
        on_progress: Called with a table and the number of its rows deleted so far.
        uninstalled_before: Refuse a tenant that uninstalled later, since it may have installed again in between.

    Raises:
        StorageUnavailable: The database did not answer; the next run continues.
    """
    with storage_errors():
        row = await TenantRow.get_or_none(id=tenant_id)
        if row is None:
            return None
        tenant = await _with_former_key(row)
    with tenant_scope(tenant):
        tables = await tenant_tables(plugins)
        rows = await count_rows(tables, tenant_id)
        failure = _refusal(row, uninstalled_before) or await ask_plugins(tenant)
        with storage_errors():
            failure = failure or await _delete(tables, tenant_id, on_progress, uninstalled_before)
            return PurgeResult(tenant, rows, await count_rows(tables, tenant_id), failure)


async def preview_purge(tenant_id: int, plugins: Sequence[str]) -> PurgeResult:
    """Count the rows that a purge would delete; nothing is changed."""
    with storage_errors():
        row = await TenantRow.get(id=tenant_id)
        tenant = await _with_former_key(row)
        rows = await count_tenant_rows(tenant, plugins)
    return PurgeResult(tenant, rows, rows, _refusal(row))


async def _delete(
    tables: Sequence[Table], tenant_id: int, on_progress: Progress, uninstalled_before: datetime | None
) -> str | None:
    """Delete the tenant and its rows; return an error message if that is refused."""
    try:
        if refusal := await _retire(tables, tenant_id, uninstalled_before):
            return refusal
        await delete_rows([table for table in tables if not table.is_runtime], tenant_id, on_progress)
        async with in_transaction(CONNECTION):
            row = await _lock_row(tenant_id)
            if row is not None and (refusal := _refusal(row)):
                return refusal
            # Includes rows that requests and jobs wrote in the meantime.
            await delete_rows(tables, tenant_id)
    except IntegrityError as exc:
        return (
            f"some rows cannot be deleted because other rows refer to them ({error_summary(exc.__cause__ or exc)}); "
            "delete those rows and run this again"
        )
    return None


async def _retire(tables: Sequence[Table], tenant_id: int, uninstalled_before: datetime | None) -> str | None:
    """Remove the tenant's key, identities, secrets and jobs; return the reason if that is refused.

    After that, an install of the site creates a new tenant.
    """
    async with in_transaction(CONNECTION):
        row = await _lock_row(tenant_id)
        if row is None:
            return None
        if refusal := _refusal(row, uninstalled_before):
            return f"{refusal}; nothing was deleted"
        if not row.is_purging:
            former = row.tenant_key
            await record_change(row, Change.PURGING)
            row.key = retired_key(tenant_id)
            row.client_key = row.client_key and row.key
            row.shared_secret = row.former_secret = row.former_until = None
            row.cloud_id = row.installation_id = None
            await row.save()
            await notify_change(former)
        for table in tables:
            if table.is_runtime and table.name not in KEPT:
                await execute(f"DELETE FROM {quoted(table.name)} WHERE {table.of_tenant}", [tenant_id])  # noqa: S608 - our own
    return None


async def _lock_row(tenant_id: int) -> TenantRow | None:
    return await TenantRow.select_for_update().get_or_none(id=tenant_id)


def _refusal(row: TenantRow, uninstalled_before: datetime | None = None) -> str | None:
    """Return the reason why a tenant must not be purged, or None."""
    if row.state == TenantState.UNINSTALLED:
        if uninstalled_before is None or row.uninstalled_at is None or row.uninstalled_at <= uninstalled_before:
            return None
        return f"tenant {row.id} ('{row.tenant_key}') installed and uninstalled again in the meantime, and is not due"
    return f"tenant {row.id} ('{row.tenant_key}') is {row.state}; only an uninstalled tenant can be purged"


async def _with_former_key(row: TenantRow) -> Tenant:
    """Return the tenant with the key that plugins know, from the history if an earlier run has removed it."""
    tenant = row.as_tenant()
    if not row.is_purging:
        return tenant
    former = [entry.key for entry in await history_of(row.id) if entry.what == Change.PURGING]
    if not former:
        return tenant
    return replace(tenant, key=former[-1], connect_key=former[-1] if tenant.connect_key else None)


async def delete_rows(
    tables: Iterable[Table], tenant_id: int, on_progress: Progress = lambda _table, _rows: None
) -> None:
    """Delete the current tenant's rows in these tables, referring tables first, in batches.

    Outside a transaction each batch is committed separately: other writes run in between, and an interruption does not
    undo completed batches.

    Args:
        tables: The tables.
        tenant_id: Number of the current tenant.
        on_progress: Called after each batch with a table and the number of its rows deleted so far.
    """
    ordered, cleared = deletion_order(tables)
    for table, column in cleared:
        clear = f"UPDATE {quoted(table.name)} SET {quoted(column)} = NULL WHERE"  # noqa: S608 - quoted names from the catalogue
        async for _ in _batches(clear, table, f"{quoted(column)} IS NOT NULL", tenant_id):
            pass
    for table in ordered:
        deleted = 0
        async for rows in _batches(f"DELETE FROM {quoted(table.name)} WHERE", table, "TRUE", tenant_id):  # noqa: S608 - as above
            deleted += rows
            on_progress(table.name, deleted)


async def _batches(statement: str, table: Table, condition: str, tenant_id: int) -> AsyncIterator[int]:
    """Run a statement on batches of the tenant's rows until none matches; yield the number of rows of each batch."""
    size, values = FIRST_BATCH_ROWS, 2 if on_postgres() else 1
    began = time.monotonic()
    while rows := await execute(f"{statement} {_batch_condition(table, condition, size)}", [tenant_id] * values):
        yield rows
        took = time.monotonic() - began
        size = next_batch_size(size, took)
        if not (on_postgres() or in_open_transaction()):
            # A pause as long as the batch: without it, waiting writers would not get SQLite's lock between two batches.
            await asyncio.sleep(took)
        began = time.monotonic()


def next_batch_size(size: int, took: float) -> int:
    """Return the size of the next batch, after a batch of ``size`` rows that took ``took`` seconds."""
    if took > LONG_BATCH_S:
        return max(1, size // 4)
    return min(MAX_BATCH_ROWS, size * 2) if took < SHORT_BATCH_S else size


def deletion_order(tables: Iterable[Table]) -> tuple[list[Table], list[tuple[Table, str]]]:
    """Sort tables with referring tables first; return them, and the columns to set to NULL before the deletion.

    Where foreign keys form a circle, or a table refers to itself, no order works; a nullable foreign key of the circle
    is then set to NULL first.
    """
    known = {table.name: table for table in tables}
    links = {
        (name, column, target)
        for name, table in known.items()
        for column, targets in table.references.items()
        for target in targets & known.keys()
    }
    cleared = {(name, column) for name, column, target in links if name == target and column in known[name].nullable}
    links = {link for link in links if link[0] != link[2]}
    while True:
        sorter: TopologicalSorter[str] = TopologicalSorter({name: [] for name in known})
        for name, _, target in sorted(links):
            sorter.add(target, name)
        try:
            ordered = [known[name] for name in sorter.static_order()]
            return ordered, [(known[name], column) for name, column in sorted(cleared)]
        except CycleError as circle:
            pairs = set(zip(circle.args[1][:-1], circle.args[1][1:], strict=True))
            inside = sorted(link for link in links if (link[0], link[2]) in pairs)
            nullable = [link for link in inside if link[1] in known[link[0]].nullable]
            # a circle without a nullable column can be deleted only if the database cascades
            cleared.update((name, column) for name, column, _ in nullable[:1])
            links -= set(nullable[:1] or inside[:1])


def _batch_condition(table: Table, condition: str, size: int) -> str:
    """Return the SQL condition for a batch: at most ``size`` of the tenant's rows."""
    row_id = "ctid" if on_postgres() else "rowid"
    chosen = f"SELECT {row_id} FROM {quoted(table.name)} WHERE {table.of_tenant} AND {condition} LIMIT {size}"  # noqa: S608 - quoted names from the catalogue
    # The partitions of a table can have equal ctid values, so the tenant's condition is repeated.
    return f"ctid = ANY (ARRAY({chosen})) AND {table.of_tenant}" if on_postgres() else f"rowid IN ({chosen})"
