# ruff: noqa: SLF001 - a model's fields and manager are in _meta, as Tortoise documents
"""Checks of plugin models when the database opens: each must be tenant-bound and in its plugin's own tables.

Relations may lead to tenant-bound models of the same plugin only.
"""

from tortoise.context import TortoiseContext
from tortoise.fields.relational import RelationalField
from tortoise.manager import Manager
from tortoise.models import Model

from addonkit.database.connection import RUNTIME_APP
from addonkit.errors import PluginError
from addonkit.tenant_data.manager import TenantManager
from addonkit.tenant_data.model import TenantModel


def check_models(context: TortoiseContext) -> None:
    """Check the models of every plugin.

    Raises:
        PluginError: A model breaks a rule; the message names plugin, model and remedy.
    """
    for app, models in context.apps.items() if context.apps else ():
        if app == RUNTIME_APP:
            continue
        for model in models.values():
            _check_table(app, model)
            _check_bound(app, model)
            _check_relations(app, model)
            _check_managers(app, model)


def _check_table(app: str, model: type[Model]) -> None:
    table = model._meta.db_table
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
    own = {name: value for name, value in vars(model).items() if isinstance(value, Manager)}
    for name, manager in {"Meta.manager": model._meta.manager, **own}.items():
        if not isinstance(manager, TenantManager):
            raise PluginError(
                f"plugin '{app}' gives '{model.__name__}' the manager '{name}', which does not filter by tenant; "
                "derive it from 'TenantManager'",
                plugin=app,
            )


def _check_relations(app: str, model: type[Model]) -> None:
    for name in sorted(model._meta.fetch_fields):
        field = model._meta.fields_map[name]
        if not isinstance(field, RelationalField):
            continue
        related = field.related_model
        if name in model._meta.m2m_fields:
            raise PluginError(
                f"plugin '{app}' gives '{model.__name__}' the many-to-many relation '{name}', whose table would not "
                "be tenant-bound; write a TenantModel for the table in between",
                plugin=app,
            )
        if related._meta.app != app:
            raise PluginError(
                f"plugin '{app}' relates '{model.__name__}.{name}' to '{related.__name__}', so a join could reach "
                "another tenant's rows; relations may only connect tenant-bound models of the same plugin",
                plugin=app,
            )
