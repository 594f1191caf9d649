"""Lists in every paging style of the hosts: each item once, an end in any case, and no early end without an error."""

from __future__ import annotations

import itertools
import random

import pytest
import pytest_asyncio
from addonkit import ResponseInvalid
from addonkit.testing import paged_list
from addonkit.testing.exchange import Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")
USERS = [{"accountId": f"acc-{number}", "active": number % 5 > 0} for number in range(115)]
ACTIVE = [user for user in USERS if user["active"]]
RECORDS = [{"id": number, "summary": "the same"} for number in range(70)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wiki(caller):
    return await caller.host.install("confluence")


@pytest.fixture(autouse=True)
def clean(caller, monkeypatch):
    """No requests so far, and all lists of the hosts may be called, also those that Connect add-ons cannot call."""
    caller.rest.requests.clear()
    monkeypatch.setattr("addonkit.hostapi.scopes.ScopeCheck.check", lambda *_, **__: None)


async def listed(caller, path, params=None, *, site=None, at_most=400):
    """Return the items of a list, and how many requests were sent for them; fails if it does not end."""

    async def ask(host):
        found = []
        async for item in host.pages(path, params):
            found.append(item)
            assert len(found) < 100_000
            assert len(caller.rest.requests) <= at_most, "the list does not end"
        return found

    return await caller(ask, site=site), len(caller.rest.requests)


def changing(items, change):
    """Answer every request with the whole list, changed each time."""
    times = itertools.count()
    return lambda _: Reply(change([dict(item) if isinstance(item, dict) else item for item in items], next(times)))


def counted(items, times):
    items[0]["seen"] = times
    return items


def shuffled(items, times):
    random.Random(times).shuffle(items)
    return items


def stamped(items, times):
    return [{"at": f"{times}:{number}"} for number, _ in enumerate(items)]


CHANGES = {
    "one-field": counted,
    "order": shuffled,
    "every-item": stamped,
    "grows": lambda items, times: [*items, *({"id": 1000 + number} for number in range(times))],
    "shrinks": lambda items, times: items[: len(items) - times] or items,
    "one-text": lambda items, times: [*(str(item["id"]) for item in items[1:]), f"now {times}"],
    "new-ids": lambda items, times: [{"id": item["id"] + 1000 * times} for item in items],
    "single": lambda _, times: [{"at": times}],
}


@pytest.mark.parametrize("params", [None, {"maxResults": 20}, {"maxResults": 7}, {"maxResults": 100}], ids=str)
@pytest.mark.parametrize("path", ["/rest/api/3/project", "/rest/api/3/unknown/list"])
@pytest.mark.parametrize("change", CHANGES)
async def test_list_that_ignores_start_at_and_changes_is_yielded_once(caller, change, path, params):
    caller.rest.answer("GET", path, by=changing(RECORDS[:20], CHANGES[change]))
    found, requests = await listed(caller, path, params)
    assert found == CHANGES[change]([dict(record) for record in RECORDS[:20]], 0)
    assert requests <= (1 if path == "/rest/api/3/project" else 3)


@pytest.mark.parametrize("change", ["one-field", "order", "grows"])
async def test_user_search_that_ignores_start_at_ends(caller, change):
    caller.rest.answer("GET", "/rest/api/3/users/search", by=changing(RECORDS[:20], CHANGES[change]))
    found, requests = await listed(caller, "/rest/api/3/users/search")
    assert {each["id"] for each in found} >= set(range(20))
    assert requests <= 5


@pytest.mark.parametrize(
    ("style", "path", "params"),
    [
        ("startAt", "/rest/api/3/project/search", None),
        ("startAt", "/rest/api/3/project/search", {"maxResults": 1000}),
        ("startAt", "/rest/api/3/unknown", {"startAt": 0}),
        ("offset", "/rest/api/3/auditing/record", None),
        ("offset", "/rest/api/3/auditing/record", {"limit": 3}),
        ("nextPageToken", "/rest/api/3/search/jql", {"jql": "project = AB"}),
        ("cursor", "/rest/api/3/plans/plan", {"maxResults": 3}),
        ("nextPage", "/rest/api/3/worklog/updated", {"since": 0}),
        ("nextPage", "/rest/api/3/worklog/deleted", None),
        ("links", "/rest/servicedeskapi/organization", {"limit": 8}),
        ("bare", "/rest/api/3/users/search", None),
        ("bare", "/rest/api/2/users", {"maxResults": 8}),
        ("bare", "/rest/api/3/unknown/list", None),
        ("bare", "/rest/api/3/unknown/list", {"maxResults": 7}),
        ("bare", "/rest/api/3/unknown/list", {"maxResults": 1000}),
        ("whole", "/rest/api/3/field", None),
    ],
)
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("page_size", [8, 70, 100])
async def test_list_is_complete_in_every_style(caller, style, path, params, total, page_size):
    caller.rest.answer("GET", path, by=paged_list(RECORDS, style, page_size=page_size, total=total))
    found, _ = await listed(caller, path, params)
    assert found == RECORDS


@pytest.mark.parametrize("params", [None, {"limit": 3}])
async def test_list_of_confluence_is_complete(caller, wiki, params):
    caller.rest.answer("GET", "/api/v2/pages", by=paged_list(RECORDS, "links", page_size=25))
    found, _ = await listed(caller, "/api/v2/pages", params, site=wiki)
    assert found == RECORDS


async def test_list_of_confluence_without_links_is_paged_by_start(caller, wiki):
    def reply(request):
        start = int(request.query.get("start", ["0"])[0])
        return Reply({"results": RECORDS[start : start + 25], "start": start, "limit": 25})

    caller.rest.answer("GET", "/rest/api/space", by=reply)
    found, _ = await listed(caller, "/rest/api/space", site=wiki)
    assert found == RECORDS


@pytest.mark.parametrize("host", ["query-only", "absolute", "object"])
async def test_link_to_the_next_page_is_followed_in_every_form(caller, wiki, host):
    def reply(request):
        if "cursor" in request.query:
            return Reply({"results": [2], "_links": {}})
        link = "?cursor=2" if host == "query-only" else f"{wiki.base_url}/api/v2/spaces?cursor=2"
        return Reply({"results": [1], "_links": {"next": {"href": link} if host == "object" else link}})

    caller.rest.answer("GET", "/api/v2/spaces", by=reply)
    assert (await listed(caller, "/api/v2/spaces?limit=1", site=wiki))[0] == [1, 2]


async def test_nested_list_is_paged_by_its_token(caller):
    def reply(request):
        token = request.query.get("nextPageToken", [""])[0]
        page = {"values": [{"id": "2"}]} if token else {"values": [{"id": "1"}], "nextPageToken": "x"}
        return Reply({"statusId": "1", "projects": page})

    path = "/rest/api/3/statuses/1/projectUsages"
    caller.rest.answer("GET", path, by=reply)
    assert (await listed(caller, path))[0] == [{"id": "1"}, {"id": "2"}]


FILTERED = [
    "/rest/api/3/user/search",
    "/rest/api/3/user/assignable/search",
    "/rest/api/3/user/assignable/multiProjectSearch",
    "/rest/api/3/user/permission/search",
    "/rest/api/3/user/viewissue/search",
    "/rest/api/2/user/viewissue/search",
]
FILTERS = {
    "every-fifth": lambda user: user["active"],
    "last-of-each-page": lambda user: int(user["accountId"][4:]) % 50 == 49,
    "only-the-end": lambda user: user["accountId"] == "acc-114",
    "no-first-page": lambda user: int(user["accountId"][4:]) >= 60,
    "one-in-thirty": lambda user: int(user["accountId"][4:]) % 30 == 0,
    "all": lambda _: True,
    "none": lambda _: False,
}


@pytest.mark.parametrize(
    ("path", "which"), [(FILTERED[0], which) for which in FILTERS] + [(path, "no-first-page") for path in FILTERED[1:]]
)
@pytest.mark.parametrize("params", [{"maxResults": 50}, {"maxResults": 20}, {"maxResults": "1000"}], ids=str)
async def test_user_search_filtered_after_paging_yields_every_user_once(caller, path, which, params):
    caller.rest.answer("GET", path, by=paged_list(USERS, "bare", page_size=1000, keep=FILTERS[which]))
    found, requests = await listed(caller, path, params)
    assert found == [user for user in USERS if FILTERS[which](user)]
    assert requests <= 1000 // int(params["maxResults"]) + 5


@pytest.mark.parametrize("path", FILTERED[:2])
@pytest.mark.parametrize("which", ["every-fifth", "one-in-thirty", "all", "none"])
async def test_user_search_without_a_size_needs_few_requests(caller, path, which):
    def reply(request):
        size = int(request.query.get("maxResults", ["50"])[0])
        return paged_list(USERS, "bare", page_size=size, keep=FILTERS[which])(request)

    caller.rest.answer("GET", path, by=reply)
    found, requests = await listed(caller, path)
    assert found == [user for user in USERS if FILTERS[which](user)]
    assert requests <= 6


@pytest.mark.parametrize("which", FILTERS)
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("path", ["/rest/api/3/user/search/query", "/rest/api/3/unknown"])
async def test_page_filtered_after_paging_loses_and_repeats_nothing(caller, path, which, total):
    caller.rest.answer("GET", path, by=paged_list(USERS, page_size=10, keep=FILTERS[which], total=total))
    found, requests = await listed(caller, path, {"maxResults": 10})
    assert found == [user for user in USERS if FILTERS[which](user)]
    assert requests <= 20


@pytest.mark.parametrize("which", FILTERS)
@pytest.mark.parametrize("claim", ["total-of-items", "total-of-places", "neither"])
async def test_page_filtered_after_paging_is_complete_whatever_its_total_counts(caller, which, claim):
    kept = [user for user in USERS if FILTERS[which](user)]
    total = {"total-of-items": {"total": len(kept)}, "total-of-places": {"total": len(USERS)}}.get(claim, {})

    def reply(request):
        start = int(request.query.get("startAt", ["0"])[0])
        users = [user for user in USERS[start : start + 10] if FILTERS[which](user)]
        return Reply({"startAt": start, "maxResults": 10, "values": users, **total})

    caller.rest.answer("GET", "/rest/api/3/user/search/query", by=reply)
    found, requests = await listed(caller, "/rest/api/3/user/search/query")
    assert found == kept
    assert requests <= 110


@pytest.mark.parametrize("which", ["every-fifth", "one-in-thirty", "all"])
@pytest.mark.parametrize("style", ["startAt", "bare"])
async def test_page_size_lowered_by_a_host_that_filters_loses_no_item(caller, style, which):
    """The host returns at most 50 places of the 100 that are asked for."""
    caller.rest.answer("GET", "/rest/api/3/user/search", by=paged_list(USERS, style, keep=FILTERS[which]))
    found, _ = await listed(caller, "/rest/api/3/user/search", {"maxResults": 100})
    assert found == [user for user in USERS if FILTERS[which](user)]


@pytest.mark.parametrize("which", ["one-in-thirty", "last-of-each-page", "only-the-end"])
@pytest.mark.parametrize("path", ["/rest/api/3/user/search/query", "/rest/api/3/unknown"])
async def test_page_without_a_size_that_is_filtered_repeats_nothing(caller, path, which):
    def reply(request):
        start = int(request.query.get("startAt", ["0"])[0])
        users = [user for user in USERS[start : start + 50] if FILTERS[which](user)]
        return Reply({"startAt": start, "isLast": start + 50 >= len(USERS), "values": users})

    caller.rest.answer("GET", path, by=reply)
    found, _ = await listed(caller, path)
    assert found == [user for user in USERS if FILTERS[which](user)]


@pytest.mark.parametrize(
    "body", [{"startAt": 0, "maxResults": 0, "total": 70, "values": []}, []], ids=["object", "bare"]
)
async def test_no_items_are_requested_if_none_are_asked_for(caller, body):
    caller.rest.answer("GET", "/rest/api/3/user/search", body)
    assert await listed(caller, "/rest/api/3/user/search", {"maxResults": 0}) == ([], 1)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("claim", ["total", "isLast", "neither"])
async def test_page_size_lowered_by_the_host_loses_no_item(caller, stated, claim):
    def reply(request):
        start, asked = (int(request.query.get(name, ["0"])[0]) for name in ("startAt", "maxResults"))
        body = {"startAt": start, "values": RECORDS[start : start + 8]}
        body |= {"maxResults": asked} if stated else {}
        body |= {"total": len(RECORDS)} if claim == "total" else {}
        body |= {"isLast": start + 8 >= len(RECORDS)} if claim == "isLast" else {}
        return Reply(body)

    caller.rest.answer("GET", "/rest/api/3/project/search", by=reply)
    found, _ = await listed(caller, "/rest/api/3/project/search", {"maxResults": 50})
    assert found == RECORDS


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("params", [None, {"maxResults": 10}])
async def test_empty_page_that_is_not_the_last_does_not_end_the_list(caller, total, params):
    by = paged_list(RECORDS, page_size=10, keep=lambda record: record["id"] >= 25, total=total)
    caller.rest.answer("GET", "/rest/api/3/label", by=by)
    assert (await listed(caller, "/rest/api/3/label", params))[0] == RECORDS[25:]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/rest/api/3/label?startAt=0", None),
        ("/rest/api/3/label?startAt=0&maxResults=3", None),
        ("/rest/api/3/label?maxResults=3&startAt=0&query=a%20b", None),
        ("/rest/api/3/label?start%41t=0", {"maxResults": 3}),
        ("/rest/api/3/label?startAt=5", {"startAt": 0, "maxResults": 3}),
        ("/rest/api/3/label?startAt=0&startAt=0", None),
    ],
)
@pytest.mark.parametrize("style", ["startAt", "bare"])
async def test_start_in_the_path_is_replaced(caller, path, params, style):
    caller.rest.answer("GET", "/rest/api/3/label", by=paged_list(RECORDS[:7], style, page_size=3))
    assert (await listed(caller, path, params))[0] == RECORDS[:7]
    for request in caller.rest.requests[1:]:
        assert len(request.query["startAt"]) == 1
        assert request.query.get("query", ["a b"]) == ["a b"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/rest/api/3/auditing/record?offset=0&limit=3", "offset"),
        ("/rest/api/3/plans/plan?cursor=0&maxResults=3", "cursor"),
        ("/rest/api/3/search/jql?nextPageToken=0&maxResults=3", "nextPageToken"),
        ("/rest/api/3/worklog/updated?since=0&maxResults=3", "nextPage"),
    ],
)
async def test_position_in_the_path_is_replaced(caller, path, query):
    caller.rest.answer("GET", path.partition("?")[0], by=paged_list(RECORDS[:7], query, page_size=3))
    assert (await listed(caller, path))[0] == RECORDS[:7]
    assert all(len(values) == 1 for request in caller.rest.requests for values in request.query.values())


MORE = {
    "last-page-is-false": {"values": [1], "lastPage": False},
    "is-last-is-false": {"values": [1], "isLast": False},
    "is-last-page-is-false": {"values": [1], "isLastPage": False, "_links": {}},
    "last-is-false": {"values": [1], "last": False, "nextPageCursor": ""},
    "total": {"values": [1], "total": 3},
    "empty-token": {"issues": [1], "isLast": False, "nextPageToken": None},
    "empty-link": {"values": [1], "lastPage": False, "nextPage": ""},
}


@pytest.mark.parametrize("body", MORE)
async def test_list_with_more_items_and_no_way_to_them_raises(caller, body):
    caller.rest.answer("GET", "/rest/api/3/unknown", MORE[body])
    with pytest.raises(
        ResponseInvalid, match=r"'GET /rest/api/3/unknown' has more items than the 1 that were"
    ) as raised:
        await listed(caller, "/rest/api/3/unknown?secret=x")
    assert "secret" not in str(raised.value)


def endless(body):
    """Answer with a page that another one always follows."""
    numbers = itertools.count(1)
    return lambda _: Reply(body(next(numbers)))


ENDLESS = {
    "empty-by-token": lambda number: {"issues": [], "nextPageToken": str(number)},
    "empty-by-link": lambda number: {"values": [], "next": f"/rest/api/3/endless?after={number}"},
    "empty-by-start": lambda number: {"values": [], "startAt": 50 * (number - 1), "maxResults": 50, "isLast": False},
    "repeated-by-token": lambda number: {"issues": RECORDS[:5], "nextPageToken": str(number)},
    "repeated-by-start": lambda number: {"values": RECORDS[:5], "startAt": 5 * (number - 1), "isLast": False},
    "repeated-from-the-start": lambda _: {"values": RECORDS[:5], "startAt": 0, "isLast": False},
}


@pytest.mark.parametrize("body", ENDLESS)
async def test_list_without_an_end_raises(caller, body):
    caller.rest.answer("GET", "/rest/api/3/endless", by=endless(ENDLESS[body]))
    with pytest.raises(ResponseInvalid, match=r"empty pages in a row|lead back to an earlier page"):
        await listed(caller, "/rest/api/3/endless")
    assert len(caller.rest.requests) <= 205


async def test_list_has_an_upper_bound_in_any_case(caller, monkeypatch):
    monkeypatch.setattr("addonkit.hostapi.list_cursor.MAX_PAGES", 30)
    by = endless(lambda number: {"issues": [{"id": number}], "nextPageToken": str(number)})
    caller.rest.answer("GET", "/rest/api/3/endless", by=by)
    with pytest.raises(ResponseInvalid, match="has not ended after 30 pages"):
        await listed(caller, "/rest/api/3/endless")
    assert len(caller.rest.requests) == 30


async def test_page_that_is_last_ends_the_list_although_it_has_a_token(caller):
    caller.rest.answer("GET", "/rest/api/3/search/jql", {"issues": [1], "isLast": True, "nextPageToken": "x"})
    assert await listed(caller, "/rest/api/3/search/jql") == ([1], 1)


@pytest.mark.parametrize(
    "body",
    [
        {"values": RECORDS[:3]},
        {"values": RECORDS[:3], "total": 3},
        {"startAt": 0, "maxResults": 50, "values": RECORDS[:3]},
        {"startAt": 0, "maxResults": 50, "isLast": True, "values": RECORDS[:3]},
        {"results": RECORDS[:3], "size": 3, "limit": 3, "_links": {"base": "x"}},
        {"permissionSchemes": RECORDS[:3]},
        {"values": RECORDS[:3], "start": "2026-01-01", "offset": "+01:00"},
        {"values": RECORDS[:3], "lastPage": True, "nextPage": "/rest/api/3/elsewhere"},
        RECORDS[:3],
    ],
    ids=["values", "total", "start", "last", "links", "schemes", "dates", "last-page", "bare"],
)
@pytest.mark.parametrize("path", ["/rest/api/3/project/search", "/rest/api/3/user/search", "/rest/api/3/unknown"])
async def test_response_of_a_test_that_ignores_the_query_is_one_page(caller, path, body):
    caller.rest.answer("GET", path, body)
    found, requests = await listed(caller, path)
    assert found == RECORDS[:3]
    assert requests <= 3


async def test_link_of_the_next_page_says_where_it_starts(caller):
    def reply(request):
        start = int(request.query.get("startAt", ["0"])[0])
        users = [user for user in USERS[start : start + 10] if user["active"]]
        more = {"nextPage": f"https://api.example.com/?startAt={start + 10}"} if start < 110 else {"isLast": True}
        return Reply({"startAt": start, "maxResults": 10, "values": users, **more})

    caller.rest.answer("GET", "/rest/api/3/user/search/query", by=reply)
    assert await listed(caller, "/rest/api/3/user/search/query") == (ACTIVE, 12)
