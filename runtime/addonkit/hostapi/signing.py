"""Signing: adds a token to a host call and hands it to the transport.

The add-on signs its own calls with the site's shared secret. For calls as a user it presents a token from the host's
token server (``user_tokens``).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from addonkit.context import Tenant
from addonkit.current import current_work
from addonkit.errors import HostError, UserTokenDenied
from addonkit.hostapi.approvals import ScopeApprovals
from addonkit.hostapi.call import CallProgress, HostCall
from addonkit.hostapi.request_span import request_span, set_status
from addonkit.hostapi.transport import RawResponse, Transport
from addonkit.hostapi.user_tokens import UserTokens
from addonkit.observers import current_tracer
from addonkit.origin import Trace
from addonkit.protocol.tokens import sign
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.record import IdentityKind, TenantRecord

TOKEN_LIFE_S = 180
TRACEPARENT = "traceparent"


class SigningTransport:
    """Signs each request and sends it; a refused token is renewed once per call.

    Args:
        directory: The tenants and their secrets.
        transport: The connections.
        user_tokens: Tokens for calls as a user.
        user_scopes: Returns the scopes that a plugin's tokens for users are requested with, separated by spaces.
        addon_key: The add-on's key.
        approvals: The scopes that sites have not approved.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        transport: Transport,
        user_tokens: UserTokens,
        user_scopes: Callable[[str], str],
        addon_key: str,
        approvals: ScopeApprovals,
    ) -> None:
        self._directory, self._transport, self._user_tokens = directory, transport, user_tokens
        self._user_scopes, self._addon_key, self._approvals = user_scopes, addon_key, approvals

    async def transmit(self, call: HostCall, plugin: str, progress: CallProgress) -> RawResponse:
        """Sign and send a call; after a 401, sign it with the current secret or a new user token and send it again.

        Args:
            call: The call.
            plugin: The plugin that makes it.
            progress: Updated before and after each request.

        Raises:
            HostError: The site is not active or has moved, the user gets no token, or there was no complete response.
        """
        record = await self._current_record(call.tenant)
        if record.unapproved and call.signed:
            self._approvals.check(record, plugin, call)
        response = await self._send(call, record, plugin, progress)
        if call.signed:
            await self._approvals.update(record, plugin, call, response)
        if response.status != 401 or progress.is_renewed or not call.signed:
            return response
        fresh = await self._current_record(call.tenant, reread=True)
        if call.acting is None and fresh.secret == record.secret:
            return response
        return await self._send(call, fresh, plugin, progress, renew=True)

    async def _send(
        self, call: HostCall, record: TenantRecord, plugin: str, progress: CallProgress, *, renew: bool = False
    ) -> RawResponse:
        progress.in_flight = False
        headers = dict(call.headers)
        if call.signed:
            headers["authorization"] = await self._authorization(call, record, plugin, renew=renew)
        progress.is_renewed = progress.is_renewed or renew
        progress.requests += 1
        progress.in_flight = True
        if (tracer := current_tracer()) is None:
            response = await self._transmit(call, headers)
        else:
            with request_span(tracer, call, plugin, progress.requests - 1) as span:
                response = await self._transmit(call, headers)
                set_status(span, response.status)
        progress.in_flight, progress.stream = False, response.stream
        return response

    async def _transmit(self, call: HostCall, headers: dict[str, str]) -> RawResponse:
        # A plugin may pass its own, for example of the span that it has begun.
        if TRACEPARENT not in headers:
            headers[TRACEPARENT] = _traceparent()
        return await self._transport.send(
            call.method, call.url.full, headers, call.content, call.max_bytes, streamed=call.streamed
        )

    async def _current_record(self, tenant: Tenant, *, reread: bool = False) -> TenantRecord:
        """Return the current tenant record, with its secret.

        Raises:
            HostError: The tenant is not active, or its base URL has changed.
        """
        find = self._directory.reread if reread else self._directory.get
        record = await find(IdentityKind.KEY, tenant.key)
        if record is None or not record.tenant.is_active():
            state = "unknown" if record is None else record.tenant.state
            raise HostError(f"the site '{tenant.base_url}' is {state}, so its host would refuse the token")
        if record.tenant.base_url != tenant.base_url:
            raise HostError(
                f"the site '{tenant.base_url}' has moved to '{record.tenant.base_url}'; load the tenant again"
            )
        return record

    async def _authorization(self, call: HostCall, record: TenantRecord, plugin: str, *, renew: bool) -> str:
        if call.acting is not None:
            return f"Bearer {await self._user_token(call.acting, record, plugin, renew=renew)}"
        return addon_authorization(record, self._addon_key, call.url.qsh(call.method))

    async def _user_token(self, account_id: str, record: TenantRecord, plugin: str, *, renew: bool) -> str:
        try:
            return await self._user_tokens.token(record, account_id, self._user_scopes(plugin), renew=renew)
        except UserTokenDenied as denied:
            await self._approvals.update_from_denial(record, plugin, denied)
            raise


def addon_authorization(record: TenantRecord, addon_key: str, qsh: str) -> str:
    """Return the ``Authorization`` header of a call as the add-on, signed with the site's shared secret.

    Args:
        record: The tenant with its secret.
        addon_key: The add-on's key.
        qsh: The query-string hash of the call.

    Raises:
        HostError: The tenant has no secret.
    """
    secret, now = record.signing_secret(), int(time.time())
    claims = {
        "iss": addon_key,
        "iat": now,
        "exp": now + TOKEN_LIFE_S,
        "qsh": qsh,
        "aud": [record.tenant.client_key],
    }
    return f"JWT {sign(claims, secret)}"


def _traceparent() -> str:
    """Return the header of one attempt: its span, or a new piece of work in the trace of the running code."""
    if (tracer := current_tracer()) is not None and (position := tracer.position()) is not None:
        return position.traceparent
    origin = current_work().origin
    return (Trace.new() if origin is None else origin.trace.child()).traceparent
