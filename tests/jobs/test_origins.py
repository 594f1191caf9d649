"""One id across a request, the jobs that it enqueues, and the host calls that these make."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
import structlog
from addonkit.jobs import admin
from addonkit.jobs.done import move_done
from addonkit.jobs.job_filter import JobFilter
from addonkit.jobs.leases import release_worker
from addonkit.jobs.models import DoneJobRow, JobRow
from addonkit.jobs.query import list_jobs
from addonkit.origin import Trace
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.rest import Reply

from tests.support import calling_plugin
from tests.support.calling_plugin import calling_addon

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = f"00-{TRACE}-b7ad6b7169203331-01"
MYSELF = "/rest/api/3/myself"
ISSUE = {"id": "10001", "key": "AB-1"}


@pytest.fixture
async def caller(tmp_path):
    calling_plugin.seen.clear()
    async with calling_addon(tmp_path, log={"access": True}, jobs={"keep_payloads_hours": 1}) as running:
        running.rest.answer("GET", MYSELF, {"accountId": "me"})
        with running.addon.scope():
            yield running


@pytest.fixture
def lines():
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured


@contextmanager
def sending(caller, header):
    """Send requests with this ``traceparent``, if any, in the block."""
    caller.host.client.headers.update({} if header is None else {"traceparent": header})
    yield
    caller.host.client.headers.pop("traceparent", None)


async def fire(caller, header=SENT):
    with sending(caller, header):
        [answer] = await caller.host.fire("jira:issue_updated", identifier="delivery-1", issue=ISSUE)
    assert answer.status_code == 204
    return answer.headers["x-request-id"]


def calls(caller):
    return [Trace.read(sent.headers["traceparent"]) for sent in caller.rest.requests_to("GET", MYSELF)]


async def test_webhook_its_job_and_its_host_call_have_one_request_id_and_one_trace(caller, lines):
    request_id = await fire(caller)
    await caller.host.settled()
    assert re.fullmatch("[0-9a-f]{16}", request_id)
    [job] = await JobRow.filter(name="updated")
    stored = Trace.read(job.traceparent)
    assert (job.request_id, stored.trace_id, stored.is_sampled) == (request_id, TRACE, True)
    [call] = calls(caller)
    assert (call.trace_id, call.is_sampled) == (TRACE, True)
    assert len({SENT.split("-")[2], stored.span_id, call.span_id}) == 3
    [line] = [line for line in lines if line["event"] == "request.completed" and line["request_id"] == request_id]
    expected = {"request_id": request_id, "trace_id": TRACE, "webhook": "delivery-1"}
    assert {name: line[name] for name in expected} == expected


@pytest.mark.parametrize(
    "header",
    [None, "nonsense", SENT.upper(), SENT.replace(TRACE, "0" * 32), f"ff{SENT[2:]}"],
    ids=["none", "nonsense", "upper case", "zeros", "no version"],
)
async def test_webhook_without_a_valid_trace_begins_one_with_its_request_id(caller, lines, header):
    request_id = await fire(caller, header)
    await caller.host.settled()
    [call] = calls(caller)
    assert call.trace_id.startswith(request_id)
    assert not call.is_sampled
    assert [line for line in lines if "trace_id" in line and line.get("request_id") == request_id] == []


async def test_log_lines_of_a_job_have_the_ids_of_job_request_and_webhook(caller, lines):
    caller.rest.answer("GET", MYSELF, status=500)
    request_id = await fire(caller)
    await caller.host.settled()
    [line] = [line for line in lines if line["event"] == "job.failed"]
    [job] = await JobRow.filter(name="updated")
    expected = {
        "request_id": request_id,
        "trace_id": TRACE,
        "webhook": "delivery-1",
        "job_id": job.id,
        "job": f"updated {job.id}",
        "plugin": "caller",
    }
    assert {name: line.get(name) for name in expected} == expected
    log = [line for line in lines if line["event"] == "host.request_sent" and line.get("job_id") == job.id]
    assert [line["request_id"] for line in log] == [request_id]


async def test_log_lines_of_one_request_do_not_have_the_webhook_of_another(caller, lines):
    await fire(caller)
    await caller.host.request("GET", "/nowhere")
    [line] = [line for line in lines if line["event"] == "request.refused"]
    assert {"webhook", "trace_id"}.isdisjoint(line)


async def test_refused_webhook_is_logged_with_its_identifier(caller, lines):
    headers = {"x-atlassian-webhook-identifier": "delivery-7", "traceparent": SENT}
    answer = await caller.host.request("POST", "/webhooks/caller/updated", headers=headers)
    [line] = [line for line in lines if line["event"] == "request.refused"]
    assert (answer.status_code, line["webhook"], line["trace_id"]) == (401, "delivery-7", TRACE)
    assert line["request_id"] == answer.headers["x-request-id"]


async def test_job_of_a_page_and_the_page_have_one_origin(caller):
    caller.rest.answer("GET", "/rest/api/3/issue/10001", {"id": "1"})
    page = await caller.host.open("caller-start", issue=ISSUE)
    with sending(caller, SENT):
        answer = await page.fetch("fetch?issue_id=10001", method="POST")
    assert answer.status_code in (200, 204), answer.text
    await caller.host.settled()
    [job] = await JobRow.filter(name="fetch_issue")
    assert job.request_id == answer.headers["x-request-id"]
    [sent] = caller.rest.requests_to("GET", "/rest/api/3/issue/10001")
    assert [Trace.read(one).trace_id for one in (job.traceparent, sent.headers["traceparent"])] == [TRACE] * 2


async def test_lifecycle_request_has_its_id_in_the_response(caller, lines):
    await caller.host.reinstall(caller.host.site)
    [line] = [line for line in lines if line["event"] == "lifecycle.received" and line["event_name"] == "installed"]
    [completed] = [one for one in lines if one.get("endpoint") == "installed" and one["event"] == "request.completed"]
    assert line["request_id"] == completed["request_id"]


@pytest.mark.usefixtures("fast_backoff")
async def test_each_attempt_at_a_call_is_a_new_piece_of_the_same_trace(caller):
    replies = [Reply(status=503), Reply(status=503), Reply({"accountId": "me"})]
    caller.rest.answer("GET", MYSELF, by=lambda _: replies.pop(0))
    await fire(caller)
    await caller.host.settled()
    assert {call.trace_id for call in calls(caller)} == {TRACE}
    assert len({call.span_id for call in calls(caller)}) == 3


async def test_trace_that_a_plugin_passes_is_kept(caller):
    await caller(lambda host: host.get(MYSELF, headers={"Traceparent": SENT}))
    assert [call.traceparent for call in calls(caller)] == [SENT]


async def test_job_of_no_request_makes_calls_in_a_trace_of_its_own(caller):
    caller.rest.answer("GET", "/rest/api/3/issue/1", {"id": "1"})
    with tenant_scope(await caller.tenant()):
        number = await calling_plugin.fetch_issue.enqueue(issue_id="1")
    await caller.host.settled()
    [job] = await JobRow.filter(id=number)
    assert (job.request_id, job.traceparent) == (None, None)
    [sent] = caller.rest.requests_to("GET", "/rest/api/3/issue/1")
    assert Trace.read(sent.headers["traceparent"]) is not None


async def test_origin_is_kept_when_a_job_is_done_moved_and_replayed(caller):
    request_id = await fire(caller)
    await caller.host.settled()
    await move_done(1, after_s=-1)
    [moved] = await DoneJobRow.filter(name="updated")
    assert (moved.request_id, Trace.read(moved.traceparent).trace_id) == (request_id, TRACE)
    [record] = await list_jobs(JobFilter(name="updated"), 10)
    assert (record.request_id, record.traceparent) == (request_id, moved.traceparent)
    assert await admin.replay(JobFilter(name="updated")) == 1
    await caller.host.settled()
    assert {call.trace_id for call in calls(caller)} == {TRACE}
    assert len(calls(caller)) == 2


async def test_lost_job_is_logged_with_its_request(caller, lines):
    await caller.addon.background.stop(1)
    request_id = await fire(caller)
    await JobRow.filter(name="updated").update(state="running", worker="gone", lease_until=0)
    await release_worker("gone", died=True)
    [line] = [line for line in lines if line["event"] == "job.lost"]
    assert (line["request_id"], line["job_id"]) == (request_id, line["job"])
