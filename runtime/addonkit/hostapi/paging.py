"""Pagination: requests the pages of a list, in any of the host's styles, and yields their items."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from addonkit.errors import ResponseInvalid
from addonkit.host import CallOptions, Host, ProgressCallback, Query

# Source: names of the list of items: Jira's newer lists, searches, comments, worklogs and agile lists; Confluence's.
_ITEMS = ("values", "issues", "results", "comments", "worklogs", "records", "permissionSchemes", "fields")


async def iterate_pages(
    host: Host, path: str, params: Query, options: CallOptions, on_progress: ProgressCallback | None
) -> AsyncIterator[Any]:
    """Iterate over all items of a list; one page is in memory at a time.

    Args:
        host: The site.
        path: Path of the list.
        params: Query parameters of the first page.
        options: Options of each request.
        on_progress: Called after each page.

    Raises:
        ResponseInvalid: A response contains no list, or the pages form a loop.
        HostError: The host did not answer, or refused a page.
    """
    count, seen = 0, set[int]()
    previous: list[Any] | None = None
    current: tuple[str, Query] | None = (path, params)
    while current is not None:
        seen.add(hash(repr(current)))
        page = await host.get(current[0], current[1], **options)
        items = _items(page, path)
        if isinstance(page, list) and items == previous:
            return  # the resource is not paginated and has returned the same complete list again
        count, previous = count + len(items), items
        for item in items:
            yield item
        if on_progress is not None:
            on_progress(count, _total(page))
        current = _next_page(page, len(items), path, params, current[1])
        if current is not None and hash(repr(current)) in seen:
            raise ResponseInvalid(
                f"the pages of '{path}' lead back to an earlier page; split the request into smaller ones"
            )


def _items(page: Any, path: str) -> list[Any]:
    if isinstance(page, list):
        return page
    if isinstance(page, dict):
        for name in _ITEMS:
            if isinstance(page.get(name), list):
                return cast("list[Any]", page[name])
    raise ResponseInvalid(
        f"the host's response to 'GET {path}' is not a page of a list, expected one of {', '.join(_ITEMS)}; use get()"
    )


def _total(page: Any) -> int | None:
    total = page.get("total", page.get("totalSize")) if isinstance(page, dict) else None
    return total if isinstance(total, int) else None


def _next_page(page: Any, count: int, path: str, params: Query, requested: Query) -> tuple[str, Query] | None:
    """Return path and query of the next page: by link, by token, or by offset; None after the last page.

    Args:
        page: The response.
        count: Number of items on it.
        path: Path of the list.
        params: Query of the first page.
        requested: Query of this page.
    """
    if not isinstance(page, dict):
        return _next_offset({}, count, path, requested)
    links = page.get("_links")
    if isinstance(links, Mapping):
        # Confluence: a path that contains the cursor.
        link = links.get("next")
        return (link, {}) if isinstance(link, str) and link else None
    if token := page.get("nextPageToken"):
        return path, {**params, "nextPageToken": token}
    if isinstance(link := page.get("next"), str):
        return link, {}
    if page.get("isLast") is True or "startAt" not in page:
        return None
    return _next_offset(page, count, path, requested)


def _next_offset(page: Mapping[str, Any], count: int, path: str, requested: Query) -> tuple[str, Query] | None:
    """Return the next page by Jira's ``startAt``, which grows by the number of items received.

    That number may be less than ``maxResults``, because the host may lower the page size.

    A bare list ends when its length differs from ``maxResults``. Without ``maxResults``, pages are requested until one
    is empty.
    """
    start, total = _to_int(page.get("startAt", requested.get("startAt", 0))), page.get("total")
    page_size = _to_int(page.get("maxResults", requested.get("maxResults")))
    if not count or start is None:
        return None
    if isinstance(total, int):
        is_last = start + count >= total
    elif page:
        is_last = "isLast" not in page and (page_size is None or count < page_size)
    else:
        is_last = page_size is not None and count != page_size
    return None if is_last else (path, {**requested, "startAt": start + count})


def _to_int(value: Any) -> int | None:
    """Return a number, which may have been given as a string; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:18])
    return value if isinstance(value, int) else None
