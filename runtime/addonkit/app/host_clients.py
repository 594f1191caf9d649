"""Calls to the host in this process: what makes them is loaded and put together when the first one is made."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from addonkit.app.deployment import Deployment
from addonkit.context import Tenant
from addonkit.host import Host
from addonkit.tenancy.directory import Directory

if TYPE_CHECKING:
    from addonkit.hostapi.client import HostClients
    from addonkit.hostapi.host import CallObserver


class HostClientPool:
    """The clients of one deployment.

    Args:
        deployment: Whose.
        directory: The sites and their secrets.
        observe: Called after each host call.
    """

    def __init__(self, deployment: Deployment, directory: Directory, observe: CallObserver | None = None) -> None:
        self._deployment, self._directory, self._observe = deployment, directory, observe

    def host_of(self, tenant: Tenant, account_id: str | None) -> Host:
        """What asks one site, in the name of who sent the request at hand."""
        return self.clients.of(tenant, account_id)

    @cached_property
    def clients(self) -> HostClients:
        """The clients, made at the first look."""
        from addonkit.hostapi.client import HostClients
        from addonkit.hostapi.scope_recording import ScopeRecording
        from addonkit.hostapi.scopes import ScopeCheck
        from addonkit.hostapi.transport import Transport
        from addonkit.hostapi.user_tokens import UserTokens

        made_of, key = self._deployment, self._deployment.settings.addon.key
        host, plugins = made_of.settings.host, made_of.registry.contributions
        transport = Transport(f"addonkit/{version('addonkit')} {key}")
        user_tokens = UserTokens(transport, host.token_server)
        self._directory.subscribe(user_tokens.forget)
        record = ScopeRecording(made_of.directory / host.record_calls).record if host.record_calls else None
        return HostClients(
            directory=self._directory,
            transport=transport,
            scopes=ScopeCheck({name: one.scopes for name, one in plugins.items()}, record),
            user_tokens=user_tokens,
            addon_key=key,
            observe=self._observe,
        )

    async def close(self) -> None:
        """Close all connections, if there are any."""
        if "clients" in self.__dict__:
            await self.clients.close()
