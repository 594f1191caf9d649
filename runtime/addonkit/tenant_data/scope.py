"""The tenant scope: a context variable with the tenant whose rows the running code reads and writes.

The runtime enters the scope; models and plugins read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tortoise.backends.base.client import TransactionalDBClient
from tortoise.context import get_current_context

from addonkit.context import Tenant
from addonkit.current import Work, WorkScope, current_work
from addonkit.database import CONNECTION
from addonkit.errors import TenantMissing
from addonkit.origin import Origin


def tenant_in_scope() -> Tenant | None:
    """Return the tenant in scope, or None."""
    return current_work().tenant


def current_tenant() -> Tenant:
    """Return the tenant in scope.

    Raises:
        TenantMissing: No tenant is in scope.
    """
    tenant = current_work().tenant
    if tenant is None:
        raise TenantMissing("no tenant is in scope; read and write tenant data inside 'with tenant_scope(tenant):'")
    return tenant


@contextmanager
def tenant_scope(tenant: Tenant) -> Iterator[Tenant]:
    """Make a tenant current for the block and for the tasks that the block starts.

    Raises:
        TenantMissing: A transaction is open that began outside this tenant's scope. On PostgreSQL, its connection
            keeps the tenant that was set when the transaction began.
    """
    work = current_work()
    check_transaction(work.tenant, tenant)
    with WorkScope(Work(work.runtime, tenant, work.plugin, work.background, work.origin)):
        yield tenant


def work_scope(
    tenant: Tenant | None, plugin: str, *, background: bool = False, origin: Origin | None = None
) -> WorkScope:
    """Make a plugin and a tenant current for the block, with one change of the context variable.

    Args:
        tenant: The tenant; None keeps the current one.
        plugin: Name of the plugin.
        background: Whether this is background work: no user waits for it.
        origin: The request and the trace that it belongs to; None keeps the current one.

    Raises:
        TenantMissing: A transaction is open that began outside this tenant's scope.
    """
    work = current_work()
    if tenant is not None:
        check_transaction(work.tenant, tenant)
    return WorkScope(Work(work.runtime, tenant or work.tenant, plugin, background, origin or work.origin))


def in_open_transaction() -> bool:
    """Return whether this task is inside a transaction."""
    context = get_current_context()
    if context is None or not context.inited:
        return False
    # Tortoise replaces the connection with the transaction's client, for this task and the tasks that it starts. A task
    # that outlives the transaction still gets that client; hence the second condition.
    client = context.connections.get(CONNECTION)
    return isinstance(client, TransactionalDBClient) and not client._finalized  # noqa: SLF001 - there is no public attribute


def check_transaction(present: Tenant | None, tenant: Tenant) -> None:
    """Check that no transaction of another tenant is open.

    Raises:
        TenantMissing: One is open, and its connection would keep that tenant.
    """
    if (present is None or present.id != tenant.id) and in_open_transaction():
        raise TenantMissing(
            f"the scope of tenant {tenant.id} is entered inside an open transaction of "
            f"{'no tenant' if present is None else f'tenant {present.id}'}; end the transaction first"
        )
