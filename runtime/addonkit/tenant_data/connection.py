"""Opens a database with tenant isolation: tenant-bound models only, and PostgreSQL sessions set to their tenant."""

from collections.abc import Mapping

from addonkit.current import Runtime
from addonkit.database.connection import AppModules, Database
from addonkit.database.location import Location
from addonkit.database.row_security import SETTING
from addonkit.tenant_data.model_checks import check_models
from addonkit.tenant_data.scope import tenant_in_scope


def tenant_database(location: Location, apps: Mapping[str, AppModules], runtime: Runtime | None = None) -> Database:
    """Create a database, opened with ``async with``, whose models and connections are restricted to the current tenant.

    This is the only way in which the runtime opens a database: models are checked when it opens, and each PostgreSQL
    connection is set to the current tenant for row-level security.

    Args:
        location: The database.
        apps: Plugins that have tables, by name.
        runtime: The add-on whose database it is; by default a new runtime with only this database.
    """
    return Database(location, apps, check_models=check_models, session=tenant_session, runtime=runtime)


def tenant_session() -> dict[str, str]:
    """Return the PostgreSQL session settings for this task: the current tenant's number; empty without a tenant."""
    tenant = tenant_in_scope()
    return {} if tenant is None else {SETTING: f"{tenant.id:d}"}
