"""Lists that come in pages, in each of the host's styles, as one stream of items."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from addonkit.errors import AnswerUnusable
from addonkit.host import Bounds, Host, Progress, Query

# Source: what the items of a page are called: Jira's newer lists, searches, comments, worklogs and agile lists;
# Confluence's.
_ITEMS = ("values", "issues", "results", "comments", "worklogs", "records", "permissionSchemes", "fields")
MOST_PAGES = 100_000


async def pages_of(
    host: Host, path: str, params: Query, options: Bounds, on_progress: Progress | None
) -> AsyncIterator[Any]:
    """All items of a list; one page is in memory at a time.

    Raises:
        AnswerUnusable: A page has no list in it, or leads to itself.
        HostError: The host gave a page not.
    """
    come = 0
    following: tuple[str, Query] | None = (path, params)
    for _ in range(MOST_PAGES):
        if following is None:
            return
        asked = following
        page = await host.get(asked[0], asked[1], **options)
        items = _items(page, path)
        come += len(items)
        for item in items:
            yield item
        if on_progress is not None:
            on_progress(come, _total(page))
        following = _following(page, len(items), path, params, asked[1])
        if following == asked:
            raise AnswerUnusable(f"the host's page of '{path}' says that the next one is itself; ask for it in parts")
    raise AnswerUnusable(f"'{path}' has over {MOST_PAGES} pages; ask for it in parts")


def _items(page: Any, path: str) -> list[Any]:
    if isinstance(page, list):
        return page
    if isinstance(page, dict):
        for name in _ITEMS:
            if isinstance(page.get(name), list):
                return cast("list[Any]", page[name])
    raise AnswerUnusable(
        f"the host's answer to 'GET {path}' is no page of a list, expected one of {', '.join(_ITEMS)}; take get()"
    )


def _total(page: Any) -> int | None:
    found = page.get("total", page.get("totalSize")) if isinstance(page, dict) else None
    return found if isinstance(found, int) else None


def _following(page: Any, number: int, path: str, params: Query, asked: Query) -> tuple[str, Query] | None:
    """The next page: by a link, by a token, or by a number; None after the last."""
    if not isinstance(page, dict):
        return _by_number({}, number, path, asked)
    links = page.get("_links")
    if isinstance(links, Mapping):
        # Confluence: a path with the cursor in it
        link = links.get("next")
        return (link, {}) if isinstance(link, str) and link else None
    if token := page.get("nextPageToken"):
        return path, {**params, "nextPageToken": token}
    if isinstance(link := page.get("next"), str):
        return link, {}
    if page.get("isLast") is True or "startAt" not in page:
        return None
    return _by_number(page, number, path, asked)


def _by_number(page: Mapping[str, Any], number: int, path: str, asked: Query) -> tuple[str, Query] | None:
    """Jira's ``startAt``: the next number follows from how many have come, for the host gives fewer than one asks for.

    A bare list ends where a page is empty, or shorter than was asked for.
    """
    start, total = page.get("startAt", asked.get("startAt", 0)), page.get("total")
    most = page.get("maxResults", asked.get("maxResults"))
    if not number or not isinstance(start, int):
        return None
    if isinstance(total, int):
        ended = start + number >= total
    else:
        ended = "isLast" not in page and (not isinstance(most, int) or number < most)
    return None if ended else (path, {**asked, "startAt": start + number})
