"""Lists that come in pages, in each of the host's styles, as one stream of items."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from addonkit.errors import ResponseInvalid
from addonkit.host import Bounds, Host, Progress, Query

# Source: what the items of a page are called: Jira's newer lists, searches, comments, worklogs and agile lists;
# Confluence's.
_ITEMS = ("values", "issues", "results", "comments", "worklogs", "records", "permissionSchemes", "fields")


async def pages_of(
    host: Host, path: str, params: Query, options: Bounds, on_progress: Progress | None
) -> AsyncIterator[Any]:
    """All items of a list; one page is in memory at a time.

    Raises:
        AnswerUnusable: A page has no list in it, or leads to itself.
        HostError: The host gave a page not.
    """
    come, seen = 0, set[int]()
    former: list[Any] | None = None
    following: tuple[str, Query] | None = (path, params)
    while following is not None:
        seen.add(hash(repr(following)))
        asked, page = following, await host.get(following[0], following[1], **options)
        items = _items(page, path)
        if isinstance(page, list) and items == former:
            return  # the list has no pages, and came again as a whole
        come, former = come + len(items), items
        for item in items:
            yield item
        if on_progress is not None:
            on_progress(come, _total(page))
        following = _following(page, len(items), path, params, asked[1])
        if following is not None and hash(repr(following)) in seen:
            raise ResponseInvalid(f"the host's pages of '{path}' lead back to one that was there; ask for it in parts")


def _items(page: Any, path: str) -> list[Any]:
    if isinstance(page, list):
        return page
    if isinstance(page, dict):
        for name in _ITEMS:
            if isinstance(page.get(name), list):
                return cast("list[Any]", page[name])
    raise ResponseInvalid(
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

    A bare list ends where it does not have just as many as were asked for; where nobody said how many, it is asked for
    more until there is none.
    """
    start, total = _number(page.get("startAt", asked.get("startAt", 0))), page.get("total")
    most = _number(page.get("maxResults", asked.get("maxResults")))
    if not number or start is None:
        return None
    if isinstance(total, int):
        ended = start + number >= total
    elif page:
        ended = "isLast" not in page and (most is None or number < most)
    else:
        ended = most is not None and number != most
    return None if ended else (path, {**asked, "startAt": start + number})


def _number(said: Any) -> int | None:
    """A number, also one that was written as text."""
    if isinstance(said, str) and said.isascii() and said.isdecimal():
        return int(said[:18])
    return said if isinstance(said, int) else None
