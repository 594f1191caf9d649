"""Bringing the database to what the code expects. What is missing is told in ``pending``, the next step is ``draft``.

Every run is about all apps, also those of plugins that are switched off: a part would lose what apps rely on.
"""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, BaseSchemaEditor, SqliteSchemaEditor
from tortoise.migrations.writer import format_migration_name
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.connection import RUNTIME_APP, RUNTIME_MODULES, AppModules, forget_statements, tortoise_config
from addonkit.database.errors import in_a_line
from addonkit.database.location import Location
from addonkit.database.lock import exclusive, lock_server
from addonkit.database.models import AppliedRelease
from addonkit.database.pending import RELEASES, Applied, Steps, refuse_newer, releases_of, runtime_first
from addonkit.database.row_security import protect
from addonkit.database.sqlite import WritingTransaction
from addonkit.errors import PluginError, SettingsInvalid, StorageUnavailable
from addonkit.text import near_matches

Told = Callable[[str], None]

LISTED = "'addonkit migrate --check' lists what is pending"
INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"
# From this migration on, a database knows which release brought a step.
RELEASES_SINCE = (RUNTIME_APP, "0002_history_and_releases")


class SchemaEditor(SqliteSchemaEditor):
    """Tortoise's, which would cut a statement at a semicolon in a model's docstring."""

    async def _run_sql(self, sql: str) -> None:
        if self.collect_sql:
            await super()._run_sql(sql)
        else:
            await self.client.execute_script(sql)


class Executor(MigrationExecutor):
    """Tortoise's, which would know its own clients only."""

    def _schema_editor(self, atomic: bool = True, collect_sql: bool = False) -> BaseSchemaEditor:
        made = SchemaEditor if isinstance(self.connection, WritingTransaction) else AsyncpgSchemaEditor
        return made(self.connection, atomic=atomic, collect_sql=collect_sql)


async def migrate(
    location: Location,
    apps: Mapping[str, AppModules],
    on_progress: Told = lambda _: None,
) -> list[str]:
    """Apply what the database lacks, all in one transaction; give it in order, migrations as ``app.name``.

    Processes that come at the same time wait, and then find nothing to do.

    Args:
        location: The database; a file is made if there is none.
        apps: Every installed plugin that has tables.
        on_progress: Told each step as it is done.

    Raises:
        SettingsInvalid: The file cannot be written, or the database is newer than the code.
        StorageUnavailable: A migration failed; the database is as it was before.
    """
    done: list[str] = []
    steps: list[tuple[str, str]] = []

    def told(said: str) -> None:
        done.append(said)
        on_progress(said)

    def stepped(event: str, app: str, name: str) -> None:
        if event == "apply_done":
            steps.append((app, name))
            told(f"{app}.{name}")

    async with _upgrading(location, apps, done) as upgrade:
        # Steps and their bookkeeping in one transaction: a crash between them would make the next run fail.
        await upgrade.executor.migrate(progress=stepped)
        await _finish(location, upgrade, apps, steps, told)
    return done


async def fake(location: Location, apps: Mapping[str, AppModules], names: Iterable[str] = ()) -> list[str]:
    """Record migrations as applied without running them, where a hand has done what they do; give them in order.

    Args:
        location: The database.
        apps: Every installed plugin that has tables.
        names: The migrations, as ``app.name``; without any, all that are pending.

    Raises:
        SettingsInvalid: There is no such migration, it is applied already, or one before it is not.
        StorageUnavailable: The database did not take it; it is as it was before.
    """
    done: list[str] = []
    async with _upgrading(location, apps, done) as upgrade:
        missing = sorted(upgrade.present - upgrade.found.steps, key=runtime_first)
        chosen = _chosen(list(names), missing, upgrade) if names else missing
        for app, name in chosen:
            await upgrade.executor.recorder.record_applied(app, name)
            done.append(f"{app}.{name}")
        await _finish(location, upgrade, apps, chosen, lambda _: None)
    return done


def _chosen(names: list[str], missing: list[tuple[str, str]], upgrade: _Upgrade) -> list[tuple[str, str]]:
    """The steps of these names, each to be recorded alone or after those before it."""
    known = {f"{app}.{name}": (app, name) for app, name in upgrade.present}
    for name in names:
        if name not in known:
            close = " or ".join(f"'{one}'" for one in near_matches(name, known))
            raise SettingsInvalid(f"there is no migration '{name}'; {f'did you mean {close}' if close else LISTED}")
        if known[name] in upgrade.found.steps:
            raise SettingsInvalid(f"the migration '{name}' is applied already; leave it out")
    for app, step in missing:
        later = [name for name in names if known[name][0] == app and known[name][1] > step]
        if later and f"{app}.{step}" not in names:
            raise SettingsInvalid(f"the migration '{app}.{step}' comes before '{later[0]}' and is pending; name it too")
    return [step for step in missing if f"{step[0]}.{step[1]}" in names]


@dataclass(frozen=True, slots=True)
class _Upgrade:
    """A transaction in which a database is brought up to date.

    Attributes:
        executor: Runs migrations.
        client: The transaction.
        present: The migrations that the code has.
        found: What the database had when it began.
    """

    executor: Executor
    client: BaseDBAsyncClient
    present: Steps
    found: Applied


@asynccontextmanager
async def _upgrading(location: Location, apps: Mapping[str, AppModules], done: list[str]) -> AsyncIterator[_Upgrade]:
    """One transaction, alone among all processes, on a database that is not newer than the code."""
    location.check_usable()
    forget_statements()
    config = tortoise_config(location, apps, migrating=True)
    alone: AbstractAsyncContextManager[None] = nullcontext() if location.is_postgres else exclusive(location.path)
    try:
        async with alone, TortoiseContext() as context:
            await context.init(config=config)
            async with in_transaction(CONNECTION) as client:
                if location.is_postgres:
                    await lock_server(client)
                executor = Executor(client, config["apps"])
                executor.loader.load_disk()
                present = {(key.app_label, key.name) for key in executor.loader.disk_migrations}
                found = await _applied(executor, client)
                refuse_newer(found, present, set(config["apps"]))
                yield _Upgrade(executor, client, present, found)
    except StorageUnavailable:
        raise
    except (BaseORMException, sqlite3.Error) as exc:
        raise StorageUnavailable(
            f"migrating '{location}' failed after {len(done)} steps, all undone ({in_a_line(exc)}); {_remedy(exc)}"
        ) from exc


def _remedy(failure: Exception) -> str:
    state = getattr(failure.__cause__, "sqlstate", None)
    if state == INSUFFICIENT_PRIVILEGE:
        return "name the role that owns the tables in [database] owner_url"
    if state == LOCK_NOT_AVAILABLE:
        return "something holds a table, such as an export or another migration; let it end and run it again"
    return "mend the next migration and run it again"


async def _applied(executor: Executor, client: BaseDBAsyncClient) -> Applied:
    await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))  # noqa: SLF001 - as Tortoise does
    steps = {(key.app_label, key.name) for key in await executor.recorder.applied_migrations()}
    if RELEASES_SINCE not in steps:
        return Applied(steps)
    _, rows = await client.execute_query(RELEASES)
    return Applied(steps, releases_of(tuple(row) for row in rows))


async def _finish(
    location: Location,
    upgrade: _Upgrade,
    apps: Mapping[str, AppModules],
    steps: Sequence[tuple[str, str]],
    told: Told,
) -> None:
    """What every run sees to: which release brought a step, that references hold, and the wall."""
    client = upgrade.client
    if RELEASES_SINCE in {*upgrade.found.steps, *steps}:
        # One that was recorded before has lost its step to somebody's hand.
        await AppliedRelease.bulk_create(
            [_release(apps, step) for step in steps],
            on_conflict=["app_name", "name"],
            update_fields=["distribution", "version", "at"],
            using_db=client,
        )
    if not location.is_postgres:
        await _check_references(client)
        return

    async def ask(query: str, *values: Any) -> Sequence[Any]:
        return (await client.execute_query(query, list(values)))[1]

    for said in await protect(ask, client.execute_script, location):
        told(said)


def _release(apps: Mapping[str, AppModules], step: tuple[str, str]) -> AppliedRelease:
    app, name = step
    modules = apps.get(app, RUNTIME_MODULES)
    distribution, number = modules.distribution, modules.version
    if app == RUNTIME_APP:
        distribution, number = "addonkit", version("addonkit")
    return AppliedRelease(app_name=app, name=name, distribution=distribution, version=number, at=datetime.now(UTC))


async def _check_references(client: BaseDBAsyncClient) -> None:
    _, broken = await client.execute_query("PRAGMA foreign_key_check")
    if broken:
        raise StorageUnavailable(
            f"a migration leaves {len(broken)} rows of '{broken[0]['table']}' without the row that they refer to; "
            "nothing was changed, mend the migration"
        )


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
    config = tortoise_config(Location("sqlite://unused.db"), apps)
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


def _make_package(module: str) -> None:
    parent, _, last = module.rpartition(".")
    place = Path(next(iter(importlib.import_module(parent).__path__))) / last
    place.mkdir(exist_ok=True)
    init = place / "__init__.py"
    if not init.exists():
        init.write_text('"""How the tables came to be."""\n', encoding="utf-8")
    importlib.invalidate_caches()
