"""``WebhookEvent``: a webhook as its handler receives it, with the objects that its URL and its body name.

``work`` has the other values of background work; ``jobs`` stores webhooks and ``edge`` receives them.

Source: bodies recorded from Cloud sites, see ``tests/vectors/webhook-payloads.json``. Paths marked "recalled" are from
memory of the host's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

import orjson

from addonkit import foreign_json
from addonkit.context import NOTHING, Tenant
from addonkit.errors import PayloadInvalid
from addonkit.timestamps import utc_time

Path = tuple[str | int, ...]
"""Names of fields and places in lists that lead to one value of the body."""

_UNFILLED = re.compile(r"\$\{[^{}]*\}")
# The body names an author for each comment, worklog and attachment; the user at its top is missing there.
_AUTHORED = re.compile(r"(?:jira:)?(comment|worklog|attachment)_")
# In these events the last author of the content is the one who caused the event; in others it may be somebody else.
_EDITED = re.compile(r"(content|page|blog|comment|attachment)_(?:created|updated)")
_CONTENT = ("page", "blog", "blogpost", "content")
_PARENTS: tuple[Path, ...] = (
    ("comment", "parent"),
    ("comment", "container"),  # recalled
    ("attachedTo",),  # recalled
    ("attachment", "parent"),
    ("attachment", "container"),  # recalled
    ("attachments", 0, "parent"),  # recalled
    ("attachments", 0, "container"),  # recalled
)
_ATTACHED: tuple[Path, ...] = (("attachment",), ("attachments", 0), ("comment",))
_LABELED: tuple[Path, ...] = (("labeled",),)  # recalled


def filled(objects: Mapping[str, str]) -> dict[str, str]:
    """Return the values from a webhook's URL without those that the host left empty or unfilled (``${issue.id}``)."""
    return {name: value for name, value in objects.items() if value and not _UNFILLED.fullmatch(value)}


@dataclass(frozen=True)
class WebhookEvent:
    """A webhook, as the host sent it.

    The host signs the method, path and query of a webhook, and not its body: :attr:`objects` are signed, while the body
    is only as trustworthy as the connection. The properties prefer a signed value to one of the body.

    Attributes:
        name: The event, such as ``jira:issue_deleted``.
        tenant: The site that sent it.
        body: The request body, unchanged; empty if the webhook excludes it.
        received_at: When it was stored, UTC.
        objects: Values from the webhook's URL, by parameter name: ``{"issue_id": "10001"}``; without variables that the
            host did not fill.
        identifier: The host's identifier of the delivery, the same for each retry; None if it sent none.
        retry: How many times the host had tried to deliver it before.
        flow: ``Primary``, or ``Secondary`` for webhooks of bulk operations; empty if the host sent none.
    """

    name: str
    tenant: Tenant
    body: bytes = field(repr=False)
    received_at: datetime
    objects: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    identifier: str | None = None
    retry: int = 0
    flow: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "objects", filled(self.objects))

    @cached_property
    def json(self) -> Mapping[str, Any]:
        """The decoded body; an empty object if there is no body. Half a surrogate pair in a text is U+FFFD.

        Raises:
            PayloadInvalid: The body is not a JSON object.
        """
        if not self.body:
            return MappingProxyType({})
        try:
            found = foreign_json.loads(self.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise PayloadInvalid(f"the body of the webhook '{self.name}' is not a JSON object")
        return MappingProxyType(found)

    @property
    def at(self) -> datetime | None:
        """When the event happened, by the host's clock; None if the body has no time, or one outside of the calendar.

        Source: ``timestamp``, Unix time in milliseconds.
        """
        timestamp = self.json.get("timestamp")
        return utc_time(timestamp, per_second=1000)

    # ---- people ------------------------------------------------------------------------------------------------------

    @property
    def account_id(self) -> str | None:
        """Account id of the user who caused the event; None if the host does not name one, as for ``user_*`` events.

        For comments, worklogs and attachments, Jira names the last author only: that is who created or changed one, but
        not necessarily who deleted it.

        Source: ``user`` in Jira, ``userAccountId`` in Confluence; else ``updateAuthor`` or ``author`` of a comment,
        worklog or attachment, and the last author of Confluence content that was created or updated.
        """
        if self._is_about_a_user:
            return None
        return self._first(("user", "accountId"), ("userAccountId",), *self._author_paths())

    @property
    def subject_account_id(self) -> str | None:
        """Account id of the user whom a ``user_*`` event is about: who was created, changed or deleted."""
        if not self._is_about_a_user:
            return None
        # In this event of Confluence, the account id at the top may be the follower's.
        top: tuple[Path, ...] = () if self.name == "user_followed" else (("userAccountId",),)
        signed = self.objects.get("modified_user_account_id")
        return signed or self._first(("user", "accountId"), ("userProfile", "accountId"), *top)

    @property
    def _is_about_a_user(self) -> bool:
        return self.name.startswith("user_")

    def _author_paths(self) -> tuple[Path, ...]:
        if self._is_of_jira:
            kind = _AUTHORED.match(self.name)
            return ((kind[1], "updateAuthor", "accountId"), (kind[1], "author", "accountId")) if kind else ()
        kind = _EDITED.fullmatch(self.name)
        if kind is None:
            return ()
        if kind[1] == "content":
            return (("version", "by", "accountId"), ("history", "createdBy", "accountId"))
        places: tuple[Path, ...] = ((kind[1],), (f"{kind[1]}s", 0))
        return tuple((*place, name) for place in places for name in ("lastModifierAccountId", "creatorAccountId"))

    # ---- Jira --------------------------------------------------------------------------------------------------------

    @property
    def issue_id(self) -> str | None:
        """Id of the issue that the event is about."""
        return self.objects.get("issue_id") or self._first(("issue", "id"), ("worklog", "issueId"))

    @property
    def issue_key(self) -> str | None:
        """Key of the issue that the event is about."""
        return self.objects.get("issue_key") or self._first(("issue", "key"))

    @property
    def project_id(self) -> str | None:
        """Id of the project that the event, its issue or its version belongs to."""
        return self.objects.get("project_id") or self._first(
            ("project", "id"), ("issue", "fields", "project", "id"), ("version", "projectId")
        )

    @property
    def project_key(self) -> str | None:
        """Key of the project that the event or its issue belongs to."""
        return self.objects.get("project_key") or self._first(("project", "key"), ("issue", "fields", "project", "key"))

    @property
    def comment_id(self) -> str | None:
        """Id of the comment that the event is about, in either product."""
        return self.objects.get("comment_id") or self._first(("comment", "id"))

    @property
    def worklog_id(self) -> str | None:
        """Id of the worklog that the event is about."""
        return self.objects.get("worklog_id") or self._first(("worklog", "id"))

    @property
    def attachment_id(self) -> str | None:
        """Id of the attachment that the event is about, in either product."""
        return self.objects.get("attachment_id") or self._first(("attachment", "id"), ("attachments", 0, "id"))

    @property
    def board_id(self) -> str | None:
        """Id of the board that the event is about, or that its sprint was created on."""
        return self.objects.get("board_id") or self._first(("board", "id"), ("sprint", "originBoardId"))

    @property
    def changes(self) -> tuple[Mapping[str, Any], ...]:
        """Changed fields, each with ``field``, ``from`` and ``to``.

        Source: ``changelog.items`` of ``jira:issue_updated``.
        """
        log = self.json.get("changelog")
        items = log.get("items") if isinstance(log, Mapping) else None
        return tuple(item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()

    # ---- Confluence --------------------------------------------------------------------------------------------------

    @property
    def content_id(self) -> str | None:
        """Id of the Confluence page, blog post or other content that the event is about; None in Jira.

        For a comment, an attachment or a label it is the content that has it.
        """
        if self._is_of_jira:
            return None
        at_the_top: tuple[Path, ...] = (("id",),) if self.name.startswith("content_") else ()
        return self._first(*((*place, "id") for place in self._content_places()), *at_the_top)

    @property
    def space_key(self) -> str | None:
        """Key of the Confluence space that the event is about; None in Jira."""
        if self._is_of_jira:
            return None
        within = (path for place in self._content_places() for path in ((*place, "spaceKey"), (*place, "space", "key")))
        return self._first(*within, ("space", "key"), ("spaceKey",))

    def _content_places(self) -> tuple[Path, ...]:
        """Paths of the objects that stand for content, the most telling first."""
        return (*_PARENTS, *((name,) for name in _CONTENT), *_LABELED, *_ATTACHED)

    # ---- the body ----------------------------------------------------------------------------------------------------

    @property
    def _is_of_jira(self) -> bool:
        return self.tenant.product == "jira"

    def _first(self, *paths: Path) -> str | None:
        """The first value that the body has at one of these paths, as text; older events have ids as numbers."""
        return next((text for path in paths if (text := self._text(path)) is not None), None)

    def _text(self, path: Path) -> str | None:
        found: Any = self.json
        for step in path:
            if isinstance(step, str):
                found = found.get(step) if isinstance(found, Mapping) else None
            else:
                found = found[step] if isinstance(found, list) and step < len(found) else None
        return str(found) if isinstance(found, str | int) and not isinstance(found, bool) and found != "" else None
