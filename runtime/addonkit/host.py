"""The public interface for host calls, as plugins see it: protocols and values, without I/O.

How a host call is checked, signed, sent and retried is in ``hostapi``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, Unpack

import orjson

from addonkit import foreign_json
from addonkit.errors import ResponseInvalid

if TYPE_CHECKING:
    from pydantic import BaseModel  # not imported at run time: building a descriptor does not need it

M = TypeVar("M", bound="BaseModel")
QueryValue = str | int | float | bool
Query = Mapping[str, QueryValue | Iterable[QueryValue] | None]
"""Query parameters by name. A list is sent as a repeated parameter; a parameter that is None is omitted."""
ProgressCallback = Callable[[int, int | None], None]
"""Called with the number of items received so far, and with their total if the host reports it."""


class CallOptions(TypedDict, total=False):
    """Options of every host call.

    Attributes:
        headers: Additional headers. The runtime sets the headers that authenticate the call.
        deadline_s: Maximum duration of the call, including waiting and retries, in seconds. Default 20,
            maximum 600.
        max_bytes: Maximum size of the response body, in bytes. Default 8 MB.
        idempotent: Whether the request may safely be sent twice and so be retried. The default depends on the
            method: GET, HEAD, OPTIONS, PUT and DELETE are idempotent.
    """

    headers: Mapping[str, str]
    deadline_s: float
    max_bytes: int
    idempotent: bool


class BodyOptions(CallOptions, total=False):
    """Options of a host call that has a body.

    Attributes:
        params: The query parameters.
        content: The body as bytes, instead of JSON; set its content type in ``headers``.
        files: A multipart form, instead of JSON: file name, bytes and content type by form field.
    """

    params: Query
    content: bytes
    files: Mapping[str, tuple[str, bytes, str]]


class RequestOptions(BodyOptions, total=False):
    """Options of :meth:`Host.request`.

    Attributes:
        json: The body: JSON values, which may contain pydantic models.
    """

    json: Any


@dataclass(frozen=True, slots=True)
class HostResponse:
    """A successful response of the host, with a status below 300.

    Attributes:
        status: The HTTP status.
        headers: Header values by lower-case name. The values of a repeated header are joined with a comma.
        content: The body, decompressed.
        call: Method and path of the request, for messages: ``GET /rest/api/3/myself``.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    call: str = ""

    def json(self) -> Any:
        """Parse the body as JSON; None if it is empty. Half a surrogate pair in a text becomes U+FFFD.

        Raises:
            ResponseInvalid: The body is not JSON.
        """
        if not self.content:
            return None
        try:
            return foreign_json.loads(self.content)
        except orjson.JSONDecodeError:
            content_type = self.headers.get("content-type", "no content type")
            raise ResponseInvalid(
                f"the host answered {self.status} to '{self.call}' with '{content_type}', expected JSON; use request() "
                "for other content types",
                status=self.status,
            ) from None


@dataclass(frozen=True, slots=True)
class User:
    """A user as other users of the site see them. Do not store these values: store the account id and ask again.

    Attributes:
        account_id: The Atlassian account id.
        name: The display name; empty if the site does not know the account.
        avatar_url: URL of a picture of 48 by 48 pixels; None if there is none.
        is_active: Whether the account is active.
    """

    account_id: str
    name: str = ""
    avatar_url: str | None = None
    is_active: bool = False


class Access(StrEnum):
    """The host's answer to the question whether a user has a permission."""

    GRANTED = "granted"
    DENIED = "denied"
    """The user does not have the permission."""
    HIDDEN = "hidden"
    """The host does not answer the add-on (403 or 404): the object does not exist, or the add-on's own user may not see
    it, for example because of a view restriction. An administrator can give that user access."""


class Property(Protocol[M]):
    """One property stored by the host: a JSON value of at most 32,768 characters, read and written as a model."""

    async def get(self) -> M | None:
        """Read the value; None if the property does not exist.

        Raises:
            ResponseInvalid: The stored value does not match the model.
            HostError: The host did not answer, or refused.
        """

    async def put(self, value: M) -> None:
        """Create the property or replace its value.

        Raises:
            CallForbidden: The value is too long; nothing was sent.
            HostError: The host did not answer, or refused.
        """

    async def delete(self) -> None:
        """Delete the property; a missing property is not an error.

        Raises:
            HostError: The host did not answer, or refused.
        """


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
            params: Query parameters other than those that select the page.
            on_progress: Called after each page.
            **options: Options of each request.
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
