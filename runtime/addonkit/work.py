"""The values of work in the background: what a plugin declares, what the host told us, and one attempt at a job.

Frozen, without I/O. Declaring is in ``extension``, keeping and running in ``jobs``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import orjson
from pydantic import BaseModel

from addonkit.context import NOTHING, Tenant
from addonkit.errors import PayloadInvalid
from addonkit.schedule import Schedule

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes the payload of one version into that of the next."""


class JobKind(StrEnum):
    """Where a job comes from."""

    JOB = "job"
    """A plugin put it into the queue."""
    WEBHOOK = "webhook"
    """The host told of an event."""
    LIFECYCLE = "lifecycle"
    """A site installed, enabled, disabled or uninstalled the add-on."""
    SCHEDULE = "schedule"
    """Its time had come."""


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    """It is not due yet."""
    READY = "ready"
    """It is due and runs when its turn comes."""
    BLOCKED = "blocked"
    """An earlier one of the same order is not done."""
    HELD = "held"
    """It cannot run for now: its plugin is off, or its site is switched off."""
    RUNNING = "running"
    """Some process has begun it."""
    DONE = "done"
    """Its handler returned."""
    DEAD = "dead"
    """It failed for good and is kept for an operator."""


UNFINISHED = (JobState.WAITING, JobState.READY, JobState.BLOCKED, JobState.HELD, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job; a handler that names a parameter of this type gets it.

    Attributes:
        job_id: The job's number, the same at each attempt: by it a handler can tell a repetition.
        number: From 1.
        is_last: Whether a failure now is the end of it.
    """

    job_id: int
    number: int
    is_last: bool = False


@dataclass(frozen=True)
class WebhookEvent:
    """What the host told, as it came.

    The host signs method, path and query and not the body, so that the body is as true as the connection that it came
    by; :attr:`objects` were signed.

    Attributes:
        name: The event, such as ``jira:issue_deleted``.
        tenant: The site that it happened on.
        body: As it came; empty where the webhook leaves it out.
        received_at: When it was stored, UTC.
        objects: What the webhook's URL says, by parameter name: ``{"issue_id": "10001"}``.
        identifier: The host's name for this delivery, the same on its retries; None where it sent none.
        retry: How often the host had tried before.
        flow: ``Primary``, or ``Secondary`` for what the host sends in bulk; empty where it does not say.
    """

    name: str
    tenant: Tenant
    body: bytes = field(repr=False)
    received_at: datetime
    objects: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    identifier: str | None = None
    retry: int = 0
    flow: str = ""

    @cached_property
    def json(self) -> Mapping[str, Any]:
        """The body, decoded; empty where there is none.

        Raises:
            PayloadInvalid: It is no JSON object.
        """
        if not self.body:
            return MappingProxyType({})
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise PayloadInvalid(f"the body of '{self.name}' is no JSON object, as the host promises; look at it")
        return MappingProxyType(found)

    @property
    def at(self) -> datetime | None:
        """When it happened, by the host's clock.

        Source: ``timestamp``, milliseconds of Unix time.
        """
        said = self.json.get("timestamp")
        return datetime.fromtimestamp(said / 1000, UTC) if isinstance(said, int) else None

    @property
    def account_id(self) -> str | None:
        """Who did it. Source: ``user.accountId`` in Jira, ``userAccountId`` in Confluence."""
        return self._text("user", "accountId") or self._text("userAccountId")

    @property
    def issue_id(self) -> str | None:
        """Number of the issue that it is about."""
        return self.objects.get("issue_id") or self._text("issue", "id")

    @property
    def issue_key(self) -> str | None:
        """Key of that issue."""
        return self.objects.get("issue_key") or self._text("issue", "key")

    @property
    def project_id(self) -> str | None:
        """Number of the project that it is about, or of the issue's."""
        return (
            self.objects.get("project_id")
            or self._text("project", "id")
            or self._text("issue", "fields", "project", "id")
        )

    @property
    def project_key(self) -> str | None:
        """Key of that project."""
        return (
            self.objects.get("project_key")
            or self._text("project", "key")
            or self._text("issue", "fields", "project", "key")
        )

    @property
    def comment_id(self) -> str | None:
        """Number of the comment that it is about."""
        return self.objects.get("comment_id") or self._text("comment", "id")

    @property
    def content_id(self) -> str | None:
        """Number of the Confluence page, blog post or other content that it is about."""
        for kind in ("page", "blog", "content", "attachment", "comment"):
            if found := self._text(kind, "id"):
                return found
        return None

    @property
    def space_key(self) -> str | None:
        """Key of the Confluence space that it is about."""
        for kind in ("page", "blog", "content", "attachment"):
            if found := self._text(kind, "spaceKey") or self._text(kind, "space", "key"):
                return found
        return self._text("space", "key") or self._text("spaceKey")

    @property
    def changes(self) -> tuple[Mapping[str, Any], ...]:
        """What was changed, field by field. Source: ``changelog.items`` of ``jira:issue_updated``."""
        log = self.json.get("changelog")
        items = log.get("items") if isinstance(log, Mapping) else None
        return tuple(one for one in items if isinstance(one, Mapping)) if isinstance(items, list) else ()

    def _text(self, *path: str) -> str | None:
        """What stands at a path of the body, as text; numbers are the host's older way to write ids."""
        found: Any = self.json
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return str(found) if isinstance(found, str | int) and not isinstance(found, bool) and found != "" else None


@dataclass(frozen=True, slots=True)
class JobInvocation:
    """What a job's handler is called about.

    Attributes:
        tenant: The site; None is the deployment itself.
        settings: The plugin's.
        attempt: Which.
        payload: By name, as it was put into the queue, made into what the present version takes.
        event: Of a webhook.
    """

    tenant: Tenant | None
    settings: BaseModel
    attempt: Attempt
    payload: Mapping[str, Any] = field(default_factory=dict)
    event: WebhookEvent | None = None


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Something that a plugin does in the background.

    Attributes:
        plugin: The plugin's name.
        name: Its name in the plugin; waiting jobs are found by it, so that it stays when code is rearranged.
        kind: Where its jobs come from.
        run: Does it; an exception means: again, until ``attempts`` are used up.
        attempts: How often it is tried; None is until it succeeds.
        timeout_s: Longest time of one attempt, in seconds.
        version: Of its payload.
        upgrades: By version, what makes a payload of it into one of the next.
        schedule: When it happens by itself.
        event: Of a webhook, the host's name for it.
        order: Of a webhook, which of its objects decides whose turn it is: those about one go one after another.
    """

    plugin: str
    name: str
    kind: JobKind
    run: Callable[[JobInvocation], Awaitable[None]]
    attempts: int | None = 8
    timeout_s: float = 60.0
    version: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    schedule: Schedule | None = None
    event: str | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is to be kept.

    Attributes:
        plugin: Whose it is.
        name: Which.
        kind: Where it comes from.
        payload: JSON, or what the host sent.
        version: Of the payload.
        facts: What else is known of it, JSON values.
        dedupe: Of two with the same, the second is not made: while the first has not begun; of a webhook, ever.
        order: Of those with the same, one begins when the one before is done.
        due_at: When it may begin, Unix time in seconds.
        tenant_id: Number of the site that it is about; 0 is the deployment itself, None the site in scope.
    """

    plugin: str
    name: str
    kind: JobKind
    payload: bytes = b""
    version: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    dedupe: str | None = None
    order: str | None = None
    due_at: float = 0.0
    tenant_id: int | None = None


class Queue(Protocol):
    """Where jobs are kept, as plugins reach it."""

    async def put(self, job: NewJob) -> int | None:
        """Keep a job, in the transaction at hand if there is one; give its number, or None if it is there already."""
