"""The HTTP transport against servers that misbehave: connections, encodings, sizes."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import tracemalloc

import httpx2
import pytest
from addonkit import HostUnavailable, ResponseInvalid
from addonkit.hostapi import transport as transport_module
from addonkit.hostapi.transport import Transport

from tests.support.faulty_servers import answer, faulty
from tests.support.public_address import Authority

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("clean", "fast_backoff")]
MYSELF = "/rest/api/3/myself"


async def test_request_headers_name_the_add_on_and_accept_json(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {})
    await caller(lambda host: host.get("/rest/api/3/myself"))
    [call] = caller.rest.requests
    assert call.headers["user-agent"].startswith("addonkit/")
    assert call.headers["user-agent"].endswith(" com.example.test")
    assert call.headers["accept"].startswith("application/json")


async def test_cookie_of_a_site_is_not_sent_back(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {}, headers={"set-cookie": "session=of-somebody; Path=/"})
    for _ in range(2):
        await caller(lambda host: host.get("/rest/api/3/myself"))
    assert all("cookie" not in call.headers for call in caller.rest.requests)


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
    [
        (gzip.compress(b"[1]", mtime=0) + gzip.compress(b",[2]", mtime=0), False),
        (gzip.compress(b"[1]", mtime=0) + b"junk", False),
    ],
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


async def test_error_text_is_printable_whatever_the_path(ask_at):
    async with faulty(answer("200 OK", b"{", length=100)) as url:
        with pytest.raises(HostUnavailable) as down:
            await ask_at(url, path="/rest/a%0Alevel=error%1b[31m", deadline_s=1)
    assert str(down.value).isprintable()


async def test_response_that_is_not_http_makes_the_host_unavailable(ask_at):
    async with faulty(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        with pytest.raises(HostUnavailable, match="closed the connection before the response was complete"):
            await ask_at(url, deadline_s=2)


async def test_response_larger_than_max_bytes_is_invalid(caller):
    caller.rest.answer("GET", "/rest/api/3/large", content=b'"' + b"x" * 10_000_000 + b'"')
    with pytest.raises(ResponseInvalid, match="is larger than 8388608 bytes; request less data, or raise max_bytes"):
        await caller(lambda host: host.get("/rest/api/3/large"))
    assert len(await caller(lambda host: host.get("/rest/api/3/large", max_bytes=20_000_000))) == 10_000_000


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


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_connections_are_limited_over_all_sites(monkeypatch, limit):
    monkeypatch.setattr(transport_module, "MAX_CONNECTIONS", limit)
    transport, door, opened = Transport("test"), asyncio.Event(), []

    async def held(reader, writer):
        opened.append(writer)
        await door.wait()
        writer.write(answer("200 OK", b"{}"))

    async with faulty(held) as one, faulty(held) as other:
        urls = [httpx2.URL(url) for url in (one, other) for _ in range(limit)]
        calls = [asyncio.create_task(transport.send("GET", url, {}, None, 100)) for url in urls]
        async with asyncio.timeout(60):
            while len(opened) < limit:  # noqa: ASYNC110 - plainer than an event
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert len(opened) == limit
        door.set()
        assert [(await call).status for call in calls] == [200] * 2 * limit
    await transport.close()
