"""Writes and checks the migrations of a plugin, for its author."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from addonkit.app.deployment import Deployment
from addonkit.app.migrate import OnSkip, installed_apps
from addonkit.app.plugin_storage import models_of, owners_of
from addonkit.database.connection import AppModules
from addonkit.errors import AddonkitError, PluginError
from addonkit.extension.contribution import check_tables
from addonkit.extension.discovery import cause_of, choose

T = TypeVar("T")


async def new_migration(
    deployment: Deployment,
    plugin: str,
    name: str | None,
    *,
    force: bool = False,
    on_skip: OnSkip = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Path | None:
    """Write a plugin's next migration; None if its models have not changed.

    Args:
        deployment: The deployment.
        plugin: Name of the plugin.
        name: What the migration does, in a few words.
        force: Write steps that fail on tables with rows or break the previous release, instead of refusing them.
        on_skip: Called with the reason for each other plugin that is left out.
        on_warning: Called with a sentence for each column or table that the step drops, and for each column that lacks
            an index.

    Raises:
        PluginError: The plugin is not installed, has no models, its models or migrations have a fault, or a step would
            fail on tables with rows.
    """
    from addonkit.database.new_migration import make_migration
    from addonkit.tenant_data.model_checks import check_plugin_models

    one = choose(plugin, deployment.installed)
    package = one.package
    models = models_of(one)
    if models is None or package is None:
        raise PluginError(f"plugin '{plugin}' has no models; add models first", plugin=plugin)
    check_tables(plugin, models, [name for name in deployment.installed if name != plugin])
    owners = owners_of(deployment.packages())
    check_plugin_models(plugin, models, owners)
    for advice in _advice_for(plugin, models, owners):
        on_warning(advice)
    if (fault := deployment.storage.faults.get(plugin)) is not None:
        raise fault
    apps = {**installed_apps(deployment, on_skip), plugin: AppModules(models, f"{package.name}.migrations")}
    return await _without_faulty(
        apps, plugin, on_skip, lambda: make_migration(plugin, apps, name, force=force, on_warning=on_warning)
    )


async def _without_faulty(
    apps: dict[str, AppModules], plugin: str | None, on_skip: OnSkip, run: Callable[[], Awaitable[T]]
) -> T:
    """Run what reads the migrations of these plugins, without those whose steps do not fit each other.

    Args:
        apps: The plugins, of which the faulty ones are removed.
        plugin: The plugin whose own faults are raised; None if there is none.
        on_skip: Called with the reason for each plugin that is removed.
        run: Reads the migrations.

    Raises:
        PluginError: The plugin itself has a fault.
    """
    while True:
        try:
            return await run()
        except PluginError as fault:
            if fault.plugin == plugin or fault.plugin not in apps:
                raise
            on_skip(str(fault))
            del apps[fault.plugin]
        except AddonkitError:
            raise
        except Exception as error:
            named = f"the migrations of plugin '{plugin}' cannot be compared with its models"
            raise PluginError(f"{named}: {cause_of(error)}; correct them", plugin=plugin or "") from error


def index_warnings(deployment: Deployment) -> list[str]:
    """Recommend indexes for the models of the plugins that the deployment serves, see ``tenant_data.index_advice``."""
    owners = owners_of(deployment.packages())
    return [
        advice
        for name, modules in deployment.storage.apps.items()
        if name in deployment.registry.contributions
        for module in modules.modules
        for advice in _advice_for(name, module, owners)
    ]


def _advice_for(plugin: str, module: str, owners: Mapping[str, str]) -> list[str]:
    from addonkit.tenant_data.index_advice import index_advice
    from addonkit.tenant_data.model_checks import plugin_models

    return index_advice(plugin, plugin_models(plugin, module, owners).values())


async def faulty_migrations(deployment: Deployment, plugin: str | None, on_skip: OnSkip = lambda _: None) -> list[str]:
    """Describe the migrations that fail on tables with rows or break the previous release, each with what to do.

    Args:
        deployment: The deployment.
        plugin: Name of the plugin; None: all installed plugins that have migrations.
        on_skip: Called with the reason for each plugin that cannot be imported.

    Raises:
        PluginError: The named plugin is not installed, or has no models.
    """
    from addonkit.database.new_migration import released_faults

    if plugin is not None:
        choose(plugin, deployment.installed)
        if (fault := deployment.storage.faults.get(plugin)) is not None:
            raise fault
    apps = installed_apps(deployment, on_skip)
    faults = []
    for name in [plugin] if plugin is not None else list(apps):
        if plugin is not None or name in apps:
            faults += await _without_faulty(apps, plugin, on_skip, partial(released_faults, name, apps))
    return [fault.describe(released=True) for fault in faults]
