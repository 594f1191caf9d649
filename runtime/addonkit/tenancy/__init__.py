"""Sites and their data: who they are, their secrets at rest, and the wall between what plugins store for them.

``make`` and ``migrate`` are loaded when they are first asked for: serving needs none of what they are made of.
"""

from typing import TYPE_CHECKING, Any

from addonkit.tenancy.current import current_tenant, in_open_transaction, tenant_scope
from addonkit.tenancy.database import AppModules, Database, database_path
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.doors import bind_managers
from addonkit.tenancy.outbox import Outbox
from addonkit.tenancy.pending import pending
from addonkit.tenancy.queries import TenantManager
from addonkit.tenancy.record import Installation, Notice, TenantRecord, TokenUse
from addonkit.tenancy.scope import TenantModel
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault

if TYPE_CHECKING:
    from addonkit.tenancy.schema import make, migrate

__all__ = [
    "AppModules",
    "Database",
    "Directory",
    "Installation",
    "Notice",
    "Outbox",
    "TenantManager",
    "TenantModel",
    "TenantRecord",
    "TenantStore",
    "TokenUse",
    "Vault",
    "bind_managers",
    "current_tenant",
    "database_path",
    "in_open_transaction",
    "make",
    "migrate",
    "pending",
    "tenant_scope",
]


def __getattr__(name: str) -> Any:
    if name not in ("make", "migrate"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from addonkit.tenancy import schema

    return getattr(schema, name)
