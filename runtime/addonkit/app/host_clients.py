"""The parts that make host calls for one add-on, imported and created at the first call."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from addonkit.app.deployment import Deployment
from addonkit.context import Tenant
from addonkit.host import Host
from addonkit.tenancy.directory import Directory

if TYPE_CHECKING:
    from addonkit.hostapi.client import HostClients
    from addonkit.hostapi.host import CallObserver
    from addonkit.hostapi.presence import PresenceCall


class HostClientPool:
    """Creates ``HostClients`` when the add-on makes its first host call, and closes it.

    Args:
        deployment: The add-on's deployment.
        directory: Returns tenants with their shared secrets.
        observe: Called after each host call.
    """

    def __init__(self, deployment: Deployment, directory: Directory, observe: CallObserver | None = None) -> None:
        self._deployment, self._directory, self._observe = deployment, directory, observe

    def host_of(self, tenant: Tenant, account_id: str | None) -> Host:
        """Return the REST API of a tenant's site, for the user with this account id; None is the add-on itself."""
        return self.clients.of(tenant, account_id)

    def presence(self) -> PresenceCall:
        """Return what asks sites whether they know the add-on."""
        return self.clients.presence

    @cached_property
    def clients(self) -> HostClients:
        """The clients, created at first use."""
        from addonkit.hostapi.client import HostClients
        from addonkit.hostapi.scope_recording import ScopeRecording
        from addonkit.hostapi.scopes import ScopeCheck
        from addonkit.hostapi.transport import Transport
        from addonkit.hostapi.user_tokens import UserTokens

        deployment, key = self._deployment, self._deployment.settings.addon.key
        host, plugins = deployment.settings.host, deployment.registry.contributions
        transport = Transport(deployment.user_agent, deployment.network)
        user_tokens = UserTokens(transport, host.token_server)
        self._directory.subscribe(user_tokens.forget)
        record = ScopeRecording(deployment.directory / host.record_calls).record if host.record_calls else None
        return HostClients(
            directory=self._directory,
            transport=transport,
            scopes=ScopeCheck({name: one.scopes for name, one in plugins.items()}, record),
            user_tokens=user_tokens,
            addon_key=key,
            observe=self._observe,
        )

    async def close(self) -> None:
        """Close all connections; without a call, there are none."""
        if "clients" in self.__dict__:
            await self.clients.close()
