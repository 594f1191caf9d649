"""Wires the parts that make host calls, once per process."""

from __future__ import annotations

from addonkit.context import Tenant
from addonkit.hostapi.approvals import ScopeApprovals
from addonkit.hostapi.downloads import Downloads
from addonkit.hostapi.file_server import FileServer
from addonkit.hostapi.host import CallObserver, Pipeline, SiteHost
from addonkit.hostapi.permissions import Permissions
from addonkit.hostapi.presence import PresenceCall
from addonkit.hostapi.rate_limit import RateLimits
from addonkit.hostapi.scopes import ScopeCheck
from addonkit.hostapi.signing import SigningTransport
from addonkit.hostapi.transport import Transport
from addonkit.hostapi.user_tokens import UserTokens
from addonkit.hostapi.users import Users
from addonkit.tenancy.directory import Directory


class HostClients:
    """Creates a ``SiteHost`` for each site; all of them share one pipeline.

    Args:
        directory: The tenants and their secrets.
        transport: The connections.
        scopes: Checks calls against the plugins' scopes.
        user_tokens: Tokens for calls as a user.
        addon_key: The add-on's key.
        observe: Called after each host call.

    Attributes:
        limits: The rate limits of all sites.
        presence: Asks sites whether they know the add-on.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        transport: Transport,
        scopes: ScopeCheck,
        user_tokens: UserTokens,
        addon_key: str,
        observe: CallObserver | None = None,
    ) -> None:
        self.limits = RateLimits()
        self.presence = PresenceCall(transport, addon_key)
        self._transport, self._user_tokens = transport, user_tokens
        signing = SigningTransport(
            directory=directory,
            transport=transport,
            user_tokens=user_tokens,
            user_scopes=scopes.user_scopes,
            addon_key=addon_key,
            approvals=ScopeApprovals(directory),
        )
        self._pipeline = Pipeline(
            addon_key=addon_key,
            scopes=scopes,
            limits=self.limits,
            transmit=signing.transmit,
            permissions=Permissions(),
            users=Users(),
            downloads=Downloads(FileServer(transport.user_agent, transport.network)),
            observe=observe,
        )

    def of(self, tenant: Tenant, account_id: str | None) -> SiteHost:
        """Return the REST API of a site.

        Args:
            tenant: The site.
            account_id: The user who sent the current request; None if there is none.
        """
        return SiteHost(self._pipeline, tenant, account_id)

    async def close(self) -> None:
        """Close all connections."""
        await self._pipeline.downloads.close()
        await self._transport.close()
