"""What an ORM's caller gets when the database itself is away, whichever it is, or cannot hold what it is given."""

from tortoise.exceptions import DBConnectionError, OperationalError

from addonkit.errors import StorageUnavailable

LINE_LENGTH = 300


class DatabaseLost(StorageUnavailable, DBConnectionError):
    """The database cannot be reached, stopped in the middle, or is at its limits; trying again may help.

    It is one of ours for those who answer requests, and one of Tortoise's for plugins that catch those.
    """


class ValueUnstorable(OperationalError):
    """A value is none that this database can hold, such as a NUL in PostgreSQL's text; trying again does not help."""


def lost(cause: BaseException) -> DatabaseLost:
    """Give the word for it, with the cause in one line."""
    return DatabaseLost(f"the database did not answer ({in_a_line(cause)}); try again")


def in_a_line(cause: BaseException) -> str:
    """Give what is wrong without the lines behind the first, in which PostgreSQL repeats what a row holds."""
    said = str(cause).partition("\n")[0].strip()[:LINE_LENGTH]
    return f"{type(cause).__name__}: {said}" if said else type(cause).__name__
