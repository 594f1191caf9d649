"""Ids and numbers of the jobs that a filter selects, read by an index from each of the two tables of jobs.

An operator's list must not read a million rows. Jobs are found by the first of these that the filter has: the tenant;
the error, by a partial index of the rows with one; handler, kind and state; or else by their ids, from one end on. For
handler, kind and state, the combinations that occur are looked up first, with one index lookup each (loose index scan).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from addonkit.database.sql import fetch
from addonkit.jobs.job_filter import JobFilter
from addonkit.work import JobState

MAX_CLOCK_ERROR_S = 3600.0
"""How much earlier than a job with a lower id a job may have been enqueued, by the database's clock."""

Group = tuple[str, ...]
"""Plugin, name and kind of jobs; in the queue also their state."""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of jobs.

    Attributes:
        name: Its name.
        columns: The columns of its index of handlers.
        state: SQL of the state of a row.
        has_payload: SQL of whether the payload of a row is stored, 1 or 0.
    """

    name: str
    columns: tuple[str, ...]
    state: str
    has_payload: str

    def where(self, which: JobFilter) -> tuple[str, list[Any]]:
        by_tenant = which.tenant_id is not None
        return which.where(state=self.state, has_payload=self.has_payload, by_tenant=by_tenant)


QUEUE = _Table("addonkit_job", ("plugin", "name", "kind", "state"), "j.state", "1")
DONE = _Table(
    "addonkit_done_job",
    ("plugin", "name", "kind"),
    "CAST('done' AS varchar(8))",
    "CASE WHEN j.payload IS NULL THEN 0 ELSE 1 END",
)


async def select_ids(which: JobFilter, limit: int, *, oldest_first: bool) -> list[int]:
    """Return the ids of the first jobs that a filter selects, in order.

    A job that is moved from one table to the other meanwhile is found in at least one of them.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    # With a sum, the rows of the tenant are sorted: PostgreSQL might go through all rows in the order of their ids.
    by = "j.id + 0" if which.has_more_than_tenant() else "j.id"
    order = "ASC" if oldest_first else "DESC"
    ids: set[int] = set()
    for table in _tables(which):
        async for condition, values, _ in _conditions(table, which):
            statement = f"SELECT j.id FROM {table.name} j WHERE {condition} ORDER BY {by} {order} LIMIT ?"  # noqa: S608 - constants
            ids.update(row["id"] for row in await fetch(statement, [*values, limit]))
    return sorted(ids, reverse=not oldest_first)[:limit]


async def count_selected(which: JobFilter) -> Counter[tuple[str, str, str]]:
    """Count the jobs that a filter selects, by plugin, name and state.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    for table in _tables(which):
        by_all = which if which != JobFilter() else replace(which, states=tuple(JobState))
        async for condition, values, group in _conditions(table, by_all):
            source = f"FROM {table.name} j WHERE {condition}"
            if group:
                [row] = await fetch(f"SELECT count(*) AS jobs {source}", values)
                counts[group[0], group[1], (*group[3:], str(JobState.DONE))[0]] += row["jobs"]
                continue
            # Expressions that no index has: SQLite would go through a whole index, so as not to sort the few rows.
            columns = f"j.plugin || '' AS plugin, j.name || '' AS name, {table.state} || '' AS state"
            for row in await fetch(f"SELECT {columns}, count(*) AS jobs {source} GROUP BY 1, 2, 3", values):
                counts[row["plugin"], row["name"], row["state"]] += row["jobs"]
    return +counts


async def queued_plugins() -> set[str]:
    """Return the names of the plugins that have jobs in the queue."""
    return {group[0] async for group in _groups(QUEUE, QUEUE.columns[:1])}


def _tables(which: JobFilter) -> list[_Table]:
    """Return the tables that may have selected jobs: done jobs are in both."""
    return [QUEUE, DONE] if not which.states or JobState.DONE in which.states else [QUEUE]


async def _conditions(table: _Table, which: JobFilter) -> AsyncIterator[tuple[str, list[Any], Group]]:
    """Yield SQL conditions, each for an index, that together select the jobs.

    Yields:
        A condition, its bind values, and the group of all jobs that meet it; an empty group if they are of several.
    """
    if which.since is not None:
        above = await _last_id_before(table, which.since - MAX_CLOCK_ERROR_S)
        which = replace(which, above=above if which.above is None else max(above, which.above))
    if which.ids or which.tenant_id is not None or which.error is not None or not which.has_handler():
        yield *table.where(which), ()
        return
    more, values = table.where(replace(which, plugin=None, name=None, names=None, kind=None, states=()))
    equal = " AND ".join(f"j.{column} = ?" for column in table.columns)
    async for group in _groups(table, table.columns):
        if which.accepts(*group, *([] if table is QUEUE else [JobState.DONE])):
            yield f"{equal} AND {more}", [*group, *values], group


async def _groups(table: _Table, columns: Sequence[str], first: Group = ()) -> AsyncIterator[Group]:
    """Yield the combinations of values that the first columns of a table's index of handlers have, in order.

    Each value is found by one index lookup, however many rows have it.

    Args:
        table: The table.
        columns: The columns that remain.
        first: Values of the columns before.
    """
    if not columns:
        yield first
        return
    fixed = "".join(f"{column} = ? AND " for column in table.columns[: len(first)])
    statement = f"SELECT min({columns[0]}) AS value FROM {table.name} WHERE {fixed}{columns[0]} > ?"  # noqa: S608 - constants
    value = ""
    while (value := (await fetch(statement, [*first, value]))[0]["value"]) is not None:
        async for group in _groups(table, columns[1:], (*first, value)):
            yield group


async def _last_id_before(table: _Table, moment: float) -> int:
    """Return the id of the last job that was enqueued before a moment, found by bisection; 0 if there is none.

    Ids and times of enqueueing grow together, but for the errors of the database's clock.
    """
    # Two subqueries: SQLite looks up only one end of an index in a query.
    ends_of = f"SELECT (SELECT min(id) FROM {table.name}) AS first, (SELECT max(id) FROM {table.name}) AS last"  # noqa: S608 - as above
    [ends] = await fetch(ends_of)
    first, last = ends["first"] or 1, ends["last"] or 0
    statement = f"SELECT id, created_at FROM {table.name} WHERE id >= ? ORDER BY id LIMIT 1"  # noqa: S608 - as above
    while first <= last:
        middle = (first + last) // 2
        rows = await fetch(statement, [middle])
        if rows and rows[0]["created_at"] < moment:
            first = rows[0]["id"] + 1
        else:
            last = middle - 1
    return int(first) - 1
