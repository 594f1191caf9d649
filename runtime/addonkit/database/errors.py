"""Errors of an unavailable database or an unstorable value, common to SQLite and PostgreSQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from tortoise.exceptions import BaseORMException, DBConnectionError, IntegrityError, OperationalError, ValidationError

from addonkit.errors import PayloadInvalid, StorageUnavailable

MAX_SUMMARY = 300


class DatabaseUnavailable(StorageUnavailable, DBConnectionError):
    """The database cannot be reached, closed the connection, or is overloaded or full; a retry may succeed.

    The runtime can catch it as an :class:`~addonkit.errors.AddonkitError`, plugins as an error of Tortoise.
    """


class ConstraintViolated(StorageUnavailable, IntegrityError):
    """A row violates a constraint of its table, such as a unique column; nothing was stored.

    Like :class:`DatabaseUnavailable`, it is an error both of the runtime and of Tortoise.
    """


class ValueUnstorable(OperationalError):
    """The database cannot store a value, such as text with NUL in PostgreSQL; a retry does not help."""


class PluginMigrationFailed(StorageUnavailable):
    """A migration failed by its plugin's fault; the database is unchanged.

    Args:
        message: One sentence.
        plugin: The plugin.
        brief: What failed, for a run that goes on without the plugin.
    """

    def __init__(self, message: str, plugin: str, brief: str) -> None:
        super().__init__(message)
        self.plugin, self.brief = plugin, brief


@contextmanager
def storage_errors() -> Iterator[None]:
    """Convert errors of Tortoise, SQLite and the operating system to errors of the runtime.

    Raises:
        StorageUnavailable: The database did not answer; a retry may succeed.
        ConstraintViolated: A row violates a constraint.
        PayloadInvalid: A value cannot be stored.
    """
    try:
        yield
    except StorageUnavailable:
        raise
    except (ValueUnstorable, ValidationError) as exc:
        raise PayloadInvalid(
            "the database cannot store a value, such as text with NUL or text that is too long"
        ) from exc
    except IntegrityError as exc:
        raise ConstraintViolated(f"the database refused a row ({error_summary(exc)})") from exc
    except (BaseORMException, sqlite3.Error, OSError) as exc:
        raise unavailable(exc) from exc


def unavailable(cause: BaseException) -> DatabaseUnavailable:
    """Create the error for a database that did not answer, with a summary of the cause."""
    return DatabaseUnavailable(f"the database did not answer ({error_summary(cause)}); try again")


def error_summary(cause: BaseException) -> str:
    """Return the class and the first line of an error; in later lines PostgreSQL repeats values of the row."""
    line = str(cause).partition("\n")[0].strip()[:MAX_SUMMARY]
    return f"{type(cause).__name__}: {line}" if line else type(cause).__name__
