"""Which database: a URL read and checked, without opening anything and without ever repeating a password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from addonkit.errors import SettingsInvalid
from addonkit.settings.sections import DatabaseSettings

SQLITE = "sqlite://"
POSTGRES = ("postgres://", "postgresql://")
EXAMPLE = "postgres://user:password@host/database"


def is_postgres(url: str) -> bool:
    """Whether a URL means a PostgreSQL server."""
    return url.startswith(POSTGRES)


def database_path(url: str, directory: Path | None = None) -> Path:
    """Give the SQLite file that a URL means.

    Args:
        url: ``sqlite://name.db`` is relative to the directory, ``sqlite:///srv/name.db`` is absolute.
        directory: That of the configuration; the working directory without one.

    Raises:
        SettingsInvalid: It is another kind of URL, or names no file.
    """
    if not url.startswith(SQLITE):
        scheme = re.match(r"[a-z][a-z0-9+.-]{0,20}://", url)
        found = f"begins with '{scheme[0]}'" if scheme else "begins with no kind of database"
        raise SettingsInvalid(f"[database] url {found}, expected 'sqlite://addonkit.db' or '{EXAMPLE}'")
    name = url.removeprefix(SQLITE)
    if not name or name.startswith(":") or "?" in name:
        raise SettingsInvalid(
            f"[database] url names no plain file: '{url}'; write something like 'sqlite://addonkit.db'"
        )
    return ((directory or Path()) / name).resolve()


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a PostgreSQL server, as a URL names it; what is shown of it is ``str()``.

    Attributes:
        user: The role that is logged in as.
        hosts: ``host``, ``host:port`` or the folder of a socket; several are divided by commas.
        name: The database.
    """

    user: str
    hosts: str
    name: str

    def __str__(self) -> str:
        """The URL without a password."""
        return f"postgres://{self.user}@{self.hosts}/{self.name}"


def server_of(url: str, key: str = "url") -> Server:
    """Read a PostgreSQL URL.

    Args:
        url: The URL.
        key: Its name in ``[database]``, for the message.

    Raises:
        SettingsInvalid: Role or database are missing, or it cannot be read; the message repeats nothing of it.
    """
    remedy = f"write '{EXAMPLE}', where @ : / ? # % of a password are written %40 %3A %2F %3F %23 %25"
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise SettingsInvalid(f"[database] {key} cannot be read; {remedy}") from None
    login, _, netloc = parts.netloc.rpartition("@")
    hosts = unquote(netloc) or options.get("host", "localhost")
    ports = re.findall(r":([^:,\]]*)(?=,|$)", netloc)
    if "#" in url or "@" in login + parts.path or not all(port.isdecimal() for port in ports):
        raise SettingsInvalid(f"[database] {key} cannot be read; {remedy}")
    user = unquote(login.partition(":")[0]) or options.get("user", "")
    name = unquote(parts.path.removeprefix("/")) or options.get("dbname", options.get("database", ""))
    if not user or not name:
        missing = "role" if not user else "database"
        raise SettingsInvalid(f"[database] {key} names no {missing}; {remedy}")
    return Server(user, hosts, name)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a deployment's rows are, and as whom they are reached.

    Attributes:
        url: A file of SQLite or a PostgreSQL server, logged in as the application's role.
        owner_url: PostgreSQL: the same database as the role that owns the tables; None: the application's owns them.
        pool_size: PostgreSQL: most connections of one process.
        directory: What the path of a SQLite file is relative to; the working directory without one.
    """

    url: str = field(repr=False)
    owner_url: str | None = field(default=None, repr=False)
    pool_size: int = 10
    directory: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be read.

        Raises:
            SettingsInvalid: A URL cannot be used, or both are not of one database.
        """
        if not self.is_postgres:
            if self.owner_url is not None:
                raise SettingsInvalid("[database] owner_url is for PostgreSQL, and url is not; drop it")
            database_path(self.url, self.directory)
            return
        server = server_of(self.url)
        if self.owner_url is None:
            return
        if not is_postgres(self.owner_url):
            raise SettingsInvalid(f"[database] owner_url is no PostgreSQL URL; write '{EXAMPLE}'")
        if server_of(self.owner_url, "owner_url").name != server.name:
            raise SettingsInvalid("[database] url and owner_url name two databases; name one, with two roles")

    @classmethod
    def of(cls, settings: DatabaseSettings, directory: Path | None = None) -> Location:
        """The database that a configuration names."""
        return cls(settings.url, settings.owner_url, settings.pool_size, directory)

    @property
    def is_postgres(self) -> bool:
        """Whether it is on a PostgreSQL server."""
        return is_postgres(self.url)

    @property
    def path(self) -> Path:
        """The file, with SQLite."""
        return database_path(self.url, self.directory)

    @property
    def role(self) -> str:
        """The application's role, with PostgreSQL."""
        return server_of(self.url).user

    @property
    def has_wall(self) -> bool:
        """Whether PostgreSQL itself keeps sites apart: tables are owned by another role than the application's."""
        return self.owner_url is not None and server_of(self.owner_url).user != self.role

    def __str__(self) -> str:
        """What may be shown of it."""
        return str(server_of(self.url)) if self.is_postgres else str(self.path)

    def check_usable(self) -> None:
        """Refuse a file that cannot be written, before anything tries to; a server shows when it is opened.

        Raises:
            SettingsInvalid: The directory is missing, or it or the file may not be written.
        """
        if not self.is_postgres:
            check_writable(self.path)


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before anything tries to.

    Raises:
        SettingsInvalid: The directory is missing, or it or the file may not be written.
    """
    if not path.parent.is_dir():
        raise SettingsInvalid(f"the database's directory '{path.parent}' does not exist; make it")
    if path.is_dir():
        raise SettingsInvalid(f"the database '{path}' is a directory; name a file")
    # SQLite writes its journal beside the file, so that the directory counts as well.
    for place in (path.parent, path) if path.exists() else (path.parent,):
        if not os.access(place, os.W_OK):
            raise SettingsInvalid(f"the database cannot be written: '{place}' is read-only for this user")
