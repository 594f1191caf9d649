"""The tenant scope: whose rows the running code reads and writes. The runtime enters it, models and plugins read it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tortoise.backends.base.client import TransactionalDBClient
from tortoise.context import get_current_context

from addonkit.context import Tenant
from addonkit.current import Work, WorkScope, current_work
from addonkit.database import CONNECTION
from addonkit.errors import TenantMissing


def tenant_in_scope() -> Tenant | None:
    """Give the tenant in scope, or None."""
    return current_work().tenant


def current_tenant() -> Tenant:
    """Give the tenant in scope.

    Raises:
        TenantMissing: No tenant is in scope.
    """
    tenant = current_work().tenant
    if tenant is None:
        raise TenantMissing("no tenant is in scope; touch tenant-bound data within 'with tenant_scope(tenant):'")
    return tenant


@contextmanager
def tenant_scope(tenant: Tenant) -> Iterator[Tenant]:
    """Put a tenant in scope for the block, and for the tasks that it starts.

    Raises:
        TenantMissing: A transaction is open that began outside this tenant's scope. Its connection would keep the
            tenant that it was given when the transaction began.
    """
    work = current_work()
    _check_transaction(work.tenant, tenant)
    with WorkScope(Work(work.runtime, tenant, work.plugin, work.background, work.request_id)):
        yield tenant


def work_scope(
    tenant: Tenant | None, plugin: str, *, background: bool = False, request_id: str | None = None
) -> WorkScope:
    """Begin the work of a plugin for a tenant, or for none: a tenant scope and a plugin scope in one.

    Args:
        tenant: The tenant in scope; None leaves the one that is.
        plugin: The plugin's name.
        background: Whether no user waits for it.
        request_id: The id of the inbound request, if it is one.

    Raises:
        TenantMissing: A transaction is open that began outside this tenant's scope.
    """
    work = current_work()
    if tenant is not None:
        _check_transaction(work.tenant, tenant)
    return WorkScope(Work(work.runtime, tenant or work.tenant, plugin, background, request_id))


def in_open_transaction() -> bool:
    """Whether this task has begun a transaction and not ended it."""
    context = get_current_context()
    if context is None or not context.inited:
        return False
    # Tortoise puts the transaction's client in the connection's place, for this task and those it starts; a task
    # that outlives the transaction keeps seeing it, hence the second condition.
    client = context.connections.get(CONNECTION)
    return isinstance(client, TransactionalDBClient) and not client._finalized  # noqa: SLF001 - nothing public says it


def _check_transaction(present: Tenant | None, tenant: Tenant) -> None:
    if (present is None or present.id != tenant.id) and in_open_transaction():
        raise TenantMissing(
            f"the scope of tenant {tenant.id} is entered inside an open transaction of "
            f"{'no tenant' if present is None else f'tenant {present.id}'}; end the transaction first"
        )
