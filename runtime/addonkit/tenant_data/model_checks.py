# ruff: noqa: SLF001 - a model's fields and manager are in _meta, which is how Tortoise itself and its users reach them
"""What an app's models must be like so that no door leads from one site to another; checked when the database opens."""

from tortoise.context import TortoiseContext
from tortoise.fields.relational import RelationalField
from tortoise.manager import Manager
from tortoise.models import Model

from addonkit.errors import PluginError
from addonkit.tenant_data.manager import TenantManager
from addonkit.tenant_data.model import TenantModel

RUNTIME_APP = "addonkit"


def bind_managers(context: TortoiseContext) -> None:
    """Check every plugin's models, and that each is tenant-bound and has its manager.

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
            f"plugin '{app}' has the table '{table}', expected a name that begins with '{app}_'; rename it", plugin=app
        )


def _check_bound(app: str, model: type[Model]) -> None:
    if not issubclass(model, TenantModel):
        raise PluginError(
            f"plugin '{app}' has the model '{model.__name__}', whose rows belong to no tenant; derive it from "
            "'TenantModel'",
            plugin=app,
        )


def _check_managers(app: str, model: type[Model]) -> None:
    own = {name: value for name, value in vars(model).items() if isinstance(value, Manager)}
    for name, manager in {"Meta.manager": model._meta.manager, **own}.items():
        if not isinstance(manager, TenantManager):
            raise PluginError(
                f"plugin '{app}' gives '{model.__name__}' the manager '{name}', which knows no tenant; "
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
                f"plugin '{app}' gives '{model.__name__}' the many-to-many relation '{name}', whose table would know "
                "no tenant; write a TenantModel for what lies between",
                plugin=app,
            )
        if related._meta.app != app:
            raise PluginError(
                f"plugin '{app}' relates '{model.__name__}.{name}' to '{related.__name__}', a join that could leave "
                "the tenant; relate tenant-bound models of one plugin with each other only",
                plugin=app,
            )
