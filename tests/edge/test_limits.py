"""Limits of the edge at the limit: what is just below is accepted, kept or shown, and what is just above is not."""

from contextlib import AsyncExitStack
from dataclasses import fields

import pytest
from addonkit.edge import access_log, fetch_budget, install_keys, key_hosts, refusal_file, refusal_log, request
from addonkit.edge.install_keys import InstallKeys
from addonkit.edge.lifecycle import Lifecycle
from addonkit.edge.refusal_file import RefusalFile
from addonkit.edge.request import FormBody, InboundRequest, read_body
from addonkit.edge.session_renewal import SessionRenewal
from addonkit.edge.webhooks import Webhooks
from addonkit.errors import HostUnreachable, PayloadOverdue, TokenInvalid
from addonkit.testing.loopback import bind, serving
from structlog.testing import capture_logs

from tests.support.key_server import KeyServer
from tests.support.loop_clock import LoopClock
from tests.support.set_clock import SetClock

TICK = 0.001


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
async def process(clock):
    """Start a process with one key host, and with a store if one is given."""
    async with AsyncExitStack() as stack:

        async def start(server, store=None, **more):
            keys = InstallKeys([await stack.enter_async_context(serving(server, bind()))], clock, store=store, **more)
            stack.push_async_callback(keys.close)
            return keys

        yield start


@pytest.mark.parametrize(("others", "is_remembered"), [(2, True), (3, True), (4, False)])
def test_callers_are_remembered_up_to_their_maximum_number(monkeypatch, clock, others, is_remembered):
    monkeypatch.setattr(fetch_budget, "MAX_CALLERS", 4)
    monkeypatch.setattr(fetch_budget, "FETCHES_PER_CALLER", 1)
    budget = fetch_budget.FetchBudget([], clock)
    for number in range(others + 1):
        budget.take_for_caller(f"192.0.2.{number}")
    if is_remembered:
        with pytest.raises(HostUnreachable):
            budget.take_for_caller("192.0.2.0")
    else:
        budget.take_for_caller("192.0.2.0")


def test_bucket_gives_its_number_at_once_and_then_one_after_each_part_of_a_minute():
    bucket = fetch_budget.TokenBucket(3, 0.0)
    moments = [0.0] * 4 + [20 - TICK, 20.0, 20.0, 60.0, 60.0, 60.0] + [1000.0] * 4
    expected = [True] * 3 + [False] * 2 + [True, False, True, True, False] + [True] * 3 + [False]
    assert [bucket.take(moment) for moment in moments] == expected


@pytest.mark.parametrize(("number", "is_kept"), [(2, True), (3, True), (4, False)])
@pytest.mark.parametrize("status", [200, 404])
async def test_fetched_and_unknown_keys_are_kept_up_to_their_maximum_number(
    process, monkeypatch, number, is_kept, status
):
    monkeypatch.setattr(install_keys, "MAX_FETCHED_KEYS", 3)
    monkeypatch.setattr(install_keys, "MAX_CACHED_MISSES", 3)
    server = KeyServer(status) if status == 200 else KeyServer(status, b"")
    keys = await process(server)
    for name in (*range(number), 0):
        try:
            await keys.get(f"k{name}")
        except TokenInvalid:
            assert status == 404
    assert server.asked.count("/k0") == (1 if is_kept else 2)


@pytest.mark.parametrize(("life_s", "injected"), [(60, None), (7, 7)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "asked"), [(-TICK, 1), (0, 2)], ids=["below", "at"])
async def test_unknown_key_is_asked_for_again_once_its_life_is_over(
    process, monkeypatch, clock, life_s, injected, late_s, asked
):
    if injected:
        monkeypatch.setattr(install_keys, "MISS_LIFE_S", injected)
    server = KeyServer(404, b"")
    keys = await process(server)
    for wait_s in (life_s + late_s, 0):
        with pytest.raises(TokenInvalid):
            await keys.get("k")
        clock.now += wait_s
    assert len(server.asked) == asked


@pytest.mark.parametrize(("refresh_s", "injected"), [(86400, {}), (50, {"refresh_s": 50})], ids=["shipped", "changed"])
@pytest.mark.parametrize(("late_s", "asked"), [(-TICK, 1), (0, 2)], ids=["below", "at"])
async def test_known_key_is_asked_for_again_at_its_age(process, clock, refresh_s, injected, late_s, asked):
    server = KeyServer()
    keys = await process(server, now=clock, **injected)
    await keys.get("k")
    clock.now += refresh_s + late_s
    await keys.get("k")
    assert len(server.asked) == asked


@pytest.mark.parametrize(("retry_s", "injected"), [(300, None), (20, 20.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "asked"), [(-TICK, 2), (0, 3)], ids=["below", "at"])
async def test_failed_refresh_is_tried_again_after_its_pause(
    process, monkeypatch, clock, retry_s, injected, late_s, asked
):
    if injected:
        monkeypatch.setattr(install_keys, "REFRESH_RETRY_S", injected)
    server = KeyServer()
    keys = await process(server, now=clock, refresh_s=10)
    known = await keys.get("k")
    server.status = 500
    for wait_s in (10, retry_s + late_s):
        clock.now += wait_s
        assert await keys.get("k") is known
    assert len(server.asked) == asked


@pytest.mark.parametrize(("wait_s", "is_new"), [(3600.0, True), (0.0, False)], ids=["long", "none"])
async def test_refresh_that_is_slower_than_its_wait_leaves_the_known_key_in_use(
    process, monkeypatch, clock, wait_s, is_new
):
    monkeypatch.setattr(install_keys, "REFRESH_WAIT_S", wait_s)
    server = KeyServer()
    keys = await process(server, now=clock, refresh_s=10)
    known = await keys.get("k")
    clock.now += 10
    assert (await keys.get("k") is not known) == is_new


class NothingStored:
    """A store without keys that counts how often it is read."""

    loads = 0

    async def load(self):
        self.loads += 1
        return []


@pytest.mark.parametrize(("reload_s", "injected"), [(1, None), (5, 5.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "loads"), [(-TICK, 1), (0, 2)], ids=["below", "at"])
async def test_stored_keys_are_read_again_after_their_pause(
    process, monkeypatch, clock, reload_s, injected, late_s, loads
):
    if injected:
        monkeypatch.setattr(install_keys, "RELOAD_S", injected)
    store = NothingStored()
    keys = await process(KeyServer(404, b""), store)
    assert await keys.find("k") is None
    clock.now += reload_s + late_s
    assert await keys.find("k") is None
    assert store.loads == loads


class Answer:
    """A key host's response, whose status arrives when the clock has advanced by this time."""

    def __init__(self, clock, after_s):
        self._clock, self._after_s, self.status_code = clock, after_s, 404

    async def __aenter__(self):
        await self._clock.advance(self._after_s)
        return self

    async def __aexit__(self, *problem):
        return None


@pytest.mark.parametrize(("timeout_s", "injected"), [(4, None), (60, 60.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_answered"), [(-TICK, True), (TICK, False)], ids=["below", "above"])
async def test_key_host_has_its_time_to_answer(monkeypatch, timeout_s, injected, late_s, is_answered):
    if injected:
        monkeypatch.setattr(key_hosts, "TIMEOUT_S", injected)
    clock = LoopClock(monkeypatch)
    hosts = key_hosts.KeyHosts(["https://keys.example"])
    monkeypatch.setattr(
        hosts, "_connected", lambda: type("Client", (), {"stream": lambda *_: Answer(clock, timeout_s + late_s)})()
    )
    if is_answered:
        assert await hosts.fetch("k") is None
    else:
        with pytest.raises(HostUnreachable):
            await hosts.fetch("k")


def default(part, name):
    """The value that an attribute of a part of the edge has if nothing else is given."""
    return next(field.default for field in fields(part) if field.name == name)


READERS = {
    "any body": (10, lambda receive: read_body(receive, 100)),
    "another body": (3, lambda receive: read_body(receive, 100, 3)),
    "form": (10, lambda receive: FormBody(receive).read()),
    "another form": (7, lambda receive: FormBody(receive, 7).read()),
    "lifecycle": (10, lambda receive: read_body(receive, 100, default(Lifecycle, "body_timeout_s"))),
    "renewal": (10, lambda receive: read_body(receive, 100, default(SessionRenewal, "body_timeout_s"))),
    "webhook": (30, lambda receive: read_body(receive, 100, default(Webhooks, "body_timeout_s"))),
}


@pytest.mark.parametrize(("late_s", "is_read"), [(-TICK, True), (TICK, False)], ids=["below", "above"])
@pytest.mark.parametrize(("timeout_s", "read"), READERS.values(), ids=READERS.keys())
async def test_body_has_its_time_to_arrive(monkeypatch, timeout_s, read, late_s, is_read):
    clock = LoopClock(monkeypatch)
    waits = [timeout_s / 2, timeout_s / 2 + late_s]

    async def receive():
        await clock.advance(waits.pop(0))
        return {"type": "http.request", "body": b"x", "more_body": bool(waits)}

    if is_read:
        assert await read(receive) in (b"xx", "xx")
    else:
        with pytest.raises(PayloadOverdue, match=f"did not arrive within {timeout_s} s"):
            await read(receive)


def logged(*, path="/", method="GET", client=""):
    return InboundRequest(method, path, "", [], "id", client=client)


def logged_client(client):
    with capture_logs() as lines:
        access_log.AccessLog(key=b"k")(logged(client=client), 0.0)
    return lines[0]["client"]


@pytest.mark.parametrize(("length", "is_whole"), [(-1, True), (0, True), (1, False)], ids=["below", "at", "above"])
@pytest.mark.parametrize(
    ("limit", "module", "name", "shown"),
    [
        (500, None, "", lambda text: logged(path=text).logged_path),
        (12, request, "MAX_LOGGED_PATH", lambda text: logged(path=text).logged_path),
        (16, None, "", lambda text: logged(method=text).logged_method),
        (5, request, "MAX_LOGGED_METHOD", lambda text: logged(method=text).logged_method),
        (48, None, "", logged_client),
        (9, access_log, "MAX_LOGGED_CLIENT", logged_client),
        (500, None, "", lambda text: refusal_log.safe_text(text, "")),
        (30, refusal_log, "MAX_REASON", lambda text: refusal_log.safe_text(text, "")),
    ],
    ids=[
        *("path", "path, changed", "method", "method, changed"),
        *("client", "client, changed", "reason", "reason, changed"),
    ],
)
def test_text_from_others_is_logged_up_to_its_maximum_length(monkeypatch, limit, module, name, shown, length, is_whole):
    if module:
        monkeypatch.setattr(module, name, limit)
    text = "/" + "x" * (limit + length - 1)
    assert shown(text) == (text if is_whole else f"{text[:limit]}…")


@pytest.mark.parametrize(("shortest", "injected"), [(4, None), (7, 7)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0], ids=["below", "at"])
def test_query_is_masked_in_a_reason_from_its_minimum_length(monkeypatch, shortest, injected, more):
    if injected:
        monkeypatch.setattr(refusal_log, "MIN_QUERY", injected)
    query = "a=" + "b" * (shortest + more - 2)
    assert refusal_log.safe_text(f"no {query} here", query) == f"no {query if more else '<query>'} here"


LINES = ["1 100.000\n", "23 200.000\n", "456 300.000\n"]


@pytest.mark.parametrize(
    ("limit", "sites"),
    [
        (sum(map(len, LINES)), [1, 23, 456]),
        (sum(map(len, LINES)) + 1, [1, 23, 456]),
        (sum(map(len, LINES)) - 1, [1, 23]),
        (sum(map(len, LINES)) - 6, [1, 23]),
        (len(LINES[0]), [1]),
        (len(LINES[0]) - 1, []),
    ],
    ids=["at", "above", "one less", "in a time", "one line", "less than a line"],
)
def test_file_of_refusals_is_read_up_to_its_maximum_size_and_only_whole_lines(tmp_path, monkeypatch, limit, sites):
    monkeypatch.setattr(refusal_file, "MAX_BYTES", limit)
    ended, adopting = RefusalFile(tmp_path), RefusalFile(tmp_path)
    for line in LINES:
        number, since = line.split()
        ended.append(int(number), float(since))
    ended.close()
    found = adopting.adopt()
    adopting.close()
    assert found == {number: since for number, since in ((1, 100.0), (23, 200.0), (456, 300.0)) if number in sites}
