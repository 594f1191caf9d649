"""Runs SQL statements on the open database, within the current transaction if there is one.

Statements are written once for both databases, with ``?`` for each value and ``UNIX_TIME()`` for the database's clock.
Errors of drivers become
:class:`~addonkit.errors.StorageUnavailable` or :class:`~addonkit.errors.PayloadInvalid`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import get_current_context

from addonkit.database import CONNECTION
from addonkit.database.errors import storage_errors
from addonkit.errors import StorageUnavailable

if TYPE_CHECKING:
    from addonkit.database.postgres import Client

UNIX_TIME = "UNIX_TIME()"
"""Stands for the time of the database's clock, Unix time in seconds: the one clock that all processes share."""
# In PostgreSQL, the time of the statement's start: with clock_timestamp(), which is volatile, no index would be used.
CLOCKS = {
    "postgres": "CAST(extract(epoch FROM statement_timestamp()) AS double precision)",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}
PLACEHOLDER = re.compile(r"""'[^']*'|"[^"]*"|\?""")
"""Matches a placeholder, or a quoted text or name, in which a question mark is not a placeholder."""


async def fetch(statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Run a statement and return its rows, each a dictionary by column name.

    Raises:
        StorageUnavailable: The database did not answer.
        ConstraintViolated: A row violates a constraint.
        PayloadInvalid: A value cannot be stored.
    """
    # Dictionaries, because Tortoise's other method returns no rows for UPDATE … RETURNING on PostgreSQL.
    with storage_errors():
        return await current_connection().execute_query_dict(prepared(statement), list(values))


async def fetch_rows(statement: str, values: Sequence[Any] = ()) -> Sequence[Mapping[str, Any]]:
    """Run a statement and return its rows as the driver made them, which saves a dictionary for each.

    Not for INSERT, UPDATE and DELETE with RETURNING on PostgreSQL, of which Tortoise gives no rows; use ``WITH``.

    Raises:
        StorageUnavailable: The database did not answer.
        ConstraintViolated: A row violates a constraint.
        PayloadInvalid: A value cannot be stored.
    """
    with storage_errors():
        _, rows = await current_connection().execute_query(prepared(statement), list(values))
        return cast("Sequence[Mapping[str, Any]]", rows)


async def fetch_alone(statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Run a SELECT that leaves no trace in its session, and return its rows.

    On PostgreSQL, outside a transaction, the pool then need not reset the connection, which would be another round
    trip. Only for a fixed statement of the runtime that calls no function and reads no table with row-level security.

    Raises:
        StorageUnavailable: The database did not answer.
        PayloadInvalid: A value cannot be stored.
    """
    connection = current_connection()
    alone = getattr(connection, "fetch_alone", None)
    if alone is None:
        return await fetch(statement, values)
    with storage_errors():
        return cast("list[dict[str, Any]]", await alone(prepared(statement), values))


async def is_read_only() -> bool:
    """Return whether the server accepts no writes, as a standby does; the pool then replaces its connections.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    if not on_postgres():
        return False
    [row] = await fetch("SELECT current_setting('transaction_read_only')::bool AS is_read_only")
    if row["is_read_only"]:
        await cast("Client", current_connection()).expire_connections()
    return bool(row["is_read_only"])


async def execute(statement: str, values: Sequence[Any] = ()) -> int:
    """Run a statement and return the number of rows it changed.

    Raises:
        StorageUnavailable: The database did not answer.
        ConstraintViolated: A row violates a constraint.
        PayloadInvalid: A value cannot be stored.
    """
    with storage_errors():
        changed, _ = await current_connection().execute_query(prepared(statement), list(values))
        return changed


async def execute_many(statement: str, value_rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement once for each row of values; call it within a transaction.

    Raises:
        StorageUnavailable: The database did not answer.
        ConstraintViolated: A row violates a constraint.
        PayloadInvalid: A value cannot be stored.
    """
    with storage_errors():
        await current_connection().execute_many(prepared(statement), [list(values) for values in value_rows])


def current_connection() -> BaseDBAsyncClient:
    """Return the connection of the current add-on's database, or the transaction that this task is in.

    Raises:
        StorageUnavailable: No database is open here: the add-on has not been started, or has stopped.
    """
    context = get_current_context()
    if context is None:
        raise StorageUnavailable("no database is open in this task; the add-on has not been started, or has stopped")
    return context.connections.get(CONNECTION)


def after_commit(callback: Callable[[], None]) -> None:
    """Call a function once the current transaction is committed, and not if it is rolled back; at once without one."""
    connection = current_connection()
    callbacks: list[Callable[[], None]] | None = getattr(connection, "after_commit", None)
    if callbacks is None or getattr(connection, "_finalized", False):  # a task may outlive the transaction it began in
        callback()
    elif callback not in callbacks:
        callbacks.append(callback)


def leave_session_unchanged() -> None:
    """Promise that the statements of the current transaction change nothing in its session, such as a setting.

    On PostgreSQL, the pool then need not reset the connection after the commit, which would be another round trip. Only
    for transactions of the runtime, in which no code of a plugin runs.
    """
    promise = getattr(current_connection(), "leave_session_unchanged", None)
    if promise is not None:
        promise()


def on_postgres() -> bool:
    """Whether the open database is PostgreSQL."""
    return current_connection().capabilities.dialect == "postgres"


def quoted(name: str) -> str:
    """Return an identifier in double quotes, for use in a statement."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def placeholders(number: int) -> str:
    """Return ``number`` placeholders, separated by commas."""
    return ", ".join("?" * number)


def prepared(statement: str) -> str:
    """Give a statement with the placeholders and the clock of the open database."""
    return _with_numbers(statement) if on_postgres() else _with_sqlite_clock(statement)


async def database_time() -> float:
    """Give the time of the database's clock, Unix time in seconds.

    Raises:
        StorageUnavailable: The database did not answer.
    """
    [row] = await fetch(f"SELECT {UNIX_TIME} AS now")
    return float(row["now"])


@lru_cache(512)
def _with_sqlite_clock(statement: str) -> str:
    return statement.replace(UNIX_TIME, CLOCKS["sqlite"])


@lru_cache(512)
def _with_numbers(statement: str) -> str:
    """Replace each ``?`` outside quotes with ``$1``, ``$2`` and so on."""
    numbers = count(1)
    statement = statement.replace(UNIX_TIME, CLOCKS["postgres"])
    return PLACEHOLDER.sub(lambda found: f"${next(numbers)}" if found[0] == "?" else found[0], statement)
