"""Fresh sessions for pages that stay open: a new context token of the same site and user, and the session to renew."""

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
from addonkit.protocol.sessions import SESSION_LIFE_S, Sessions

RENEWAL_PATH = "/addonkit/session"
LARGEST_BODY = 16 * 1024


@dataclass(frozen=True, slots=True)
class SessionRenewal:
    """Answers ``POST /addonkit/session``.

    Attributes:
        authenticator: Verifies the context token.
        sessions: Reads the old session and mints the new one.
        now: Unix time in seconds.
        body_timeout_s: Longest time that a body may take to come.
    """

    authenticator: Authenticator
    sessions: Sessions
    now: Callable[[], float] = time.time
    body_timeout_s: float = BODY_TIMEOUT_S

    async def handle(self, request: InboundRequest, receive: Receive) -> bytes:
        """The new session as JSON: ``{"session": token, "expires_in": seconds}``.

        Raises:
            TokenInvalid: The context token is false, or speaks of another site or user than the session.
            PayloadInvalid: The body holds no session.
            PayloadTooLarge: The body is longer than 16 KB.
            PayloadOverdue: The body did not come in time.
        """
        credential = find_credential(request.query, request.headers)
        if credential is None or credential.place is not Place.HEADER:
            raise TokenInvalid("a session is renewed with a context token in 'Authorization: JWT …'")
        context = await self.authenticator.context(request, credential)
        request.note_site(context.tenant.client_key)
        if context.proof is not Proof.CONTEXT:
            raise TokenInvalid("a session is renewed with a context token, and this is none")
        session = _session_in(await read_body(receive, LARGEST_BODY, self.body_timeout_s))
        page = self.sessions.read(session, now=self.now(), allow_expired=True)
        if (page.client_key, page.account_id) != (context.tenant.client_key, context.account_id):
            raise TokenInvalid("the session and the context token speak of different sites or users")
        licence = page.licence if context.licence is Licence.UNKNOWN else context.licence
        token = self.sessions.mint(replace(page, licence=licence), now=self.now())
        return orjson.dumps({"session": token, "expires_in": SESSION_LIFE_S})


def _session_in(body: bytes) -> str:
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        sent = None
    session = sent.get("session") if isinstance(sent, dict) else None
    if not isinstance(session, str):
        raise PayloadInvalid("'session' is missing from the body of a renewal")
    return session
