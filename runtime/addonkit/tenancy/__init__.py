"""Sites and their data: who they are, their secrets at rest, and the wall between what plugins store for them.

``fake``, ``make`` and ``migrate`` are loaded when they are first asked for: serving needs none of what they use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from addonkit.tenancy.current import current_tenant, in_open_transaction, tenant_scope
from addonkit.tenancy.database import AppModules, Database
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.doors import bind_managers
from addonkit.tenancy.location import Location, database_path, is_postgres
from addonkit.tenancy.pending import pending
from addonkit.tenancy.queries import TenantManager
from addonkit.tenancy.record import Installation, TenantRecord, TokenUse
from addonkit.tenancy.scope import TenantModel
from addonkit.tenancy.store import TenantStore
from addonkit.tenancy.vault import Vault

if TYPE_CHECKING:
    from addonkit.tenancy.draft import make
    from addonkit.tenancy.schema import fake, migrate

__all__ = [
    "AppModules",
    "Database",
    "Directory",
    "Installation",
    "Location",
    "TenantManager",
    "TenantModel",
    "TenantRecord",
    "TenantStore",
    "TokenUse",
    "Vault",
    "bind_managers",
    "current_tenant",
    "database_path",
    "fake",
    "in_open_transaction",
    "is_postgres",
    "make",
    "migrate",
    "pending",
    "tenant_scope",
]

_LAZY = {"fake": "schema", "make": "draft", "migrate": "schema"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"addonkit.tenancy.{_LAZY[name]}"), name)
