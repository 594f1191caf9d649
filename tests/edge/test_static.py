"""The descriptor and static files: public and cacheable; other files of the folder are not served."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def script(wire):
    """Return the URL of a static file."""
    return wire.addon.edge.assets["addonkit"].url("addonkit.js")


async def test_descriptor_is_public_and_has_an_etag(wire):
    answer = await wire.ask("GET", "/atlassian-connect.json")
    assert (answer.status, answer.json()["key"]) == (200, "com.example.test")
    assert answer.header("content-type").startswith("application/json")
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("etag")


async def test_descriptor_with_a_current_etag_is_a_304(wire):
    etag = (await wire.ask("GET", "/atlassian-connect.json")).header("etag")
    answer = await wire.ask("GET", "/atlassian-connect.json", [("if-none-match", f'"other", {etag}')])
    assert (answer.status, answer.body, answer.header("etag")) == (304, b"", etag)


@pytest.mark.parametrize("form", ["*", "{}", "W/{}", '"a", W/"b" , {}', " * ", '{},"other"'])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_if_none_match_that_names_the_descriptor_is_a_304(wire, method, form):
    etag = (await wire.ask("GET", "/atlassian-connect.json")).header("etag")
    answer = await wire.ask(method, "/atlassian-connect.json", [("if-none-match", form.format(etag))])
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize("form", ['"0"', "", '"*"', "**", '"0", W/"1"', "{}x"])
async def test_if_none_match_that_names_other_versions_gets_the_descriptor(wire, form):
    etag = (await wire.ask("GET", "/atlassian-connect.json")).header("etag")
    answer = await wire.ask("GET", "/atlassian-connect.json", [("if-none-match", form.format(etag))])
    assert answer.status == 200


@pytest.mark.parametrize(("form", "status"), [("*", 304), ('"0"', 200)])
async def test_if_none_match_of_any_version_is_honoured_for_static_files(wire, script, form, status):
    assert (await wire.ask("GET", script, [("if-none-match", form)])).status == status


async def test_descriptor_with_an_old_etag_is_sent(wire):
    answer = await wire.ask("GET", "/atlassian-connect.json", [("if-none-match", '"0"')])
    assert answer.status == 200


async def test_descriptor_requested_with_head_has_a_length_and_no_body(wire):
    whole = await wire.ask("GET", "/atlassian-connect.json")
    head = await wire.ask("HEAD", "/atlassian-connect.json")
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(whole.body)))


async def test_descriptor_accepts_only_get_and_head(wire):
    assert (await wire.ask("POST", "/atlassian-connect.json")).status in (404, 405)


async def test_static_file_is_immutable(wire, script):
    answer = await wire.ask("GET", script)
    assert (answer.status, answer.header("content-type")) == (200, "text/javascript; charset=utf-8")
    assert answer.header("cache-control") == "public, max-age=31536000, immutable"


async def test_static_file_requested_with_head_has_a_length_and_no_body(wire, script):
    whole = await wire.ask("GET", script)
    head = await wire.ask("HEAD", script)
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(whole.body)))


async def test_static_file_accepts_only_get_and_head(wire, script):
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
async def test_static_file_outside_of_the_folder_is_not_found(wire, name):
    assert (await wire.ask("GET", f"/addonkit/static/{name}")).status == 404


async def test_static_file_of_one_plugin_is_not_found_at_another(wire, script):
    assert (await wire.ask("GET", script.replace("/addonkit/", "/under_test/", 1))).status == 404
