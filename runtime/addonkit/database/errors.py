"""What an ORM's caller gets when the database itself is away, whichever it is, or cannot hold what it is given."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from tortoise.exceptions import BaseORMException, DBConnectionError, IntegrityError, OperationalError, ValidationError

from addonkit.errors import PayloadInvalid, StorageUnavailable

LINE_LENGTH = 300


class DatabaseLost(StorageUnavailable, DBConnectionError):
    """The database cannot be reached, stopped in the middle, or is at its limits; trying again may help.

    It is one of ours for those who answer requests, and one of Tortoise's for plugins that catch those.
    """


class ConstraintViolated(StorageUnavailable, IntegrityError):
    """A row breaks a constraint of its table, such as a unique column; nothing was stored.

    Like :class:`DatabaseLost`, it is one of ours and one of Tortoise's.
    """


class ValueUnstorable(OperationalError):
    """A value is none that this database can hold, such as a NUL in PostgreSQL's text; trying again does not help."""


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn errors of Tortoise, SQLite and the operating system into ours.

    Raises:
        StorageUnavailable: The database did not answer; trying again may help.
        ConstraintViolated: A row breaks a constraint.
        PayloadInvalid: A value cannot be stored.
    """
    try:
        yield
    except StorageUnavailable:
        raise
    except (ValueUnstorable, ValidationError) as exc:
        raise PayloadInvalid("a value is none that the database can hold, such as text with NUL or too long") from exc
    except IntegrityError as exc:
        raise ConstraintViolated(f"the database refused a row ({in_a_line(exc)})") from exc
    except (BaseORMException, sqlite3.Error, OSError) as exc:
        raise lost(exc) from exc


def lost(cause: BaseException) -> DatabaseLost:
    """Give the word for it, with the cause in one line."""
    return DatabaseLost(f"the database did not answer ({in_a_line(cause)}); try again")


def in_a_line(cause: BaseException) -> str:
    """Give what is wrong without the lines behind the first, in which PostgreSQL repeats what a row holds."""
    said = str(cause).partition("\n")[0].strip()[:LINE_LENGTH]
    return f"{type(cause).__name__}: {said}" if said else type(cause).__name__
