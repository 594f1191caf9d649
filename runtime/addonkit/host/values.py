"""The values of host calls, as plugins see them: options, responses, users, properties and files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

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


MAX_DOWNLOAD_BYTES = 100 * 1024 * 1024


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


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment that was uploaded.

    Attributes:
        id: The host's id: ``10001`` in Jira, ``att98347`` in Confluence.
        name: The file name.
        content_type: The content type.
        size: The size in bytes; None if the host does not report it.
    """

    id: str
    name: str
    content_type: str
    size: int | None


class Download(Protocol):
    """A file that is being received: iterate over it once, or read it whole.

    Attributes:
        content_type: The content type, as the server sent it.
        size: The size in bytes; None if the server does not report it.
    """

    @property
    def content_type(self) -> str:
        """The content type."""

    @property
    def size(self) -> int | None:
        """The size in bytes, or None."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the file in pieces of at most some 64 KB.

        Raises:
            ResponseInvalid: The file is larger than ``max_bytes``.
            HostUnavailable: It was not received completely, or not before the deadline.
        """

    async def read(self) -> bytes:
        """Return the whole file; it is in memory at once."""


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
