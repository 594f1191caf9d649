"""Files: received piece by piece, also from a file server on another origin, and attached to issues and content."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from addonkit import (
    Attachment,
    CallForbidden,
    HostError,
    HostUnavailable,
    ObjectIdInvalid,
    ResponseInvalid,
    ScopeMissing,
    Tenant,
    TenantState,
)
from addonkit.hostapi.call import build_call
from addonkit.hostapi.file_server import FileServer, is_public
from addonkit.hostapi.transport import MAX_CONNECTIONS
from addonkit.http_client import Network
from addonkit.testing.exchange import Reply

from tests.support.calling_plugin import site_at
from tests.support.faulty_servers import answer, faulty
from tests.support.public_address import Authority, Plain, bind, public

pytestmark = pytest.mark.asyncio(loop_scope="module")
JIRA, WIKI = "/rest/api/3/attachment/content/10001", "/rest/api/content/98347/child/attachment/att2/download"
TOKEN = "token=secret-of-the-file"


@pytest.fixture(autouse=True)
def clean(caller, monkeypatch):
    caller.rest.requests.clear()
    monkeypatch.setattr("addonkit.hostapi.retry.backoff_s", lambda failures, **_: 0.02 * failures)


@pytest_asyncio.fixture(loop_scope="module")
async def wiki(caller):
    return await caller.host.install("confluence")


@pytest_asyncio.fixture(loop_scope="module")
async def jira(caller):
    return await caller.host.install()


async def received(caller, site, **about):
    async def read(host):
        async with host.download(**about) as file:
            return file.content_type, file.size, await file.read()

    return await caller(read, site=site)


@asynccontextmanager
async def redirected(caller, path, response, status=302, location=None, heads=None):
    """A file server with a response, to which a path of the site redirects; yields its URL."""
    async with faulty(response, heads=heads) as url:
        target = f"{url}/file/1?{TOKEN}" if location is None else location.replace("SERVER", url)
        caller.rest.answer("GET", path, by=lambda _: Reply(status=status, headers={"location": target}))
        try:
            yield url
        finally:
            caller.rest.remove_last_answer()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("product", ["jira", "confluence"])
async def test_redirect_to_a_file_server_is_followed_without_credentials(caller, jira, wiki, status, product):
    heads = []
    response = answer("200 OK", b"a picture", content_type="image/png")
    path, site = (JIRA, jira) if product == "jira" else (WIKI, wiki)
    about = {"attachment": "10001"} if product == "jira" else {"attachment": "att2", "content": "98347"}
    async with redirected(caller, path, response, status, heads=heads) as url:
        assert await received(caller, site, **about) == ("image/png", 9, b"a picture")
    [head] = [each.decode().lower() for each in heads]
    assert head.startswith(f"get /file/1?{TOKEN} http/1.1\r\n")
    assert f"host: {url.removeprefix('http://')}\r\n" in head
    assert not any(name in head for name in ("authorization", "cookie", "jwt ", "referer"))
    [first] = caller.rest.requests
    assert first.headers["authorization"].startswith("JWT ")


@pytest.mark.parametrize(
    "path",
    [
        "/rest/api/3/attachment/thumbnail/10001",
        "/secure/attachment/10001/plan.png",
        "/rest/api/3/universal_avatar/view",
    ],
)
async def test_file_of_the_site_itself_is_received(caller, jira, path):
    caller.rest.answer("GET", path, content=b"x" * 200_000, headers={"content-type": "image/png"})
    pieces = []

    async def read(host):
        async with host.download(path) as file:
            pieces.extend([piece async for piece in file])

    await caller(read, site=jira)
    assert b"".join(pieces) == b"x" * 200_000
    assert caller.rest.requests[0].headers["accept-encoding"] == "identity"


async def test_redirect_within_the_site_comes_before_the_one_to_a_file_server(caller, wiki):
    caller.rest.answer("GET", "/download/attachments/98347/plan.png", status=302, headers={"location": f"/wiki{WIKI}"})
    async with redirected(caller, WIKI, answer("200 OK", b"file")):
        assert (await received(caller, wiki, path="/download/attachments/98347/plan.png"))[2] == b"file"
    assert len(caller.rest.requests) == 2


async def test_redirect_off_the_site_is_followed_for_downloads_only(caller, wiki):
    async with redirected(caller, WIKI, answer("200 OK", b"file")):
        with pytest.raises(HostError, match=r"leads off the site .* for a file, use host\.download\(\)") as refused:
            await caller(lambda host: host.request("GET", WIKI), site=wiki)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "403 Forbidden", "404 Not Found", "500 Error", "204 Empty"]
)
async def test_file_server_is_asked_once_and_only_200_is_a_file(caller, wiki, status):
    heads = []
    response = answer(status, b"", location="https://example.com/again")
    async with redirected(caller, WIKI, response, heads=heads):
        with pytest.raises(HostError, match=rf"the file server .* answered {status[:3]} after 'GET") as failed:
            await received(caller, wiki, attachment="att2", content="98347")
    assert len(heads) == 1
    assert TOKEN not in str(failed.value)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
async def test_error_of_the_site_is_raised(caller, wiki, status):
    caller.rest.answer("GET", WIKI, {"message": "no"}, status=status)
    try:
        with pytest.raises(HostError) as failed:
            await received(caller, wiki, attachment="att2", content="98347")
    finally:
        caller.rest.remove_last_answer()
    assert failed.value.status == status


@pytest.mark.parametrize("kind", ["of the site", "of a file server"])
@pytest.mark.parametrize("length", ["known", "unknown"])
async def test_file_larger_than_the_limit_is_refused(caller, wiki, kind, length):
    body = b"x" * 1001
    chunked = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3e9\r\n" + body + b"\r\n0\r\n\r\n"
    )
    response = answer("200 OK", body) if length == "known" else chunked
    if kind == "of a file server":
        async with redirected(caller, WIKI, response):
            with pytest.raises(ResponseInvalid, match="is larger than 1000 bytes; raise max_bytes"):
                await received(caller, wiki, attachment="att2", content="98347", max_bytes=1000)
            assert (await received(caller, wiki, attachment="att2", content="98347", max_bytes=1001))[2] == body
        return
    async with faulty(response) as url:
        tenant = await site_at(caller, url)
        host = caller.clients.of(tenant, None)
        with pytest.raises(ResponseInvalid, match="is larger than 1000 bytes; raise max_bytes"):
            await caller(lambda _: read_from(host, max_bytes=1000))
        assert await caller(lambda _: read_from(host, max_bytes=1001)) == body


async def read_from(host, **options):
    async with host.download("/file", **options) as file:
        return await file.read()


async def test_file_that_ends_early_is_no_file(caller, wiki):
    async with redirected(caller, WIKI, answer("200 OK", b"half", length=8)):
        with pytest.raises(HostUnavailable, match=r"closed the connection before the file of 'GET .* was complete"):
            await received(caller, wiki, attachment="att2", content="98347")


async def test_file_that_is_compressed_is_refused(caller, wiki):
    async with redirected(caller, WIKI, answer("200 OK", b"x", content_encoding="gzip")):
        with pytest.raises(ResponseInvalid, match="is compressed"):
            await received(caller, wiki, attachment="att2", content="98347")


async def test_file_that_never_ends_is_given_up_at_the_deadline(caller, wiki):
    async def begin(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await writer.drain()
        await reader.read()  # until the connection is closed

    async with redirected(caller, WIKI, begin):
        with pytest.raises(HostUnavailable, match="was not received completely within the call's deadline"):
            await received(caller, wiki, attachment="att2", content="98347", deadline_s=0.3)


async def test_file_server_that_accepts_no_connection_is_unavailable(caller, wiki):
    async with redirected(caller, WIKI, b"", location="http://127.0.0.1:1/x"):
        with pytest.raises(HostUnavailable, match=r"the file server '127\.0\.0\.1' gave no complete response"):
            await received(caller, wiki, attachment="att2", content="98347")


async def test_connection_is_closed_after_a_download_that_was_not_read(caller, jira):
    caller.rest.answer("GET", JIRA, content=b"x" * 5_000_000)

    async def begin(host):
        async with host.download(attachment="10001") as file:
            assert file.size == 5_000_000

    for _ in range(MAX_CONNECTIONS + 5):
        await caller(begin, site=jira)
    assert (await received(caller, jira, attachment="10001"))[2] == b"x" * 5_000_000


async def test_download_needs_the_scope_and_no_transaction(caller, jira):
    async def read(host):
        async with host.download(attachment="10001") as file:
            return await file.read()

    with pytest.raises(ScopeMissing):
        await caller(read, site=jira, plugin="poor")


@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        ({}, TypeError, "pass either a path or attachment"),
        ({"path": "/x", "attachment": "1"}, TypeError, "pass either a path or attachment"),
        ({"attachment": "att2"}, CallForbidden, "an attachment is found by its content"),
        ({"attachment": "", "content": "1"}, ObjectIdInvalid, "is not an id of 'attachment'"),
        ({"attachment": "att2", "content": "../1"}, ObjectIdInvalid, "is not an id of 'content'"),
        ({"attachment": "a/b", "content": "1"}, ObjectIdInvalid, "is not an id of 'attachment'"),
        ({"path": "//evil.example/x"}, CallForbidden, "leads off the site"),
    ],
)
async def test_download_of_nothing_that_can_be_named_is_refused(caller, wiki, about, error, message):
    with pytest.raises(error, match=message):
        await received(caller, wiki, **about)
    assert caller.rest.requests == []


# ---- where a redirect may lead -----------------------------------------------------------------------------------

CLOUD = Tenant(1, "k", "confluence", "https://x.atlassian.net/wiki", "https://x.atlassian.net", TenantState.ENABLED)


async def refused(location, tenant=CLOUD):
    server = FileServer("tests")
    try:
        await server.open(build_call(tenant, "GET", WIKI, {}), location)
    finally:
        await server.close()


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0.0.0.0/x",
        "https://10.1.2.3/x",
        "https://172.16.0.1/x",
        "https://192.168.1.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://224.0.0.1/x",
        "https://255.255.255.255/x",
        "https://[::1]/x",
        "https://[fe80::1]/x",
        "https://[fd00::1]/x",
        "https://[fec0::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://[2002:7f00:1::]/x",
        "https://localhost/x",
        "https://LOCALHOST:443/x",
    ],
)
async def test_attack_ssrf_redirect_to_a_private_address_is_not_followed(location):
    with pytest.raises(
        HostError, match=r"to a URL that is not followed: its host .* (is not on the internet|cannot be)"
    ):
        await refused(location)


@pytest.mark.parametrize(
    "location",
    [
        "http://media.example.com/x",
        "ftp://media.example.com/x",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "javascript:alert(1)",
        "https://user:secret@media.example.com/x",
        "https://",
        "https://media.example.com/a b",
        "https://media.example.com\\@127.0.0.1/x",
        "https://media.example.com/\r\nX-Injected: 1",
        "https://media.example.com/" + "x" * 20_000,
        "https://[::1",
    ],
)
async def test_attack_ssrf_redirect_that_is_no_plain_https_url_is_not_followed(location):
    with pytest.raises(HostError, match="to a URL that is not followed") as error:
        await refused(location)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["93.184.216.34", "::ffff:192.168.0.1"], ["169.254.1.1"]],
    ids=["loopback", "public-and-private", "loopback-6", "public-and-mapped", "link-local"],
)
async def test_attack_ssrf_name_with_a_private_address_is_not_followed(monkeypatch, addresses):
    async def resolve(*_arguments, **_options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    with pytest.raises(HostError, match="it has a private or reserved address"):
        await refused("https://media.example.com/x")


async def test_loopback_site_may_redirect_to_public_addresses_over_https_only(monkeypatch):
    async def resolve(*_arguments, **_options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    local = Tenant(1, "k", "jira", "http://127.0.0.1:9000", "http://127.0.0.1:9000", TenantState.ENABLED)
    with pytest.raises(HostError, match="its scheme is 'http', expected 'https'"):
        await refused("http://media.example.com/x", local)


@pytest.mark.parametrize(
    ("certified", "answers"),
    [
        ("media.example.com", True),
        ("other.example.com", False),
        ("127.0.0.1", False),
        ("localhost", False),
        ("example.com", False),
    ],
)
async def test_certificate_of_a_file_server_is_verified_for_its_name(monkeypatch, tmp_path, certified, answers):
    authority, listener = Authority(tmp_path), bind()
    port = listener.getsockname()[1]

    async def resolve(*_arguments, **_options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    local = Tenant(1, "k", "jira", "http://127.0.0.1:9000", "http://127.0.0.1:9000", TenantState.ENABLED)
    call = build_call(local, "GET", JIRA, {})
    server = FileServer("tests", Network(ca_file=authority.file))
    async with public(Plain(200, {}, b"file"), listener, authority.certify(certified)):
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
        try:
            if answers:
                response = await server.open(call, f"https://media.example.com:{port}/x")
                assert await response.aread() == b"file"
                await response.aclose()
            else:
                with pytest.raises(HostUnavailable, match=r"the file server 'media\.example\.com' gave no complete"):
                    await server.open(call, f"https://media.example.com:{port}/x")
        finally:
            await server.close()


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"])
async def test_public_address_may_be_reached(address):
    assert is_public(ipaddress.ip_address(address))


# ---- uploads -----------------------------------------------------------------------------------------------------

PICTURE = b"\x89PNG not really"


async def test_file_is_attached_to_an_issue(caller, jira):
    found = [{"id": "10001", "filename": "plan.png", "mimeType": "image/png", "size": 15}]
    caller.rest.answer("POST", "/rest/api/3/issue/AB-1/attachments", found)
    uploaded = await caller(
        lambda host: host.upload("plan.png", PICTURE, issue="AB-1", content_type="image/png"), site=jira
    )
    assert uploaded == Attachment("10001", "plan.png", "image/png", 15)
    [sent] = caller.rest.requests
    assert sent.headers["x-atlassian-token"] == "no-check"
    assert b'name="file"; filename="plan.png"' in sent.body
    assert PICTURE in sent.body


async def test_file_is_attached_to_content(caller, wiki):
    entry = {"id": "att2", "title": "plan.png", "extensions": {"mediaType": "image/png", "fileSize": 15}}
    caller.rest.answer("PUT", "/rest/api/content/98347/child/attachment", {"results": [entry]})
    uploaded = await caller(lambda host: host.upload("plan.png", PICTURE, content="98347"), site=wiki)
    assert uploaded == Attachment("att2", "plan.png", "image/png", 15)


@pytest.mark.parametrize("body", [None, [], {}, {"results": []}, [{"filename": "x"}], "x", {"results": ["x"]}])
async def test_answer_to_an_upload_without_an_attachment_is_invalid(caller, jira, body):
    caller.rest.answer("POST", "/rest/api/3/issue/AB-1/attachments", body)
    with pytest.raises(ResponseInvalid, match="names no attachment"):
        await caller(lambda host: host.upload("plan.png", PICTURE, issue="AB-1"), site=jira)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0", "x" * 256])
async def test_file_name_that_the_host_cannot_store_is_refused(caller, jira, name):
    with pytest.raises(CallForbidden, match="is no file name"):
        await caller(lambda host: host.upload(name, PICTURE, issue="AB-1"), site=jira)
    assert caller.rest.requests == []


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({}, "pass either issue or content"),
        ({"issue": "1", "content": "1"}, "pass either issue or content"),
        ({"content": "1"}, "'content' exists in Confluence only"),
        ({"issue": ""}, "is not an id of 'issue'"),
        ({"issue": "../1"}, "is not an id of 'issue'"),
    ],
)
async def test_upload_to_nothing_that_can_be_named_is_refused(caller, jira, about, message):
    with pytest.raises(CallForbidden, match=message):
        await caller(lambda host: host.upload("plan.png", PICTURE, **about), site=jira)


async def test_upload_is_not_retried(caller, wiki):
    caller.rest.answer("PUT", "/rest/api/content/98347/child/attachment", {}, status=503)
    with pytest.raises(HostError):
        await caller(lambda host: host.upload("plan.png", PICTURE, content="98347"), site=wiki)
    assert len(caller.rest.requests) == 1
    caller.rest.remove_last_answer()
