"""Pagination: requests the pages of a list, in any of the host's styles, and yields their items."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from addonkit.context import Tenant
from addonkit.errors import HostError
from addonkit.host import CallOptions, Host, ProgressCallback, Query
from addonkit.hostapi.call import build_url
from addonkit.hostapi.list_cursor import ListCursor
from addonkit.hostapi.list_page import read_page
from addonkit.hostapi.list_query import ListQuery
from addonkit.hostapi.list_styles import list_style


async def iterate_pages(
    host: Host, tenant: Tenant, path: str, params: Query, options: CallOptions, on_progress: ProgressCallback | None
) -> AsyncIterator[Any]:
    """Iterate over all items of a list; one page is in memory at a time.

    Args:
        host: The REST API of the site.
        tenant: The site.
        path: Path of the list.
        params: Query parameters of the first page.
        options: Options of each request.
        on_progress: Called after each page.

    Raises:
        ResponseInvalid: A response contains no list; there are more items and no known way to them; or the pages do
            not come to an end.
        HostError: The host did not answer, or refused a page.
    """
    first, count = ListQuery.first(path, params), 0
    cursor = ListCursor(first, list_style(tenant.product, build_url(tenant.base_url, path).path))
    while (query := cursor.query) is not None:
        page = read_page(await host.get(query.path, query.params, **options), first.resource)
        if (probe := cursor.probe(page)) is not None and await _ignores_place(host, probe, options):
            return
        items = cursor.accept(query, page)
        count += len(items)
        for item in items:
            yield item
        if on_progress is not None:
            on_progress(count, page.total)


async def _ignores_place(host: Host, probe: ListQuery, options: CallOptions) -> bool:
    """Whether a bare list has an item at a place that is far behind its end, because the host ignores the place."""
    try:
        return bool(await host.get(probe.path, probe.params, **options))
    except HostError as error:
        if error.status is None or error.status >= 500 or error.status == 429:
            raise
        return False  # the host has read the place and refuses it
