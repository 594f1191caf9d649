"""The public interface for host calls, as plugins see it: protocols and values, without I/O.

How a host call is checked, signed, sent and retried is in ``hostapi``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

from addonkit.host.values import (
    MAX_DOWNLOAD_BYTES,
    Access,
    Attachment,
    BodyOptions,
    CallOptions,
    Download,
    HostResponse,
    ProgressCallback,
    Property,
    Query,
    QueryValue,
    RequestOptions,
    User,
)

if TYPE_CHECKING:
    from pydantic import BaseModel  # not imported at run time: building a descriptor does not need it

M = TypeVar("M", bound="BaseModel")

__all__ = [
    "MAX_DOWNLOAD_BYTES",
    "Access",
    "Attachment",
    "BodyOptions",
    "CallOptions",
    "Download",
    "Host",
    "HostResponse",
    "ProgressCallback",
    "Property",
    "Query",
    "QueryValue",
    "RequestOptions",
    "User",
]


class Host(Protocol):
    """The REST API of one site, called as the add-on or as a user.

    Paths are relative to the site's base URL: ``/rest/api/3/issue/AB-1`` in Jira, ``/rest/api/content/1`` and
    ``/api/v2/pages/1`` in Confluence. Every method that calls the host raises:

    Raises:
        CallForbidden: The call was not sent: it leads off the site, or the plugin lacks the scope (``ScopeMissing``).
        HostUnavailable: The host did not give a complete response.
        RateLimited: The site's rate limit is exhausted.
        ResponseInvalid: The response is too large or not JSON.
        HostError: The host refused the request; see ``status`` and ``messages``.
    """

    async def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> HostResponse:
        """Send a request and return the response: status, headers and bytes."""

    async def get(self, path: str, params: Query | None = None, **options: Unpack[CallOptions]) -> Any:
        """Send GET and return the parsed JSON; None if the response has no body."""
        return (await self.request("GET", path, params=params or {}, **options)).json()

    async def post(self, path: str, json: Any = None, **options: Unpack[BodyOptions]) -> Any:
        """Send POST and return the parsed JSON; None if the response has no body."""
        return (await self.request("POST", path, json=json, **options)).json()

    async def put(self, path: str, json: Any = None, **options: Unpack[BodyOptions]) -> Any:
        """Send PUT and return the parsed JSON; None if the response has no body."""
        return (await self.request("PUT", path, json=json, **options)).json()

    async def delete(self, path: str, params: Query | None = None, **options: Unpack[CallOptions]) -> Any:
        """Send DELETE and return the parsed JSON; None if the response has no body."""
        return (await self.request("DELETE", path, params=params or {}, **options)).json()

    def download(
        self,
        path: str | None = None,
        params: Query | None = None,
        *,
        attachment: str | None = None,
        content: str | None = None,
        max_bytes: int = MAX_DOWNLOAD_BYTES,
        deadline_s: float = 120.0,
    ) -> AbstractAsyncContextManager[Download]:
        """Receive a file, piece by piece: ``async with host.download(attachment="10001") as file:``.

        If the site redirects to a file server, which is another origin, the redirect is followed once, over https,
        without the add-on's token, and never to a private address. All other host calls refuse such a redirect.

        Args:
            path: Path of a file of the site, such as that of a thumbnail; or pass ``attachment``.
            params: Query parameters.
            attachment: Id of an attachment.
            content: Id of the content that has the attachment; required in Confluence.
            max_bytes: Maximum size, in bytes.
            deadline_s: Maximum duration until the end of the file, in seconds; at most 600.
        """

    async def upload(
        self,
        name: str,
        data: bytes,
        *,
        issue: str | None = None,
        content: str | None = None,
        content_type: str = "application/octet-stream",
        deadline_s: float = 120.0,
    ) -> Attachment:
        """Attach a file to an issue or to content. In Confluence it replaces a file of the same name.

        Args:
            name: The file name.
            data: The file.
            issue: Id or key of an issue (Jira).
            content: Id of content (Confluence).
            content_type: The content type.
            deadline_s: Maximum duration, in seconds; at most 600. An upload is not retried.
        """

    def pages(
        self,
        path: str,
        params: Query | None = None,
        *,
        on_progress: ProgressCallback | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[Any]:
        """Iterate over all items of a paginated list, in any of the host's styles; one page is in memory at a time.

        Args:
            path: Path of the list.
            params: Query parameters of the first page. Those that select a page are replaced for the next ones.
            on_progress: Called after each page.
            **options: Options of each request.

        Raises:
            ResponseInvalid: The response is no list; there are more items and no known way to them; or the list does
                not end.
        """

    def as_user(self, account_id: str | None = None, *, consented: bool = False) -> Host:
        """Return this host acting as a user, with that user's permissions.

        Args:
            account_id: The account; by default the user who sent the current request.
            consented: Whether this plugin has stored the consent of that account. It is required for every account
                other than the user who sent the current request.

        Raises:
            CallForbidden: The account is not the current user and ``consented`` is false; or there is no user; or the
                plugin lacks the scope ``ACT_AS_USER``.
        """

    def as_anonymous(self) -> Host:
        """Return this host acting as an anonymous visitor: its calls carry no token and need no scope."""

    async def may(
        self,
        permission: str,
        *,
        issue: str | None = None,
        project: str | None = None,
        content: str | None = None,
        account_id: str | None = None,
    ) -> bool:
        """Whether a user has a permission, according to the host. Anonymous visitors have no permissions.

        An object that the add-on itself may not see counts as a permission that the user does not have; ``access``
        tells the two apart.

        Args:
            permission: Jira's name of the permission, such as ``EDIT_ISSUES``; for content ``read``, ``update`` or
                ``delete``.
            issue: Numeric id of an issue: a project permission, evaluated for this issue.
            project: Numeric id of a project.
            content: Id of Confluence content: ``98347``, or ``att98347`` for an attachment. Without an issue, project
                or content, the permission is a global one.
            account_id: The user; by default the one who sent the current request.

        Raises:
            ObjectIdInvalid: The id has no form that the host uses; a page that does not catch it answers 400.
            ResponseInvalid: The host reported errors instead of an answer.
        """

    async def access(
        self,
        permission: str,
        *,
        issue: str | None = None,
        project: str | None = None,
        content: str | None = None,
        account_id: str | None = None,
    ) -> Access:
        """Return whether a user has a permission, or that the add-on may not see the object.

        The arguments and errors are those of ``may``. An anonymous visitor is denied everything.
        """

    async def may_each(
        self, permission: str, *, issues: Collection[str], account_id: str | None = None
    ) -> frozenset[str]:
        """Return the ids of those issues for which a user has a permission; up to 200 issues a request."""

    async def may_read(
        self, *, issue: str | None = None, content: str | None = None, account_id: str | None = None
    ) -> bool:
        """Whether a user may view an issue or content."""
        if content is not None:
            return await self.may("read", content=content, account_id=account_id)
        return await self.may("BROWSE_PROJECTS", issue=issue or "", account_id=account_id)

    def property(self, model: type[M], key: str, **entity: str) -> Property[M]:
        """Return a property of the add-on, or of one entity of the site.

        Args:
            model: Model of the value.
            key: The property's key, at most 127 characters.
            **entity: At most one of ``issue``, ``project``, ``comment``, ``user`` (Jira), ``content``, ``space``
                (Confluence), with its id or key. Other add-ons and users can read it: do not store secrets.
        """

    async def users(self, account_ids: Iterable[str]) -> dict[str, User]:
        """Return names and pictures by account id, fetched in bulk and cached in memory for ten minutes."""
