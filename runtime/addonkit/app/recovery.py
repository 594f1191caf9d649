"""Recovers webhooks that Jira could not deliver: asks each site for them and enqueues those that are missing.

Source: Jira keeps failed webhooks for 72 hours, under the identifiers that it sent them with; Confluence keeps none.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from addonkit.context import Tenant
from addonkit.edge.webhooks import webhook_job
from addonkit.errors import ResponseInvalid
from addonkit.extension.registry import Registry
from addonkit.jobs.queue import JobQueue
from addonkit.work import JobKind, JobSpec, NewJob

FAILED_WEBHOOKS = "/rest/api/3/webhook/failed"
HOST_KEEPS_S = 72 * 3600
PAGE_SIZE = 100
MAX_PAGE_BYTES = 64 * 1024 * 1024
"""Longest page of failed webhooks, in bytes: a hundred bodies."""


@dataclass(slots=True)
class RecoveryCounts:
    """What was recovered from one site, so far.

    Attributes:
        found: Failed webhooks that the host listed.
        new: Those that were not stored yet.
        unknown: Those for which no enabled plugin has a webhook.
    """

    found: int = 0
    new: int = 0
    unknown: int = 0


class Recovery:
    """Enqueues webhooks that sites could not deliver.

    Args:
        registry: The enabled plugins.
        base_urls: The add-on's base URLs: a webhook that was not delivered may have been sent to a former one.
    """

    def __init__(self, registry: Registry, base_urls: Collection[str]) -> None:
        # The longest first, since one may be below another.
        self._base_urls = sorted(base_urls, key=len, reverse=True)
        self._specs: dict[str, JobSpec] = {}
        self._url_parameters: dict[str, frozenset[str]] = {}
        for one in registry.contributions.values():
            self._url_parameters |= one.filled
            for spec in one.jobs.values():
                if spec.kind is JobKind.WEBHOOK:
                    self._specs[f"/webhooks/{spec.plugin}/{spec.name}"] = spec

    def has_any(self) -> bool:
        """Whether any enabled plugin has a webhook."""
        return bool(self._specs)

    async def recover(self, tenant: Tenant, since: float, counts: RecoveryCounts, *, dry_run: bool = False) -> None:
        """Enqueue the webhooks that a site could not deliver.

        A webhook whose identifier is the dedupe key of a stored job is skipped, as long as done jobs are kept.

        Args:
            tenant: The site.
            since: Unix time in seconds; earlier failures are skipped.
            counts: Updated for each webhook, so it is correct even after an error.
            dry_run: Whether to enqueue nothing; ``new`` then counts webhooks that a plugin handles.

        Raises:
            HostError: The host could not be asked.
            StorageUnavailable: The database did not answer; the rest is not stored.
        """
        if tenant.product != "jira":
            return
        after = int(max(since, time.time() - HOST_KEEPS_S) * 1000)
        params = {"after": after, "maxResults": PAGE_SIZE}
        async for failed in tenant.host.pages(FAILED_WEBHOOKS, params, max_bytes=MAX_PAGE_BYTES, deadline_s=60):
            counts.found += 1
            job = self._job(tenant, failed)
            if job is None:
                counts.unknown += 1
            elif dry_run or await JobQueue().put(job) is not None:
                counts.new += 1

    def _job(self, tenant: Tenant, failed: Any) -> NewJob | None:
        """Return the job for one failed webhook; None if no plugin handles its URL, or if it has a parameter twice.

        Raises:
            ResponseInvalid: The host's answer is not a list of failed webhooks.
        """
        if not isinstance(failed, Mapping) or not isinstance(url := failed.get("url"), str):
            raise ResponseInvalid(
                f"the response to 'GET {FAILED_WEBHOOKS}' contains something other than failed webhooks"
            )
        base_url = next((one for one in self._base_urls if url.startswith(one + "/")), None)
        path, _, query = url.removeprefix(base_url or "").partition("?")
        spec = self._specs.get(path) if base_url else None
        if spec is None:
            return None
        names = self._url_parameters.get(path, frozenset())
        pairs = [(name, value) for name, value in parse_qsl(query) if name in names and value]
        objects = dict(pairs)
        if len(objects) < len(pairs):
            return None
        body = failed.get("body")
        content = body.encode("utf-8", "replace") if isinstance(body, str) else b""
        identifier = failed.get("id")
        return webhook_job(spec, tenant.id, content, objects, str(identifier) if identifier else None)
