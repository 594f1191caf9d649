"""Migrates a deployment's database for all installed plugins, enabled or not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from addonkit.app.deployment import Deployment
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.database.pending import pending
from addonkit.database.pooler import find_pooler_in_thread
from addonkit.errors import SettingsInvalid, StorageUnavailable
from addonkit.log import structlog

log = structlog.get_logger(__name__)

OnProgress = Callable[[str], None]
OnSkip = Callable[[str], None]
"""Called with the reason for each plugin that is skipped."""


def pending_steps(deployment: Deployment) -> list[str]:
    """Return the pending migrations as ``app.name``, without importing a plugin.

    Raises:
        SettingsInvalid: The database is newer than the code.
    """
    return pending(deployment.location, deployment.packages())


def installed_apps(deployment: Deployment, on_skip: OnSkip = lambda _: None) -> dict[str, AppModules]:
    """Import the models of all installed plugins and return their modules; skip plugins that cannot be used."""
    for fault in deployment.storage.faults.values():
        on_skip(str(fault))
    return dict(deployment.storage.apps)


def migrated_apps(deployment: Deployment, on_skip: OnSkip) -> dict[str, AppModules]:
    """Return the modules of all installed plugins that can be migrated.

    Raises:
        PluginError: An enabled plugin cannot be, and the deployment does not go on without it.
    """
    for name, fault in deployment.storage.faults.items():
        if not deployment.may_skip(name):
            raise fault
    return installed_apps(deployment, on_skip)


def applicable_steps(deployment: Deployment, on_skip: OnSkip) -> list[str]:
    """Return the pending migrations that can be applied; plugins are imported only if one of a plugin is pending.

    Raises:
        PluginError: That of an enabled plugin cannot be applied, and the deployment does not go on without it.
    """
    steps = pending_steps(deployment)
    pending_apps = {step.partition(".")[0] for step in steps} & deployment.packages().keys()
    if not pending_apps:
        return steps
    usable = migrated_apps(deployment, on_skip)
    return [step for step in steps if (app := step.partition(".")[0]) not in pending_apps or app in usable]


def enabled_apps(deployment: Deployment) -> dict[str, AppModules]:
    """Return the models and migrations of the enabled plugins, which are already loaded."""
    from addonkit.app.plugin_storage import modules_of  # here, since commands that only read need no plugin

    packages = deployment.packages()
    return {
        name: modules_of(contribution.installed, contribution.models, packages[name])
        for name, contribution in deployment.registry.contributions.items()
        if contribution.models is not None
    }


async def upgrade(
    deployment: Deployment, on_progress: OnProgress = lambda _: None, on_skip: OnSkip = lambda _: None
) -> list[str]:
    """Apply all pending migrations, and return them as ``app.name``.

    A plugin that is off, and whose migrations cannot be loaded or fail, is skipped. An enabled plugin whose migrations
    cannot be loaded is skipped with ``on_plugin_error = "skip"``. ``on_skip`` is called when the others are migrated.

    Raises:
        PluginError: A plugin cannot be migrated and not be skipped; the database is unchanged.
        StorageUnavailable: A migration failed; the database is unchanged.
    """
    from addonkit.database.migrate import migrate

    deployment.location.check_usable()
    skipped: list[str] = []
    apps = migrated_apps(deployment, skipped.append)
    off = apps.keys() - set(deployment.settings.addon.plugins)
    done = await migrate(deployment.location, apps, on_progress, optional=off, on_skip=skipped.append)
    for reason in skipped:
        on_skip(reason)
    return done


async def fake(deployment: Deployment, names: Sequence[str], on_skip: OnSkip = lambda _: None) -> list[str]:
    """Record pending migrations as applied without running them, and return them as ``app.name``.

    Args:
        deployment: The deployment.
        names: The migrations, as ``app.name``; empty: all that are pending.
        on_skip: Called with the reason for each plugin that cannot be imported.

    Raises:
        SettingsInvalid: A migration does not exist, is already applied, or follows one that is pending.
        StorageUnavailable: The database failed; it is unchanged.
    """
    from addonkit.database.migrate import fake_migrations

    deployment.location.check_usable()
    skipped: list[str] = []
    done = await fake_migrations(deployment.location, migrated_apps(deployment, skipped.append), names)
    for reason in skipped:
        on_skip(reason)
    return done


def upgrade_in_subprocess(deployment: Deployment) -> None:
    """Migrate in a child process if a migration is pending.

    A migration imports all installed plugins, which a serving process must not do.

    Raises:
        SettingsInvalid: The database cannot be written, or is newer than the code.
        StorageUnavailable: The migration failed; the message is the child's.
    """
    location = deployment.location
    location.check_usable()
    _check_pooler(location)
    if not pending_steps(deployment):
        return
    config = ["--config", str(deployment.path)] if deployment.path else []
    done = subprocess.run(  # noqa: S603 - this interpreter, constant arguments
        [sys.executable, "-m", "addonkit", "migrate", *config],
        # in the environment, because other users can read a command line
        env=environment_for(location),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    *lines, last = done.stderr.rstrip().split("\n")
    sys.stderr.writelines(f"{line}\n" for line in ([*lines, last] if last and done.returncode == 0 else lines))
    if done.returncode != 0:
        raise StorageUnavailable(
            last.removeprefix("addonkit: ") or "'addonkit migrate' failed without a message; run it by hand"
        )


def _check_pooler(location: Location) -> None:
    """Refuse a pooler with which row-level security or transactions do not work; warn of another one.

    Raises:
        SettingsInvalid: The pooler is in statement mode, or would mix up the current tenants of connections.
    """
    pooler = find_pooler_in_thread(location)
    if pooler is None:
        return
    if pooler.mode == "statement" or location.has_row_security:
        raise SettingsInvalid(str(pooler))
    log.warning("database.transaction_pooler", reason=str(pooler))


def environment_for(location: Location) -> dict[str, str]:
    """Return the environment for a child process that uses the same database, in any working directory."""
    return {**_inherited(), **_location_variables(location)}


def _inherited() -> dict[str, str]:
    """Return this environment without the variables of a worker process: the child must not count as one in metrics."""
    from addonkit.server.worker_process import METRICS_VARIABLE  # as above
    from addonkit.settings import NUMBER_VARIABLE

    return {name: value for name, value in os.environ.items() if name not in (METRICS_VARIABLE, NUMBER_VARIABLE)}


def _location_variables(location: Location) -> dict[str, str]:
    """Return the settings of a database as environment variables, with an absolute path."""
    if not location.is_postgres:
        return {"ADDONKIT_DATABASE__URL": f"sqlite://{location.path}"}
    owner = {"ADDONKIT_DATABASE__OWNER_URL": location.owner_url} if location.owner_url else {}
    return {"ADDONKIT_DATABASE__URL": location.url, **owner}


def refuse_pending(deployment: Deployment) -> None:
    """Refuse a database with pending migrations; those of plugins that are not in use are logged as a warning.

    A plugin that is not enabled, or that this process starts without, neither reads nor writes its tables.

    Raises:
        SettingsInvalid: A migration of the runtime or of an enabled plugin, a grant or a policy is missing, or the
            database is newer than the code.
    """
    _check_pooler(deployment.location)
    unused: dict[str, list[str]] = {name: [] for name in deployment.packages().keys() - deployment.used_packages()}
    needed: list[str] = []
    for step in pending_steps(deployment):
        unused.get(step.partition(".")[0], needed).append(step)
    if needed:
        raise SettingsInvalid(
            f"the database lacks {len(needed)} migration{'s' if len(needed) > 1 else ''}, first '{needed[0]}'; "
            "run 'addonkit migrate'"
        )
    for plugin, steps in sorted(unused.items()):
        if steps:
            reason = "the plugin is not in use, so the start continues; run 'addonkit migrate' before you enable it"
            log.warning("migration.pending", plugin=plugin, migrations=steps, reason=reason)
