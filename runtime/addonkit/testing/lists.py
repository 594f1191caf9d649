"""Lists of the simulated REST API, in each of the hosts' paging styles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from addonkit.testing.exchange import RecordedRequest, Reply, ReplyFactory

ListStyle = Literal["startAt", "offset", "nextPageToken", "cursor", "nextPage", "links", "bare", "whole"]
"""How a list is paged, by the field or parameter that selects the next page.

``startAt``: most lists of Jira; ``offset``: audit records; ``nextPageToken``: search; ``cursor``: plans; ``nextPage``:
changed worklogs; ``links``: Confluence and service management; ``bare``: Jira's user searches, without an object around
the items; ``whole``: a bare list without pages.
"""


def paged_list(
    items: Sequence[Any],
    style: ListStyle = "startAt",
    *,
    page_size: int = 50,
    keep: Callable[[Any], bool] | None = None,
    total: bool = True,
) -> ReplyFactory:
    """Return a function that answers requests for a list page by page, for ``RestApi.answer(…, by=…)``.

    Args:
        items: All items.
        style: How the list is paged.
        page_size: Largest number of items on a page; a request may ask for fewer.
        keep: Filters each page after it was cut, as Jira's user searches do; pages may be short or empty.
        total: Whether ``total`` is reported, by those styles that have it.
    """

    def reply(request: RecordedRequest) -> Reply:
        if style == "whole":
            return Reply(list(items))
        start = _number(request, "startAt", "offset", "nextPageToken", "cursor", "since") or 0
        size = min(page_size, _number(request, "maxResults", "limit") or page_size)
        end = start + size
        cut = [item for item in items[start:end] if keep is None or keep(item)]
        if style == "bare":
            return Reply(cut)
        counted = {"total": len(items)} if total else {}
        return Reply(_page(request, style, cut, start, size, None if end >= len(items) else end, counted))

    return reply


def _page(
    request: RecordedRequest,
    style: ListStyle,
    items: list[Any],
    start: int,
    size: int,
    end: int | None,
    counted: dict[str, int],
) -> dict[str, Any]:
    """Return one page as an object.

    Args:
        request: The request.
        style: How the list is paged.
        items: The page's items.
        start: Place of its first item.
        size: Its largest number of items.
        end: Place of the next page; None on the last one.
        counted: The field with the number of all items.
    """
    match style:
        case "startAt":
            return {"startAt": start, "maxResults": size, **counted, "isLast": end is None, "values": items}
        case "offset":
            return {"offset": start, "limit": size, **counted, "records": items}
        case "nextPageToken":
            return {"issues": items, "isLast": end is None, **({} if end is None else {"nextPageToken": str(end)})}
        case "cursor":
            following = {} if end is None else {"nextPageCursor": str(end)}
            return {"values": items, "size": len(items), **counted, "last": end is None, **following}
        case "nextPage":
            following = {} if end is None else {"nextPage": _link(request, since=end)}
            return {"values": items, "since": start, "until": start + len(items), "lastPage": end is None, **following}
        case _:
            following = {} if end is None else {"next": _link(request, cursor=end)}
            return {"results": items, "_links": {"base": request.site.base_url, **following}}


def _number(request: RecordedRequest, *names: str) -> int | None:
    values = [request.query[name][0] for name in names if name in request.query]
    return int(values[0]) if values else None


def _link(request: RecordedRequest, **changes: int) -> str:
    query = {**request.query, **{name: [value] for name, value in changes.items()}}
    return f"{request.site.base_url}{request.path}?{urlencode(query, doseq=True)}"
