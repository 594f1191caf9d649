"""Rate limits: a throttled site delays its own calls, and those of no other site."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import pytest_asyncio
from addonkit import HostError, HostUnavailable, RateLimited
from addonkit.current import plugin_scope
from addonkit.hostapi.rate_limit import (
    MAX_BACKGROUND_TOTAL,
    MAX_CONCURRENT,
    MAX_CONCURRENT_BACKGROUND,
    PrioritySemaphore,
    RateBudget,
    RateLimits,
    retry_after_s,
)
from addonkit.testing.exchange import Reply

from tests.support.calling_plugin import site_at
from tests.support.faulty_servers import faulty

pytestmark = pytest.mark.asyncio(loop_scope="module")
MYSELF = "/rest/api/3/myself"


@pytest_asyncio.fixture(loop_scope="module")
async def site(caller):
    """A site of this test's own, because each site has its own budget."""
    return await caller.host.install()


def get(host):
    return host.get(MYSELF)


async def _get_at(caller, tenant):
    with plugin_scope("caller"):
        return await caller.clients.of(tenant, None).get(MYSELF)


async def test_call_that_is_cancelled_releases_its_slot(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {"ok": 1})
    calls = [asyncio.create_task(caller(lambda host: host.get("/rest/api/3/myself"))) for _ in range(40)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [one for one in done if one == {"ok": 1}] == [{"ok": 1}] * 20
    assert caller.clients.limits.of((await caller.tenant()).id).semaphore.is_idle()


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"])
async def test_call_that_is_cancelled_while_it_is_answered_releases_slot_and_connection(caller, part):
    arrived, ended = [], []

    async def answer_partly(reader, writer):
        writer.write(part)
        await writer.drain()
        arrived.append(writer)
        try:
            await reader.read()  # until the client closes the connection, or resets it with data unread
        finally:
            ended.append(writer)

    async with faulty(answer_partly) as url:
        tenant = await site_at(caller, url)
        calls = [asyncio.create_task(_get_at(caller, tenant)) for _ in range(4)]
        await _until(lambda: len(arrived) == 4)
        for call in calls:
            call.cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in done] == [asyncio.CancelledError] * 4
        await _until(lambda: len(ended) == 4)
    budget = caller.clients.limits.of(tenant.id)
    assert budget.semaphore.is_idle()
    pool = caller.clients._transport._client._transport._pool
    assert [one for one in pool.connections if url.rpartition(":")[2] in repr(one)] == []


async def _until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.005)


async def test_retry_after_is_waited_for(caller, site):
    left = [Reply(status=429, headers={"retry-after": "1"}), Reply({"ok": 1})]
    caller.rest.answer("GET", MYSELF, by=lambda _: left.pop(0))
    began = time.monotonic()
    assert await caller(get, site=site) == {"ok": 1}
    assert time.monotonic() - began >= 1


async def test_pause_longer_than_the_deadline_raises_at_once(caller, site):
    headers = {"retry-after": "120", "ratelimit-reason": "jira-burst-based"}
    caller.rest.answer("GET", MYSELF, status=429, headers=headers)
    with pytest.raises(RateLimited, match=r"rate limit is exhausted \(jira-burst-based\); try again") as limited:
        await caller(get, site=site)
    assert (limited.value.status, limited.value.retry_after_s) == (429, 120)
    caller.rest.requests.clear()
    with pytest.raises(RateLimited, match=r"another 1[12]\d s by its rate limit \(jira-burst-based\)") as limited:
        await caller(get, site=site)
    assert 110 < limited.value.retry_after_s <= 120
    assert caller.rest.requests == []


async def test_pause_follows_a_503_with_retry_after(caller, site):
    caller.rest.answer("GET", MYSELF, status=503, headers={"retry-after": "100"})
    with pytest.raises(HostError) as refused:
        await caller(get, site=site)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 100)
    with pytest.raises(RateLimited):
        await caller(get, site=site)


async def test_retry_does_not_send_a_post_after_a_429(caller, site):
    caller.rest.requests.clear()
    caller.rest.answer("POST", "/rest/api/3/issue", status=429, headers={"retry-after": "1"})
    with pytest.raises(RateLimited):
        await caller(lambda host: host.post("/rest/api/3/issue", {}), site=site)
    assert len(caller.rest.requests) == 1


async def test_rate_limit_of_one_site_delays_none_of_a_hundred(caller):
    exhausted, *others = [await caller.host.install() for _ in range(100)]
    tired = Reply(status=429, headers={"retry-after": "30"})
    caller.rest.answer("GET", MYSELF, by=lambda request: tired if request.site is exhausted else Reply({"ok": 1}))
    storm = [asyncio.create_task(caller(get, site=exhausted)) for _ in range(100)]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert await asyncio.gather(*(caller(get, site=one) for one in others)) == [{"ok": 1}] * 99
    assert time.monotonic() - began < 5
    ended = await asyncio.gather(*storm, return_exceptions=True)
    assert {type(one) for one in ended} == {RateLimited}
    requests = [call for call in caller.rest.requests if call.site is exhausted]
    assert len(requests) <= MAX_CONCURRENT


async def test_rate_limit_keeps_a_site_that_hangs_from_delaying_others(caller, site):
    gate = asyncio.Event()

    async def hang(reader, writer):
        await gate.wait()

    async with faulty(hang) as url:
        slow = await site_at(caller, url)
        with plugin_scope("caller"):
            hanging = [
                asyncio.create_task(caller.clients.of(slow, None).get(MYSELF, deadline_s=1.0)) for _ in range(300)
            ]
        await asyncio.sleep(0.1)
        caller.rest.answer("GET", MYSELF, {"ok": 1})
        began = time.monotonic()
        assert await caller(get, site=site) == {"ok": 1}
        assert time.monotonic() - began < 0.5
        ended = await asyncio.gather(*hanging, return_exceptions=True)
        gate.set()
    assert {type(one) for one in ended} == {HostUnavailable}
    assert {one.sent for one in ended} == {True, False}


async def test_rate_budget_that_is_low_pauses_jobs_and_no_page(caller, site):
    soon = (datetime.now(UTC) + timedelta(seconds=40)).isoformat()
    headers = {"x-ratelimit-remaining": "3", "x-ratelimit-nearlimit": "true", "x-ratelimit-reset": soon}
    caller.rest.answer("GET", MYSELF, {"ok": 1}, headers=headers)
    await caller(get, site=site)
    assert await caller(get, site=site) == {"ok": 1}
    with pytest.raises(RateLimited, match="is paused for another"):
        await caller(get, site=site, in_background=True)


async def test_deadline_is_set_by_the_caller(caller, site):
    with pytest.raises(HostUnavailable, match="raise deadline_s"):
        await caller(lambda host: host.get(MYSELF, deadline_s=0.0), site=site)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(1_000_090, UTC), usegmt=True)}, 90),
        ({"retry-after": format_datetime(datetime.fromtimestamp(999_000, UTC), usegmt=True)}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "2."}, 2),
        ({"retry-after": ".5"}, 0.5),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "1.2.3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "+1.5"}, None),
        ({"retry-after": "1,5"}, None),
        ({"retry-after": "Monday, 12-Jan-70 13:48:10 GMT"}, 90),
        ({"retry-after": "Mon Jan 12 13:48:10 1970"}, 90),
        ({"retry-after": "Mon, 12 Jan 1970 13:48:10 -0000"}, 90),
        ({"retry-after": "Mon, 12 Jan 1970 14:48:10 +0100"}, 90),
        ({"retry-after": "1970-01-12T13:48:10Z"}, 90),
        ({"retry-after": "Mon, 12 Jan 99999 13:48:10 GMT"}, None),
        ({"retry-after": "soon", "x-ratelimit-reset": "1970-01-12T13:47:30Z"}, 50),
        ({"x-ratelimit-reset": "1970-01-12T13:47:30Z"}, 50),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9" * 30}, 3600),
        ({"retry-after": "Thu, 01 Jan 2099 00:00:00 GMT"}, 3600),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_read_in_every_format(headers, seconds):
    assert retry_after_s(headers, 1_000_000) == (None if seconds is None else pytest.approx(seconds))


async def test_retry_after_ignores_the_reset_time_of_other_errors(caller, site):
    soon = (datetime.now(UTC) + timedelta(seconds=900)).isoformat()
    caller.rest.answer("GET", MYSELF, status=404, headers={"x-ratelimit-reset": soon})
    with pytest.raises(HostError) as refused:
        await caller(get, site=site)
    assert refused.value.retry_after_s is None


async def test_rate_budget_ignores_an_unreadable_reset_time():
    budget = RateBudget()
    budget.update({"x-ratelimit-nearlimit": "true", "x-ratelimit-reset": "tomorrow"}, 1_000_000)
    assert budget.pause_s(True) == 0


async def test_semaphore_bounds_requests_and_admits_pages_first():
    limits, order = RateLimits(), []
    budget = limits.of(1)
    release = asyncio.Event()

    async def take(name, background):
        async with limits.slot(budget, background):
            order.append(name)
            await release.wait()

    jobs = [asyncio.create_task(take(f"job {n}", True)) for n in range(MAX_CONCURRENT_BACKGROUND + 2)]
    await asyncio.sleep(0)
    pages = [asyncio.create_task(take(f"page {n}", False)) for n in range(MAX_CONCURRENT)]
    await asyncio.sleep(0)
    assert [name.split()[0] for name in order] == ["job"] * 6 + ["page"] * 6
    release.set()
    await asyncio.gather(*jobs, *pages)
    assert sorted(name.split()[0] for name in order[12:]) == ["job"] * 2 + ["page"] * 6
    assert budget.semaphore.is_idle()


async def test_semaphore_admits_a_later_page_before_a_waiting_job():
    limits, order = RateLimits(), []
    budget = limits.of(1)
    budget.semaphore.set_limit(1)
    release = asyncio.Event()

    async def take(name, background):
        async with limits.slot(budget, background):
            order.append(name)
            await release.wait()

    tasks = []
    for name, background in (("first", False), ("job", True), ("page", False)):
        tasks.append(asyncio.create_task(take(name, background)))
        await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "page", "job"]


async def test_semaphore_slot_is_not_held_by_a_job_that_waits_for_the_process():
    limits = RateLimits()
    tired, release = limits.of(1), asyncio.Event()
    tired.pause(0.0, "")

    async def hold(site):
        async with limits.slot(limits.of(site), True):
            await release.wait()

    others = [asyncio.create_task(hold(2 + n // MAX_CONCURRENT_BACKGROUND)) for n in range(MAX_BACKGROUND_TOTAL)]
    await asyncio.sleep(0)
    job = asyncio.create_task(hold(1))
    await asyncio.sleep(0)
    async with asyncio.timeout(1), limits.slot(tired, False):
        pass
    release.set()
    await asyncio.gather(job, *others)


async def test_rate_budget_admits_one_request_at_a_time_after_a_pause(caller, site):
    under_way, most = [0], [0]

    async def answer(reader, writer):
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        await asyncio.sleep(0.02)
        under_way[0] -= 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

    async with faulty(answer) as url:
        slow = await site_at(caller, url)
        budget = caller.clients.limits.of(slow.id)
        budget.pause(0.1, "")
        budget.restore()  # what was under way when the pause began says nothing of now
        first = asyncio.create_task(_get_at(caller, slow))
        await asyncio.sleep(0.12)
        assert budget.semaphore.limit == 1
        await first
        assert budget.semaphore.limit == MAX_CONCURRENT
        await asyncio.gather(*(_get_at(caller, slow) for _ in range(30)))
    assert most[0] == MAX_CONCURRENT


async def test_pause_during_a_post_does_not_report_it_as_unsent(caller):
    async def hang(reader, writer):
        await asyncio.sleep(2)

    async with faulty(hang) as url:
        slow = await site_at(caller, url)
        with plugin_scope("caller"):
            post = asyncio.create_task(
                caller.clients.of(slow, None).request("POST", "/rest/api/3/issue", json={}, deadline_s=0.3)
            )
        await asyncio.sleep(0.1)
        caller.clients.limits.of(slow.id).pause(30, "")
        with pytest.raises(HostUnavailable) as down:
            await post
    assert down.value.sent is True


async def test_semaphore_passes_on_the_slot_of_a_cancelled_waiter():
    turns = PrioritySemaphore()
    hold = asyncio.Event()

    async def take():
        async with turns.slot(False):
            await hold.wait()

    holders = [asyncio.create_task(take()) for _ in range(MAX_CONCURRENT)]
    await asyncio.sleep(0)
    leaving, staying = asyncio.create_task(take()), asyncio.create_task(take())
    await asyncio.sleep(0)
    holders[0].cancel()
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(*holders, leaving, staying, return_exceptions=True)
    assert staying.done()
    assert not staying.cancelled()
    assert turns.is_idle()


async def test_rate_budgets_of_idle_sites_are_dropped(caller):
    limits = caller.clients.limits
    for number in range(10_000, 10_000 + 5000):
        limits.of(number)
    assert len(limits._budgets) <= 4096 + 1
