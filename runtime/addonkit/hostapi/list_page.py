"""One page of a list: its items, and what the response says about the pages that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from addonkit.errors import ResponseInvalid

_ITEMS = (
    *("values", "issues", "results", "comments", "worklogs", "records", "permissionSchemes", "fields"),
    *("dashboards", "issueTypes", "availableTransitions"),
)
"""Source: names of the list: Jira's newer lists, searches, comments, worklogs, agile lists and others; Confluence's."""
_IS_LAST = ("isLast", "lastPage", "isLastPage", "last")
"""Source: Jira's platform and agile lists; worklogs; service management; plans."""
_TOKENS = (("nextPageToken", "nextPageToken"), ("nextPageCursor", "cursor"), ("startingAfter", "startingAfter"))
"""Fields of a response with the position of the next page, each with the parameter that it is sent in."""
_IDENTIFIERS = ("id", "accountId", "worklogId", "self", "key", "name")


@dataclass(frozen=True, slots=True)
class ListPage:
    """A response that contains a page of a list.

    Attributes:
        items: The items.
        body: The object that contains the list; empty if the response is a bare list.
        is_bare: Whether the response is a bare list, which says nothing about further pages.
    """

    items: list[Any]
    body: Mapping[str, Any] = field(default_factory=dict)
    is_bare: bool = False

    @property
    def is_last(self) -> bool | None:
        """Whether the host says that this is the last page; None if it does not say it."""
        return next((flag for name in _IS_LAST if isinstance(flag := self.body.get(name), bool)), None)

    @property
    def total(self) -> int | None:
        """The number of items on all pages; None if the host does not report it."""
        return next((total for name in ("total", "totalSize") if _is_int(total := self.body.get(name))), None)

    @property
    def has_links(self) -> bool:
        """Whether the page links to other pages, so that the last one is the one without a link."""
        return isinstance(self.body.get("_links"), Mapping)

    @property
    def link(self) -> str | None:
        """The path or URL of the next page, in Confluence's ``_links`` or in ``next``."""
        links = self.body.get("_links")
        link = links.get("next") if isinstance(links, Mapping) else self.body.get("next")
        return _text(link.get("href") if isinstance(link, Mapping) else link)

    @property
    def url(self) -> str | None:
        """The URL of the next page in ``nextPage``, which lists with ``startAt`` have as well."""
        return _text(self.body.get("nextPage"))

    @property
    def token(self) -> dict[str, str | int] | None:
        """The query parameter that selects the next page."""
        for name, parameter in _TOKENS:
            token = self.body.get(name)
            if isinstance(token, str | int) and token != "" and not isinstance(token, bool):
                return {parameter: token}
        return None

    def identities(self) -> list[str]:
        """Return what each item is recognised by when the host sends it again."""
        return [_identity(item) for item in self.items]


def read_page(response: Any, path: str) -> ListPage:
    """Find the list in a response.

    Args:
        response: The parsed response.
        path: Path of the list, for the message.

    Raises:
        ResponseInvalid: It contains no list.
    """
    if isinstance(response, list):
        return ListPage(response, is_bare=True)
    if isinstance(response, dict):
        for name in _ITEMS:
            if isinstance(items := response.get(name), list):
                return ListPage(items, response)
        for body in response.values():
            # Source: usages of a status or workflow: {"projects": {"values": […], "nextPageToken": …}}.
            if isinstance(body, dict) and isinstance(items := body.get("values"), list):
                return ListPage(items, body)
    raise ResponseInvalid(
        f"the host's response to 'GET {path}' is not a page of a list, expected one of {', '.join(_ITEMS)}; use get()"
    )


def _identity(item: Any) -> str:
    if isinstance(item, dict):
        for name in _IDENTIFIERS:
            if isinstance(value := item.get(name), str | int):
                return f"{name}={value}"
    return orjson.dumps(item).decode()


def is_identified(identity: str) -> bool:
    """Whether an identity names one item; otherwise it is the item's content, which another item may have as well."""
    return identity.partition("=")[0] in _IDENTIFIERS


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
