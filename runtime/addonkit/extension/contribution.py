"""What one plugin brings, asked for once and checked by itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from quart import Blueprint

from addonkit.context import Module, Route
from addonkit.descriptor.checks import check_module, fields_at
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.descriptor.urls import is_absolute
from addonkit.errors import PluginError
from addonkit.extension.discovery import Installed, cause_of
from addonkit.extension.isolation import routes_of
from addonkit.extension.modules import filled_by_host
from addonkit.extension.plugin import Plugin
from addonkit.extension.tables import check_tables
from addonkit.settings import sentence, variable_of
from addonkit.text import near_matches
from addonkit.work import JobSpec


class NoSettings(BaseModel):
    """The settings of a plugin that has none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Contribution:
    """One plugin, loaded and found good.

    Attributes:
        installed: Where it comes from.
        modules: What it brings to the descriptor.
        scopes: What it asks for, upper case.
        settings: Its settings with the deployment's values.
        models: Dotted name of its models' module, or None.
        blueprint: Its routes, or None.
        routes: Those routes with what they demand.
        filled: By path, the parameter names that the host fills on that page.
        jobs: What it does in the background, by name.
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

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.installed.name


def contribution_of(
    ask: Callable[[str], Any],
    plugin: Any,
    installed: Installed,
    section: Mapping[str, Any],
    others: Iterable[str],
) -> Contribution:
    """Ask one registered plugin for all that it brings.

    Args:
        ask: Calls one of its hooks, by name.
        plugin: What its entry point named.
        installed: Where it comes from.
        section: Its table in the configuration, as found.
        others: Names of the other enabled plugins.

    Raises:
        PluginError: Something that it brings cannot be used.
    """
    name = installed.name
    try:
        modules = tuple(_checked_module(name, one) for one in ask("addon_modules") or ())
        scopes = frozenset(str(scope).upper() for scope in ask("addon_scopes") or ())
        settings = _settings(name, ask("addon_settings"), section)
        models = _models(installed, ask("addon_models"), others)
        blueprint = ask("addon_blueprint")
        routes = routes_of(name, blueprint, others) if blueprint is not None else ()
        if isinstance(plugin, Plugin):
            plugin.check()
        jobs = _jobs(name, ask("addon_jobs") or ())
        filled = filled_by_host(modules, plugin.bindings.verified if isinstance(plugin, Plugin) else frozenset())
    except PluginError:
        raise
    except Exception as wrong:
        raise PluginError(
            f"plugin '{name}' failed while it was asked what it brings: {cause_of(wrong)}; mend the plugin",
            plugin=name,
        ) from wrong
    return Contribution(installed, modules, scopes, settings, models, blueprint, routes, filled, jobs)


def _checked_module(plugin: str, module: Any) -> Module:
    if not isinstance(module, Module):
        raise PluginError(
            f"plugin '{plugin}' brings {type(module).__name__} as a module, expected addonkit.Module; wrap it",
            plugin=plugin,
        )
    if module.plugin != plugin:
        raise PluginError(
            f"plugin '{plugin}' brings a module in the name of '{module.plugin}'; say plugin='{plugin}'", plugin=plugin
        )
    check_module(module)
    _check_urls(module)
    return module


def _check_urls(module: Module) -> None:
    """A module calls the plugin that brings it; a link into the product or to another site calls nobody here."""
    known = MODULE_TYPES[module.type]
    own = (f"/{module.plugin}/", f"/webhooks/{module.plugin}/")
    for path in known.urls:
        for place, url in fields_at(module.body, path):
            links = place == "url" and known.may_link and module.body.get("context") in ("product", "page")
            if not links and not is_absolute(url) and not str(url).startswith(own):
                raise PluginError(
                    f"plugin '{module.plugin}': '{module.type}' '{module.key}' has a '{place}' that is '{url}', which "
                    f"is no path of this plugin; begin it with '/{module.plugin}/'",
                    plugin=module.plugin,
                )


def _settings(plugin: str, model: type[BaseModel] | None, section: Mapping[str, Any]) -> BaseModel:
    if model is not None and not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise PluginError(f"plugin '{plugin}' gives settings that are no pydantic model; give the class", plugin=plugin)
    if model is None and section:
        raise PluginError(
            f"[plugin.{plugin}] sets '{next(iter(section))}', and the plugin '{plugin}' has no settings; "
            "drop the table",
            plugin=plugin,
        )
    model = model or NoSettings
    _refuse_unknown(plugin, model, section)
    try:
        return model.model_validate(dict(section))
    except ValidationError as wrong:
        where = variable_of(("plugin", plugin, *wrong.errors()[0]["loc"])) or f"[plugin.{plugin}]"
        raise PluginError(f"{where}: {sentence(wrong, model)}", plugin=plugin) from None


def _refuse_unknown(plugin: str, model: type[BaseModel], section: Mapping[str, Any]) -> None:
    """Unknown keys are errors, whatever the author's model says of extras."""
    names = {known for name, field in model.model_fields.items() for known in (name, field.alias) if known}
    for key in section:
        if key not in names:
            where = variable_of(("plugin", plugin, key)) or f"[plugin.{plugin}]"
            close = near_matches(key, names)
            hint = f"did you mean '{close[0]}'" if close else f"known are {', '.join(sorted(names)) or 'none'}"
            raise PluginError(f"{where}: '{key}' is not a setting of the plugin '{plugin}'; {hint}", plugin=plugin)


def _jobs(plugin: str, specs: Iterable[Any]) -> dict[str, JobSpec]:
    found: dict[str, JobSpec] = {}
    for spec in specs:
        if not isinstance(spec, JobSpec) or spec.plugin != plugin:
            raise PluginError(
                f"plugin '{plugin}' brings {type(spec).__name__} as a job, expected a JobSpec of its own; use "
                "@plugin.job, @plugin.webhook or @plugin.every",
                plugin=plugin,
            )
        if spec.name in found:
            raise PluginError(
                f"plugin '{plugin}' has two jobs named '{spec.name}', and waiting ones are found by their name; rename "
                "one",
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
            f"plugin '{installed.name}' stores rows but ships no migrations beside its package; "
            f"make them with 'addonkit makemigrations {installed.name}'",
            plugin=installed.name,
        )
    check_tables(installed.name, models, others)
    return models
