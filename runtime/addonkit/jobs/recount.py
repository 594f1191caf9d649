"""Counts the rows of the job table in one snapshot, and corrects the maintained numbers by the difference.

The difference is added to the numbers. It is right whatever is committed meanwhile, because the rows and the numbers
are read in one snapshot, and every later change is counted by the triggers. It is needed for the rows that were there
before the triggers, and after someone has switched them off.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.database.sql import current_connection, execute, fetch, on_postgres, placeholders
from addonkit.errors import StorageUnavailable
from addonkit.log import structlog
from addonkit.work import JobState

STEP_ROWS = 50_000
BUSY_TIMEOUT_S = 5.0
STATES = tuple(str(state) for state in JobState if state is not JobState.DONE)
NAMES = (*STATES, "failing")
COLUMNS = ", ".join(NAMES)
COUNTED_AT = "SELECT counted_at FROM addonkit_job_count WHERE plugin = ''"
SET_COUNTED_AT = """
INSERT INTO addonkit_job_count (plugin, counted_at) VALUES ('', UNIX_TIME())
ON CONFLICT (plugin) DO UPDATE SET counted_at = excluded.counted_at
"""
LOCK = "SELECT pg_try_advisory_xact_lock(7, -3) AS is_locked"
ROWS = """
SELECT plugin, state, failures > 0 AS is_failing, count(*) AS jobs, max(id) AS last FROM (
    SELECT id, plugin, state, failures FROM addonkit_job WHERE id > ? ORDER BY id LIMIT ?
) AS step GROUP BY plugin, state, failures > 0
"""
KEPT = f"SELECT plugin, {COLUMNS} FROM addonkit_job_count WHERE plugin <> ''"  # noqa: S608 - constants
CHANGED = f"SELECT plugin, {COLUMNS} FROM addonkit_job_delta"  # noqa: S608 - as above
VALUES = f"(plugin, {COLUMNS}) VALUES (?, {placeholders(len(NAMES))})"
CORRECT_ON_POSTGRES = f"INSERT INTO addonkit_job_delta {VALUES}"
CORRECT_ON_SQLITE = f"""
INSERT INTO addonkit_job_count {VALUES}
ON CONFLICT (plugin) DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in NAMES)}
"""

Numbers = Counter[tuple[str, str]]
"""Numbers of jobs by plugin and by ``NAMES``."""

log = structlog.get_logger(__name__)


async def counted_at() -> float | None:
    """Return when the rows were last counted, Unix time in seconds; None if they never were.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    rows = await fetch(COUNTED_AT)
    return rows[0]["counted_at"] if rows else None


async def recount() -> None:
    """Count the rows and correct the numbers, unless another process does so now.

    Raises:
        StorageUnavailable: The database did not answer; nothing was changed.
    """
    is_first = await counted_at() is None
    if on_postgres():
        with storage_errors():
            async with in_transaction(CONNECTION) as transaction:
                # The second of two processes that count after each other fails when it writes COUNTED_AT.
                await transaction.execute_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                [row] = await fetch(LOCK)
                if not row["is_locked"]:
                    return
                differences = await _differences_on_postgres()
                await _correct(CORRECT_ON_POSTGRES, differences)
    else:
        # On a connection of its own: this process has one for everything else, which must not wait.
        file = Path(current_connection().filename)  # type: ignore[attr-defined]  # of the SQLite client
        cancelled = threading.Event()
        try:
            differences = await asyncio.to_thread(_differences_on_sqlite, file, cancelled)
        finally:
            cancelled.set()
        with storage_errors():
            async with in_transaction(CONNECTION):
                await _correct(CORRECT_ON_SQLITE, differences)
    if differences and not is_first:
        log.warning("jobs.counts_corrected", differences={f"{who}.{what}": n for (who, what), n in differences.items()})


async def _correct(statement: str, differences: Mapping[tuple[str, str], int]) -> None:
    for plugin in sorted({plugin for plugin, _ in differences}):
        await execute(statement, [plugin, *(differences.get((plugin, name), 0) for name in NAMES)])
    await execute(SET_COUNTED_AT)


async def _differences_on_postgres() -> dict[tuple[str, str], int]:
    numbers: Numbers = Counter()
    last = 0
    while rows := await fetch(ROWS, [last, STEP_ROWS]):
        last = max(row["last"] for row in rows)
        _add_rows(numbers, [(row["plugin"], row["state"], row["is_failing"], row["jobs"]) for row in rows])
    for row in [*await fetch(KEPT), *await fetch(CHANGED)]:
        numbers.subtract({(row["plugin"], name): row[name] for name in NAMES})
    return _without_zeros(numbers)


def _differences_on_sqlite(file: Path, cancelled: threading.Event) -> dict[tuple[str, str], int]:
    """Count in one read transaction of a second connection, while the add-on writes."""
    numbers: Numbers = Counter()
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as reader:
            reader.execute("BEGIN")
            last = 0
            while (rows := reader.execute(ROWS, [last, STEP_ROWS]).fetchall()) and not cancelled.is_set():
                last = max(row[-1] for row in rows)
                _add_rows(numbers, [row[:-1] for row in rows])
            for plugin, *kept in reader.execute(KEPT):
                numbers.subtract({(plugin, name): number for name, number in zip(NAMES, kept, strict=True)})
    except sqlite3.Error as error:
        raise StorageUnavailable(
            f"the jobs in '{file}' could not be counted ({error}); they are counted later"
        ) from error
    return _without_zeros(numbers)


def _add_rows(numbers: Numbers, rows: list[Any]) -> None:
    for plugin, state, is_failing, jobs in rows:
        if state in STATES:
            numbers[plugin, state] += jobs
            numbers[plugin, "failing"] += jobs if is_failing and state != JobState.DEAD else 0


def _without_zeros(numbers: Numbers) -> dict[tuple[str, str], int]:
    return {key: number for key, number in sorted(numbers.items()) if number}
