"""Paths and methods: each path has one meaning, and ambiguous spellings get a 404."""

import pytest
from addonkit.edge.request import raw_path_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = "/under_test/overview"


@pytest.mark.parametrize(
    "path",
    [
        "//under_test/overview",
        "/under_test//overview",
        "/under_test/overview//",
        "/./under_test/overview",
        "/under_test/./overview",
        "/under_test/x/../overview",
        "/under_test/overview/.",
        "/under_test/overview/..",
        "/under_test/%2e/overview",
        "/under_test/x/%2E%2e/overview",
        "/under_test/.%2e/overview",
        "/under_test%2Foverview",
        "/under_test%2foverview",
        "/%2Funder_test/overview",
        "/under_test%5Coverview",
        "/under_test\\overview",
        "/under_test/overview%00",
        "/under_test/overview%0a",
        "/under_test/overview%7F",
        "http://evil.example//under_test/overview",
        "http://evil.example/under_test/../under_test/overview",
        "*",
    ],
)
async def test_path_that_is_ambiguous_is_not_found(wire, path):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{path}?jwt={token}")).status == 404


@pytest.mark.parametrize(
    "path", ["/under_test/overview;x", "/under_test/overview;jwt=1", "/under_test/Overview", "/UNDER_TEST/overview"]
)
async def test_path_spelling_cannot_reach_another_page(wire, path):
    assert (await wire.ask("GET", f"{path}?jwt={wire.token('GET', PAGE)}")).status == 401


async def test_path_with_a_trailing_slash_is_another_path(wire):
    answer = await wire.ask("GET", f"{PAGE}/?jwt={wire.token('GET', PAGE)}")
    assert (answer.status, answer.header("location")) == (404, "")


async def test_path_without_the_trailing_slash_of_its_route_is_not_found(wire):
    session = f"Session {await wire.session()}"
    assert (await wire.send(session, "GET", "/under_test/reports/")).status == 200
    assert (await wire.send(session, "GET", "/under_test/reports")).status == 404


async def test_path_with_an_equivalent_escape_is_accepted(wire):
    assert (await wire.ask("GET", f"/under_test/%6Fverview?jwt={wire.token('GET', PAGE)}")).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/under_test", "/under_test/", "/nowhere", "/under_test/nowhere", "/static/x.js"]
)
async def test_path_that_is_unknown_is_not_found(wire, path):
    assert (await wire.ask("GET", path)).status == 404


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "POST"])
async def test_method_that_the_route_lacks_is_a_405_with_allow(wire, method):
    answer = await wire.ask(method, "/under_test/open")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("event", ["installed", "uninstalled", "enabled", "disabled"])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS"])
async def test_method_other_than_post_is_refused_for_lifecycle_requests(wire, event, method):
    answer = await wire.ask(method, f"/lifecycle/{event}")
    assert (answer.status, answer.header("allow")) == (405, "POST")


async def test_websocket_is_closed(wire):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await wire.addon({"type": "websocket", "path": "/under_test/open", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_path_is_encoded_again_if_the_server_has_no_raw_path():
    assert raw_path_of({"path": "/ü b/50%"}) == "/%C3%BC%20b/50%25"


async def test_path_is_cut_at_a_query_in_the_raw_path():
    assert raw_path_of({"raw_path": b"/a?b=c", "path": "/a"}) == "/a"


@pytest.mark.parametrize(
    "authority", ["http://localhost:8000", "https://evil.example", "HTTP://x", "http://a@b", "ftp://x"]
)
async def test_absolute_target_is_its_path(wire, authority):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{authority}{PAGE}?jwt={token}")).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "under_test/overview",
        "http:/under_test/overview",
        "http:///under_test/overview",
        "http:under_test/overview",
        "localhost:8000",
        "?x=/under_test/overview",
    ],
)
async def test_target_without_a_path_is_refused(wire, target):
    answer = await wire.ask("GET", f"{target}{'&' if '?' in target else '?'}jwt={wire.token('GET', PAGE)}")
    assert answer.status == 400


async def test_absolute_target_is_no_path_in_http2(wire):
    answer = await wire.ask("GET", f"http://localhost{PAGE}?jwt={wire.token('GET', PAGE)}", http_version="2")
    assert answer.status == 400


@pytest.mark.parametrize("path", [PAGE, "/atlassian-connect.json", "/lifecycle/installed", "/healthz", "/nowhere"])
async def test_request_with_two_lengths_is_refused_everywhere(wire, path):
    headers = [("content-length", "4"), ("transfer-encoding", "chunked")]
    answer = await wire.ask("POST", path, headers)
    assert (answer.status, answer.header("connection")) == (400, "close")


@pytest.mark.parametrize("query", ["x=\xff", "\xff", "x=\xc3", "x=\xed\xa0\x80", "a=b&lic=\xff"])
@pytest.mark.parametrize("path", [PAGE, "/under_test/open", "/nowhere"])
async def test_query_that_is_not_utf8_is_refused(wire, path, query):
    assert (await wire.ask("GET", f"{path}?{query}")).status == 400
    session = f"Session {await wire.session()}"
    assert (await wire.send(session, "GET", f"/under_test/reports/?{query}")).status == 400


async def test_query_that_is_not_utf8_is_refused_for_its_credential_first(wire):
    assert (await wire.ask("GET", f"{PAGE}?jwt=\xff")).status == 401
