"""Where data is stored: from a URL and the apps that have tables to an open Tortoise.

SQLite only in this release. Tables are made in ``migrations``; who may see which row is in ``scope``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tortoise.connection import get_connection
from tortoise.context import TortoiseContext, get_current_context
from tortoise.exceptions import BaseORMException

from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.tenancy.current import CONNECTION
from addonkit.tenancy.doors import bind_managers

BUSY_TIMEOUT_MS = 5000
SCHEME = "sqlite://"


@dataclass(frozen=True, slots=True)
class AppModules:
    """Where one app's tables are described.

    Attributes:
        models: Dotted name of the module with its models.
        migrations: Dotted name of the package with its migrations; None: it has no tables of its own to make.
    """

    models: str
    migrations: str | None


RUNTIME_APP = "addonkit"
RUNTIME_MODULES = AppModules("addonkit.tenancy.models", "addonkit.tenancy.migrations")


def database_path(url: str, directory: Path | None = None) -> Path:
    """Give the SQLite file that a URL means.

    Args:
        url: ``sqlite://name.db`` is relative to the directory, ``sqlite:///srv/name.db`` is absolute.
        directory: That of the configuration; the working directory without one.

    Raises:
        SettingsInvalid: It is another kind of URL, or names no file.
    """
    scheme = url.partition("://")[0]
    if not url.startswith(SCHEME):
        raise SettingsInvalid(
            f"this release stores in SQLite; [database] url begins with '{scheme}://', "
            "expected something like 'sqlite://addonkit.db'"
        )
    name = url.removeprefix(SCHEME)
    if not name or name.startswith(":") or "?" in name:
        raise SettingsInvalid(
            f"[database] url names no plain file: '{url}'; write something like 'sqlite://addonkit.db'"
        )
    return ((directory or Path()) / name).resolve()


def tortoise_config(url: str, apps: Mapping[str, AppModules], directory: Path | None = None) -> dict[str, Any]:
    """Give what Tortoise is opened with; the runtime's own app is always among the apps."""
    everyone = {RUNTIME_APP: RUNTIME_MODULES, **apps}
    credentials = {
        "file_path": str(database_path(url, directory)),
        "busy_timeout": BUSY_TIMEOUT_MS,
        "journal_mode": "WAL",
        "synchronous": "FULL",
        "foreign_keys": "ON",
    }
    return {
        "connections": {CONNECTION: {"engine": "addonkit.tenancy.sqlite", "credentials": credentials}},
        "apps": {
            name: {"models": [modules.models], "default_connection": CONNECTION}
            | ({"migrations": modules.migrations} if modules.migrations else {})
            for name, modules in everyone.items()
        },
    }


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


class Database:
    """An open database, for one process.

    Use as ``async with Database(url, apps, directory):``. All tasks see it, also those started elsewhere.

    Args:
        url: As in :func:`database_path`.
        apps: Plugins that have tables, by name.
        directory: What a relative URL is relative to.
    """

    def __init__(self, url: str, apps: Mapping[str, AppModules], directory: Path | None = None) -> None:
        self.path = database_path(url, directory)
        self._config = tortoise_config(url, apps, directory)
        self._context = TortoiseContext()

    async def __aenter__(self) -> Self:
        """Open it.

        Raises:
            SettingsInvalid: The file cannot be written, or another database is open in this process.
            StorageUnavailable: SQLite refused the file.
            PluginError: A plugin's models break the rules that keep sites apart.
        """
        check_writable(self.path)
        if get_current_context() is not None:
            raise SettingsInvalid(f"the database '{self.path}' is to be opened while another is; close that first")
        try:
            # The context is entered for this alone: afterwards all tasks find it as the global one.
            with self._context:
                await self._context.init(config=self._config, _enable_global_fallback=True)
            bind_managers(self._context)
            # Now and not at the first query: a request that is cancelled meanwhile would keep the lock.
            await self._context.connections.get(CONNECTION).create_connection(with_db=True)
            await get_connection(CONNECTION).execute_query("PRAGMA schema_version")
        except BaseException as exc:
            await self._context.close_connections()
            if isinstance(exc, (BaseORMException, sqlite3.Error, OSError)):
                raise StorageUnavailable(
                    f"the database '{self.path}' cannot be opened ({type(exc).__name__}: {exc}); check the file"
                ) from exc
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; what was acknowledged is on disk before."""
        await self._context.close_connections()
