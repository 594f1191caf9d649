"""Deleting all rows that one site has in plugins' tables, whatever refers to what, in steps that nobody waits for.

When that may be done is in ``purge`` and ``adoption``.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from graphlib import CycleError, TopologicalSorter

from addonkit.database.sql import on_postgres, quoted
from addonkit.tenant_data.scope import in_open_transaction
from addonkit.tenant_data.tables import Table, run

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
