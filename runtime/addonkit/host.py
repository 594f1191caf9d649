"""Calls to the host as plugins make them: what they may say and what they get. Protocols and values, without I/O.

How a call is signed, sent and bounded is in ``hostapi``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, Unpack

import orjson

from addonkit.errors import ResponseInvalid

if TYPE_CHECKING:
    from pydantic import BaseModel  # a descriptor is made without it

M = TypeVar("M", bound="BaseModel")
One = str | int | float | bool
Query = Mapping[str, One | Iterable[One] | None]
"""Names and values of a query; several values of a name as a list, None leaves the name out."""
Progress = Callable[[int, int | None], None]
"""Told how many items have come, and how many there are if the host says so."""


class Bounds(TypedDict, total=False):
    """What may be said of any call.

    Attributes:
        headers: Further headers; those that sign the call are ours.
        deadline_s: Longest time for all of it, waiting and trying again included, in seconds; 20 unless said.
        max_bytes: Largest answer, in bytes; 8 MB unless said.
        idempotent: Whether sending it twice does no harm, so that it may be tried again; by default what its method
            promises.
    """

    headers: Mapping[str, str]
    deadline_s: float
    max_bytes: int
    idempotent: bool


class Writing(Bounds, total=False):
    """What may be said of a call with a body.

    Attributes:
        params: The query.
        content: The body as bytes, in place of JSON; ``headers`` say what it is.
        files: A form with files, in place of JSON: by field, the file's name, its bytes and its content type.
    """

    params: Query
    content: bytes
    files: Mapping[str, tuple[str, bytes, str]]


class Options(Writing, total=False):
    """All that may be said of a call.

    Attributes:
        json: The body: JSON values, pydantic models among them.
    """

    json: Any


@dataclass(frozen=True, slots=True)
class HostResponse:
    """What the host answered, with a status below 300.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case; of a repeated one, the values joined by a comma.
        content: The body, decompressed.
        call: What was asked, for messages: ``GET /rest/api/3/myself``.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    call: str = ""

    def json(self) -> Any:
        """The body as JSON; None where there is none.

        Raises:
            AnswerUnusable: It is none.
        """
        if not self.content:
            return None
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            kind = self.headers.get("content-type", "no content type")
            raise ResponseInvalid(
                f"the host answered {self.status} to '{self.call}' with '{kind}', expected JSON; take request() where "
                "the body is something else",
                status=self.status,
            ) from None


@dataclass(frozen=True, slots=True)
class User:
    """Somebody, as others on the site see them. Nothing of it is stored: keep the account id and ask again.

    Attributes:
        account_id: The Atlassian account id.
        name: The name to show; empty where the site does not know the account, or no longer.
        avatar_url: A picture of 48 by 48 pixels; None where there is none.
        is_active: Whether the account can be used.
    """

    account_id: str
    name: str = ""
    avatar_url: str | None = None
    is_active: bool = False


class Property(Protocol[M]):
    """One property that the host keeps: a JSON value of at most 32,768 characters, here as a model."""

    async def get(self) -> M | None:
        """The value; None where there is none.

        Raises:
            AnswerUnusable: What is there does not fit the model.
            HostError: The host gave no answer.
        """

    async def put(self, value: M) -> None:
        """Store the value.

        Raises:
            CallForbidden: It is too long; nothing was sent.
            HostError: The host did not take it.
        """

    async def delete(self) -> None:
        """Delete it; one that is not there is no error.

        Raises:
            HostError: The host did not do it.
        """


class Host(Protocol):
    """The product's REST API on one site, asked as the add-on, or as a user.

    Paths are relative to the site's base URL: ``/rest/api/3/issue/AB-1`` in Jira, ``/rest/api/content/1`` and
    ``/api/v2/pages/1`` in Confluence. Each method raises:

    Raises:
        CallForbidden: The call was not made: it leads off the site, or the plugin lacks the scope (``ScopeMissing``).
        HostDown: There was no whole answer.
        HostLimited: The site's budget is used up.
        AnswerUnusable: The answer is too large or no JSON.
        HostError: The host said no, with ``status`` and ``messages``.
    """

    async def get(self, path: str, params: Query | None = None, **options: Unpack[Bounds]) -> Any:
        """The answer to GET, as JSON values."""

    async def post(self, path: str, json: Any = None, **options: Unpack[Writing]) -> Any:
        """The answer to POST, as JSON values; None where it has no body."""

    async def put(self, path: str, json: Any = None, **options: Unpack[Writing]) -> Any:
        """The answer to PUT, as JSON values; None where it has no body."""

    async def delete(self, path: str, params: Query | None = None, **options: Unpack[Bounds]) -> Any:
        """The answer to DELETE, as JSON values; None where it has no body."""

    async def request(self, method: str, path: str, **options: Unpack[Options]) -> HostResponse:
        """The answer as it came: status, headers, bytes."""

    def pages(
        self, path: str, params: Query | None = None, *, on_progress: Progress | None = None, **options: Unpack[Bounds]
    ) -> AsyncIterator[Any]:
        """All items of a list, page after page, in each of the host's styles; one page is in memory at a time.

        Args:
            path: Of the list.
            params: Beside what says which page.
            on_progress: Called after each page.
            **options: For each page.
        """

    def as_user(self, account_id: str | None = None, *, consented: bool = False) -> Host:
        """The same site, asked as a user: what they may not do, is refused.

        Args:
            account_id: Whose; by default who sent the request at hand.
            consented: Whether this plugin has stored that account's consent. Without it only who sent the request at
                hand can be acted for.

        Raises:
            CallForbidden: It is somebody else, or nobody; or the plugin does not ask for ``ACT_AS_USER``.
        """

    def as_anonymous(self) -> Host:
        """The same site, asked in nobody's name: what everybody may see, without a token and without scopes."""

    async def may(
        self,
        permission: str,
        *,
        issue: str | None = None,
        project: str | None = None,
        content: str | None = None,
        account_id: str | None = None,
    ) -> bool:
        """Whether a user may do something, as the host says; an anonymous one may nothing.

        Args:
            permission: In Jira's words, such as ``EDIT_ISSUES``; for content ``read``, ``update`` or ``delete``.
            issue: Number of the issue; a project's permission on it.
            project: Number of the project.
            content: Number of the Confluence content. Without any of the three, a permission of the whole site.
            account_id: Who; by default who sent the request at hand.
        """

    async def may_each(
        self, permission: str, *, issues: Collection[str], account_id: str | None = None
    ) -> frozenset[str]:
        """Those of the issues, by number, on which a user may do something; asked together."""

    async def may_read(
        self, *, issue: str | None = None, content: str | None = None, account_id: str | None = None
    ) -> bool:
        """Whether a user may see an issue or content."""

    def property(self, model: type[M], key: str, **entity: str) -> Property[M]:
        """One property of the add-on's own, or of something on the site.

        Args:
            model: What the value is.
            key: The property's key, at most 127 characters.
            **entity: At most one of ``issue``, ``project``, ``comment``, ``user`` (Jira), ``content``, ``space``
                (Confluence), with its number or key. Others can read an entity's properties: no secrets.
        """

    async def users(self, account_ids: Iterable[str]) -> dict[str, User]:
        """Names and pictures, one entry for each account, asked together and kept in memory for some minutes."""
