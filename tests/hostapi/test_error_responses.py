"""What a host's faults come to: the class and the sentence that a plugin's author needs, and nothing that leaks."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import tracemalloc

import httpx2
import pytest
from addonkit import HostError, HostUnavailable, RateLimited, ResponseInvalid
from addonkit.calling import calling
from addonkit.hostapi.transport import Transport
from addonkit.testing.rest import Reply

from tests.support.calling_plugin import site_at
from tests.support.faulty_servers import answer, faulty
from tests.support.public_address import Authority

pytestmark = pytest.mark.asyncio(loop_scope="module")
MYSELF = "/rest/api/3/myself"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Trying again takes no time that a test would wait for."""
    monkeypatch.setattr("addonkit.hostapi.retry.backoff_s", lambda failures, **_: 0.02 * failures)


@pytest.fixture
def ask_at(asking):
    """Asks the first site as if it were served at a URL."""

    async def ask(url, method="GET", path=MYSELF, **options):
        host = asking.clients.of(await site_at(asking, url), None)
        with calling("asking"):
            return await host.request(method, path, **options)

    return ask


async def test_attack_21_redirect_to_another_origin_gets_no_token(ask_at):
    got = []

    async def evil(reader, writer):
        got.append(True)
        writer.write(answer("200 OK", b"{}"))

    async with faulty(evil) as elsewhere, faulty(answer("302 Found", location=f"{elsewhere}/rest")) as url:
        with pytest.raises(HostError, match=r"with a redirect that is not followed: .* leads off the site") as refused:
            await ask_at(url)
    assert refused.value.status == 302
    assert got == []


@pytest.mark.parametrize(
    "location",
    [
        "//127.0.0.1:1/rest",
        "https://evil.example.com/",
        "/\\evil.example.com",
        "ftp://127.0.0.1/x",
        "/a/../b",
        "https://[bad/",
    ],
)
async def test_attack_21_redirect_in_no_spelling_leads_off_the_site(ask_at, location):
    async with faulty(answer("307 Temporary Redirect", location=location)) as url:
        with pytest.raises(HostError):
            await ask_at(url, deadline_s=5)


async def test_redirect_within_the_site_is_signed_again(asking):
    asking.rest.answer("GET", "/rest/api/3/old", status=301, headers={"location": "/rest/api/3/new?a=b"})
    asking.rest.answer("GET", "/rest/api/3/new", {"here": True})
    asking.rest.rejected.clear()
    assert await asking(lambda host: host.get("/rest/api/3/old")) == {"here": True}
    assert asking.rest.rejected == []


async def test_redirect_loop_ends(asking):
    asking.rest.answer("GET", "/rest/api/3/round", status=302, headers={"location": "/rest/api/3/round"})
    with pytest.raises(HostError, match="redirected 'GET /rest/api/3/round' more than 5 times"):
        await asking(lambda host: host.get("/rest/api/3/round"))


async def test_redirect_of_a_post_is_not_followed(asking):
    asking.rest.answer("POST", "/rest/api/3/issue", status=307, headers={"location": "/rest/api/3/elsewhere"})
    with pytest.raises(HostError, match="it is a redirect, which is not followed for this request"):
        await asking(lambda host: host.post("/rest/api/3/issue", {}))


async def test_certificate_that_is_not_trusted_ends_the_call(ask_at, tmp_path):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*Authority(tmp_path).certify("127.0.0.1"))
    async with faulty(answer("200 OK", b"{}"), tls) as url:
        with pytest.raises(HostUnavailable, match="has a certificate that this machine does not trust") as down:
            await ask_at(url, deadline_s=2)
    assert down.value.sent is False


async def test_proxy_from_the_environment_is_not_used(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    transport = Transport("test")
    async with faulty(answer("200 OK", b"{}")) as url:
        received = await transport.send("GET", httpx2.URL(url), {}, None, 100)
    await transport.close()
    assert received.content == b"{}"


async def test_connection_that_is_refused_makes_the_host_unavailable(ask_at):
    with pytest.raises(
        HostUnavailable, match=r"'127.0.0.1' accepts no connection, so 'GET .*' has no response"
    ) as down:
        await ask_at("http://127.0.0.1:1", deadline_s=2)
    assert down.value.sent is False


async def test_unreachable_site_is_not_tried_again_for_a_moment(asking, ask_at, unused_port):
    url = f"http://127.0.0.1:{unused_port}"
    tenant = await site_at(asking, url)
    with calling("asking"), pytest.raises(HostUnavailable, match="accepts no connection"):
        await asking.clients.of(tenant, None).get(MYSELF)
    began = time.monotonic()
    with pytest.raises(
        HostUnavailable, match=r"accepted no connection within the last 5 s, so 'GET .*' was not sent"
    ) as down:
        await ask_at(url)
    assert time.monotonic() - began < 0.05
    assert (down.value.sent, down.value.retry_after_s) == (False, 5)


async def test_body_that_is_incomplete_makes_the_host_unavailable(ask_at):
    async with faulty(answer("200 OK", b'{"half":', length=100)) as url:
        with pytest.raises(HostUnavailable, match="closed the connection before the response was complete") as down:
            await ask_at(url, deadline_s=2)
    assert down.value.sent is True


async def test_gzip_body_that_is_incomplete_makes_the_host_unavailable(ask_at):
    packed = gzip.compress(b'{"whole": true}')[:-9]
    async with faulty(answer("200 OK", packed, content_encoding="gzip")) as url:
        with pytest.raises(HostUnavailable, match="closed the connection before the response was complete"):
            await ask_at(url, deadline_s=2)


@pytest.mark.parametrize(
    ("body", "closes"),
    [(gzip.compress(b"[1]") + gzip.compress(b",[2]"), False), (gzip.compress(b"[1]") + b"junk", False)],
)
async def test_gzip_body_with_trailing_data_is_invalid(ask_at, body, closes):
    async with faulty(answer("200 OK", body, content_encoding="gzip")) as url:
        with pytest.raises(ResponseInvalid, match="is not valid gzip data"):
            await ask_at(url)


async def test_gzip_body_that_has_only_begun_makes_the_host_unavailable(ask_at):
    async with faulty(answer("200 OK", gzip.compress(b"[1]")[:10], content_encoding="gzip")) as url:
        with pytest.raises(HostUnavailable, match="closed the connection before the response was complete"):
            await ask_at(url, deadline_s=2)


async def test_gzip_body_with_endless_trailing_data_is_not_read(ask_at):
    async def flood(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n" + gzip.compress(b"[1]"))
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()

    async with faulty(flood) as url:
        with pytest.raises(ResponseInvalid):
            await ask_at(url, max_bytes=1000, deadline_s=5)


async def test_rate_limit_in_a_long_error_body_is_honoured(asking):
    site = await asking.host.install()
    long = b'{"errorMessages": ["' + b"x" * 200_000 + b'"]}'
    asking.rest.answer("GET", "/rest/api/3/long", status=429, headers={"retry-after": "60"}, content=long)
    with pytest.raises(RateLimited) as limited:
        await asking(lambda host: host.get("/rest/api/3/long", max_bytes=1000, deadline_s=5), site=site)
    assert limited.value.retry_after_s == 60
    assert asking.clients.limits.of((await asking.tenant(site)).id).pause_s(False) > 50


async def test_error_text_is_printable_whatever_the_path(ask_at):
    async with faulty(answer("200 OK", b"{", length=100)) as url:
        with pytest.raises(HostUnavailable) as down:
            await ask_at(url, path="/rest/a%0Alevel=error%1b[31m", deadline_s=1)
    assert str(down.value).isprintable()


async def test_response_that_is_not_http_makes_the_host_unavailable(ask_at):
    async with faulty(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        with pytest.raises(HostUnavailable, match="closed the connection before the response was complete"):
            await ask_at(url, deadline_s=2)


async def test_response_larger_than_max_bytes_is_invalid(asking):
    asking.rest.answer("GET", "/rest/api/3/large", content=b'"' + b"x" * 10_000_000 + b'"')
    with pytest.raises(ResponseInvalid, match="is larger than 8388608 bytes; request less data, or raise max_bytes"):
        await asking(lambda host: host.get("/rest/api/3/large"))
    assert len(await asking(lambda host: host.get("/rest/api/3/large", max_bytes=20_000_000))) == 10_000_000


async def test_gzip_bomb_takes_no_memory(ask_at):
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    async with faulty(answer("200 OK", bomb, content_encoding="gzip")) as url:
        tracemalloc.start()
        try:
            with pytest.raises(ResponseInvalid, match="is larger than"):
                await ask_at(url, max_bytes=1_000_000)
            assert tracemalloc.get_traced_memory()[1] < 8_000_000
        finally:
            tracemalloc.stop()


async def test_encoding_that_was_not_requested_is_invalid(ask_at):
    async with faulty(answer("200 OK", b"x", content_encoding="br")) as url:
        with pytest.raises(ResponseInvalid, match="is encoded with 'br', expected 'gzip' or no encoding"):
            await ask_at(url)


async def test_gzip_body_is_decompressed(ask_at):
    async with faulty(answer("200 OK", gzip.compress(b'{"a": 1}'), content_encoding="gzip")) as url:
        assert (await ask_at(url)).json() == {"a": 1}


async def test_deadline_ends_a_response_that_trickles(ask_at):
    async def trickle(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with faulty(trickle) as url:
        began = time.monotonic()
        with pytest.raises(
            HostUnavailable, match="gave no complete response to 'GET /rest/api/3/myself' within the call's deadline"
        ) as down:
            await ask_at(url, deadline_s=0.5)
        assert time.monotonic() - began < 2
    assert down.value.sent is True


async def test_clock_skew_is_named_in_the_error(ask_at):
    async with faulty(answer("401 Unauthorized", b"", date="Thu, 26 Nov 2026 00:00:00 GMT")) as url:
        with pytest.raises(HostError, match=r"this machine's clock is .* (behind|ahead of) the host's; set it by NTP"):
            await ask_at(url)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_retry_follows_a_gateway_error(asking, status):
    left = [Reply(status=status), Reply(status=status), Reply({"ok": 1})]
    asking.rest.answer("GET", "/rest/api/3/stumbling", by=lambda _: left.pop(0))
    assert await asking(lambda host: host.get("/rest/api/3/stumbling")) == {"ok": 1}


async def test_retry_does_not_send_a_post_twice(asking):
    asking.rest.requests.clear()
    asking.rest.answer("POST", "/rest/api/3/issue", status=503)
    with pytest.raises(HostError) as refused:
        await asking(lambda host: host.post("/rest/api/3/issue", {}))
    assert refused.value.status == 503
    assert len(asking.rest.requests_to("POST", "/rest/api/3/issue")) == 1


async def test_retry_sends_an_idempotent_post_again(asking):
    left = [Reply(status=503), Reply({"ok": 1})]
    asking.rest.answer("POST", "/rest/api/3/search", by=lambda _: left.pop(0))
    assert await asking(lambda host: host.post("/rest/api/3/search", {}, idempotent=True)) == {"ok": 1}


async def test_retry_sends_a_post_again_after_a_refused_connection(asking, unused_port):
    tenant = await site_at(asking, f"http://127.0.0.1:{unused_port}")

    async def serve_later():
        await asyncio.sleep(0.05)
        return await asyncio.start_server(_created, "127.0.0.1", unused_port)

    late = asyncio.create_task(serve_later())
    with calling("asking"):
        assert (await asking.clients.of(tenant, None).request("POST", "/rest/api/3/issue", json={})).status == 201
    (await late).close()


async def test_retry_does_not_send_a_post_that_may_have_arrived(ask_at):
    got = []

    async def close(reader, writer):
        got.append(True)

    async with faulty(close) as url:
        with pytest.raises(HostUnavailable) as down:
            await ask_at(url, "POST", json={})
    assert (got, down.value.sent) == ([True], True)


async def _created(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer("201 Created", b"{}"))
    await writer.drain()
    writer.close()


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def test_page_answers_502_or_503_for_host_errors(asking):
    site, issue = await asking.host.install(), {"id": "10001", "key": "AB-1"}
    asking.rest.answer("GET", "/rest/api/3/issue/10001", {"errorMessages": ["no"]}, status=400)
    page = await asking.host.open("asking-issue", site, issue=issue)
    assert page.status == 502
    asking.rest.answer("GET", "/rest/api/3/issue/10001", status=429, headers={"retry-after": "77"})
    page = await asking.host.open("asking-issue", site, issue=issue)
    assert (page.status, page.headers["retry-after"]) == (503, "77")


async def test_rest_api_status_overrides_every_answer(asking):
    asking.rest.status = 503
    try:
        with pytest.raises(HostError) as refused:
            await asking(lambda host: host.post("/rest/api/3/issue", {}))
    finally:
        asking.rest.status = None
    assert refused.value.status == 503


async def test_page_whose_call_is_forbidden_answers_500(asking):
    page = await asking.host.open("asking-forbidden")
    assert page.status == 500
    assert "evil" not in page.text
