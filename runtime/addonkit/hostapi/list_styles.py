"""Styles of lists: how the host's API description pages each resource that returns one."""

from __future__ import annotations

from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path

from addonkit.context import Product
from addonkit.hostapi.resource_map import ResourceMap

_FILE = Path(__file__).parent / "jira_lists.txt"


class ListStyle(StrEnum):
    """How a list is paged, as ``jira_lists.txt`` says it.

    Source: the query parameters of the resource and the fields of its response.
    """

    WHOLE = "whole"
    """A bare list without pages."""
    START_AT = "start-at"
    """Parameters ``startAt`` and ``maxResults``."""
    FILTERED = "filtered"
    """As ``START_AT``, but each page is filtered after it was cut, so it may be short or empty; the host looks at the
    first thousand entries only."""
    OFFSET = "offset"
    """Parameters ``offset`` and ``limit``."""
    TOKEN = "token"  # noqa: S105 - not a secret
    """Parameter ``nextPageToken``."""
    CURSOR = "cursor"
    """Parameter ``cursor``, from the response's ``nextPageCursor``."""
    STARTING_AFTER = "starting-after"
    """Parameter ``startingAfter``."""
    LINK = "link"
    """A URL, in ``nextPage`` or ``next``."""


@lru_cache(256)
def list_style(product: Product, path: str) -> ListStyle | None:
    """Return the style of a list; None if the description does not contain it.

    Every list of Confluence links to its next page, so none of them is described.

    Args:
        product: The site's product.
        path: Relative to the base URL, without the query.
    """
    return _jira_lists().find(path, "GET") if product == "jira" else None


@cache
def _jira_lists() -> ResourceMap[ListStyle]:
    lists: ResourceMap[ListStyle] = ResourceMap()
    for line in _FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            style, path = line.split(" ")
            lists.add(path, "GET", ListStyle(style))
    return lists
