"""What this process calls hosts with: each call held against scopes, signed, counted."""

from __future__ import annotations

import time
from collections.abc import Callable

from addonkit.calling import Caller, caller
from addonkit.context import Tenant
from addonkit.errors import CallForbidden, HostError, HostUnavailable, RateLimited, ResponseInvalid
from addonkit.host import HostResponse
from addonkit.hostapi.call import HostCall
from addonkit.hostapi.error_responses import refusal
from addonkit.hostapi.host import SiteHost
from addonkit.hostapi.permissions import Permissions
from addonkit.hostapi.rate_limit import RateLimits
from addonkit.hostapi.retry import Sending
from addonkit.hostapi.scopes import ScopeCheck
from addonkit.hostapi.transport import RawResponse, Transport
from addonkit.hostapi.user_tokens import UserTokens
from addonkit.hostapi.users import Users
from addonkit.log import structlog
from addonkit.protocol.tokens import sign
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import TenantRecord
from addonkit.tenant_data.scope import in_open_transaction

TOKEN_LIFE_S = 180

log = structlog.get_logger(__name__)

Counted = Callable[[str, str, float, int], None]
"""Told of each call that is over: the plugin, what it came to, how long it took in seconds, how often it was sent."""


class HostClients:
    """What this process calls hosts with.

    Args:
        directory: The sites and their secrets.
        wire: The connections.
        clearance: Who may call what.
        user_tokens: Tokens for acting as users.
        addon_key: The add-on's key.
        counted: Told of each call that is over.
    """

    def __init__(
        self,
        directory: Directory,
        wire: Transport,
        clearance: ScopeCheck,
        user_tokens: UserTokens,
        addon_key: str,
        counted: Counted | None = None,
    ) -> None:
        self.addon_key = addon_key
        self.permissions, self.known_users = Permissions(), Users()
        self.clearance = clearance
        self._directory, self._wire, self._user_tokens = directory, wire, user_tokens
        self.limits = RateLimits()
        self._counted = counted

    def of(self, tenant: Tenant, account_id: str | None) -> SiteHost:
        """What asks one site.

        Args:
            tenant: The site.
            account_id: Who sent the request at hand; None is nobody.
        """
        return SiteHost(self, tenant, account_id)

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()

    async def answer(self, tenant: Tenant, call: HostCall, deadline_s: float) -> HostResponse:
        """Make one call within its time, and count it.

        Raises:
            HostError: There was no good answer.
            CallForbidden: It may not be made.
        """
        if in_open_transaction():
            # on SQLite everybody else would wait for the host with us
            raise CallForbidden(
                f"'{call.said}' is called inside a transaction, which holds the database's lock meanwhile; end it first"
            )
        who, began, outcome = caller(), time.monotonic(), "aborted"
        self.clear(tenant, call, who)
        sending = Sending(self, tenant, call, who, began + deadline_s)
        try:
            received = await sending.received()
            if received.status >= 300:
                raise refusal(received, call.said, tenant.base_url)
            outcome = f"{received.status // 100}xx"
        except HostError as wrong:
            outcome = _outcome(wrong)
            raise
        finally:
            took = time.monotonic() - began
            log.debug("host.called", call=call.said, outcome=outcome, seconds=round(took, 4), sent=sending.sent)
            if self._counted is not None:
                self._counted(who.plugin, outcome, took, sending.sent)
        return HostResponse(received.status, received.headers, received.content, call.said)

    def clear(self, tenant: Tenant, call: HostCall, who: Caller) -> None:
        """Hold a call against the scopes of who makes it.

        Raises:
            ScopeMissing: They are not enough.
        """
        if not call.signed:
            return  # nobody's scopes have a part in it
        if call.acting is not None:
            self.clearance.check_acting(who.plugin)
        self.clearance.check(who.plugin, tenant.product, call.method, call.target.path, as_user=call.acting is not None)

    async def record_of(self, tenant: Tenant, *, fresh: bool = False) -> TenantRecord:
        """The site with its secrets, as it is now.

        Raises:
            HostError: It does not use the add-on any more, or is elsewhere.
        """
        find = self._directory.reread if fresh else self._directory.get
        record = await find(tenant.client_key)
        if record is None or not record.tenant.is_active():
            state = "gone" if record is None else record.tenant.state
            raise HostError(f"the site '{tenant.base_url}' is {state}, and its host would not take our token")
        if record.tenant.base_url != tenant.base_url:
            raise HostError(f"the site '{tenant.base_url}' has moved to '{record.tenant.base_url}'; ask it anew")
        return record

    async def authorization(self, record: TenantRecord, call: HostCall, who: Caller, *, again: bool) -> str | None:
        """The header that signs a call; None for one in nobody's name.

        Raises:
            HostError: There is no token for the user.
        """
        if not call.signed:
            return None
        if call.acting is not None:
            scopes = self.clearance.of_user(who.plugin)
            return f"Bearer {await self._user_tokens.token(record, call.acting, scopes, again=again)}"
        now = int(time.time())
        claims = {
            "iss": self.addon_key,
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
            "qsh": call.target.qsh(call.method),
            "aud": [record.tenant.client_key],
        }
        return f"JWT {sign(claims, record.secret)}"

    async def send(self, authorization: str | None, call: HostCall) -> RawResponse:
        """Send a call once."""
        headers = {**call.headers, **({"authorization": authorization} if authorization else {})}
        return await self._wire.send(call.method, call.target.url, headers, call.content, call.max_bytes)


def _outcome(wrong: HostError) -> str:
    if isinstance(wrong, HostUnavailable):
        return "down"
    if isinstance(wrong, RateLimited):
        return "limited"
    if isinstance(wrong, ResponseInvalid):
        return "unusable"
    return f"{wrong.status // 100}xx" if wrong.status else "unusable"
