"""A webhook as a job: what the host sent, whichever way it came to us."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from addonkit.work import JobKind, JobSpec, NewJob

LONGEST_IDENTIFIER = 255


def received(
    spec: JobSpec,
    tenant_id: int,
    body: bytes,
    objects: Mapping[str, str],
    identifier: str | None,
    *,
    retry: int = 0,
    flow: str = "",
) -> NewJob:
    """The job that handles a webhook.

    Args:
        spec: What it is for.
        tenant_id: Number of the site that it came from.
        body: As it came.
        objects: What its URL says, by parameter name.
        identifier: The host's name for the delivery; of two with the same, one is kept.
        retry: How often the host had tried before.
        flow: The host's word for its haste.
    """
    name = _bounded(identifier)
    facts = {"objects": dict(objects), "identifier": name, "retry": retry, "flow": flow[:20]}
    about = objects.get(spec.order) if spec.order else None
    order = f"{spec.name}:{about}"[:LONGEST_IDENTIFIER] if about else None
    return NewJob(
        spec.plugin, spec.name, JobKind.WEBHOOK, body, facts=facts, dedupe=name, order=order, tenant_id=tenant_id
    )


def _bounded(said: str | None) -> str | None:
    """The host's name for a delivery, as it is kept; one that is too long stands as its digest."""
    if not said:
        return None
    if len(said) <= LONGEST_IDENTIFIER and said.isprintable():
        return said
    return hashlib.sha256(said.encode()).hexdigest()
