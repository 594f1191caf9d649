"""Access to a tenant's sibling: a scope in which a plugin reads its own rows of the sibling and calls its host."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from addonkit.context import Product, Tenant
from addonkit.current import Work, WorkScope, current_work
from addonkit.errors import SiblingForbidden
from addonkit.log import structlog
from addonkit.tenancy.siblings import find_sibling
from addonkit.tenant_data.scope import check_transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TenantSibling:
    """The sibling of the current tenant; see :class:`addonkit.Sibling`."""

    _tenant: Tenant = field(repr=False)
    _home: Tenant = field(repr=False)

    @property
    def key(self) -> str:
        """The sibling's key."""
        return self._tenant.key

    @property
    def product(self) -> Product:
        """The sibling's product."""
        return self._tenant.product

    @property
    def base_url(self) -> str:
        """Root of the sibling's REST API."""
        return self._tenant.base_url

    @property
    def display_url(self) -> str:
        """The URL that the sibling's users see."""
        return self._tenant.display_url

    @contextmanager
    def scope(self) -> Iterator[Tenant]:
        """Make the sibling the current tenant for the block, read-only.

        Raises:
            SiblingForbidden: The current tenant is not the one whose sibling this is.
            TenantMissing: A transaction is open; its connection would keep the present tenant.
        """
        work = current_work()
        _check_home(work, self._home)
        check_transaction(work.tenant, self._tenant)
        with WorkScope(work._replace(tenant=self._tenant, home=self._home)):
            yield self._tenant


class Siblings:
    """Returns the siblings of tenants to plugins with ``siblings=True``; see :class:`addonkit.current.Siblings`.

    Args:
        plugins: Names of the plugins with ``siblings=True``.
    """

    def __init__(self, plugins: Collection[str]) -> None:
        self._plugins = frozenset(plugins)

    async def find(self, tenant: Tenant) -> TenantSibling | None:
        """Find the sibling of the current tenant, and log both keys.

        Raises:
            SiblingForbidden: The current plugin has no access, or the tenant is not the current one.
            StorageUnavailable: The database did not answer.
        """
        work = current_work()
        if work.plugin not in self._plugins:
            raise SiblingForbidden(
                f"plugin '{work.plugin}' reads the sibling of a tenant without access; write Plugin(…, siblings=True)"
            )
        _check_home(work, tenant)
        found = await find_sibling(tenant)
        if found is None:
            return None
        log.info("tenant.sibling_read", tenant=tenant.key, sibling=found.key, plugin=work.plugin)
        return TenantSibling(found, tenant)


def _check_home(work: Work, tenant: Tenant) -> None:
    if work.home is not None or work.tenant is None or work.tenant.id != tenant.id:
        raise SiblingForbidden(
            f"the sibling of tenant {tenant.id} is used while it is not the current tenant; use it in the tenant's own "
            "scope"
        )
