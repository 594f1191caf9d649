"""Lists that come in pages, in each style of the host."""

from __future__ import annotations

import itertools

import pytest
import pytest_asyncio
from addonkit import HostError, ResponseInvalid
from addonkit.testing.exchange import Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")
NUMBERS = list(range(250))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wiki(caller):
    return await caller.host.install("confluence")


async def items_of(caller, path, params=None, **options):
    site = options.pop("site", None)

    async def ask(host):
        return [one async for one in host.pages(path, params, **options)]

    return await caller(ask, site=site)


def number(request, name, otherwise):
    return int(request.query.get(name, [otherwise])[0])


def by_start(items, *, most=100, total=True, last=False):
    def reply(request):
        start = number(request, "startAt", 0)
        size = min(most, number(request, "maxResults", most))
        page = NUMBERS[start : start + size]
        body = {"startAt": start, "maxResults": size, items: page}
        body |= {"total": len(NUMBERS)} if total else {}
        body |= {"isLast": start + size >= len(NUMBERS)} if last else {}
        return Reply(body)

    return reply


@pytest.mark.parametrize("items", ["values", "issues", "comments", "worklogs"])
async def test_pages_follow_start_at_with_a_total(caller, items):
    caller.rest.answer("GET", "/rest/api/3/list", by=by_start(items))
    assert await items_of(caller, "/rest/api/3/list") == NUMBERS


async def test_pages_follow_start_at_with_is_last_and_no_total(caller):
    caller.rest.answer("GET", "/rest/api/3/list", by=by_start("values", total=False, last=True))
    assert await items_of(caller, "/rest/api/3/list") == NUMBERS


async def test_pages_smaller_than_requested_lose_no_item(caller):
    caller.rest.answer("GET", "/rest/api/3/list", by=by_start("values", most=7))
    assert await items_of(caller, "/rest/api/3/list", {"maxResults": 1000}) == NUMBERS


async def test_pages_follow_the_next_page_token(caller):
    def reply(request):
        start = number(request, "nextPageToken", 0)
        assert request.query["jql"] == ["project = AB"]
        more = {"nextPageToken": str(start + 50)} if start + 50 < len(NUMBERS) else {"isLast": True}
        return Reply({"issues": NUMBERS[start : start + 50], **more})

    caller.rest.answer("GET", "/rest/api/3/search/jql", by=reply)
    assert await items_of(caller, "/rest/api/3/search/jql", {"jql": "project = AB"}) == NUMBERS


async def test_pages_of_bare_lists_are_followed(caller):
    def reply(request):
        start, most = number(request, "startAt", 0), number(request, "maxResults", 50)
        return Reply(NUMBERS[start : start + most])

    caller.rest.answer("GET", "/rest/api/3/user/search", by=reply)
    assert await items_of(caller, "/rest/api/3/user/search", {"maxResults": 100}) == NUMBERS
    caller.rest.answer("GET", "/rest/api/3/user/search", [1, 2])
    assert await items_of(caller, "/rest/api/3/user/search") == [1, 2]


@pytest.mark.parametrize("base", ["/wiki", ""])
async def test_pages_follow_cursor_links(caller, wiki, base):
    def reply(request):
        start = number(request, "cursor", 0)
        links = {"base": wiki.base_url}
        if start + 25 < len(NUMBERS):
            links["next"] = f"{base}/api/v2/pages?limit=25&cursor={start + 25}"
        return Reply({"results": NUMBERS[start : start + 25], "_links": links})

    caller.rest.answer("GET", "/api/v2/pages", by=reply)
    assert await items_of(caller, "/api/v2/pages", {"limit": 25}, site=wiki) == NUMBERS


async def test_pages_do_not_follow_a_link_off_the_site(caller, wiki):
    links = {"next": "https://evil.example.com/wiki/api/v2/pages?cursor=2"}
    caller.rest.answer("GET", "/api/v2/pages", {"results": [1], "_links": links})
    with pytest.raises(Exception, match="leads off the site"):
        await items_of(caller, "/api/v2/pages", site=wiki)


@pytest.mark.parametrize("most", [None, 50, 100, "50"])
async def test_pages_of_bare_lists_lose_no_item_with_any_page_size(caller, most):
    def reply(request):
        start, size = number(request, "startAt", 0), min(50, number(request, "maxResults", 50))
        return Reply(NUMBERS[:120][start : start + size])

    caller.rest.answer("GET", "/rest/api/3/user/search", by=reply)
    found = await items_of(caller, "/rest/api/3/user/search", {"maxResults": most})
    assert found == NUMBERS[:120]


@pytest.mark.parametrize("most", [None, 50, 60, 100])
async def test_pages_yield_an_unpaginated_list_once(caller, most):
    caller.rest.answer("GET", "/rest/api/3/field", NUMBERS[:60])
    assert await items_of(caller, "/rest/api/3/field", {"maxResults": most}) == NUMBERS[:60]


async def test_pages_that_form_a_loop_are_invalid(caller):
    following = {"": "a", "a": "b", "b": "c", "c": "a"}
    caller.rest.answer(
        "GET",
        "/rest/api/3/list",
        by=lambda request: Reply(
            {"values": [1], "nextPageToken": following[request.query.get("nextPageToken", [""])[0]]}
        ),
    )
    with pytest.raises(ResponseInvalid, match="lead back to an earlier page"):
        await items_of(caller, "/rest/api/3/list")


async def test_pages_of_an_empty_list_yield_nothing(caller):
    caller.rest.answer("GET", "/rest/api/3/list", {"startAt": 0, "maxResults": 50, "total": 0, "values": []})
    assert await items_of(caller, "/rest/api/3/list") == []


async def test_pages_end_when_the_list_shrinks(caller):
    sizes = itertools.count()

    def reply(request):
        start = number(request, "startAt", 0)
        return Reply({"startAt": start, "maxResults": 2, "total": 9, "values": [1, 2] if next(sizes) < 2 else []})

    caller.rest.answer("GET", "/rest/api/3/list", by=reply)
    assert await items_of(caller, "/rest/api/3/list") == [1, 2, 1, 2]


async def test_page_that_links_to_itself_is_invalid(caller):
    caller.rest.answer("GET", "/rest/api/3/list", {"values": [1], "nextPageToken": "same"})
    with pytest.raises(ResponseInvalid, match="lead back to an earlier page"):
        await items_of(caller, "/rest/api/3/list")


async def test_page_without_a_list_is_invalid(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {"accountId": "x"})
    with pytest.raises(ResponseInvalid, match="is not a page of a list"):
        await items_of(caller, "/rest/api/3/myself")


async def test_progress_is_reported_after_each_page(caller):
    reports = []
    caller.rest.answer("GET", "/rest/api/3/list", by=by_start("values"))
    await items_of(caller, "/rest/api/3/list", on_progress=lambda *progress: reports.append(progress))
    assert reports == [(100, 250), (200, 250), (250, 250)]


async def test_pages_are_requested_when_needed(caller):
    caller.rest.requests.clear()
    caller.rest.answer("GET", "/rest/api/3/list", by=by_start("values"))

    async def first(host):
        return await anext(host.pages("/rest/api/3/list"))

    assert await caller(first) == 0
    assert len(caller.rest.requests) == 1


async def test_page_that_the_host_refuses_raises(caller):
    caller.rest.answer("GET", "/rest/api/3/list", {"errorMessages": ["no"]}, status=400)
    with pytest.raises(HostError, match="no"):
        await items_of(caller, "/rest/api/3/list")
