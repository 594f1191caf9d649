"""Webhooks that the host could not deliver, asked for and put into the queue as if they had arrived.

Source: Jira keeps for 72 hours what it gave up delivering, under the names that it sent it by; Confluence keeps none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from addonkit.context import Tenant
from addonkit.edge.webhooks import webhook_job
from addonkit.errors import ResponseInvalid
from addonkit.extension.registry import Registry
from addonkit.jobs.queue import JobQueue
from addonkit.work import JobKind, JobSpec, NewJob

FAILED = "/rest/api/3/webhook/failed"
KEPT_S = 72 * 3600
PAGE = 100
LARGEST = 64 * 1024 * 1024
"""Bytes of one answer: a hundred bodies."""


@dataclass(slots=True)
class Recovered:
    """What became of one site's, as far as it was told.

    Attributes:
        found: How many the host told of.
        fresh: How many of them were not here yet.
        unknown: How many no enabled plugin has a webhook for.
    """

    found: int = 0
    fresh: int = 0
    unknown: int = 0


class Recovery:
    """Asks sites for what they could not deliver.

    Args:
        registry: The enabled plugins.
        base_url: The add-on's.
    """

    def __init__(self, registry: Registry, base_url: str) -> None:
        self._base_url = base_url
        self._specs: dict[str, JobSpec] = {}
        self._filled: dict[str, frozenset[str]] = {}
        for one in registry.contributions.values():
            self._filled |= one.filled
            for spec in one.jobs.values():
                if spec.kind is JobKind.WEBHOOK:
                    self._specs[f"/webhooks/{spec.plugin}/{spec.name}"] = spec

    def has_any(self) -> bool:
        """Whether there is a webhook that could have been missed."""
        return bool(self._specs)

    async def recover(self, tenant: Tenant, since: float, done: Recovered, *, dry_run: bool = False) -> None:
        """Put into the queue what a site could not deliver.

        One that is here already, by the host's name for it, is passed over for as long as jobs that are done are kept.

        Args:
            tenant: The site.
            since: Unix time; what failed before is left out.
            done: Counts, also those before a failure.
            dry_run: Whether to count alone; ``fresh`` is then what has a webhook.

        Raises:
            HostError: The host did not tell.
            StorageUnavailable: The rest was not stored.
        """
        if tenant.product != "jira":
            return
        after = int(max(since, time.time() - KEPT_S) * 1000)
        params = {"after": after, "maxResults": PAGE}
        async for failed in tenant.host.pages(FAILED, params, max_bytes=LARGEST, deadline_s=60):
            done.found += 1
            job = self._job(tenant, failed)
            if job is None:
                done.unknown += 1
            elif dry_run or await JobQueue().put(job) is not None:
                done.fresh += 1

    def _job(self, tenant: Tenant, failed: Any) -> NewJob | None:
        """The job of one failure; None where no plugin has a webhook for its address, or it says a name twice."""
        if not isinstance(failed, Mapping) or not isinstance(url := failed.get("url"), str):
            raise ResponseInvalid(f"the host's answer to 'GET {FAILED}' holds something other than failed webhooks")
        path, _, query = url.removeprefix(self._base_url).partition("?")
        spec = self._specs.get(path) if url.startswith(self._base_url + "/") else None
        if spec is None:
            return None
        names = self._filled.get(path, frozenset())
        pairs = [(name, value) for name, value in parse_qsl(query) if name in names and value]
        objects = dict(pairs)
        if len(objects) < len(pairs):
            return None
        body = failed.get("body")
        content = body.encode("utf-8", "replace") if isinstance(body, str) else b""
        identifier = failed.get("id")
        return webhook_job(spec, tenant.id, content, objects, str(identifier) if identifier else None)
