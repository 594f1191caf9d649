"""Collects one plugin's contributions through its hooks, and checks each of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from quart import Blueprint

from addonkit.context import Module, Route
from addonkit.errors import DescriptorConflict, PluginError
from addonkit.extension.discovery import Installed, plugin_errors
from addonkit.extension.isolation import routes_of
from addonkit.extension.modules import checked_modules
from addonkit.extension.plugin import Plugin
from addonkit.settings import error_message, variable_of
from addonkit.text import near_matches
from addonkit.work import JobSpec

CheckStorage = Callable[[Installed, str], None]
"""Checks a plugin's models, by the name of their module, and its migrations; raises ``PluginError``."""


class NoSettings(BaseModel):
    """The settings of a plugin without a settings model."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one plugin adds to the add-on, after all checks.

    Attributes:
        installed: The installed plugin.
        modules: Its modules in the descriptor.
        scopes: The scopes that it needs, in upper case.
        settings: Its settings with the deployment's values.
        models: Dotted name of its models' module, or None.
        blueprint: Its routes, or None.
        routes: The same routes with their demands.
        filled: Parameter names that the host fills in the URL of a page, by the page's path.
        jobs: Its job handlers by name.
        siblings: Whether it may read the siblings of tenants.
    """

    installed: Installed
    modules: tuple[Module, ...]
    scopes: frozenset[str]
    settings: BaseModel
    models: str | None
    blueprint: Blueprint | None
    routes: tuple[Route, ...]
    filled: Mapping[str, frozenset[str]]
    jobs: Mapping[str, JobSpec]
    siblings: bool = False

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.installed.name


def contribution_of(
    ask: Callable[[str], Any],
    plugin: Any,
    installed: Installed,
    *,
    section: Mapping[str, Any],
    others: Iterable[str],
    strict: bool = False,
    check_storage: CheckStorage = lambda _plugin, _models: None,
) -> Contribution:
    """Call one plugin's contribution hooks and check the answers.

    Args:
        ask: Calls one of its hooks by name.
        plugin: The object that its entry point names.
        installed: The installed plugin.
        section: Its table in the configuration, unchecked.
        others: Names of the other enabled plugins.
        strict: Whether module types that the runtime does not know are refused.
        check_storage: Checks its models and migrations.

    Raises:
        PluginError: A contribution cannot be used.
    """
    name = installed.name
    with plugin_errors(name, f"plugin '{name}' raised {{cause}} in a contribution hook; correct the plugin"):
        verified: frozenset[str] = plugin.bindings.verified if isinstance(plugin, Plugin) else frozenset()
        modules, filled = checked_modules(name, ask("addon_modules") or (), verified, strict=strict)
        scopes = frozenset(str(scope).upper() for scope in ask("addon_scopes") or ())
        settings = _settings(name, ask("addon_settings"), section)
        models = _models(installed, ask("addon_models"), others)
        if models is not None:
            check_storage(installed, models)
        blueprint = ask("addon_blueprint")
        routes = routes_of(name, blueprint, others) if blueprint is not None else ()
        if isinstance(plugin, Plugin):
            plugin.check()
        jobs = _jobs(name, ask("addon_jobs") or ())
    return Contribution(
        installed=installed,
        modules=modules,
        scopes=scopes,
        settings=settings,
        models=models,
        blueprint=blueprint,
        routes=routes,
        filled=filled,
        jobs=jobs,
        siblings=isinstance(plugin, Plugin) and plugin.siblings is True,
    )


def _settings(plugin: str, model: type[BaseModel] | None, section: Mapping[str, Any]) -> BaseModel:
    if model is not None and not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise PluginError(
            f"plugin '{plugin}' has settings that are not a pydantic model class; pass a subclass of BaseModel",
            plugin=plugin,
        )
    if model is None and section:
        raise PluginError(
            f"[plugin.{plugin}] sets '{next(iter(section))}', but the plugin '{plugin}' has no settings; remove the "
            "table",
            plugin=plugin,
        )
    model = model or NoSettings
    _refuse_unknown(plugin, model, section)
    try:
        return model.model_validate(dict(section))
    except ValidationError as error:
        where = variable_of(("plugin", plugin, *error.errors()[0]["loc"])) or f"[plugin.{plugin}]"
        raise PluginError(f"{where}: {error_message(error, model)}", plugin=plugin) from None


def _refuse_unknown(plugin: str, model: type[BaseModel], section: Mapping[str, Any]) -> None:
    """Refuse unknown keys, even if the plugin's model allows extra fields."""
    names = {known for name, field in model.model_fields.items() for known in (name, field.alias) if known}
    for key in section:
        if key not in names:
            where = variable_of(("plugin", plugin, key)) or f"[plugin.{plugin}]"
            close = near_matches(key, names)
            remedy = f"did you mean '{close[0]}'" if close else f"known are {', '.join(sorted(names)) or 'none'}"
            raise PluginError(f"{where}: '{key}' is not a setting of the plugin '{plugin}'; {remedy}", plugin=plugin)


def _jobs(plugin: str, specs: Iterable[Any]) -> dict[str, JobSpec]:
    found: dict[str, JobSpec] = {}
    for spec in specs:
        if not isinstance(spec, JobSpec) or spec.plugin != plugin:
            raise PluginError(
                f"plugin '{plugin}' returns {type(spec).__name__} as a job, expected a JobSpec with plugin='{plugin}'; "
                "use @plugin.job, @plugin.webhook or @plugin.every",
                plugin=plugin,
            )
        if spec.name in found:
            raise PluginError(
                f"plugin '{plugin}' has two jobs named '{spec.name}', but stored jobs find their handler by name; "
                "rename one",
                plugin=plugin,
            )
        found[spec.name] = spec
    return found


def _models(installed: Installed, models: str | None, others: Iterable[str]) -> str | None:
    if models is None:
        return None
    package = installed.package
    if package is None or not (package / "migrations" / "__init__.py").is_file():
        raise PluginError(
            f"plugin '{installed.name}' has models but no migrations in its package; create them with "
            f"'addonkit makemigrations {installed.name}'",
            plugin=installed.name,
        )
    check_tables(installed.name, models, others)
    return models


def check_tables(plugin: str, models: str, others: Iterable[str]) -> None:
    """Import a plugin's models and check that each table's name begins with the plugin's.

    Args:
        plugin: The plugin's name.
        models: Dotted name of the module with its models.
        others: Names of the other enabled plugins.

    Raises:
        PluginError: A table's name does not begin with the plugin's.
        DescriptorConflict: A table's name begins with that of another plugin.
    """
    for model, table in _tables(models):
        owner = max((name for name in (plugin, *others) if table.startswith(f"{name}_")), key=len, default=None)
        remedy = f"set table = '{plugin}_…' in its Meta"
        if owner is None:
            raise PluginError(f"plugin '{plugin}' stores '{model}' in the table '{table}'; {remedy}", plugin=plugin)
        if owner != plugin:
            remedy = "choose another name" if table.startswith(f"{plugin}_") else remedy
            raise DescriptorConflict(
                f"plugin '{plugin}' stores '{model}' in '{table}', a table of the plugin '{owner}'; {remedy}",
                plugin=plugin,
                other=owner,
            )


def _tables(models: str) -> Iterator[tuple[str, str]]:
    # Imported here: a deployment whose plugins store nothing loads no database library.
    from tortoise.models import Model

    module = importlib.import_module(models)
    for name, value in inspect.getmembers(module, inspect.isclass):
        if issubclass(value, Model) and value.__module__ == models and not value._meta.abstract:  # noqa: SLF001 - the name that Tortoise documents for a model's description
            yield name, value._meta.db_table or name.lower()  # noqa: SLF001 - as above
