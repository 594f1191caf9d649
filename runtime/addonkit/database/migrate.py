"""Migrations: applies all pending ones in one transaction; ``new_migration`` writes them.

Every run covers all installed apps, including disabled plugins. ``pending`` lists the missing migrations.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import BaseORMException, DBConnectionError
from tortoise.transactions import in_transaction

from addonkit.database import CONNECTION
from addonkit.database.connection import RUNTIME_APP, RUNTIME_MODULES, AppModules, tortoise_config
from addonkit.database.errors import PluginMigrationFailed, error_summary
from addonkit.database.location import Location
from addonkit.database.lock import migration_lock, take_advisory_lock
from addonkit.database.migration_files import check_graph
from addonkit.database.models import AppliedRelease
from addonkit.database.orm_context import DatabaseContext
from addonkit.database.pending import (
    SELECT_RELEASES,
    DatabaseState,
    Migration,
    Migrations,
    migration_order,
    refuse_newer,
    releases_by_migration,
)
from addonkit.database.purge_guard import add_guards, drop_guards
from addonkit.database.row_security import apply_row_security
from addonkit.database.schema_editors import Executor, StepFailed
from addonkit.errors import PluginError, SettingsInvalid, StorageUnavailable
from addonkit.text import near_matches

OnProgress = Callable[[str], None]
OnSkip = Callable[[str], None]

LIST_PENDING = "'addonkit migrate --check' lists the pending ones"
INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"
RELEASES_SINCE = (RUNTIME_APP, "0002_history_and_releases")
"""The migration that creates the table of applied releases."""


async def migrate(
    location: Location,
    apps: Mapping[str, AppModules],
    on_progress: OnProgress = lambda _: None,
    *,
    optional: Collection[str] = (),
    on_skip: OnSkip = lambda _: None,
) -> list[str]:
    """Apply all pending migrations in one transaction; return them in order as ``app.name``.

    Concurrent processes wait for the migration lock and then find nothing to do. If the migrations of an optional
    plugin cannot be applied, all are rolled back and applied again without that plugin.

    Args:
        location: The database; an SQLite file is created if it does not exist.
        apps: Every installed plugin that has tables.
        on_progress: Called with the name of each migration when it is applied.
        optional: The plugins without which the others are migrated if necessary: those that are off.
        on_skip: Called with the reason for each plugin that is left out.

    Raises:
        SettingsInvalid: The file cannot be written, or the database is newer than the code.
        PluginError: The migrations of a plugin that is not optional cannot be loaded.
        StorageUnavailable: A migration failed; the database is unchanged.
    """
    left, reported = dict(apps), set[str]()

    def report(step: str) -> None:
        if step not in reported:
            reported.add(step)
            on_progress(step)

    while True:
        try:
            check_graph(left)
            return await _migrate_all(location, left, report)
        except (PluginError, PluginMigrationFailed) as fault:
            if fault.plugin not in optional:
                raise
            on_skip(str(fault) if isinstance(fault, PluginError) else f"{fault.brief}; all its steps were rolled back")
            del left[fault.plugin]


async def _migrate_all(location: Location, apps: Mapping[str, AppModules], on_progress: OnProgress) -> list[str]:
    done: list[str] = []
    applied: list[Migration] = []

    def report(step: str) -> None:
        done.append(step)
        on_progress(step)

    def on_event(event: str, app: str, name: str) -> None:
        if event == "apply_done":
            applied.append((app, name))
            report(f"{app}.{name}")

    async with _migration_transaction(location, apps, done) as run:
        # Migrations and their records are in one transaction: a crash between them would break the next run.
        await run.executor.migrate(progress=on_event)
        await _finish(location, run, apps, applied, report)
    return done


async def fake_migrations(location: Location, apps: Mapping[str, AppModules], names: Iterable[str] = ()) -> list[str]:
    """Record migrations as applied without running them, for tables changed by hand; return them in order.

    Args:
        location: The database.
        apps: Every installed plugin that has tables.
        names: The migrations, as ``app.name``; empty means all pending ones.

    Raises:
        SettingsInvalid: A migration does not exist, is already applied, or follows one that is pending.
        PluginError: The migrations of a plugin cannot be loaded.
        StorageUnavailable: The database failed; it is unchanged.
    """
    done: list[str] = []
    check_graph(apps)
    async with _migration_transaction(location, apps, done) as run:
        missing = sorted(run.code - run.state.migrations, key=migration_order)
        chosen = _select(list(names), missing, run) if names else missing
        for app, name in chosen:
            await run.executor.recorder.record_applied(app, name)
            done.append(f"{app}.{name}")
        await _finish(location, run, apps, chosen, lambda _: None)
    return done


def _select(names: list[str], missing: list[Migration], run: _Run) -> list[Migration]:
    """Return the pending migrations with these names; all earlier pending ones of the same app must be included."""
    known = {f"{app}.{name}": (app, name) for app, name in run.code}
    for name in names:
        if name not in known:
            near = " or ".join(f"'{one}'" for one in near_matches(name, known))
            raise SettingsInvalid(f"there is no migration '{name}'; {f'did you mean {near}' if near else LIST_PENDING}")
        if known[name] in run.state.migrations:
            raise SettingsInvalid(f"the migration '{name}' is already applied; omit it")
    for app, earlier in missing:
        later = [name for name in names if known[name][0] == app and known[name][1] > earlier]
        if later and f"{app}.{earlier}" not in names:
            raise SettingsInvalid(f"the migration '{app}.{earlier}' precedes '{later[0]}' and is pending; add it")
    return [migration for migration in missing if f"{migration[0]}.{migration[1]}" in names]


@dataclass(frozen=True, slots=True)
class _Run:
    """The state of one migration run.

    Attributes:
        executor: Runs migrations.
        client: The transaction.
        code: The migrations of the installed code.
        state: The state of the database at the start.
    """

    executor: Executor
    client: BaseDBAsyncClient
    code: Migrations
    state: DatabaseState


@asynccontextmanager
async def _migration_transaction(
    location: Location, apps: Mapping[str, AppModules], done: list[str]
) -> AsyncIterator[_Run]:
    """Open a transaction under the migration lock, on a database that is not newer than the code."""
    location.check_usable()
    context = DatabaseContext("postgres" if location.is_postgres else "sqlite")
    config = tortoise_config(location, apps, name=context.connection_name, migrating=True)
    lock: AbstractAsyncContextManager[None] = nullcontext() if location.is_postgres else migration_lock(location.path)
    try:
        async with lock, context:
            await context.init(config=config)
            async with in_transaction(CONNECTION) as client:
                if location.is_postgres:
                    await take_advisory_lock(client)
                executor = Executor(client, config["apps"])
                executor.loader.load_disk()
                code = {(key.app_label, key.name) for key in executor.loader.disk_migrations}
                state = await _read_state(executor, client)
                refuse_newer(state, code, set(config["apps"]))
                if not location.is_postgres:
                    await drop_guards(client)
                yield _Run(executor, client, code, state)
    except StepFailed as failed:
        raise _failure(location, len(done), failed) from failed
    except StorageUnavailable:
        raise
    except (BaseORMException, sqlite3.Error) as exc:
        raise StorageUnavailable(
            f"migrating '{location}' failed after {len(done)} steps, all rolled back ({error_summary(exc)}); "
            f"{_remedy(exc) or 'fix the next migration and run this again'}"
        ) from exc


def _failure(location: Location, done: int, failed: StepFailed) -> StorageUnavailable:
    """Return the error for a failed migration, which is its plugin's fault unless the database is the reason."""
    cause = failed.__cause__
    assert isinstance(cause, Exception)  # noqa: S101 - raised from it; for the type checker
    step = f"step '{failed.name}' of plugin '{failed.app}'"
    text = f"migrating '{location}' failed after {done} steps, all rolled back: {step} ({error_summary(cause)})"
    remedy = _remedy(cause)
    if remedy is not None or failed.app == RUNTIME_APP:
        return StorageUnavailable(f"{text}; {remedy or 'run this again'}")
    return PluginMigrationFailed(f"{text}; fix that step and run this again", failed.app, _brief(failed, cause))


def _brief(failed: StepFailed, cause: Exception) -> str:
    return f"step '{failed.name}' of plugin '{failed.app}' failed ({error_summary(cause)})"


def _remedy(failure: Exception) -> str | None:
    """Return the remedy for a failure that is not a migration's own fault; None if it is."""
    state = getattr(failure.__cause__, "sqlstate", None)
    if state == INSUFFICIENT_PRIVILEGE:
        return "set [database] owner_url to the role that owns the tables"
    if state == LOCK_NOT_AVAILABLE:
        return "another session locks a table, such as an export or a migration; wait for it and run this again"
    if isinstance(failure, DBConnectionError | OSError):
        return "check the database and run this again"
    return None


async def _read_state(executor: Executor, client: BaseDBAsyncClient) -> DatabaseState:
    await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))  # noqa: SLF001 - as Tortoise does
    migrations = {(key.app_label, key.name) for key in await executor.recorder.applied_migrations()}
    if RELEASES_SINCE not in migrations:
        return DatabaseState(migrations)
    _, rows = await client.execute_query(SELECT_RELEASES)
    return DatabaseState(migrations, releases_by_migration(tuple(row) for row in rows))


async def _finish(
    location: Location,
    run: _Run,
    apps: Mapping[str, AppModules],
    applied: Sequence[Migration],
    on_progress: OnProgress,
) -> None:
    """Record releases, add purge guards, check foreign keys on SQLite, and add grants and policies on PostgreSQL."""
    client = run.client
    await add_guards(client, postgres=location.is_postgres)
    if RELEASES_SINCE in {*run.state.migrations, *applied}:
        # A release is already recorded if somebody deleted the record of the migration by hand.
        await AppliedRelease.bulk_create(
            [_release(apps, migration) for migration in applied],
            on_conflict=["app_name", "name"],
            update_fields=["distribution", "version", "at"],
            using_db=client,
        )
    if not location.is_postgres:
        await _check_foreign_keys(client, apps)
        return

    async def fetch(query: str, *values: Any) -> Sequence[Any]:
        return (await client.execute_query(query, list(values)))[1]

    for added in await apply_row_security(fetch, client.execute_script, location):
        on_progress(added)


def _release(apps: Mapping[str, AppModules], migration: Migration) -> AppliedRelease:
    app, name = migration
    modules = apps.get(app, RUNTIME_MODULES)
    distribution, number = modules.distribution, modules.version
    if app == RUNTIME_APP:
        distribution, number = "addonkit", version("addonkit")
    return AppliedRelease(app_name=app, name=name, distribution=distribution, version=number, at=datetime.now(UTC))


async def _check_foreign_keys(client: BaseDBAsyncClient, apps: Iterable[str]) -> None:
    _, broken = await client.execute_query("PRAGMA foreign_key_check")
    if broken:
        table = broken[0]["table"]
        brief = f"a migration leaves {len(broken)} rows of '{table}' that refer to missing rows"
        fault = f"{brief}; nothing was changed, fix the migration"
        owner = max((app for app in apps if table.startswith(f"{app}_")), key=len, default=None)
        raise StorageUnavailable(fault) if owner is None else PluginMigrationFailed(fault, owner, brief)
