"""The position of an iteration over a list: which items of a page are new, and which request gets the next page.

A page is selected by a link, by a token, or by the place of its first item. Places are the difficult case: a host may
lower the page size without reporting it, filter a page after it was cut, or ignore the place. So the next page is
requested from behind the items that were received, and items that are received again are dropped. Once a page has
repeated items, the host filters its pages, and the next ones are requested from behind the number asked for, unless
that is so large that the host may have lowered it.
"""

from __future__ import annotations

from typing import Any

from addonkit.errors import ResponseInvalid
from addonkit.hostapi.list_page import ListPage, is_identified
from addonkit.hostapi.list_query import OFFSET, START_AT, ListQuery, PlaceNames, names_in, number_in, to_int
from addonkit.hostapi.list_styles import ListStyle

DEFAULT_SIZE = 50
"""Source: the page size of most lists of Jira, if none is asked for; no list lowers it."""
FILTERED_PLACES = 1000
"""Source: "up to the thousandth user", in the description of Jira's user searches."""
PROBED_PLACE = 1_000_000
MAX_EMPTY_PAGES = 200
MAX_REPEATED_PAGES = 3
MAX_PAGES = 100_000
"""Upper bound of every iteration, whatever the host says: ten million items, if a page has a hundred."""


class ListCursor:
    """Decides after each page which request gets the next one.

    Args:
        query: The first request.
        style: How the API description pages the list; None if it does not contain it.

    Attributes:
        query: The request of the next page; None after the last one.
    """

    def __init__(self, query: ListQuery, style: ListStyle | None) -> None:
        self.query: ListQuery | None = query
        self._first, self._style, self._sent = query, style, {query.key()}
        self._pages = self._received = self._empty = self._repeated = 0
        self._previous: list[str] = []
        self._may_overlap = self._is_filtered = self._is_probed = False

    def probe(self, page: ListPage) -> ListQuery | None:
        """Return a request that shows whether the host pages a bare list; None if that is known. It is returned once.

        A host that ignores the place sends the list again, perhaps changed; a host that pages it sends an empty list.
        """
        if self._is_probed or not page.is_bare or not page.items or not self._previous:
            return None
        identities = page.identities()
        is_suspect = self._repeats(identities) or set(self._previous) <= set(identities)
        if not is_suspect and self._style is not None:
            return None
        self._is_probed = True
        return self._first.select(startAt=PROBED_PLACE, maxResults=1)

    def accept(self, query: ListQuery, page: ListPage) -> list[Any]:
        """Take the page that a request got; return its new items and set ``query``.

        Raises:
            ResponseInvalid: There are more items and no known way to them, or the pages do not come to an end.
        """
        names = _place_names(page, query, self._style)
        if names is not None and _is_earlier(page, query, names):
            if _claims_more(page, query, names):
                raise self._loop()
            self.query = None  # the host ignores the place, and its list has one page
            return []
        identities = page.identities()
        items = self._new_items(page, identities)
        self._count(page, items, identities, has_no_place=names is None)
        self.query = self._next(page, query, names)
        self._previous = identities
        if self.query is not None:
            if self.query.key() in self._sent:
                raise self._loop()
            if self._pages >= MAX_PAGES:
                raise ResponseInvalid(
                    f"the list at 'GET {self._first.resource}' has not ended after {MAX_PAGES} pages; split the "
                    "request into smaller ones"
                )
            self._sent.add(self.query.key())
        return items

    def _new_items(self, page: ListPage, identities: list[str]) -> list[Any]:
        """Return the items that the page before does not have, as far as the two pages may overlap."""
        known, items = set(self._previous), page.items
        if page.is_bare and self._repeats(identities):
            return []
        if not self._may_overlap:
            return items
        if all(map(is_identified, identities)):
            return [item for item, identity in zip(items, identities, strict=True) if identity not in known]
        longest = min(len(identities), len(self._previous))
        lengths = (length for length in range(longest, 0, -1) if self._previous[-length:] == identities[:length])
        return items[next(lengths, 0) :]

    def _repeats(self, identities: list[str]) -> bool:
        """Whether a page has only items of the page before."""
        if not identities:
            return False
        return identities == self._previous or (
            set(identities) <= set(self._previous) and all(map(is_identified, identities))
        )

    def _count(self, page: ListPage, items: list[Any], identities: list[str], *, has_no_place: bool) -> None:
        """Count pages, and those in a row that bring nothing new.

        Raises:
            ResponseInvalid: They are too many.
        """
        self._pages += 1
        self._received += len(items)
        self._is_filtered = self._is_filtered or (self._may_overlap and len(items) < len(page.items))
        self._empty = 0 if page.items else self._empty + 1
        self._repeated = self._repeated + 1 if self._repeats(identities) else 0
        if self._empty > MAX_EMPTY_PAGES and not (page.is_bare and self._style is ListStyle.FILTERED):
            raise ResponseInvalid(
                f"'GET {self._first.resource}' has returned {self._empty} empty pages in a row and says that more "
                "follow; request the pages with get()"
            )
        most = MAX_REPEATED_PAGES if has_no_place else MAX_EMPTY_PAGES
        if self._repeated >= most and not page.is_bare and all(map(is_identified, identities)):
            raise self._loop()

    def _next(self, page: ListPage, query: ListQuery, names: PlaceNames | None) -> ListQuery | None:
        """Return the request of the next page; None after the last one.

        Raises:
            ResponseInvalid: There are more items and no known way to them.
        """
        if page.is_last:
            return None
        if page.link is not None:
            return query.follow(page.link)
        if page.has_links and page.is_last is None:
            return None  # Confluence: the last page has no link
        if page.token is not None:
            return self._first.select(**page.token)
        if names is not None:
            return self._next_place(page, query, names)
        if page.url is not None:
            return query.follow(page.url)
        if page.is_last is False or (self._pages == 1 and (page.total or 0) > len(page.items)):
            raise ResponseInvalid(
                f"'GET {self._first.resource}' has more items than the {self._received} that were received, and its "
                "response contains no token, link or place of the next page; request the pages with get()"
            )
        return None

    def _next_place(self, page: ListPage, query: ListQuery, names: PlaceNames) -> ListQuery | None:
        start, count = _place(page, query, names), len(page.items)
        stated, asked = to_int(page.body.get(names.size)), query.number(names.size)
        if asked == 0:
            return None
        size = stated or asked
        is_effective = size is not None and (size <= DEFAULT_SIZE or (stated is not None and stated != asked))
        following = number_in(page.url, names.start) if page.url else None
        is_stated = following is not None and following > start
        if following is None or not is_stated:
            following = start + self._step(count, size, is_effective=is_effective, is_bare=page.is_bare)
        self._may_overlap = not is_stated and (size is None or following < start + size)
        if page.is_bare:
            return self._next_bare(query, count, following)
        # A total may count places, or the items that a filter has left.
        received = (self._first.number(names.start) or 0) + self._received
        is_complete = page.total is not None and received >= page.total
        if count and page.is_last is None and page.total is not None:
            has_more = following < page.total or not is_complete
        elif not count and page.is_last is None and self._style is ListStyle.FILTERED:
            has_more = following < FILTERED_PLACES and not is_complete
        else:
            has_more = bool(count) or _claims_more(page, query, names)
        return query.select(**{names.start: following}) if has_more else None

    def _step(self, count: int, size: int | None, *, is_effective: bool, is_bare: bool) -> int:
        """Return the number of places from the start of this page to the start of the next one.

        Args:
            count: Number of items on this page.
            size: Its size, as the host states it or as it was asked for.
            is_effective: Whether that size is certain.
            is_bare: Whether the page is a bare list.
        """
        if count and not self._repeated:
            return max(size or 0, count) if self._is_filtered and is_effective else count
        # The page has no new item: all places that it certainly covers can be left behind.
        certain = size if size is not None and (is_effective or (is_bare and not count)) else DEFAULT_SIZE
        return max(certain, count)

    def _next_bare(self, query: ListQuery, count: int, following: int) -> ListQuery | None:
        """Return the next page of a bare list, which says nothing about it: the list ends with an empty page."""
        asked = self._first.number(START_AT.size)
        if self._style is ListStyle.WHOLE or (asked and count > asked):
            return None
        if self._repeated > MAX_EMPTY_PAGES:
            raise self._loop()
        if self._style is not ListStyle.FILTERED:
            return query.select(startAt=following) if count else None
        if asked:
            return query.select(startAt=following) if count or following < FILTERED_PLACES else None
        # One more page can have all that the host looks at, so that few requests are needed.
        if not count or self._repeated or following >= FILTERED_PLACES:
            return None
        return query.select(startAt=following, maxResults=FILTERED_PLACES - following)

    def _loop(self) -> ResponseInvalid:
        return ResponseInvalid(
            f"the pages of '{self._first.resource}' lead back to an earlier page; split the request into smaller ones"
        )


def _place_names(page: ListPage, query: ListQuery, style: ListStyle | None) -> PlaceNames | None:
    """Return the names for places; None if the list is paged in another way or has one page."""
    if page.is_bare:
        return START_AT
    if page.link is not None or page.token is not None:
        return None
    if (names := names_in([name for name, value in page.body.items() if to_int(value) is not None])) is not None:
        return names
    if page.url is not None or (page.is_last is not False and (page.total or 0) <= len(page.items)):
        return None
    if style is ListStyle.OFFSET:
        return OFFSET
    return START_AT if style in (ListStyle.START_AT, ListStyle.FILTERED) else names_in(query.names())


def _place(page: ListPage, query: ListQuery, names: PlaceNames) -> int:
    stated = to_int(page.body.get(names.start))
    return (query.number(names.start) or 0) if stated is None else stated


def _is_earlier(page: ListPage, query: ListQuery, names: PlaceNames) -> bool:
    """Whether the host reports an earlier place than the requested one."""
    return _place(page, query, names) < (query.number(names.start) or 0)


def _claims_more(page: ListPage, query: ListQuery, names: PlaceNames) -> bool:
    """Whether the host says that items follow this page."""
    if page.total is not None:
        return _place(page, query, names) + len(page.items) < page.total
    return page.is_last is False
