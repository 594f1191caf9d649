"""Purge: deletes an uninstalled tenant, with all rows that plugins stored for it.

A purge runs in steps, so that serving goes on. First plugins are asked. Then, in one transaction, the tenant loses its
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
from addonkit.tenancy.models import TenantHistory, TenantRow
from addonkit.tenancy.notifications import notify_change
from addonkit.tenant_data.scope import in_open_transaction, tenant_scope
from addonkit.tenant_data.tables import Table, count_rows, count_tenant_rows, tenant_tables

KEPT = frozenset({TenantRow.Meta.table, TenantHistory.Meta.table})
"""The runtime's tables that keep a tenant's rows until the plugins' rows are deleted."""

FIRST_BATCH_ROWS, MAX_BATCH_ROWS = 128, 8192
"""Rows per statement: of the first batch, and at most."""
SHORT_BATCH_S, LONG_BATCH_S = 0.1, 0.5
"""A shorter batch makes the next one larger, a longer one makes it smaller. On SQLite other writers wait for the batch;
and where a foreign key has no index, each deleted row costs a scan of the referring table."""

Progress = Callable[[str, int], None]
"""Called with a table and the number of its rows that are done."""
AskPlugins = Callable[[Tenant], Awaitable[str | None]]
"""Calls ``addon_purge`` of the plugins, in the tenant's scope; gives an error message if one of them failed."""


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


def retired_key(tenant_id: int) -> str:
    """Give the placeholder for the key and the client key of a tenant that is being purged."""
    return f"(purging {tenant_id})"


async def tenants_due(uninstalled_before: datetime) -> list[int]:
    """Give the numbers of the tenants that uninstalled before a moment, such as ``tenancy.admin.retention_cutoff``."""
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
        on_progress: Called with a table and the number of its rows that are deleted.
        uninstalled_before: Refuse a tenant that uninstalled later: it may have installed and uninstalled again.

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
    """Give what a purge would delete; nothing is changed."""
    with storage_errors():
        row = await TenantRow.get(id=tenant_id)
        tenant = await _with_former_key(row)
        rows = await count_tenant_rows(tenant, plugins)
    return PurgeResult(tenant, rows, rows, _refusal(row))


async def _delete(
    tables: Sequence[Table], tenant_id: int, on_progress: Progress, uninstalled_before: datetime | None
) -> str | None:
    """Delete the tenant and its rows; give an error message if that is refused."""
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
    """Remove the tenant's key, identities, secrets and jobs; an install of the site then creates a new tenant."""
    async with in_transaction(CONNECTION):
        row = await _lock_row(tenant_id)
        if row is None:
            return None
        if refusal := _refusal(row, uninstalled_before):
            return f"{refusal}; nothing was deleted"
        former = row.tenant_key
        if former != retired_key(tenant_id):
            await record_change(row, Change.PURGING)
            row.key = retired_key(tenant_id)
            row.client_key = row.client_key and row.key
            row.shared_secret = row.former_secret = row.former_until = None
            await row.save()
            await notify_change(former)
        for table in tables:
            if table.is_runtime and table.name not in KEPT:
                await execute(f"DELETE FROM {quoted(table.name)} WHERE {table.of_tenant}", [tenant_id])  # noqa: S608 - our own
    return None


async def _lock_row(tenant_id: int) -> TenantRow | None:
    return await TenantRow.select_for_update().get_or_none(id=tenant_id)


def _refusal(row: TenantRow, uninstalled_before: datetime | None = None) -> str | None:
    """Give the reason why a tenant may not be purged, if there is one."""
    if row.state == TenantState.UNINSTALLED:
        if uninstalled_before is None or row.uninstalled_at is None or row.uninstalled_at <= uninstalled_before:
            return None
        return f"tenant {row.id} ('{row.tenant_key}') installed and uninstalled again in the meantime, and is not due"
    return f"tenant {row.id} ('{row.tenant_key}') is {row.state}; only an uninstalled tenant can be purged"


async def _with_former_key(row: TenantRow) -> Tenant:
    """Give the tenant with the key that plugins know, also if an earlier run has removed it."""
    tenant = row.as_tenant()
    if tenant.key != retired_key(row.id):
        return tenant
    former = [entry.key for entry in await history_of(row.id) if entry.what == Change.PURGING]
    if not former:
        return tenant
    return replace(tenant, key=former[-1], connect_key=former[-1] if tenant.connect_key else None)


async def delete_rows(
    tables: Iterable[Table], tenant_id: int, on_progress: Progress = lambda _table, _rows: None
) -> None:
    """Delete the current tenant's rows in these tables, referring tables first, in batches.

    Outside a transaction each batch is committed by itself: serving goes on, and an interruption loses no batch.

    Args:
        tables: The tables.
        tenant_id: Number of the current tenant.
        on_progress: Called with a table and the number of its rows that are deleted, after each batch.
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
    """Run a statement on batches of the tenant's rows until none matches; give the number of rows of each batch."""
    size, values = FIRST_BATCH_ROWS, 2 if on_postgres() else 1
    began = time.monotonic()
    while rows := await execute(f"{statement} {_batch_condition(table, condition, size)}", [tenant_id] * values):
        yield rows
        took = time.monotonic() - began
        size = next_batch_size(size, took)
        if not (on_postgres() or in_open_transaction()):
            # A pause as long as the batch: waiting writers do not get SQLite's lock between two batches otherwise.
            await asyncio.sleep(took)
        began = time.monotonic()


def next_batch_size(size: int, took: float) -> int:
    """Give the size of the next batch, after one of ``size`` rows that took ``took`` seconds."""
    if took > LONG_BATCH_S:
        return max(1, size // 4)
    return min(MAX_BATCH_ROWS, size * 2) if took < SHORT_BATCH_S else size


def deletion_order(tables: Iterable[Table]) -> tuple[list[Table], list[tuple[Table, str]]]:
    """Sort tables so that referring tables come first; give them, and the columns to set to NULL before.

    Where foreign keys form a circle, or a table refers to itself, no order works: a nullable foreign key of the circle
    is set to NULL first.
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
    """Give the condition for a batch: a limited number of the tenant's rows."""
    row_id = "ctid" if on_postgres() else "rowid"
    chosen = f"SELECT {row_id} FROM {quoted(table.name)} WHERE {table.of_tenant} AND {condition} LIMIT {size}"  # noqa: S608 - quoted names from the catalogue
    # Partitions of a table share ctid values, so the tenant's condition is repeated.
    return f"ctid = ANY (ARRAY({chosen})) AND {table.of_tenant}" if on_postgres() else f"rowid IN ({chosen})"
