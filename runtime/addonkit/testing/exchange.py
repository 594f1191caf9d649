"""A host call as the simulated REST API received it, and its response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from addonkit.testing.site import Site


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A host call of the add-on, as the simulated API received it.

    Attributes:
        method: The HTTP method in upper case.
        path: Path relative to the site's base URL, without the query.
        query: Lists of values by name.
        headers: Values by name in lower case.
        body: The raw body.
        site: The site whose shared secret signed the request.
        account_id: The account that the add-on acted as; None if it acted as itself.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    site: Site
    account_id: str | None = None

    def json(self) -> Any:
        """Return the body decoded from JSON; None if it is empty."""
        return orjson.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the simulated API.

    Attributes:
        json: The body as JSON values; None for an empty body.
        status: The HTTP status.
        headers: Headers besides the content type.
        content: The body as bytes, instead of ``json``.
    """

    json: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


ReplyFactory = Callable[[RecordedRequest], Reply | dict[str, Any] | list[Any] | None]
"""Returns the response to a request: a reply, or JSON values for a response with status 200."""
