"""Bringing a deployment's database up to date, for all installed plugins, switched on or not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from addonkit.app.deployment import Deployment
from addonkit.errors import PluginError, SettingsInvalid, StorageUnavailable
from addonkit.extension.discovery import cause_of, choose, load
from addonkit.extension.tables import check_tables
from addonkit.tenancy import AppModules, database_path, pending
from addonkit.tenancy.database import check_writable

Told = Callable[[str], None]


def pending_steps(deployment: Deployment) -> list[str]:
    """The migrations that the database lacks, as ``app.name``; nothing is imported for this.

    Raises:
        SettingsInvalid: The database is newer than the code.
    """
    return pending(deployment.settings.database.url, deployment.packages(), deployment.directory)


def installed_apps(deployment: Deployment, on_skip: Told = lambda _: None) -> dict[str, AppModules]:
    """The models and migrations of all installed plugins, imported; one that does not import is told and left out."""
    apps = {}
    for name, package in deployment.packages().items():
        one = deployment.installed[name][0]
        try:
            models = _models(name, load(one))
        except PluginError as wrong:
            on_skip(str(wrong))
            continue
        if models is not None:
            apps[name] = AppModules(models, f"{package.name}.migrations")
    return apps


def enabled_apps(deployment: Deployment) -> dict[str, AppModules]:
    """The models and migrations of the enabled plugins, which are loaded already."""
    packages = deployment.packages()
    return {
        name: AppModules(one.models, f"{packages[name].name}.migrations")
        for name, one in deployment.registry.contributions.items()
        if one.models is not None
    }


def _models(name: str, plugin: Any) -> str | None:
    """What a loaded plugin answers to ``addon_models``, its models imported."""
    if not callable(answer := getattr(plugin, "addon_models", None)):
        return None
    try:
        models: str | None = answer()
        if models is not None:
            import_module(models)
    except Exception as wrong:
        raise PluginError(
            f"plugin '{name}' has models that do not import: {cause_of(wrong)}; mend the plugin",
            plugin=name,
        ) from wrong
    return models


async def upgrade(
    deployment: Deployment, on_progress: Told = lambda _: None, on_skip: Told = lambda _: None
) -> list[str]:
    """Apply what the database lacks; give it as ``app.name``.

    Raises:
        StorageUnavailable: A migration failed; the database is as it was before.
    """
    from addonkit.tenancy import migrate  # here, for serving needs none of it

    apps = installed_apps(deployment, on_skip)
    return await migrate(deployment.settings.database.url, apps, on_progress, deployment.directory)


def upgrade_in_a_process(deployment: Deployment) -> None:
    """Look whether anything is pending and only then migrate, in a process that may import what this one must not.

    Raises:
        SettingsInvalid: The database cannot be written, or is newer than the code.
        StorageUnavailable: The migration failed, in its own words.
    """
    path = database_path(deployment.settings.database.url, deployment.directory)
    check_writable(path)
    if not pending_steps(deployment):
        return
    config = ["--config", str(deployment.path)] if deployment.path else []
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-m", "addonkit", "migrate", *config],
        env={**os.environ, "ADDONKIT_DATABASE__URL": f"sqlite://{path}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    *told, last = done.stderr.rstrip().split("\n")
    sys.stderr.writelines(f"{line}\n" for line in ([*told, last] if last and done.returncode == 0 else told))
    if done.returncode != 0:
        raise StorageUnavailable(last.removeprefix("addonkit: ") or "'addonkit migrate' failed without a word; run it")


def refuse_pending(deployment: Deployment) -> None:
    """Refuse a database that lacks a migration.

    Raises:
        SettingsInvalid: It lacks one, or is newer than the code.
    """
    if steps := pending_steps(deployment):
        raise SettingsInvalid(
            f"the database lacks {len(steps)} migrations, the first of them '{steps[0]}'; run 'addonkit migrate'"
        )


async def new_migration(deployment: Deployment, plugin: str, name: str | None) -> Path | None:
    """Write a plugin's next migration; None if its models have not changed.

    Raises:
        PluginError: The plugin is not installed, or stores nothing.
    """
    from addonkit.tenancy import make  # here, for serving needs none of it

    one = choose(plugin, deployment.installed)
    package = one.package
    models = _models(plugin, load(one))
    if models is None or package is None:
        raise PluginError(f"plugin '{plugin}' stores nothing; give it models first", plugin=plugin)
    check_tables(plugin, models, [name for name in deployment.installed if name != plugin])
    apps = {**installed_apps(deployment), plugin: AppModules(models, f"{package.name}.migrations")}
    return await make(plugin, apps, name)
