"""Retries, redirects and deadlines of host calls."""

from __future__ import annotations

import asyncio
import time

import pytest
from addonkit import HostError, HostUnavailable, RateLimited
from addonkit.current import plugin_scope
from addonkit.hostapi.transport import Transport
from addonkit.testing.exchange import Reply

from tests.support.calling_plugin import site_at
from tests.support.faulty_servers import answer, faulty

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("fast_backoff")]
MYSELF = "/rest/api/3/myself"


async def _created(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer("201 Created", b"{}"))
    await writer.drain()
    writer.close()


async def _request(method, path, host, **options):
    return await host.request(method, path, **options)


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def sent(monkeypatch):
    """The URLs of the requests that leave this process."""
    urls, send = [], Transport.send

    async def record(self, method, url, *args, **options):
        urls.append(str(url))
        return await send(self, method, url, *args, **options)

    monkeypatch.setattr(Transport, "send", record)
    return urls


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
        "https://[bad/",
        "http://127.0.0.1:{port}@evil.example.com/",
        "http://127.0.0.1:{port}.evil.example.com/",
        "http://127.0.0.1:{port}0/",
        "https://127.0.0.1:{port}/rest",
        "HTTP://127.0.0.1:1/rest",
        "\\\\evil.example.com/",
    ],
)
async def test_attack_21_redirect_in_no_spelling_leads_off_the_site(ask_at, sent, location):
    redirects = []

    async def redirect(reader, writer):
        port = writer.get_extra_info("sockname")[1]
        redirects.append(port)
        writer.write(answer("307 Temporary Redirect", location=location.format(port=port)))

    async with faulty(redirect) as url:
        with pytest.raises(HostError, match="with a redirect that is not followed") as refused:
            await ask_at(url, deadline_s=5)
    assert refused.value.status == 307
    assert sent == [f"{url}{MYSELF}"]
    assert len(redirects) == 1


@pytest.mark.parametrize("location", ["/a/../b", "/../../b", "b/../c", "./b", "../../../../../b"])
async def test_redirect_with_dot_segments_stays_on_the_site(ask_at, sent, location):
    async with faulty(answer("307 Temporary Redirect", location=location)) as url:
        with pytest.raises(HostError, match="more than 5 times"):
            await ask_at(url, deadline_s=5)
    assert len(sent) == 6
    assert all(each.startswith(f"{url}/") for each in sent)


async def test_redirect_within_the_site_is_signed_again(caller):
    caller.rest.answer("GET", "/rest/api/3/old", status=301, headers={"location": "/rest/api/3/new?a=b"})
    caller.rest.answer("GET", "/rest/api/3/new", {"here": True})
    caller.rest.rejected.clear()
    assert await caller(lambda host: host.get("/rest/api/3/old")) == {"here": True}
    assert caller.rest.rejected == []


async def test_redirect_loop_ends(caller):
    caller.rest.answer("GET", "/rest/api/3/round", status=302, headers={"location": "/rest/api/3/round"})
    with pytest.raises(HostError, match="redirected 'GET /rest/api/3/round' more than 5 times"):
        await caller(lambda host: host.get("/rest/api/3/round"))


async def test_redirect_of_a_post_is_not_followed(caller):
    caller.rest.answer("POST", "/rest/api/3/issue", status=307, headers={"location": "/rest/api/3/elsewhere"})
    with pytest.raises(HostError, match="it is a redirect, which is not followed for this request"):
        await caller(lambda host: host.post("/rest/api/3/issue", {}))


async def test_unreachable_site_is_not_tried_again_for_a_moment(caller, unused_port):
    url = f"http://127.0.0.1:{unused_port}"
    tenant, other = await site_at(caller, url), await site_at(caller, url)
    with plugin_scope("caller"), pytest.raises(HostUnavailable, match="accepts no connection"):
        await caller.clients.of(tenant, None).get(MYSELF)
    began = time.monotonic()
    refused = r"accepted no connection within the last 5 s, so 'GET .*' was not sent"
    with plugin_scope("caller"), pytest.raises(HostUnavailable, match=refused) as down:
        await caller.clients.of(other, None).get(MYSELF)
    assert time.monotonic() - began < 0.05
    assert (down.value.sent, down.value.retry_after_s) == (False, 5)


async def test_rate_limit_in_a_long_error_body_is_honoured(caller):
    site = await caller.host.install()
    long = b'{"errorMessages": ["' + b"x" * 200_000 + b'"]}'
    caller.rest.answer("GET", "/rest/api/3/long", status=429, headers={"retry-after": "60"}, content=long)
    with pytest.raises(RateLimited) as limited:
        await caller(lambda host: host.get("/rest/api/3/long", max_bytes=1000, deadline_s=5), site=site)
    assert limited.value.retry_after_s == 60
    assert caller.clients.limits.of((await caller.tenant(site)).id).pause_s(False) > 50


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


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_retry_follows_a_gateway_error(caller, status):
    left = [Reply(status=status), Reply(status=status), Reply({"ok": 1})]
    caller.rest.answer("GET", "/rest/api/3/stumbling", by=lambda _: left.pop(0))
    assert await caller(lambda host: host.get("/rest/api/3/stumbling")) == {"ok": 1}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("method", "times"), [("POST", 1), ("PATCH", 1), ("GET", 4), ("HEAD", 4), ("OPTIONS", 4), ("PUT", 4), ("DELETE", 4)]
)
async def test_retry_sends_only_idempotent_methods_again(caller, method, times, status):
    site = await caller.host.install()
    caller.rest.requests.clear()
    caller.rest.answer(method, "/rest/api/3/issue/7", status=status)
    with pytest.raises(HostError) as refused:
        await caller(lambda host: host.request(method, "/rest/api/3/issue/7"), site=site)
    assert refused.value.status == status
    assert len(caller.rest.requests_to(method, "/rest/api/3/issue/7")) == times


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_retry_follows_what_the_caller_says_about_the_call(caller, method):
    for idempotent, times in ((True, 4), (False, 1)):
        site = await caller.host.install()
        caller.rest.requests.clear()
        caller.rest.answer(method, "/rest/api/3/issue/8", status=503)
        with pytest.raises(HostError):
            await caller(
                lambda host, so=idempotent: host.request(method, "/rest/api/3/issue/8", idempotent=so), site=site
            )
        assert len(caller.rest.requests_to(method, "/rest/api/3/issue/8")) == times


async def test_retry_sends_an_idempotent_post_again(caller):
    left = [Reply(status=503), Reply({"ok": 1})]
    caller.rest.answer("POST", "/rest/api/3/search", by=lambda _: left.pop(0))
    assert await caller(lambda host: host.post("/rest/api/3/search", {}, idempotent=True)) == {"ok": 1}


async def test_retry_sends_a_post_again_after_a_refused_connection(caller, unused_port):
    tenant = await site_at(caller, f"http://127.0.0.1:{unused_port}")

    async def serve_later():
        await asyncio.sleep(0.05)
        return await asyncio.start_server(_created, "127.0.0.1", unused_port)

    late = asyncio.create_task(serve_later())
    with plugin_scope("caller"):
        assert (await caller.clients.of(tenant, None).request("POST", "/rest/api/3/issue", json={})).status == 201
    (await late).close()


async def test_retry_does_not_send_a_post_that_may_have_arrived(ask_at):
    got = []

    async def close(reader, writer):
        got.append(True)

    async with faulty(close) as url:
        with pytest.raises(HostUnavailable) as down:
            await ask_at(url, "POST", json={})
    assert (got, down.value.sent) == ([True], True)
