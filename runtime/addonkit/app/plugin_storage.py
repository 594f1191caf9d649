"""The models and migrations of the installed plugins, and why those of some cannot be used.

A plugin that is off is migrated and purged as well, so its code is imported by commands, never by a serving process.
One whose models or migrations have a fault is left out, and the others go on; its rows are purged and exported by the
column of their tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from addonkit.database.connection import AppModules
from addonkit.errors import PluginError
from addonkit.extension.discovery import Installed, choose, plugin_errors
from addonkit.extension.registry import ask_installed


@dataclass(frozen=True, slots=True)
class PluginStorage:
    """What the installed plugins store.

    Attributes:
        apps: The models and migrations of the plugins that can be used, by name.
        faults: Why those of the others cannot be used, by name.
    """

    apps: dict[str, AppModules] = field(default_factory=dict)
    faults: dict[str, PluginError] = field(default_factory=dict)


def read_storage(available: Mapping[str, tuple[Installed, ...]], packages: Mapping[str, Path]) -> PluginStorage:
    """Import the models and migrations of all installed plugins, enabled or not, and check them.

    Args:
        available: All installed plugins.
        packages: Packages with migrations, by the plugin's name.
    """
    storage = PluginStorage()
    for name, package in packages.items():
        try:
            installed = choose(name, available)
            models = models_of(installed)
            if models is not None:
                check_storage(installed, models, packages)
                storage.apps[name] = modules_of(installed, models, package)
        except PluginError as fault:
            storage.faults[name] = fault
    _leave_out_dependents(storage)
    return storage


def _leave_out_dependents(storage: PluginStorage) -> None:
    """Leave out the plugins whose steps refer to those of a plugin that is left out, or wait for each other."""
    from addonkit.database.migration_files import check_graph

    while True:
        try:
            check_graph(storage.apps)
        except PluginError as fault:
            del storage.apps[fault.plugin]
            storage.faults[fault.plugin] = fault
        else:
            return


def models_of(installed: Installed) -> str | None:
    """Import the module that a plugin names in ``addon_models``, and return its name; None if it stores nothing.

    Raises:
        PluginError: The plugin or the module cannot be imported.
    """
    name = installed.name
    with plugin_errors(name, f"plugin '{name}' has models that cannot be imported: {{cause}}; fix the plugin"):
        models: str | None = ask_installed(installed, "addon_models")
        if models is not None:
            import_module(models)
    return models


def modules_of(installed: Installed, models: str, package: Path) -> AppModules:
    """Return the modules of a plugin with models and migrations."""
    return AppModules(models, f"{package.name}.migrations", installed.distribution, installed.version)


def owners_of(packages: Mapping[str, Path]) -> dict[str, str]:
    """Return plugins by the name of their package, from their packages by plugin."""
    return {path.name: owner for owner, path in packages.items()}


def check_storage(installed: Installed, models: str, packages: Mapping[str, Path]) -> None:
    """Check the models and the migrations of one plugin.

    Args:
        installed: The plugin.
        models: Dotted name of the module with its models.
        packages: Packages with migrations of all installed plugins, by the plugin's name.

    Raises:
        PluginError: A model breaks a rule, or a migration cannot be loaded.
    """
    # Imported here: a deployment whose plugins store nothing loads no database library.
    from addonkit.database.migration_files import check_steps
    from addonkit.database.pending import code_migrations
    from addonkit.tenant_data.model_checks import check_plugin_models

    name, package = installed.name, installed.package
    message = f"plugin '{name}' has models or migrations that cannot be used: {{cause}}; fix the plugin"
    with plugin_errors(name, message):
        check_plugin_models(name, models, owners_of(packages))
        if package is not None and find_spec(package.name) is not None:
            check_steps(name, f"{package.name}.migrations", code_migrations(packages))
