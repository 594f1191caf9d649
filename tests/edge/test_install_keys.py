"""Install keys: fetched from key hosts, validated, cached, and limited."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from addonkit.edge import install_keys
from addonkit.edge.install_keys import InstallKeys
from addonkit.errors import HostUnreachable, TokenInvalid
from addonkit.testing import InstallKeys as Signing
from addonkit.testing.loopback import bind, serving
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PEM = Signing().public_pem.encode()
DEAD = "http://127.0.0.1:1"


def pem_of(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


class KeyServer:
    """A key server that gives the same response for every path, and records the requested paths."""

    def __init__(self, status=200, body=PEM, headers=(), delay_s=0.0):
        self.status, self.body, self.headers, self.delay_s = status, body, headers, delay_s
        self.asked = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                phase = (await receive())["type"]
                await send({"type": f"{phase}.complete"})
                if phase == "lifespan.shutdown":
                    return
        self.asked.append(scope["raw_path"].decode())
        await asyncio.sleep(self.delay_s)
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def keys_of(clock):
    """Create install keys for some key servers; a string is used as a URL."""
    async with AsyncExitStack() as stack:

        async def make(*servers):
            urls = [s if isinstance(s, str) else await stack.enter_async_context(serving(s, bind())) for s in servers]
            keys = InstallKeys(urls, clock)
            stack.push_async_callback(keys.close)
            return keys

        yield make


async def test_install_key_is_fetched_by_its_id_and_cached(keys_of, clock):
    server = KeyServer()
    keys = await keys_of(server)
    first = await keys.get("a/b-1")
    clock.now += 1e6
    assert await keys.get("a/b-1") is first
    assert server.asked == ["/a/b-1"]


@pytest.mark.parametrize(
    "kid",
    [
        None,
        "",
        "..",
        "../x",
        "a/../b",
        "/etc/passwd",
        "//evil.example/k",
        "http://evil.example/k",
        "https:evil",
        "k?x=1",
        "k#x",
        "k%2e",
        "k\n",
        "k\r\nHost: evil",
        "k x",
        "@evil.example",
        "k\\x",
        "ü",
        "k" * 257,
    ],
)
async def test_key_id_that_is_not_a_plain_path_is_never_fetched(keys_of, kid):
    server = KeyServer()
    with pytest.raises(TokenInvalid):
        await (await keys_of(server)).get(kid)
    assert server.asked == []


NO_KEYS = {
    "a page": b"<!doctype html><html><body>Not here</body></html>",
    "a key within a page": b"<html><pre>" + PEM + b"</pre></html>",
    "a key behind a line": b"hello\n" + PEM,
    "nothing": b"",
    "half a key": PEM[:200],
    "something of no kind": b"\x00\xff" * 100,
    "a key on a curve": pem_of(ec.generate_private_key(ec.SECP256R1())),
    "a short key": pem_of(rsa.generate_private_key(65537, 1024)),
    "a private key": Signing().private_pem.encode(),
    "too much": PEM + b"\n" * 20_000,
}


@pytest.mark.parametrize("body", NO_KEYS.values(), ids=NO_KEYS.keys())
async def test_install_key_response_without_a_public_key_is_a_failure_and_not_cached(keys_of, body):
    server = KeyServer(body=body)
    keys = await keys_of(server)
    for _ in range(2):
        with pytest.raises(HostUnreachable):
            await keys.get("k")
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 403, 410, 429, 500, 502, 503])
async def test_install_key_with_another_status_is_a_failure(keys_of, status):
    body = b"" if status == 204 else PEM
    with pytest.raises(HostUnreachable):
        await (await keys_of(KeyServer(status, body))).get("k")


async def test_key_host_redirect_is_not_followed(keys_of):
    good = KeyServer()
    async with serving(good, bind()) as url:
        server = KeyServer(302, b"", [(b"location", f"{url}/k".encode())])
        with pytest.raises(HostUnreachable):
            await (await keys_of(server)).get("k")
    assert good.asked == []


async def test_install_key_in_the_body_of_a_404_is_ignored(keys_of):
    with pytest.raises(TokenInvalid):
        await (await keys_of(KeyServer(404, PEM))).get("k")


async def test_install_key_response_is_not_decompressed(keys_of):
    import gzip

    server = KeyServer(body=gzip.compress(PEM), headers=[(b"content-encoding", b"gzip")])
    with pytest.raises(HostUnreachable):
        await (await keys_of(server)).get("k")


@pytest.mark.parametrize("first", [DEAD, KeyServer(404, b""), KeyServer(500, b""), KeyServer(body=b"<html>")])
async def test_key_host_fallback_is_asked_if_the_first_lacks_the_key(keys_of, first):
    assert await (await keys_of(first, KeyServer())).get("k")


async def test_key_host_that_is_slow_is_skipped(keys_of, monkeypatch):
    monkeypatch.setattr(install_keys, "TIMEOUT_S", 2.0)
    assert await (await keys_of(KeyServer(delay_s=30), KeyServer())).get("k")


async def test_key_host_that_is_down_is_a_retryable_failure(keys_of):
    keys = await keys_of(DEAD)
    for _ in range(2):
        with pytest.raises(HostUnreachable):
            await keys.get("k")


@pytest.mark.parametrize("other", [DEAD, KeyServer(500, b"")])
async def test_key_host_404_is_not_final_while_another_fails(keys_of, other):
    server = KeyServer(404, b"")
    keys = await keys_of(server, other)
    for _ in range(2):
        with pytest.raises(HostUnreachable):
            await keys.get("k")
    assert len(server.asked) == 2


async def test_key_id_that_is_unknown_is_cached_for_a_minute(keys_of, clock):
    first, second = KeyServer(404, b""), KeyServer(404, b"")
    keys = await keys_of(first, second)
    for _ in range(3):
        with pytest.raises(TokenInvalid):
            await keys.get("k")
    assert (len(first.asked), len(second.asked)) == (1, 1)
    clock.now += 61
    with pytest.raises(TokenInvalid):
        await keys.get("k")
    assert len(first.asked) == 2


async def test_install_key_single_flight_fetches_once_for_many_callers(keys_of):
    server = KeyServer(delay_s=0.05)
    keys = await keys_of(server)
    found = await asyncio.gather(*(keys.get("k") for _ in range(20)))
    assert (len(set(map(id, found))), len(server.asked)) == (1, 1)


async def test_install_key_single_flight_survives_a_cancelled_caller(keys_of):
    server = KeyServer(delay_s=0.05)
    keys = await keys_of(server)
    leaving, staying = asyncio.create_task(keys.get("k")), asyncio.create_task(keys.get("k"))
    await asyncio.sleep(0.01)
    leaving.cancel()
    assert await staying
    assert len(server.asked) == 1


async def test_install_key_single_flight_without_callers_ends_quietly(keys_of, caplog):
    keys = await keys_of(KeyServer(404, b"", delay_s=0.02))
    asked = asyncio.create_task(keys.get("k"))
    await asyncio.sleep(0.01)
    asked.cancel()
    await asyncio.sleep(0.1)
    del asked
    assert "never retrieved" not in caplog.text


async def test_install_key_fetches_are_limited_per_minute(keys_of, clock):
    server = KeyServer(404, b"")
    keys = await keys_of(server)
    for number in range(100):
        with pytest.raises((TokenInvalid, HostUnreachable)):
            await keys.get(f"k{number}")
    assert len(server.asked) == 60
    clock.now += 61
    with pytest.raises(TokenInvalid):
        await keys.get("another")


async def test_install_key_that_is_cached_is_available_beyond_the_limit(keys_of):
    good, server = "good", KeyServer()
    keys = await keys_of(server)
    await keys.get(good)
    for number in range(59):
        await keys.get(f"k{number}")
    with pytest.raises(HostUnreachable):
        await keys.get("one-too-many")
    assert await keys.get(good)
