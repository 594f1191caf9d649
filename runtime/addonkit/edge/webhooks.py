"""Receives webhooks: verifies the token, reads the body, and stores it as a job before it acknowledges the webhook."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from addonkit.context import Context, Proof
from addonkit.edge.authentication import Authenticator
from addonkit.edge.credentials import Place, find_credential
from addonkit.edge.refused_webhooks import RefusedWebhooks
from addonkit.edge.request import InboundRequest, Receive, read_body
from addonkit.errors import TokenInvalid
from addonkit.jobs.writer import WebhookWriter
from addonkit.log import WEBHOOK
from addonkit.webhook_event import filled
from addonkit.work import JobKind, JobSpec, NewJob

MAX_BODY_BYTES = 25 * 1024 * 1024
"""Largest body. Source: the host sends no larger one."""
BODY_TIMEOUT_S = 30.0
MAX_KEY_LENGTH = 255
"""Characters of an order key or dedupe key, as the columns of the queue allow."""
IDENTIFIER, RETRY, FLOW = (
    b"x-atlassian-webhook-identifier",
    b"x-atlassian-webhook-retry",
    b"x-atlassian-webhook-flow",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Handles requests for ``/webhooks/<plugin>/<name>``.

    Attributes:
        specs: Job specifications of the plugins' webhooks by path.
        authenticator: Turns credentials into contexts.
        writer: Stores webhooks as jobs, in groups (group commit).
        refused: Remembers the sites whose webhooks were not stored for a fault of ours.
        body_timeout_s: Longest time to receive a body, in seconds.
    """

    specs: Mapping[str, JobSpec]
    authenticator: Authenticator
    writer: WebhookWriter
    refused: RefusedWebhooks
    body_timeout_s: float = BODY_TIMEOUT_S

    async def handle(self, spec: JobSpec, request: InboundRequest, receive: Receive) -> None:
        """Authenticate, read and store one webhook; the response is a 204.

        Raises:
            Refused: The webhook is refused with the status of the exception.
            StorageUnavailable: The webhook was not stored. Jira sends it again, Confluence does not.
        """
        context: Context | None = None
        if identifier := dedupe_key(request.header(IDENTIFIER)):
            WEBHOOK.set(identifier)
        try:
            context = await self._authenticate(request)
            request.bind_tenant(context.tenant.key)
            with self.writer.reserve() as reservation:
                body = await read_body(receive, MAX_BODY_BYTES, self.body_timeout_s, reservation.take)
                await self.writer.store(_job(spec, request, context, body))
        except Exception as problem:
            self.refused.note(request, context.tenant if context else None, problem)
            raise

    async def _authenticate(self, request: InboundRequest) -> Context:
        """Verify the token: it must be in the header, and signed for exactly this request."""
        credential = find_credential(request.query, request.headers)
        if credential is None or credential.place is not Place.HEADER:
            raise TokenInvalid("the webhook has no token in 'Authorization: JWT …'")
        context = await self.authenticator.authenticate(request, credential)
        if context.proof is not Proof.EXACT:
            raise TokenInvalid(
                f"the webhook has the proof '{context.proof}', expected a token that is signed for this request"
            )
        return context


def _job(spec: JobSpec, request: InboundRequest, context: Context, body: bytes) -> NewJob:
    retry = request.header(RETRY) or ""
    return webhook_job(
        spec,
        context.tenant.id,
        body,
        context.objects,
        request.header(IDENTIFIER),
        retry=int(retry) if retry.isdecimal() and len(retry) < 4 else 0,
        flow=request.header(FLOW) or "",
    )


def webhook_job(
    spec: JobSpec,
    tenant_id: int,
    body: bytes,
    objects: Mapping[str, str],
    identifier: str | None,
    *,
    retry: int = 0,
    flow: str = "",
) -> NewJob:
    """Make the job for a webhook that was delivered, recovered from the host, or replayed from a file.

    Args:
        spec: The webhook's handler.
        tenant_id: Number of the site that sent the webhook.
        body: The request body, unchanged.
        objects: Values from the webhook's URL, by parameter name.
        identifier: The host's identifier of the delivery; it becomes the dedupe key.
        retry: How many times the host had tried to deliver it before.
        flow: The host's ``X-Atlassian-Webhook-Flow``.
    """
    name = dedupe_key(identifier)
    objects = filled(objects)
    facts = {"objects": dict(objects), "identifier": name, "retry": retry, "flow": flow[:20]}
    about = objects.get(spec.order) if spec.order else None
    order = f"{spec.name}:{about}"[:MAX_KEY_LENGTH] if about else None
    return NewJob(
        spec.plugin, spec.name, JobKind.WEBHOOK, body, facts=facts, dedupe=name, order=order, tenant_id=tenant_id
    )


def dedupe_key(identifier: str | None) -> str | None:
    """Return the host's identifier of a delivery, or its SHA-256 digest if the column cannot hold it."""
    if not identifier:
        return None
    if len(identifier) <= MAX_KEY_LENGTH and identifier.isprintable():
        return identifier
    return hashlib.sha256(identifier.encode()).hexdigest()
