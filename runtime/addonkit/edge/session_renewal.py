"""Session renewal for pages that stay open.

A page sends its session, which may have expired, and a new context token from the host for the same site and user. The
response contains a new session.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from addonkit.context import Licence, Proof
from addonkit.edge.authentication import Authenticator
from addonkit.edge.credentials import Place, find_credential
from addonkit.edge.request import BODY_TIMEOUT_S, InboundRequest, Receive, read_body
from addonkit.errors import PayloadInvalid, TokenInvalid
from addonkit.protocol.sessions import SESSION_LIFETIME_S, Sessions

RENEWAL_PATH = "/addonkit/session"
MAX_BODY_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRenewal:
    """Handles ``POST /addonkit/session``.

    Attributes:
        authenticator: Verifies the context token.
        sessions: Reads the old session and signs the new one.
        now: Returns the Unix time, in seconds.
        body_timeout_s: Longest time to receive a body, in seconds.
    """

    authenticator: Authenticator
    sessions: Sessions
    now: Callable[[], float] = time.time
    body_timeout_s: float = BODY_TIMEOUT_S

    async def handle(self, request: InboundRequest, receive: Receive) -> bytes:
        """Return the new session as JSON: ``{"session": token, "expires_in": seconds}``.

        Raises:
            TokenInvalid: The context token is invalid, or the session belongs to another site or user.
            PayloadInvalid: The body does not contain a session.
            PayloadTooLarge: The body is larger than 16 KB.
            PayloadOverdue: The body did not arrive in time.
        """
        credential = find_credential(request.query, request.headers)
        if credential is None or credential.place is not Place.HEADER:
            raise TokenInvalid("the renewal of a session has no context token in 'Authorization: JWT …'")
        context = await self.authenticator.authenticate(request, credential)
        request.bind_tenant(context.tenant.key)
        if context.proof is not Proof.CONTEXT:
            raise TokenInvalid(f"the renewal of a session has the proof '{context.proof}', expected a context token")
        session = _session_in(await read_body(receive, MAX_BODY_BYTES, self.body_timeout_s))
        page = self.sessions.read(session, now=self.now(), allow_expired=True)
        if (page.tenant_key, page.account_id) != (context.tenant.key, context.account_id):
            raise TokenInvalid("the session and the context token are for different sites or users")
        licence = page.licence if context.licence is Licence.UNKNOWN else context.licence
        token = self.sessions.mint(replace(page, licence=licence), now=self.now())
        return orjson.dumps({"session": token, "expires_in": SESSION_LIFETIME_S})


def _session_in(body: bytes) -> str:
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        sent = None
    session = sent.get("session") if isinstance(sent, dict) else None
    if not isinstance(session, str):
        raise PayloadInvalid("'session' is missing in the body of the session renewal")
    return session
