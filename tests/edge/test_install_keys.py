"""Install keys: fetched from key hosts, validated, cached, and limited."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from addonkit.edge import fetch_budget, key_hosts
from addonkit.edge.install_keys import InstallKeys
from addonkit.edge.request import InboundRequest
from addonkit.errors import HostUnreachable, TokenInvalid
from addonkit.tenancy.record import StoredInstallKey
from addonkit.testing import InstallKeys as Signing
from addonkit.testing.loopback import bind, serving
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.key_server import PEM, KeyServer
from tests.support.set_clock import SetClock

DEAD = "http://127.0.0.1:1"


def pem_of(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


@pytest.fixture
def clock():
    return SetClock()


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
    clock.now += 3600
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


@pytest.mark.parametrize(("size", "is_read"), [(16_383, True), (16_384, True), (16_385, False)])
async def test_install_key_response_has_an_exact_size_limit(keys_of, size, is_read):
    keys = await keys_of(KeyServer(body=PEM.ljust(size, b"\n")))
    if is_read:
        assert await keys.get("k")
    else:
        with pytest.raises(HostUnreachable):
            await keys.get("k")


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
    monkeypatch.setattr(key_hosts, "TIMEOUT_S", 2.0)
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


async def ask_for(keys, count, caller=None, name="invented"):
    """Ask for keys that nobody has; give how many were not looked for."""
    refused = 0
    for number in range(count):
        try:
            await keys.get(f"{name}-{number}", caller)
        except HostUnreachable:
            refused += 1
        except TokenInvalid:
            pass
    return refused


@pytest.fixture
def small_budget(monkeypatch):
    monkeypatch.setattr(fetch_budget, "FETCHES_PER_MINUTE", 40)
    monkeypatch.setattr(fetch_budget, "FETCHES_PER_CALLER", 10)


@pytest.mark.parametrize("per_second", [50, 100, 200, 350, 500])
def test_install_key_fetches_of_unknown_callers_outlast_a_flood(per_second):
    now = [0.0]
    budget = fetch_budget.FetchBudget(["https://keys.example"], lambda: now[0])
    for _ in range(120 * per_second):
        budget.take_for_caller(None)
        assert budget.take_for_host("https://keys.example")
        now[0] += 1 / per_second


async def test_install_key_fetches_of_unknown_callers_are_limited_to_half(keys_of, clock, small_budget):
    server = KeyServer(404, b"")
    keys = await keys_of(server)
    assert (await ask_for(keys, 50), len(server.asked)) == (30, 20)
    clock.now += 61
    with pytest.raises(TokenInvalid):
        await keys.get("another")


async def test_install_key_fetches_of_one_caller_do_not_use_up_those_of_others(keys_of, small_budget):
    server = KeyServer(404, b"")
    keys = await keys_of(server)
    assert await ask_for(keys, 30, "192.0.2.1") == 20
    assert await ask_for(keys, 10, "192.0.2.2", "other") == 0
    assert await ask_for(keys, 10, None, "third") == 0


async def test_install_key_fetches_of_unknown_callers_leave_half_to_known_ones(keys_of, small_budget):
    server = KeyServer()
    keys = await keys_of(server)
    await ask_for(keys, 100)
    assert await keys.get("genuine", "192.0.2.1")


async def test_install_key_fetches_are_limited_for_each_key_host(keys_of, small_budget):
    server = KeyServer(404, b"")
    keys = await keys_of(server)
    for number in range(20):
        await ask_for(keys, 10, f"192.0.2.{number}", f"of-{number}")
    assert len(server.asked) == 40


async def test_install_key_that_is_cached_is_available_beyond_the_limit(keys_of, small_budget):
    keys = await keys_of(KeyServer())
    await keys.get("good")
    assert await ask_for(keys, 50) > 0
    assert await keys.get("good")


@pytest.mark.parametrize(
    ("client", "headers", "is_resolved", "expected"),
    [
        ("93.184.216.34", [], False, "93.184.216.34"),
        ("2606:2800:220:1::1", [], False, "2606:2800:220:1::1"),
        ("93.184.216.34", [(b"x-forwarded-for", b"1.2.3.4")], True, "93.184.216.34"),
        ("93.184.216.34", [(b"x-forwarded-for", b"1.2.3.4")], False, None),
        ("93.184.216.34", [(b"via", b"1.1 proxy")], False, None),
        ("127.0.0.1", [], False, None),
        ("10.0.0.7", [], True, None),
        ("unix", [], True, None),
        ("", [], False, None),
    ],
)
def test_caller_behind_a_proxy_that_is_not_resolved_is_not_known(client, headers, is_resolved, expected):
    request = InboundRequest("POST", "/lifecycle/installed", "", headers, "id", client=client)
    assert fetch_budget.caller_of(request, is_resolved=is_resolved) == expected


class Stored:
    """A store in memory that may be down."""

    def __init__(self):
        self.rows, self.loads = {}, 0

    async def load(self):
        self.loads += 1
        return list(self.rows.values())

    async def save(self, key):
        self.rows[key.key_id] = key

    async def delete(self, key_id):
        del self.rows[key_id]


@pytest.fixture
def stored():
    return Stored()


@pytest.fixture
async def process(clock, stored):
    """Start processes that share a store, with a key host of their own."""
    async with AsyncExitStack() as stack:

        async def start(server):
            url = server if isinstance(server, str) else await stack.enter_async_context(serving(server, bind()))
            keys = InstallKeys([url], clock, store=stored, refresh_s=86400, now=clock)
            stack.push_async_callback(keys.close)
            return keys

        yield start


async def test_stored_install_key_needs_no_key_host_after_a_start(process, stored):
    first = await process(KeyServer())
    await first.get("k")
    assert stored.rows == {}
    await first.confirm("k")
    assert await (await process(DEAD)).get("k")
    assert stored.loads == 2


async def test_stored_install_key_of_another_process_is_found_within_a_second(process, clock):
    other = await process(DEAD)
    with pytest.raises(HostUnreachable):
        await other.get("k")
    first = await process(KeyServer())
    await first.get("k")
    await first.confirm("k")
    clock.now += 2
    assert await other.get("k")


async def test_stored_install_keys_are_read_once_a_second_during_a_flood(process, stored):
    keys = await process(KeyServer(404, b""))
    await ask_for(keys, 30)
    assert stored.loads == 1


@pytest.mark.parametrize("server", [DEAD, KeyServer(500, b""), KeyServer(body=b"<html>"), KeyServer(429, b"")])
async def test_stored_install_key_is_kept_while_its_key_host_fails(process, stored, clock, server):
    first = await process(KeyServer())
    await first.get("k")
    await first.confirm("k")
    clock.now += 86401
    keys = await process(server)
    for _ in range(3):
        assert await keys.get("k")
    assert set(stored.rows) == {"k"}
    assert isinstance(server, str) or len(server.asked) == 1


async def test_stored_install_key_is_used_while_its_key_host_is_slow(process, clock, monkeypatch):
    monkeypatch.setattr("addonkit.edge.install_keys.REFRESH_WAIT_S", 0.1)
    server = KeyServer()
    keys = await process(server)
    await keys.get("k")
    await keys.confirm("k")
    clock.now += 86401
    server.delay_s = 30
    assert await keys.get("k")


async def test_stored_install_key_is_asked_for_again_after_a_day(process, stored, clock):
    server = KeyServer()
    keys = await process(server)
    await keys.get("k")
    await keys.confirm("k")
    clock.now += 86399
    await keys.get("k")
    assert len(server.asked) == 1
    clock.now += 2
    await keys.get("k")
    await keys.get("k")
    assert (len(server.asked), stored.rows["k"].asked_at) == (2, clock.now)


async def test_stored_install_key_that_its_key_host_has_withdrawn_is_deleted(process, stored, clock):
    server = KeyServer()
    keys = await process(server)
    await keys.get("k")
    await keys.confirm("k")
    clock.now += 86401
    server.status = 404
    for _ in range(2):
        with pytest.raises(TokenInvalid, match="no key host knows"):
            await keys.get("k")
    assert stored.rows == {}


async def test_stored_install_key_that_has_changed_is_replaced(process, stored, clock):
    server = KeyServer()
    keys = await process(server)
    before = await keys.get("k")
    await keys.confirm("k")
    clock.now += 86401
    server.body = pem_of(rsa.generate_private_key(65537, 2048))
    after = await keys.get("k")
    assert after.public_numbers() != before.public_numbers()
    assert stored.rows["k"].pem.encode() == server.body.strip()


async def test_stored_install_key_that_is_damaged_is_fetched(process, stored):
    stored.rows["k"] = StoredInstallKey("k", "nonsense", 0)
    assert await (await process(KeyServer())).get("k")
