# ruff: noqa: SLF001 - a model's fields and manager are in _meta, as Tortoise documents
"""The rules for models of plugins: each is tenant-bound, in its plugin's own tables, and filtered by tenant.

Relations may lead to tenant-bound models of the same plugin only. ``check_plugin_models`` applies the rules to one
plugin before a database is opened, and connects its models by their relations, so that a fault is found without the
models of other plugins. ``check_models`` applies them again to everything that a database has loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module

from tortoise.apps import Apps
from tortoise.connection import ConnectionHandler
from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException
from tortoise.fields.relational import ForeignKeyFieldInstance, ManyToManyFieldInstance
from tortoise.manager import Manager
from tortoise.models import Model

from addonkit.database.connection import RUNTIME_APP
from addonkit.errors import PluginError
from addonkit.tenant_data.manager import TenantManager
from addonkit.tenant_data.model import TenantModel

Models = Mapping[str, type[Model]]


def check_models(context: TortoiseContext) -> None:
    """Check the models of every plugin that a database has loaded.

    Raises:
        PluginError: A model breaks a rule; the message names plugin, model and remedy.
    """
    for app, models in context.apps.items() if context.apps else ():
        if app != RUNTIME_APP:
            _check_app(app, models)


def check_plugin_models(plugin: str, module: str, owners: Mapping[str, str] | None = None) -> None:
    """Check the models of one plugin, and connect them by their relations.

    Args:
        plugin: Name of the plugin.
        module: Dotted name of the module with its models.
        owners: The installed plugins by the name of their package: a model that is imported from another plugin stays
            that plugin's.

    Raises:
        PluginError: A model breaks a rule, or its relations do not fit.
    """
    models = plugin_models(plugin, module, owners or {})
    _check_app(plugin, models)
    if not models:
        return
    apps = Apps(None, ConnectionHandler())
    try:
        apps.init_app(plugin, [module])
    except BaseORMException as error:
        reason = str(error).strip().rstrip(".")
        raise PluginError(
            f"plugin '{plugin}' has models whose relations do not fit: {reason}; correct them", plugin=plugin
        ) from error


def plugin_models(plugin: str, module: str, owners: Mapping[str, str]) -> dict[str, type[Model]]:
    """Return the models that Tortoise finds in a module, by name; those of other plugins are left out.

    Args:
        plugin: Name of the plugin.
        module: Dotted name of the module with its models.
        owners: The installed plugins by the name of their package.

    Raises:
        PluginError: Two models have the same name.
    """
    found: dict[str, type[Model]] = {}
    for model in _candidates(module):
        model._meta.app = model._meta.app or owners.get(model.__module__.partition(".")[0])
        if model._meta.app not in (None, plugin):
            continue
        if found.setdefault(model.__name__, model) is not model:
            raise PluginError(
                f"plugin '{plugin}' has two models named '{model.__name__}', of which only one would be used; "
                "rename one of them",
                plugin=plugin,
            )
    return found


def _candidates(module: str) -> Iterator[type[Model]]:
    loaded = import_module(module)
    named = getattr(loaded, "__models__", None)
    values: Iterable[object] = named if isinstance(named, list | tuple) and named else vars(loaded).values()
    for value in values:
        if inspect.isclass(value) and issubclass(value, Model) and not value._meta.abstract:
            yield value


def _check_app(app: str, models: Models) -> None:
    for model in models.values():
        _check_table(app, model)
        _check_bound(app, model)
        _check_managers(app, model)
        for name, field in sorted(model._meta.fields_map.items()):
            if isinstance(field, ManyToManyFieldInstance) and not field._generated:
                _refuse_many_to_many(app, model, name)
            elif isinstance(field, ForeignKeyFieldInstance):
                _check_relation(app, models, f"{model.__name__}.{name}", field)


def _check_table(app: str, model: type[Model]) -> None:
    table = model._meta.db_table or model.__name__.lower()
    if not table.startswith(f"{app}_"):
        raise PluginError(
            f"plugin '{app}' has the table '{table}', expected a name that starts with '{app}_'; rename it", plugin=app
        )


def _check_bound(app: str, model: type[Model]) -> None:
    if not issubclass(model, TenantModel):
        raise PluginError(
            f"plugin '{app}' has the model '{model.__name__}', which is not tenant-bound; derive it from 'TenantModel'",
            plugin=app,
        )


def _check_managers(app: str, model: type[Model]) -> None:
    found = {"Meta.manager": model._meta.manager}
    for base in reversed(model.__mro__):
        found |= {name: value for name, value in vars(base).items() if isinstance(value, Manager)}
    for name, manager in found.items():
        if not isinstance(manager, TenantManager):
            raise PluginError(
                f"plugin '{app}' gives '{model.__name__}' the manager '{name}', which does not filter by tenant; "
                "remove it, and write a classmethod that returns a query",
                plugin=app,
            )


def _refuse_many_to_many(app: str, model: type[Model], name: str) -> None:
    raise PluginError(
        f"plugin '{app}' gives '{model.__name__}' the many-to-many relation '{name}', whose table would not "
        "be tenant-bound; write a TenantModel for the table in between",
        plugin=app,
    )


def _check_relation(app: str, models: Models, place: str, field: ForeignKeyFieldInstance[Model]) -> None:
    """Check that a relation leads to a model of the same plugin; the plugin that wrote it is at fault."""
    reference = field.model_name if isinstance(field.model_name, str) else _reference_of(field.model_name, models, app)
    owner, _, name = reference.partition(".")
    if owner != app or "." not in reference:
        raise PluginError(
            f"plugin '{app}' relates '{place}' to '{reference}', so a join could reach another tenant's rows; "
            f"relations may only connect tenant-bound models of the same plugin, named '{app}.<model>'",
            plugin=app,
        )
    if name not in models:
        raise PluginError(
            f"plugin '{app}' relates '{place}' to '{reference}', which is none of its models; correct the name, or "
            "import the model in the module of its models",
            plugin=app,
        )
    target = field.to_field and models[name]._meta.fields_map.get(field.to_field)
    if field.to_field and not (target and target.unique):
        raise PluginError(
            f"plugin '{app}' relates '{place}' to the field '{field.to_field}' of '{reference}', expected one that "
            "exists and is unique; remove 'to_field', or correct it",
            plugin=app,
        )


def _reference_of(model: type[Model], models: Models, app: str) -> str:
    """Return the name of a model to which a relation refers by its class."""
    if models.get(model.__name__) is model:
        return f"{app}.{model.__name__}"
    own = model._meta.app or model.__module__.partition(".")[0]
    return f"{own}.{model.__name__}"
