"""Bringing a deployment's database up to date, for all installed plugins, switched on or not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from addonkit.app.deployment import Deployment
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.database.pending import pending
from addonkit.errors import PluginError, SettingsInvalid, StorageUnavailable
from addonkit.extension.contribution import check_tables
from addonkit.extension.discovery import Installed, cause_of, choose
from addonkit.extension.registry import ask_installed
from addonkit.server.worker_process import METRICS_VARIABLE, NUMBER_VARIABLE

Told = Callable[[str], None]


def pending_steps(deployment: Deployment) -> list[str]:
    """What the database lacks, migrations as ``app.name``; no plugin is imported for this.

    Raises:
        SettingsInvalid: The database is newer than the code.
    """
    return pending(deployment.location, deployment.packages())


def installed_apps(deployment: Deployment, on_skip: Told = lambda _: None) -> dict[str, AppModules]:
    """The models and migrations of all installed plugins, imported; one that does not import is told and left out."""
    apps = {}
    for name, package in deployment.packages().items():
        one = deployment.installed[name][0]
        try:
            models = _models(one)
        except PluginError as wrong:
            on_skip(str(wrong))
            continue
        if models is not None:
            apps[name] = _modules(deployment, name, models, package)
    return apps


def enabled_apps(deployment: Deployment) -> dict[str, AppModules]:
    """The models and migrations of the enabled plugins, which are loaded already."""
    packages = deployment.packages()
    return {
        name: _modules(deployment, name, one.models, packages[name])
        for name, one in deployment.registry.contributions.items()
        if one.models is not None
    }


def _modules(deployment: Deployment, name: str, models: str, package: Path) -> AppModules:
    one = deployment.installed[name][0]
    return AppModules(models, f"{package.name}.migrations", one.distribution, one.version)


def _models(one: Installed) -> str | None:
    """The module that an installed plugin names in ``addon_models``, imported."""
    try:
        models: str | None = ask_installed(one, "addon_models")
        if models is not None:
            import_module(models)
    except PluginError:
        raise
    except Exception as wrong:
        raise PluginError(
            f"plugin '{one.name}' has models that do not import: {cause_of(wrong)}; mend the plugin",
            plugin=one.name,
        ) from wrong
    return models


async def upgrade(
    deployment: Deployment, on_progress: Told = lambda _: None, on_skip: Told = lambda _: None
) -> list[str]:
    """Apply what the database lacks; give it as ``app.name``.

    Raises:
        StorageUnavailable: A migration failed; the database is as it was before.
    """
    from addonkit.database.migrate import migrate

    apps = installed_apps(deployment, on_skip)
    return await migrate(deployment.location, apps, on_progress)


async def record_unrun(deployment: Deployment, names: Sequence[str], on_skip: Told = lambda _: None) -> list[str]:
    """Record pending migrations as applied without running them; give them as ``app.name``.

    Args:
        deployment: Whose database.
        names: The migrations, as ``app.name``; without any, all that are pending.
        on_skip: Told of each plugin that does not import.

    Raises:
        SettingsInvalid: One of them is not there, is applied already, or comes after one that is not.
        StorageUnavailable: The database did not take it; it is as it was before.
    """
    from addonkit.database.migrate import fake_migrations

    return await fake_migrations(deployment.location, installed_apps(deployment, on_skip), names)


def upgrade_in_a_process(deployment: Deployment) -> None:
    """Look whether anything is pending and only then migrate, in a process that may import what this one must not.

    Raises:
        SettingsInvalid: The database cannot be written, or is newer than the code.
        StorageUnavailable: The migration failed, in its own words.
    """
    location = deployment.location
    location.check_usable()
    if not pending_steps(deployment):
        return
    config = ["--config", str(deployment.path)] if deployment.path else []
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-m", "addonkit", "migrate", *config],
        # by the environment, which other users of the machine cannot read as they can a command line
        env=environment_for(location),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    *told, last = done.stderr.rstrip().split("\n")
    sys.stderr.writelines(f"{line}\n" for line in ([*told, last] if last and done.returncode == 0 else told))
    if done.returncode != 0:
        raise StorageUnavailable(last.removeprefix("addonkit: ") or "'addonkit migrate' failed without a word; run it")


def environment_for(location: Location) -> dict[str, str]:
    """The environment of another process of ours that works on the same database, wherever it runs."""
    return {**_plain_environment(), **_named(location)}


def _plain_environment() -> dict[str, str]:
    """Ours without what makes a process a worker: the other one would count among those of the metrics."""
    return {name: value for name, value in os.environ.items() if name not in (METRICS_VARIABLE, NUMBER_VARIABLE)}


def _named(location: Location) -> dict[str, str]:
    """The variables that name a database to another process, wherever that runs."""
    if not location.is_postgres:
        return {"ADDONKIT_DATABASE__URL": f"sqlite://{location.path}"}
    owner = {"ADDONKIT_DATABASE__OWNER_URL": location.owner_url} if location.owner_url else {}
    return {"ADDONKIT_DATABASE__URL": location.url, **owner}


def refuse_pending(deployment: Deployment) -> None:
    """Refuse a database that lacks a migration.

    Raises:
        SettingsInvalid: It lacks one, or is newer than the code.
    """
    if steps := pending_steps(deployment):
        raise SettingsInvalid(
            f"the database lacks {len(steps)} steps, the first of them '{steps[0]}'; run 'addonkit migrate'"
        )


async def new_migration(deployment: Deployment, plugin: str, name: str | None) -> Path | None:
    """Write a plugin's next migration; None if its models have not changed.

    Raises:
        PluginError: The plugin is not installed, or stores nothing.
    """
    from addonkit.database.migrate import make_migration

    one = choose(plugin, deployment.installed)
    package = one.package
    models = _models(one)
    if models is None or package is None:
        raise PluginError(f"plugin '{plugin}' stores nothing; give it models first", plugin=plugin)
    check_tables(plugin, models, [name for name in deployment.installed if name != plugin])
    apps = {**installed_apps(deployment), plugin: AppModules(models, f"{package.name}.migrations")}
    return await make_migration(plugin, apps, name)
