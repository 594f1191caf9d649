"""The location of the database: a URL, parsed and validated. Nothing is opened, and no message contains a password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from addonkit.database.server_url import EXAMPLE_URL, Address, parse_server_url
from addonkit.errors import SettingsInvalid
from addonkit.settings.sections import DatabaseSettings

SQLITE_SCHEME = "sqlite://"
POSTGRES_SCHEMES = ("postgres://", "postgresql://")


def is_postgres(url: str) -> bool:
    """Whether a URL is that of a PostgreSQL server, by its scheme."""
    return url.startswith(POSTGRES_SCHEMES)


def database_path(url: str, directory: Path | None = None) -> Path:
    """Return the path of the SQLite file in a URL.

    Args:
        url: ``sqlite://name.db`` is relative to the directory, ``sqlite:///srv/name.db`` is absolute.
        directory: Directory of the configuration file; None means the working directory.

    Raises:
        SettingsInvalid: The URL has another scheme, or has no file name.
    """
    if not url.startswith(SQLITE_SCHEME):
        scheme = re.match(r"[a-z][a-z0-9+.-]{0,20}://", url)
        found = f"begins with '{scheme[0]}'" if scheme else "has no scheme"
        raise SettingsInvalid(f"[database] url {found}, expected 'sqlite://addonkit.db' or '{EXAMPLE_URL}'")
    name = url.removeprefix(SQLITE_SCHEME)
    if not name or name.startswith(":") or "?" in name:
        raise SettingsInvalid(
            f"[database] url '{url}' does not name a plain file; use a URL such as 'sqlite://addonkit.db'"
        )
    return ((directory or Path()) / name).resolve()


@dataclass(frozen=True, slots=True)
class Location:
    """The database of a deployment, with the roles that log in.

    Attributes:
        url: URL of an SQLite file, or of a PostgreSQL server with the application's role.
        owner_url: PostgreSQL: URL of the same database with the role that owns the tables; None if the
            application's role owns them.
        pool_size: PostgreSQL: maximum number of connections per process.
        directory: Directory that the path of an SQLite file is relative to; None means the working directory.
    """

    url: str = field(repr=False)
    owner_url: str | None = field(default=None, repr=False)
    pool_size: int = 10
    directory: Path | None = None

    def __post_init__(self) -> None:
        """Validate both URLs.

        Raises:
            SettingsInvalid: A URL cannot be used, or the two URLs have different databases.
        """
        if not self.is_postgres:
            if self.owner_url is not None:
                raise SettingsInvalid("[database] owner_url is set, but url is not a PostgreSQL URL; remove owner_url")
            database_path(self.url, self.directory)
            return
        server = parse_server_url(self.url)
        if self.owner_url is None:
            return
        if not is_postgres(self.owner_url):
            raise SettingsInvalid(f"[database] owner_url is not a PostgreSQL URL; use '{EXAMPLE_URL}'")
        if parse_server_url(self.owner_url, "owner_url").name != server.name:
            raise SettingsInvalid(
                "[database] url and owner_url have different databases; use one database with two roles"
            )

    @classmethod
    def from_settings(cls, settings: DatabaseSettings, directory: Path | None = None) -> Location:
        """Create the location from the ``[database]`` settings."""
        return cls(settings.url, settings.owner_url, settings.pool_size, directory)

    @property
    def is_postgres(self) -> bool:
        """Whether the database is on a PostgreSQL server."""
        return is_postgres(self.url)

    @property
    def path(self) -> Path:
        """Path of the SQLite file."""
        return database_path(self.url, self.directory)

    @property
    def role(self) -> str:
        """The application's role on PostgreSQL."""
        return parse_server_url(self.url).user

    @property
    def servers(self) -> tuple[Address, ...]:
        """The PostgreSQL servers that the URL names."""
        return parse_server_url(self.url).addresses

    @property
    def has_row_security(self) -> bool:
        """Whether PostgreSQL enforces row-level security: another role than the application's owns the tables."""
        return self.owner_url is not None and parse_server_url(self.owner_url).user != self.role

    def __str__(self) -> str:
        """Return the location without a password."""
        return str(parse_server_url(self.url)) if self.is_postgres else str(self.path)

    def check_usable(self) -> None:
        """Check that an SQLite file can be written; a PostgreSQL server is checked when the database is opened.

        Raises:
            SettingsInvalid: The directory does not exist, or this user cannot write to it or to the file.
        """
        if not self.is_postgres:
            check_writable(self.path)


def check_writable(path: Path) -> None:
    """Check that an SQLite file can be written.

    Raises:
        SettingsInvalid: The directory does not exist, or this user cannot write to it or to the file.
    """
    if not path.parent.is_dir():
        raise SettingsInvalid(f"the database's directory '{path.parent}' does not exist; create it")
    if path.is_dir():
        raise SettingsInvalid(f"the database '{path}' is a directory; use the path of a file")
    # SQLite writes its journal beside the file, so the directory must be writable as well.
    for place in (path.parent, path) if path.exists() else (path.parent,):
        if not os.access(place, os.W_OK):
            raise SettingsInvalid(f"the database cannot be written: '{place}' is read-only for this user")
