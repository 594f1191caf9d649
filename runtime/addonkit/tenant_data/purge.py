"""Deleting a site that has left, whole: what plugins stored for it, and what we know of it.

It happens in steps, so that nobody waits for it. First plugins are asked. Then, at one moment and under lock, the site
loses its client key: should it install again from then on, it is a new one and begins anew. Only then are rows deleted,
and whoever is interrupted goes on at the next run. The site's own row goes last, and its number is never given again.
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
from addonkit.database.sql import on_postgres, quoted
from addonkit.tenancy.history import Change, history_of, write_down
from addonkit.tenancy.models import TenantHistory, TenantRow
from addonkit.tenancy.notifications import announce
from addonkit.tenant_data.scope import in_open_transaction, tenant_scope
from addonkit.tenant_data.tables import Table, count_rows, rows_of, run, tenant_tables

KEPT = frozenset({TenantRow.Meta.table, TenantHistory.Meta.table})
"""The runtime's tables that keep a tenant's rows until the plugins' rows are deleted."""

Ask = Callable[[Tenant], Awaitable[str | None]]
"""Tells plugins that a site's data goes, in the site's scope; gives a sentence if one of them failed."""


@dataclass(frozen=True, slots=True)
class Purge:
    """How the purge of one site went.

    Attributes:
        tenant: The site, as it was called.
        rows: How many rows it had, by table.
        left: How many it has now, counted when all was done.
        failure: Why it was not done, as a sentence; None if it was.
    """

    tenant: Tenant
    rows: Mapping[str, int]
    left: Mapping[str, int]
    failure: str | None = None


def retired_key(tenant_id: int) -> str:
    """Give what stands in place of the client key of a site that is being deleted."""
    return f"(purging {tenant_id})"


async def due(left_before: datetime) -> list[int]:
    """Give the numbers of the sites that uninstalled before a moment, such as ``tenancy.admin.retention_cutoff``."""
    with storage_errors():
        gone = TenantRow.filter(state=str(TenantState.UNINSTALLED), uninstalled_at__lte=left_before)
        return [row.id for row in await gone.order_by("id").only("id")]


async def purge(
    tenant_id: int,
    plugins: Sequence[str],
    ask_plugins: Ask,
    on_progress: Progress = lambda _table, _rows: None,
    left_before: datetime | None = None,
) -> Purge | None:
    """Delete a site that has uninstalled; None if there is none of that number.

    Args:
        tenant_id: Its number.
        plugins: Names of all installed plugins, switched on or not.
        ask_plugins: Tells them before anything is deleted; if one fails, all rows stay.
        on_progress: Told a table and how many of its rows are gone.
        left_before: Who uninstalled after this moment stays: it may have come back and left again meanwhile.

    Raises:
        StorageUnavailable: The database did not answer; what is left goes at the next run.
    """
    with storage_errors():
        row = await TenantRow.get_or_none(id=tenant_id)
        if row is None:
            return None
        tenant = await _as_it_was_called(row)
    with tenant_scope(tenant):
        with storage_errors():
            tables = await tenant_tables(plugins)
            rows = await count_rows(tables, tenant_id)
        failure = _refusal(row, left_before) or await ask_plugins(tenant)
        with storage_errors():
            failure = failure or await _delete(tables, tenant_id, on_progress, left_before)
            return Purge(tenant, rows, await count_rows(tables, tenant_id), failure)


async def look(tenant_id: int, plugins: Sequence[str]) -> Purge:
    """Give what a purge would find; nothing is changed."""
    with storage_errors():
        row = await TenantRow.get(id=tenant_id)
        tenant = await _as_it_was_called(row)
        rows = await rows_of(tenant, plugins)
    return Purge(tenant, rows, rows, _refusal(row))


async def _delete(
    tables: Sequence[Table], tenant_id: int, on_progress: Progress, left_before: datetime | None
) -> str | None:
    """Delete all, and give what came in between."""
    try:
        if refusal := await _retire(tables, tenant_id, left_before):
            return refusal
        await delete_rows([table for table in tables if not table.is_own], tenant_id, on_progress)
        async with in_transaction(CONNECTION):
            row = await _locked(tenant_id)
            if row is not None and (refusal := _refusal(row)):
                return refusal
            # With what a request or a delivery that was under way has written since.
            await delete_rows(tables, tenant_id)
    except IntegrityError as wrong:
        return (
            f"some rows cannot be deleted, others refer to them ({error_summary(wrong)}); delete those and run it again"
        )
    return None


async def _retire(tables: Sequence[Table], tenant_id: int, left_before: datetime | None) -> str | None:
    """Take a site's client key, secrets and jobs from it: from here on it does not come back."""
    async with in_transaction(CONNECTION):
        row = await _locked(tenant_id)
        if row is None:
            return None
        if refusal := _refusal(row, left_before):
            return f"{refusal}; nothing was deleted"
        former = row.client_key
        if former != retired_key(tenant_id):
            await write_down(row, Change.PURGING)
            row.client_key = retired_key(tenant_id)
            row.shared_secret = row.former_secret = row.former_until = None
            await row.save()
            await announce(former)
        for table in tables:
            if table.is_own and table.name not in KEPT:
                await run(f"DELETE FROM {quoted(table.name)} WHERE {table.owned}", tenant_id)  # noqa: S608 - our own
    return None


async def _locked(tenant_id: int) -> TenantRow | None:
    return await TenantRow.select_for_update().get_or_none(id=tenant_id)


def _refusal(row: TenantRow, left_before: datetime | None = None) -> str | None:
    """Why a site may not be deleted."""
    if row.state == TenantState.UNINSTALLED:
        if left_before is None or row.uninstalled_at is None or row.uninstalled_at <= left_before:
            return None
        return f"tenant {row.id} ('{row.client_key}') came back and left again meanwhile, and is not due"
    return f"tenant {row.id} ('{row.client_key}') is {row.state}; only a site that uninstalled the add-on can be purged"


async def _as_it_was_called(row: TenantRow) -> Tenant:
    """The site under the client key that plugins know, also where an earlier run has taken it."""
    tenant = row.as_tenant()
    if row.client_key != retired_key(row.id):
        return tenant
    told = [entry.client_key for entry in await history_of(row.id) if entry.what == Change.PURGING]
    return replace(tenant, client_key=told[-1]) if told else tenant


FIRST_STEP_ROWS, LARGEST_STEP_ROWS = 128, 8192
"""Rows of one statement, the first and at most."""
SHORT_STEP_S, LONG_STEP_S = 0.1, 0.5
"""Below the one the next step is larger, above the other it is smaller: on SQLite others wait for a step's end, and
where nothing indexes what refers to a table, each of its rows costs a look through all that do."""

Progress = Callable[[str, int], None]


async def delete_rows(
    tables: Iterable[Table], tenant_id: int, on_progress: Progress = lambda _table, _rows: None
) -> None:
    """Delete what the site in scope has in these tables.

    Outside a transaction each step is one of its own, so that serving goes on and an interruption loses no step.

    Args:
        tables: Where.
        tenant_id: Whose; the site in scope.
        on_progress: Told a table and how many of its rows are gone, after each step.
    """
    ordered, loosened = in_order(tables)
    for table, column in loosened:
        emptied = f"UPDATE {quoted(table.name)} SET {quoted(column)} = NULL WHERE"  # noqa: S608 - names from the catalogue
        async for _ in _steps(emptied, table, f"{quoted(column)} IS NOT NULL", tenant_id):
            pass
    for table in ordered:
        gone = 0
        async for rows in _steps(f"DELETE FROM {quoted(table.name)} WHERE", table, "TRUE", tenant_id):  # noqa: S608 - as above
            gone += rows
            on_progress(table.name, gone)


async def _steps(change: str, table: Table, which: str, tenant_id: int) -> AsyncIterator[int]:
    """Change the site's rows that meet a condition, until none does; give how many each time."""
    size = FIRST_STEP_ROWS
    began = time.monotonic()
    while rows := await run(f"{change} {_some(table, which, size)}", tenant_id):
        yield rows
        took = time.monotonic() - began
        size = next_size(size, took)
        if not (on_postgres() or in_open_transaction()):
            # As long as it took: whoever waits for the one lock of SQLite finds no gap between two steps.
            await asyncio.sleep(took)
        began = time.monotonic()


def next_size(size: int, took: float) -> int:
    """Give how many rows the next step has, after one of so many that took so many seconds."""
    if took > LONG_STEP_S:
        return max(1, size // 4)
    return min(LARGEST_STEP_ROWS, size * 2) if took < SHORT_STEP_S else size


def in_order(tables: Iterable[Table]) -> tuple[list[Table], list[tuple[Table, str]]]:
    """Give the tables so that none comes before those that refer to it, and the columns to be emptied before.

    Where tables refer to each other in a circle, or one to itself, no order will do: a reference of the circle that may
    be empty is emptied first.
    """
    known = {table.name: table for table in tables}
    links = {
        (name, column, target)
        for name, table in known.items()
        for column, targets in table.references.items()
        for target in targets & known.keys()
    }
    loosened = {(name, column) for name, column, target in links if name == target and column in known[name].nullable}
    links = {link for link in links if link[0] != link[2]}
    while True:
        sorter: TopologicalSorter[str] = TopologicalSorter({name: [] for name in known})
        for name, _, target in sorted(links):
            sorter.add(target, name)
        try:
            ordered = [known[name] for name in sorter.static_order()]
            return ordered, [(known[name], column) for name, column in sorted(loosened)]
        except CycleError as circle:
            pairs = set(zip(circle.args[1][:-1], circle.args[1][1:], strict=True))
            inside = sorted(link for link in links if (link[0], link[2]) in pairs)
            soft = [link for link in inside if link[1] in known[link[0]].nullable]
            # a circle of which nothing may be empty can be deleted only if the database does it itself
            loosened.update((name, column) for name, column, _ in soft[:1])
            links -= set(soft[:1] or inside[:1])


def _some(table: Table, which: str, size: int) -> str:
    """The condition of one step: a bounded number of the site's rows."""
    place = "ctid" if on_postgres() else "rowid"
    chosen = f"SELECT {place} FROM {quoted(table.name)} WHERE {table.owned} AND {which} LIMIT {size}"  # noqa: S608 - names from the catalogue
    # A partitioned table has the same place several times, hence the condition once more.
    return f"ctid = ANY (ARRAY({chosen})) AND {table.owned}" if on_postgres() else f"rowid IN ({chosen})"
