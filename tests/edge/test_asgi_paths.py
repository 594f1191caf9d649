"""Paths: one meaning for each, the base path, and what anybody may read."""

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
        "under_test/overview",
        "http://evil.example/under_test/overview",
        "*",
    ],
)
async def test_a_path_that_others_could_read_otherwise_is_not_found(wire, path):
    token = wire.token("GET", PAGE)
    assert (await wire.ask("GET", f"{path}?jwt={token}")).status == 404


@pytest.mark.parametrize(
    "path", ["/under_test/overview;x", "/under_test/overview;jwt=1", "/under_test/Overview", "/UNDER_TEST/overview"]
)
async def test_a_signed_page_is_no_other_page(wire, path):
    assert (await wire.ask("GET", f"{path}?jwt={wire.token('GET', PAGE)}")).status == 401


async def test_a_slash_behind_a_page_is_another_path(wire):
    answer = await wire.ask("GET", f"{PAGE}/?jwt={wire.token('GET', PAGE)}")
    assert (answer.status, answer.header("location")) == (404, "")


async def test_a_slash_that_belongs_to_a_route_is_not_left_away(wire):
    session = f"Session {await wire.session()}"
    assert (await wire.send(session, "GET", "/under_test/reports/")).status == 200
    assert (await wire.send(session, "GET", "/under_test/reports")).status == 404


async def test_an_escape_that_means_the_same_page_is_taken(wire):
    assert (await wire.ask("GET", f"/under_test/%6Fverview?jwt={wire.token('GET', PAGE)}")).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/under_test", "/under_test/", "/nowhere", "/under_test/nowhere", "/static/x.js"]
)
async def test_an_unknown_path_is_not_found(wire, path):
    assert (await wire.ask("GET", path)).status == 404


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "POST"])
async def test_another_method_than_the_route_has_is_refused_and_told(wire, method):
    answer = await wire.ask(method, "/under_test/open")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("event", ["installed", "uninstalled", "enabled", "disabled"])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS"])
async def test_the_lifecycle_is_posted(wire, event, method):
    answer = await wire.ask(method, f"/lifecycle/{event}")
    assert (answer.status, answer.header("allow")) == (405, "POST")


async def test_a_websocket_is_closed(wire):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await wire.addon({"type": "websocket", "path": "/under_test/open", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_server_that_keeps_no_raw_path_has_it_encoded_anew():
    assert raw_path_of({"path": "/ü b/50%"}) == "/%C3%BC%20b/50%25"


async def test_a_query_that_sticks_to_the_raw_path_is_cut_off():
    assert raw_path_of({"raw_path": b"/a?b=c", "path": "/a"}) == "/a"


async def test_the_descriptor_is_public_and_has_an_etag(wire):
    answer = await wire.ask("GET", "/atlassian-connect.json")
    assert (answer.status, answer.json()["key"]) == (200, "com.example.test")
    assert answer.header("content-type").startswith("application/json")
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("etag")


async def test_a_descriptor_that_the_caller_has_is_not_sent_again(wire):
    etag = (await wire.ask("GET", "/atlassian-connect.json")).header("etag")
    answer = await wire.ask("GET", "/atlassian-connect.json", [("if-none-match", f'"other", {etag}')])
    assert (answer.status, answer.body, answer.header("etag")) == (304, b"", etag)


async def test_an_old_etag_is_sent_the_descriptor(wire):
    answer = await wire.ask("GET", "/atlassian-connect.json", [("if-none-match", '"0"')])
    assert answer.status == 200


async def test_the_head_of_the_descriptor_has_its_length_and_no_body(wire):
    whole = await wire.ask("GET", "/atlassian-connect.json")
    head = await wire.ask("HEAD", "/atlassian-connect.json")
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(whole.body)))


async def test_the_descriptor_is_read_only(wire):
    assert (await wire.ask("POST", "/atlassian-connect.json")).status in (404, 405)


@pytest.fixture
def script(wire):
    """The URL of a static file."""
    return wire.addon.edge.assets["addonkit"].url("addonkit.js")


async def test_a_static_file_is_kept_for_ever(wire, script):
    answer = await wire.ask("GET", script)
    assert (answer.status, answer.header("content-type")) == (200, "text/javascript; charset=utf-8")
    assert answer.header("cache-control") == "public, max-age=31536000, immutable"


async def test_the_head_of_a_static_file_has_its_length_and_no_body(wire, script):
    whole = await wire.ask("GET", script)
    head = await wire.ask("HEAD", script)
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(whole.body)))


async def test_a_static_file_is_only_read(wire, script):
    assert (await wire.ask("POST", script)).status in (404, 405)


@pytest.mark.parametrize(
    "name",
    [
        "addonkit.js",
        "addonkit.000000000000.js",
        "../app/addon.000000000000.py",
        "..%2Fapp%2Faddon.000000000000.py",
        "%2e%2e/app/addon.000000000000.py",
        "/etc/passwd.000000000000.x",
        "..\\app\\addon.000000000000.py",
        f"{'x' * 300}.000000000000.js",
        f"{'ü' * 200}.000000000000.js".encode().decode("latin-1"),
        "",
        ".",
    ],
)
async def test_no_other_file_is_static(wire, name):
    assert (await wire.ask("GET", f"/addonkit/static/{name}")).status == 404


async def test_a_static_file_of_one_plugin_is_none_of_another(wire, script):
    assert (await wire.ask("GET", script.replace("/addonkit/", "/under_test/", 1))).status == 404
