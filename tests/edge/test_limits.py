"""Limits of the edge at the limit: what is just below is accepted, kept or shown, and what is just above is not."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import fields
from types import SimpleNamespace

import jwt
import pytest
from addonkit.edge import access_log, fetch_budget, install_keys, key_hosts, refusal_file, refusal_log, request
from addonkit.edge import refused_webhooks as refused
from addonkit.edge.install_keys import InstallKeys
from addonkit.edge.lifecycle import Lifecycle
from addonkit.edge.readiness import Readiness
from addonkit.edge.refusal_file import RefusalFile
from addonkit.edge.refused_webhooks import RefusedWebhooks
from addonkit.edge.request import FormBody, InboundRequest, read_body
from addonkit.edge.session_renewal import SessionRenewal
from addonkit.edge.webhooks import Webhooks, dedupe_key, webhook_job
from addonkit.errors import HostUnreachable, PayloadOverdue, StorageUnavailable, TokenInvalid, VaultLocked
from addonkit.testing.loopback import bind, serving
from addonkit.work import JobKind, JobSpec
from structlog.testing import capture_logs

from tests.support.key_server import PEM, KeyServer
from tests.support.loop_clock import LoopClock
from tests.support.paused_clock import PausedClock
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


@pytest.mark.parametrize(("most", "injected"), [(4096, None), (4, 4)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("more", "is_remembered"), [(-1, True), (0, True), (1, False)], ids=["below", "at", "above"])
def test_callers_are_remembered_up_to_their_maximum_number(monkeypatch, clock, most, injected, more, is_remembered):
    if injected:
        monkeypatch.setattr(fetch_budget, "MAX_CALLERS", injected)
    monkeypatch.setattr(fetch_budget, "FETCHES_PER_CALLER", 1)
    budget = fetch_budget.FetchBudget([], clock)
    for number in range(most + more):
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


class Hosts:
    """Key hosts that answer every key at once, and count how often each is asked for."""

    def __init__(self, pem):
        self.pem, self.asked = pem, []

    async def fetch(self, key_id, may_ask=None):
        self.asked.append(key_id)
        return self.pem


KINDS = {
    "fetched": ("MAX_FETCHED_KEYS", 256, PEM.decode().strip()),
    "unknown": ("MAX_CACHED_MISSES", 4096, None),
}


@pytest.mark.parametrize("injected", [None, 3], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("more", "is_kept"), [(-1, True), (0, True), (1, False)], ids=["below", "at", "above"])
@pytest.mark.parametrize("kind", KINDS)
async def test_fetched_and_unknown_keys_are_kept_up_to_their_maximum_number(
    monkeypatch, clock, kind, injected, more, is_kept
):
    name, shipped, pem = KINDS[kind]
    if injected:
        monkeypatch.setattr(install_keys, name, injected)
    keys = InstallKeys([], clock)
    keys._hosts = Hosts(pem)
    for number in (*range((injected or shipped) + more), 0):
        try:
            await keys.get(f"k{number}")
        except TokenInvalid:
            assert pem is None
    assert keys._hosts.asked.count("k0") == (1 if is_kept else 2)


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


@pytest.mark.parametrize(("wait_s", "injected"), [(1.5, None), (60.0, 60.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_new"), [(-TICK, True), (TICK, False)], ids=["below", "above"])
async def test_refresh_that_is_slower_than_its_wait_leaves_the_known_key_in_use(
    monkeypatch, clock, wait_s, injected, late_s, is_new
):
    if injected:
        monkeypatch.setattr(install_keys, "REFRESH_WAIT_S", injected)
    keys = InstallKeys([], clock, now=clock, refresh_s=10)
    keys._hosts = hosts = Hosts(PEM.decode().strip())
    known = await keys.get("k")
    clock.now += 10
    answers, loop_clock = asyncio.Event(), LoopClock(monkeypatch)

    async def fetch_slowly(key_id, may_ask=None):
        await answers.wait()
        return hosts.pem

    monkeypatch.setattr(hosts, "fetch", fetch_slowly)
    asking = asyncio.create_task(keys.get("k"))
    await loop_clock.advance(0)
    await loop_clock.advance(wait_s + late_s)
    answers.set()
    await loop_clock.advance(0)
    assert (await asking is not known) == is_new
    assert await keys.get("k") is not known


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
        (None, [1, 23, 456]),
        (sum(map(len, LINES)), [1, 23, 456]),
        (sum(map(len, LINES)) + 1, [1, 23, 456]),
        (sum(map(len, LINES)) - 1, [1, 23]),
        (sum(map(len, LINES)) - 6, [1, 23]),
        (len(LINES[0]), [1]),
        (len(LINES[0]) - 1, []),
    ],
    ids=["as shipped", "at", "above", "one less", "in a time", "one line", "less than a line"],
)
def test_file_of_refusals_is_read_up_to_its_maximum_size_and_only_whole_lines(tmp_path, monkeypatch, limit, sites):
    if limit is not None:
        monkeypatch.setattr(refusal_file, "MAX_BYTES", limit)
    ended, adopting = RefusalFile(tmp_path), RefusalFile(tmp_path)
    for line in LINES:
        number, since = line.split()
        ended.append(int(number), float(since))
    ended.close()
    found = adopting.adopt()
    adopting.close()
    assert found == {number: since for number, since in ((1, 100.0), (23, 200.0), (456, 300.0)) if number in sites}


@pytest.mark.parametrize(("more", "is_read"), [(0, True), (1, False)], ids=["at", "above"])
def test_file_of_refusals_is_read_up_to_four_megabytes(tmp_path, more, is_read):
    first, last = "1 100.000\n", "456 300.000\n"
    blank = 4 * 1024 * 1024 - len(first) - len(last) + more
    (tmp_path / "addonkit-missed-1-x.txt").write_text(f"{first}{'x' * (blank - 1)}\n{last}")
    adopting = RefusalFile(tmp_path)
    assert adopting.adopt() == ({1: 100.0, 456: 300.0} if is_read else {1: 100.0})
    adopting.close()


@pytest.mark.parametrize(("options", "life_s"), [({}, 1.0), ({"life_s": 9.0}, 9.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "runs"), [(-TICK, 1), (0, 2)], ids=["below", "at"])
async def test_result_of_a_readiness_check_is_used_for_a_time(clock, options, life_s, late_s, runs):
    checked = []

    async def check():
        checked.append(1)
        return "ok"

    readiness = Readiness({"x": check}, clock=clock, **options)
    await readiness.results()
    clock.now += life_s + late_s
    await readiness.results()
    assert len(checked) == runs


@pytest.mark.parametrize(
    ("options", "timeout_s"), [({}, 2.0), ({"timeout_s": 9.0}, 9.0)], ids=["as shipped", "changed"]
)
@pytest.mark.parametrize(("late_s", "word"), [(-TICK, "ok"), (TICK, "too slow")], ids=["below", "above"])
async def test_readiness_check_has_its_time(monkeypatch, options, timeout_s, late_s, word):
    clock = LoopClock(monkeypatch)

    async def check():
        await clock.advance(timeout_s + late_s)
        return "ok"

    assert await Readiness({"x": check}, **options).results() == {"x": word}


def refused_webhooks(directory, **authenticator):
    """What a process knows of refused webhooks, and the products that it has counted."""
    counted = []
    parts = {"now": lambda: 5000.0, "recognised": lambda *_: None} | authenticator
    made = RefusedWebhooks(
        authenticator=SimpleNamespace(**parts), plugins=("p",), file=RefusalFile(directory), count=counted.append
    )
    return made, counted


def unverified(issuer):
    token = jwt.encode({"iss": issuer, "iat": 1, "exp": 2}, "x" * 32)
    return InboundRequest("POST", "/x", "", [(b"authorization", f"JWT {token}".encode())], "id")


OUTAGE = StorageUnavailable("the database did not answer")


@pytest.mark.parametrize(("most", "injected"), [(1000, None), (3, 3)], ids=["as shipped", "changed"])
@pytest.mark.parametrize("more", [-1, 0, 1, 2], ids=["below", "at", "above", "further above"])
def test_sites_wait_to_be_verified_up_to_their_maximum_number(tmp_path, monkeypatch, most, injected, more):
    if injected:
        monkeypatch.setattr(refused, "MAX_UNVERIFIED", injected)
    webhooks, counted = refused_webhooks(tmp_path)
    with capture_logs() as lines:
        for number in range(most + more):
            for _ in range(2):
                webhooks.note(unverified(f"site-{number}"), None, OUTAGE)
    assert len(webhooks._unverified) == most + min(more, 0)
    assert [line["event"] for line in lines] == ["webhooks.missed_unrecorded"] * (more > 0)
    assert counted == ["unknown"] * (2 * (most + more))


@pytest.mark.parametrize(
    ("record_s", "longest_s", "injected"),
    [(1.0, 10.0, {}), (2.0, 10.0, {"RECORD_S": 2.0}), (1.0, 3.0, {"MAX_PAUSE_S": 3.0})],
    ids=["as shipped", "pause changed", "longest changed"],
)
async def test_refusals_are_recorded_after_a_pause_that_grows_with_the_failures(
    tmp_path, monkeypatch, record_s, longest_s, injected
):
    for name, number in injected.items():
        monkeypatch.setattr(refused, name, number)
    asked, outcomes = [], [OUTAGE, VaultLocked("no key"), OUTAGE, None, OUTAGE]

    def backoff(failures, *, first_s, longest_s):
        asked.append((failures, first_s, longest_s))
        return 0.25 * failures

    webhooks, _ = refused_webhooks(tmp_path)
    webhooks._sites[1] = 1.0

    async def record():
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    clock = PausedClock(monkeypatch, most=6)
    monkeypatch.setattr(refused, "backoff_s", backoff)
    monkeypatch.setattr(RefusedWebhooks, "record", lambda _: record())
    with pytest.raises(asyncio.CancelledError):
        await webhooks.run()
    failures = [0, 1, 2, 3, 0, 1]
    assert asked == [(number, record_s, longest_s) for number in failures]
    assert clock.pauses == [record_s + 0.25 * number for number in failures]


@pytest.mark.parametrize(("last_s", "injected"), [(3.0, None), (60.0, 60.0)], ids=["as shipped", "changed"])
@pytest.mark.parametrize(("late_s", "is_recorded"), [(-TICK, True), (TICK, False)], ids=["below", "above"])
async def test_refusals_that_are_left_at_the_stop_have_a_time_to_be_recorded(
    tmp_path, monkeypatch, last_s, injected, late_s, is_recorded
):
    if injected:
        monkeypatch.setattr(refused, "LAST_TRY_S", injected)
    webhooks, _ = refused_webhooks(tmp_path)
    webhooks._remember(1, "confluence", 100.0)
    clock, recorded = LoopClock(monkeypatch), []

    async def record_slowly(sites, plugins):
        await clock.advance(last_s + late_s)
        recorded.append((sites, plugins))

    monkeypatch.setattr(refused, "record_missed", record_slowly)
    with capture_logs() as lines:
        await webhooks.close()
    assert recorded == ([({1: 100.0}, ("p",))] if is_recorded else [])
    assert [line["reason"] for line in lines] == ([] if is_recorded else ["the database did not answer in time"])
    assert len(list(tmp_path.iterdir())) == (not is_recorded)


@pytest.mark.parametrize("number", [0, 1, 254, 255, 256, 300])
def test_order_key_of_a_webhook_has_the_length_of_its_column(number):
    spec = JobSpec("p", "n", JobKind.WEBHOOK, None, order="issue_id")
    order = webhook_job(spec, 1, b"", {"issue_id": "7" * number}, None).order
    assert order == (f"n:{'7' * number}"[:255] if number else None)


@pytest.mark.parametrize("length", [19, 20, 21, 500])
def test_flow_of_a_webhook_is_stored_up_to_its_maximum_length(length):
    spec = JobSpec("p", "n", JobKind.WEBHOOK, None)
    facts = webhook_job(spec, 1, b"", {}, None, flow="f" * length, retry=2).facts
    assert (facts["flow"], facts["retry"]) == ("f" * min(length, 20), 2)


@pytest.mark.parametrize("length", [1, 254, 255, 256])
def test_identifier_of_a_webhook_is_its_dedupe_key_up_to_the_length_of_the_column(length):
    key = dedupe_key("d" * length)
    assert (key == "d" * length) == (length <= 255)
    assert len(key) == (length if length <= 255 else 64)
