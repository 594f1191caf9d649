"""Pauses by the reason of a 429: what waits, and what goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import pytest_asyncio
from addonkit import RateLimited
from addonkit.current import plugin_scope
from addonkit.hostapi.call import build_call
from addonkit.hostapi.pauses import MAX_PAUSES, PauseKey, PauseKind, Pauses, pause_key
from addonkit.hostapi.rate_limit import RateLimits
from addonkit.log import structlog
from addonkit.testing import rate_limited

from tests.support.calling_plugin import site_at
from tests.support.faulty_servers import faulty

pytestmark = pytest.mark.asyncio(loop_scope="module")
ISSUE, ENDPOINT, QUOTA = "jira-per-issue-on-write", "jira-burst-based", "jira-quota-tenant-based"
COMMENT, EDIT, OTHER = "POST /rest/api/3/issue/AB-1/comment", "PUT /rest/api/3/issue/AB-1", "PUT /rest/api/3/issue/AB-2"
READ, MYSELF = "GET /rest/api/3/issue/AB-1", "GET /rest/api/3/myself"
EVERYTHING = [COMMENT, EDIT, OTHER, READ, MYSELF]


@pytest_asyncio.fixture(loop_scope="module")
async def site(caller):
    """A site of this test's own, because each site has its own budget."""
    for call in EVERYTHING:
        caller.rest.answer(*call.split(), {"ok": 1})
    return await caller.host.install()


@pytest.fixture
def send(caller, site):
    """Makes a call, ``METHOD path``, as the add-on or as a user."""

    async def send(call, actor=None, **options):
        method, path = call.split()

        async def request(host):
            acting = host.as_user(actor, consented=True) if actor else host
            return await acting.request(method, path, deadline_s=5, json=None if method == "GET" else {})

        return (await caller(request, site=site, **options)).status

    return send


async def limit(caller, send, call, reason, actor=None, retry_after=600):
    """Have a call refused by a rate limit."""
    caller.rest.answer(*call.split(), by=rate_limited({"ok": 1}, reason=reason, retry_after=retry_after))
    with pytest.raises(RateLimited):
        await send(call, actor)


async def paused(send, calls, actor=None):
    """Return those of some calls that are not admitted."""
    found = []
    for call in calls:
        try:
            await send(call, actor)
        except RateLimited:
            found.append(call)
    return found


@pytest.mark.parametrize(
    ("reason", "call", "expected"),
    [
        (ISSUE, COMMENT, [COMMENT, EDIT]),
        (ISSUE, EDIT, [COMMENT, EDIT]),
        (ISSUE, "DELETE /rest/api/3/issue/AB-1/worklog/7", [COMMENT, EDIT]),
        (ISSUE, "PUT /rest/api/2/issue/ab-1/assignee", [COMMENT, EDIT]),
        (ISSUE, "POST /rest/servicedeskapi/request/AB-1/comment", [COMMENT, EDIT]),
        (ISSUE, "PUT /rest/agile/1.0/issue/AB-2/estimation", [OTHER]),
        (ISSUE, "POST /rest/api/3/issueLink", []),
        ("Jira-Per-Issue-On-Write", COMMENT, [COMMENT, EDIT]),
        (ENDPOINT, READ, [READ]),
        (ENDPOINT, EDIT, [EDIT, OTHER]),
        (ENDPOINT, "PUT /rest/api/2/issue/AB-9", [EDIT, OTHER]),
        (ENDPOINT, MYSELF, [MYSELF]),
        (ENDPOINT, "GET /rest/api/3/unknown/7", []),
        ("confluence-burst-based", READ, [READ]),
        (QUOTA, READ, EVERYTHING),
        ("jira-quota-global-based", COMMENT, EVERYTHING),
        ("something-new", READ, EVERYTHING),
        (None, READ, EVERYTHING),
        ("", READ, EVERYTHING),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("actor", [None, "acc-1"])
async def test_limit_of_the_addon_pauses_what_its_reason_names(caller, send, reason, call, expected, actor):
    await limit(caller, send, call, reason)
    assert await paused(send, EVERYTHING, actor) == expected
    assert await paused(send, [call], actor) == [call]


@pytest.mark.parametrize("reason", [ISSUE, ENDPOINT, QUOTA, "something-new", None])
async def test_limit_in_a_users_name_pauses_nobody_else(caller, send, reason):
    await limit(caller, send, EDIT, reason, "acc-1")
    for other in (None, "acc-2"):
        assert await paused(send, EVERYTHING, other) == []
    assert await paused(send, EVERYTHING, "acc-1") == {
        ISSUE: [COMMENT, EDIT],
        ENDPOINT: [EDIT, OTHER],
    }.get(reason, EVERYTHING)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            ISSUE,
            r"is paused for writes to issue 'AB-1' for another \d+ s by its rate limit \(jira-per-issue-on-write\)",
        ),
        (ENDPOINT, r"is paused for 'PUT /rest/api/3/issue/\{issueIdOrKey\}' for another \d+ s by its rate limit"),
        (QUOTA, r"' is paused for another \d+ s by its rate limit \(jira-quota-tenant-based\), so 'PUT /rest"),
        (None, r"' is paused for another \d+ s by its rate limit, so 'PUT /rest/api/3/issue/AB-1' was not admitted"),
    ],
)
async def test_call_that_is_not_admitted_says_what_is_paused(caller, send, reason, message):
    await limit(caller, send, EDIT, reason)
    with pytest.raises(RateLimited, match=message) as raised:
        await send(EDIT)
    assert 590 < raised.value.retry_after_s <= 600


@pytest.mark.parametrize("reason", [ISSUE, ENDPOINT, None])
async def test_message_and_log_do_not_name_the_user(caller, send, reason):
    with structlog.testing.capture_logs() as events:
        await limit(caller, send, EDIT, reason, "acc-secret")
    with pytest.raises(RateLimited, match="as this user") as raised:
        await send(EDIT, "acc-secret")
    [event] = [event for event in events if event["event"] == "host.rate_limited"]
    assert event["paused"] == {ISSUE: "issue", ENDPOINT: "endpoint"}.get(reason, "user")
    assert "acc-secret" not in str(raised.value) + str(event)


@pytest.mark.parametrize("reason", [ISSUE, ENDPOINT])
async def test_budget_in_a_limited_response_pauses_no_job(caller, send, reason):
    """A burst limit reports what is left of this second, not of the site's budget."""
    soon = (datetime.now(UTC) + timedelta(seconds=50)).isoformat()
    headers = {
        "retry-after": "600",
        "ratelimit-reason": reason,
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": soon,
    }
    caller.rest.answer(*EDIT.split(), status=429, headers=headers)
    with pytest.raises(RateLimited):
        await send(EDIT)
    assert await send(MYSELF, in_background=True) == 200


@pytest.mark.parametrize("in_background", [False, True], ids=["page", "job"])
@pytest.mark.parametrize("reason", [ISSUE, ENDPOINT, QUOTA, None])
async def test_call_waits_for_a_short_pause_and_is_sent(caller, send, reason, in_background):
    caller.rest.answer(*EDIT.split(), by=rate_limited({"ok": 1}, reason=reason, retry_after=0.2))
    caller.rest.requests.clear()
    assert await send(EDIT, in_background=in_background) == 200
    assert len(caller.rest.requests) == 2
    assert await paused(send, EVERYTHING) == []


async def test_pause_is_over_when_a_call_has_been_served(caller, send, site):
    pauses = caller.clients.limits.of((await caller.tenant(site)).id).pauses
    caller.rest.answer(*EDIT.split(), by=rate_limited({"ok": 1}, reason=ISSUE, retry_after=0.05))
    await send(EDIT)
    assert not pauses


@pytest.mark.parametrize(
    "key", [PauseKey(PauseKind.ISSUE, "AB-1"), PauseKey(PauseKind.ENDPOINT, "PUT /rest/api/3/issue/{issueIdOrKey}")]
)
async def test_calls_after_a_pause_are_sent_one_at_a_time_until_one_succeeds(caller, key):
    arrived, release, requests = asyncio.Event(), asyncio.Event(), []

    async def serve(reader, writer):
        requests.append(True)
        arrived.set()
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

    async with faulty(serve) as url:
        slow = await site_at(caller, url)
        caller.clients.limits.of(slow.id).pauses.start(key, 0.05, "")
        with plugin_scope("caller"):
            host = caller.clients.of(slow, None)
            calls = [asyncio.create_task(host.put("/rest/api/3/issue/AB-1", {})) for _ in range(6)]
        await arrived.wait()
        await asyncio.sleep(0.3)
        assert len(requests) == 1
        release.set()
        assert await asyncio.gather(*calls) == [{}] * 6
    assert not caller.clients.limits.of(slow.id).pauses


async def test_call_that_waits_for_an_issue_holds_no_slot_of_the_site(caller, send, site):
    pauses = caller.clients.limits.of((await caller.tenant(site)).id).pauses
    pauses.start(PauseKey(PauseKind.ISSUE, "AB-1"), 4, ISSUE)
    waiting = [asyncio.create_task(send(EDIT)) for _ in range(40)]
    await asyncio.sleep(0)
    assert await send(READ) == 200
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("reason", [ISSUE, ENDPOINT, QUOTA, None])
async def test_limit_of_an_anonymous_call_pauses_anonymous_calls(caller, site, reason):
    tenant = await caller.tenant(site)
    anonymous, signed = (build_call(tenant, *EDIT.split(), {}, signed=each) for each in (False, True))
    pauses = Pauses()
    pauses.start(pause_key(anonymous, reason or ""), 600, "")
    assert pauses.covering(anonymous)
    assert not pauses.covering(signed)
    assert not pauses.covering(build_call(tenant, *EDIT.split(), {}, "acc-1"))
    assert "anonymous" in str(pauses.covering(anonymous)[0][0])


async def test_job_that_meets_a_limit_is_not_retried_before_its_end(caller, site):
    caller.rest.answer("GET", "/rest/api/3/issue/77", by=rate_limited({}, reason=ENDPOINT, retry_after=600))
    with pytest.raises(RateLimited) as raised:
        await caller(lambda host: host.get("/rest/api/3/issue/77"), site=site, in_background=True)
    assert raised.value.retry_after_s == 600


@pytest.mark.parametrize("retry_after", ["61.5", "600", "600.25", "date", "iso"])
async def test_retry_after_is_read_in_a_response(caller, send, retry_after):
    moment = datetime.now(UTC) + timedelta(seconds=600)
    value = {"date": format_datetime(moment, usegmt=True), "iso": moment.isoformat()}.get(retry_after, retry_after)
    caller.rest.answer(*EDIT.split(), by=rate_limited(reason=ISSUE, retry_after=value, times=9))
    with pytest.raises(RateLimited) as raised:
        await send(EDIT)
    expected = float(retry_after) if retry_after[0].isdigit() else 600
    assert expected - 2 < raised.value.retry_after_s <= expected + 1


async def test_pauses_of_one_site_are_bounded():
    pauses = Pauses()
    for number in range(5000):
        pauses.start(PauseKey(PauseKind.ISSUE, f"AB-{number}"), 60 + number, ISSUE)
    assert len(pauses._pauses) == MAX_PAUSES
    assert {key.subject for key in pauses._pauses} == {f"AB-{number}" for number in range(5000 - MAX_PAUSES, 5000)}


async def test_pauses_that_are_over_are_dropped_first():
    pauses = Pauses()
    pauses.start(PauseKey(PauseKind.ISSUE, "AB-1"), 600, ISSUE)
    for number in range(MAX_PAUSES):
        pauses.start(PauseKey(PauseKind.ENDPOINT, f"GET /{number}"), 0, ENDPOINT)
    assert {key.subject for key in pauses._pauses} == {"AB-1", f"GET /{MAX_PAUSES - 1}"}


async def test_budget_of_a_site_with_a_pause_is_kept():
    limits = RateLimits()
    limits.of(1).pauses.start(PauseKey(PauseKind.ISSUE, "AB-1"), 600, ISSUE)
    assert not limits.of(1).is_unused()
    limits.of(2).pauses.start(PauseKey(PauseKind.ISSUE, "AB-1"), 0, ISSUE)
    assert limits.of(2).is_unused()
