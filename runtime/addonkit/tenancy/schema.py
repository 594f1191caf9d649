"""Bringing the database to what the code expects, and writing the next step. What is missing is told in ``pending``.

Every run is about all apps, also those of plugins that are switched off: a part would lose what apps rely on.
"""

import importlib
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import BaseSchemaEditor, SqliteSchemaEditor
from tortoise.migrations.writer import format_migration_name
from tortoise.transactions import in_transaction

from addonkit.errors import PluginError, StorageUnavailable
from addonkit.tenancy.current import CONNECTION
from addonkit.tenancy.database import (
    RUNTIME_APP,
    RUNTIME_MODULES,
    AppModules,
    check_writable,
    database_path,
    tortoise_config,
)
from addonkit.tenancy.lock import exclusive
from addonkit.tenancy.pending import applied_to, refuse_newer
from addonkit.tenancy.sqlite import WritingTransaction


class SchemaEditor(SqliteSchemaEditor):
    """Tortoise's, which would cut a statement at a semicolon in a model's docstring."""

    async def _run_sql(self, sql: str) -> None:
        if self.collect_sql:
            await super()._run_sql(sql)
        else:
            await self.client.execute_script(sql)


class Executor(MigrationExecutor):
    """Tortoise's, with our way of running statements on SQLite."""

    def _schema_editor(self, atomic: bool = True, collect_sql: bool = False) -> BaseSchemaEditor:
        if isinstance(self.connection, WritingTransaction):
            return SchemaEditor(self.connection, atomic=atomic, collect_sql=collect_sql)
        return super()._schema_editor(atomic, collect_sql)


async def migrate(
    url: str,
    apps: Mapping[str, AppModules],
    on_progress: Callable[[str], None] = lambda _: None,
    directory: Path | None = None,
) -> list[str]:
    """Apply what the database lacks, all in one transaction; give it as ``app.name``, in order.

    Processes that come at the same time wait, and then find nothing to do.

    Args:
        url: The database; its file is made if there is none.
        apps: Every installed plugin that has tables.
        on_progress: Told each migration as it is applied.
        directory: What a relative URL is relative to.

    Raises:
        SettingsInvalid: The file cannot be written, or the database is newer than the code.
        StorageUnavailable: A migration failed; the database is as it was before.
    """
    path = database_path(url, directory)
    check_writable(path)
    config = tortoise_config(url, apps, directory)
    # A table that SQLite cannot alter is copied and dropped; with foreign keys on, that drop deletes what refers to it.
    config["connections"][CONNECTION]["credentials"]["foreign_keys"] = "OFF"
    done: list[str] = []

    def told(event: str, app: str, name: str) -> None:
        if event == "apply_done":
            done.append(f"{app}.{name}")
            on_progress(done[-1])

    async with exclusive(path):
        try:
            await _apply(config, path, told)
        except (BaseORMException, sqlite3.Error) as exc:
            raise StorageUnavailable(
                f"migrating '{path}' failed after {len(done)} steps, all undone ({type(exc).__name__}: {exc}); "
                "mend the next migration and run it again"
            ) from exc
    return done


async def make(app: str, apps: Mapping[str, AppModules], name: str | None = None) -> Path | None:
    """Write an app's next migration; None if its models have not changed.

    One app at a time: first migrations that are written together do not know of each other.

    Args:
        app: The plugin's name.
        apps: Every installed plugin that has tables.
        name: What the step does, in a few words; without one it is named by the time.

    Raises:
        PluginError: The plugin has no tables.
    """
    everyone = {RUNTIME_APP: RUNTIME_MODULES, **apps}
    modules = everyone.get(app)
    if modules is None or modules.migrations is None:
        raise PluginError(f"plugin '{app}' has no models, so nothing to migrate; give it some", plugin=app)
    _make_package(modules.migrations)
    # No connection is opened for this: what is compared are models and files.
    config = tortoise_config("sqlite://unused.db", apps)
    async with TortoiseContext() as context:
        await context.init(config=config, init_connections=False)
        if context.apps is None:
            return None
        changes = await MigrationAutodetector(context.apps, config["apps"]).changes()
    for writer in changes:
        if writer.app_label == app:
            if name and not writer.initial:
                writer.name = format_migration_name(int(writer.name.partition("_")[0]), name)
            return Path(writer.write())
    return None


async def _apply(config: dict[str, Any], path: Path, told: Callable[[str, str, str], None]) -> None:
    async with TortoiseContext() as context:
        await context.init(config=config)
        async with in_transaction(CONNECTION) as client:
            executor = Executor(client, config["apps"])
            executor.loader.load_disk()
            present = {(key.app_label, key.name) for key in executor.loader.disk_migrations}
            refuse_newer(applied_to(path), present, set(config["apps"]))
            # Steps and their bookkeeping in one transaction: a crash between them would make the next run fail.
            await executor.migrate(progress=told)
            await _check_references(client)


async def _check_references(client: BaseDBAsyncClient) -> None:
    _, broken = await client.execute_query("PRAGMA foreign_key_check")
    if broken:
        raise StorageUnavailable(
            f"a migration leaves {len(broken)} rows of '{broken[0]['table']}' without the row that they refer to; "
            "nothing was changed, mend the migration"
        )


def _make_package(module: str) -> None:
    parent, _, last = module.rpartition(".")
    place = Path(next(iter(importlib.import_module(parent).__path__))) / last
    place.mkdir(exist_ok=True)
    init = place / "__init__.py"
    if not init.exists():
        init.write_text('"""How the tables came to be."""\n', encoding="utf-8")
    importlib.invalidate_caches()
