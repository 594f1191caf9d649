"""Issues and Confluence content at the host: the resource that shows one of them, and whether it still exists.

A 404 means that an object does not exist, or that the add-on may not see it: a restricted page, an issue with a
security level, a project in the trash. It counts only while the host shows the add-on's own account to the add-on,
because the page in place of a site that is switched off is a 404 as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote

from addonkit.context import Product
from addonkit.errors import CallForbidden, HostError, ScopeMissing, ScopeNotApproved
from addonkit.host import Host

DEADLINE_S = 10.0
NOT_ABOUT_THE_OBJECT = (401, 408, 429)
"""Refusals that say nothing about the object: the token, a time limit, a rate limit."""


class ObjectKind(NamedTuple):
    """A kind of object that plugins store rows about.

    Attributes:
        name: ``"issue"`` or ``"content"``.
        product: The product that has it.
        path: Path of the resource; ``{}`` is the object's id.
        params: Query parameters of the resource.
        container: Where the resource has the id or key of its container: a project or a space.
        container_name: The parameter that holds this id or key in requests and webhooks.
        container_path: Path of the container's resource.
        container_event: The webhook for a deleted container.
        own_account: Path of the add-on's own account.
    """

    name: str
    product: Product
    path: str
    params: Mapping[str, str]
    container: tuple[str, ...]
    container_name: str
    container_path: str
    container_event: str
    own_account: str


# Source: the products' REST references. ``status=any`` includes content in the trash, which can be restored.
KINDS: Mapping[str, ObjectKind] = {
    "issue": ObjectKind(
        "issue",
        "jira",
        "/rest/api/3/issue/{}",
        {"fields": "project"},
        ("fields", "project", "id"),
        "project_id",
        "/rest/api/3/project/{}",
        "project_deleted",
        "/rest/api/3/myself",
    ),
    "content": ObjectKind(
        "content",
        "confluence",
        "/rest/api/content/{}",
        {"status": "any", "expand": "space"},
        ("space", "key"),
        "space_key",
        "/rest/api/space/{}",
        "space_removed",
        "/rest/api/user/current",
    ),
}


class Presence(StrEnum):
    """What the host says about an object."""

    FOUND = "found"
    """The host shows it."""
    HIDDEN = "hidden"
    """The host refuses to show it for another reason than that it does not exist."""
    MISSING = "missing"
    """404: it does not exist, or the add-on may not see it."""


class Answer(NamedTuple):
    """The host's answer about one object.

    Attributes:
        presence: Whether the host shows it.
        container: Id or key of its container; empty if the answer does not contain one.
    """

    presence: Presence
    container: str = ""


class HostSilent(Exception):
    """The host's answer says nothing about the object; ask again later.

    Args:
        reason: One sentence for the log.
        retry_after_s: When to ask again, in seconds, if the host says so.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class HostObjects:
    """Asks one site about objects of one kind.

    Args:
        host: The site, as the add-on.
        kind: The kind of the objects.
    """

    def __init__(self, host: Host, kind: ObjectKind) -> None:
        self._host, self._kind = host, kind
        self._is_trusted = False

    async def ask(self, object_id: str) -> Answer:
        """Ask whether an object exists.

        Raises:
            HostSilent: The host gave no answer about the object.
        """
        kind = self._kind
        presence, body = await self._get(kind.path, object_id, kind.params)
        return Answer(presence, _text_at(body, kind.container))

    async def ask_container(self, container: str) -> Presence:
        """Ask whether a container exists.

        Raises:
            HostSilent: The host gave no answer about the container.
        """
        return (await self._get(self._kind.container_path, container, {}))[0]

    async def _get(self, path: str, name: str, params: Mapping[str, str]) -> tuple[Presence, Any]:
        try:
            body = await self._host.get(path.format(quote(name, safe="")), params, deadline_s=DEADLINE_S)
        except ScopeMissing:
            raise
        except CallForbidden:  # The id cannot be part of a path, so nothing was asked.
            return Presence.HIDDEN, None
        except HostError as error:
            presence = _presence(error)
            if presence is Presence.MISSING:
                await self._require_own_account()
            return presence, None
        return Presence.FOUND, body

    async def _require_own_account(self) -> None:
        """Check that the host recognises the add-on, so that a 404 is about the object."""
        if self._is_trusted:
            return
        path = self._kind.own_account
        try:
            account = await self._host.get(path, deadline_s=DEADLINE_S)
        except HostError as error:
            raise HostSilent(f"404, but also {error.status or 'no answer'} to 'GET {path}'") from None
        if not _text_at(account, ("accountId",)):
            raise HostSilent(f"404, but 'GET {path}' does not show the add-on's account")
        self._is_trusted = True


def _presence(error: HostError) -> Presence:
    status = error.status
    if status == 404:
        return Presence.MISSING
    refused = status is not None and 400 <= status < 500 and status not in NOT_ABOUT_THE_OBJECT
    if refused and not isinstance(error, ScopeNotApproved):
        return Presence.HIDDEN
    raise HostSilent(error.brief, error.retry_after_s) from None


def _text_at(body: Any, path: tuple[str, ...]) -> str:
    for name in path:
        body = body.get(name) if isinstance(body, Mapping) else None
    return str(body) if isinstance(body, str | int) and not isinstance(body, bool) else ""
