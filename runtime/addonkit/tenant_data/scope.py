"""Whose data this task is about. The runtime enters a site's scope; models and plugins only read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tortoise.backends.base.client import TransactionalDBClient
from tortoise.context import get_current_context

from addonkit.context import Tenant
from addonkit.database import CONNECTION
from addonkit.errors import TenantMissing

_scope: ContextVar[Tenant | None] = ContextVar("addonkit_tenant", default=None)


def tenant_in_scope() -> Tenant | None:
    """Give the site whose scope this task is in, if it is in one."""
    return _scope.get()


def current_tenant() -> Tenant:
    """Give the site whose scope this task is in.

    Raises:
        TenantMissing: It is in none.
    """
    tenant = _scope.get()
    if tenant is None:
        raise TenantMissing("no tenant is in scope; touch tenant-bound data within 'with tenant_scope(tenant):'")
    return tenant


@contextmanager
def tenant_scope(tenant: Tenant) -> Iterator[Tenant]:
    """Make this task, and what it starts, be about one site.

    Raises:
        TenantMissing: A transaction is open that was begun outside this site's scope: what its connection was told
            about the site would no longer be true.
    """
    present = _scope.get()
    if (present is None or present.id != tenant.id) and in_open_transaction():
        raise TenantMissing(
            f"the scope of tenant {tenant.id} is entered inside an open transaction of "
            f"{'no tenant' if present is None else f'tenant {present.id}'}; end the transaction first"
        )
    token = _scope.set(tenant)
    try:
        yield tenant
    finally:
        _scope.reset(token)


def in_open_transaction() -> bool:
    """Whether this task has begun a transaction and not ended it."""
    context = get_current_context()
    if context is None or not context.inited:
        return False
    # Tortoise puts the transaction's client in the connection's place, for this task and those it starts; a task
    # that outlives the transaction keeps seeing it, hence the second look.
    client = context.connections.get(CONNECTION)
    return isinstance(client, TransactionalDBClient) and not client._finalized  # noqa: SLF001 - nothing public says it
