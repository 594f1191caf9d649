"""Errors of asyncpg, as Tortoise's errors or as an unavailable database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from asyncpg.exceptions import _base as client_side
from tortoise.exceptions import IntegrityError, OperationalError, TransactionManagementError

from addonkit.database.errors import DatabaseUnavailable, ValueUnstorable, unavailable
from addonkit.database.pooler import STATEMENTS_LOST

UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # another process has migrated a table of a prepared statement
    asyncpg.InvalidCachedStatementError,
    # a message from the server was truncated
    asyncpg.InternalClientError,
    OSError,
)
PREPARED_STATEMENT_ERRORS = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
"""The session is another one than that in which the statement was prepared."""


class ServerReadOnly(DatabaseUnavailable):
    """The server accepts no writes: it is a standby, or a primary that was replaced. Another one may accept them."""

    def __init__(self) -> None:
        super().__init__(
            "the database server accepts no writes, because it is a standby or read-only; try again after the "
            "failover, or name the primary in [database] url"
        )


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Convert errors of asyncpg to Tortoise's errors, or to ``DatabaseUnavailable``."""
    try:
        yield
    except DatabaseUnavailable:
        raise
    except asyncpg.ReadOnlySQLTransactionError as exc:
        raise ServerReadOnly from exc
    except UNAVAILABLE as exc:
        raise unavailable(exc) from exc
    except asyncpg.IntegrityConstraintViolationError as exc:
        raise IntegrityError(exc) from exc
    except asyncpg.InvalidTransactionStateError as exc:
        raise TransactionManagementError(exc) from exc
    except (asyncpg.DataError, client_side.DataError) as exc:
        raise ValueUnstorable(exc) from exc
    except PREPARED_STATEMENT_ERRORS as exc:
        raise OperationalError(STATEMENTS_LOST) from exc
    except asyncpg.PostgresError as exc:
        raise OperationalError(exc) from exc
    except asyncpg.InterfaceError as exc:
        # asyncpg has one class for a closed connection and for wrong usage.
        if any(word in str(exc) for word in ("closed", "closing", "released")):
            raise unavailable(exc) from exc
        raise OperationalError(exc) from exc
