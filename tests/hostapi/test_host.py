"""The host as plugins hold it: from pages, jobs and webhooks, as the add-on and as an anonymous visitor."""

from __future__ import annotations

import json
import time

import pytest
from addonkit import CallForbidden, HostError, ResponseInvalid
from addonkit.current import plugin_scope
from addonkit.jobs.models import JobRow
from addonkit.tenant_data.scope import tenant_scope
from tortoise.transactions import in_transaction

from tests.support.calling_plugin import fetch_issue, seen, site_at
from tests.support.faulty_servers import answer, faulty

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("clean", "fast_backoff")]


async def test_get_returns_parsed_json(caller):
    caller.rest.answer("GET", "/rest/api/3/issue/AB-1", {"key": "AB-1"})
    assert await caller(lambda host: host.get("/rest/api/3/issue/AB-1")) == {"key": "AB-1"}


async def test_empty_response_is_none(caller):
    caller.rest.answer("PUT", "/rest/api/3/issue/AB-1", status=204)
    assert await caller(lambda host: host.put("/rest/api/3/issue/AB-1", {})) is None


async def test_anonymous_call_has_no_token_and_needs_no_scope(caller):
    heads = []
    async with faulty(answer("200 OK", b'{"version": "1001"}'), heads=heads) as url:
        tenant = await site_at(caller, url)
        with plugin_scope("poor"):
            found = await caller.clients.of(tenant, "acc-1").as_anonymous().get("/rest/api/3/serverInfo")
    assert found == {"version": "1001"}
    assert b"authorization" not in heads[0].lower()


async def test_anonymous_call_is_not_retried_with_a_token(caller):
    heads = []
    async with faulty(answer("401 Unauthorized"), heads=heads) as url:
        tenant = await site_at(caller, url)
        with plugin_scope("caller"), pytest.raises(HostError):
            await caller.clients.of(tenant, None).as_anonymous().get("/rest/api/3/serverInfo")
    assert len(heads) == 1


async def test_response_that_is_not_json_is_invalid(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", content=b"<html>", headers={"content-type": "text/html"})
    with pytest.raises(ResponseInvalid, match="with 'text/html', expected JSON"):
        await caller(lambda host: host.get("/rest/api/3/myself"))
    answer = await caller(lambda host: host.request("GET", "/rest/api/3/myself"))
    assert answer.content == b"<html>"


@pytest.mark.parametrize(
    "text", [rb"\ud83d", rb"\uDE00x", rb"\udfff\ud800", b"\xed\xa0\xbd", rb"\ud83d\ud83d\ude00"], ids=range(5)
)
async def test_response_with_half_a_surrogate_pair_has_the_replacement_character(caller, text):
    content = b'{"key": "AB-1", "summary": "cut ' + text + b'"}'
    caller.rest.answer("GET", "/rest/api/3/issue/7", content=content, headers={"content-type": "application/json"})
    found = await caller(lambda host: host.get("/rest/api/3/issue/7"))
    assert found["key"] == "AB-1"
    assert "\ufffd" in found["summary"]
    found["summary"].encode()


async def test_error_response_with_half_a_surrogate_pair_has_its_message(caller):
    content = rb'{"errorMessages": ["no such page: \ud83d"]}'
    caller.rest.answer("GET", "/rest/api/3/issue/7", content=content, status=404)
    with pytest.raises(HostError) as refused:
        await caller(lambda host: host.get("/rest/api/3/issue/7"))
    assert refused.value.messages == ("no such page: \ufffd",)


async def test_page_calls_as_the_add_on_and_knows_its_user(caller):
    caller.rest.answer("GET", "/rest/api/3/issue/10001", {"key": "AB-1"})
    page = await caller.host.open("caller-issue", issue={"id": "10001", "key": "AB-1"})
    assert json.loads(page.text) == {"issue": {"key": "AB-1"}, "account": "acc-1"}
    assert caller.rest.requests[0].account_id is None


async def test_job_calls_the_host_of_its_tenant(caller):
    caller.rest.answer("GET", "/rest/api/3/issue/10001", {"key": "AB-1"})
    tenant = await caller.tenant()
    with tenant_scope(tenant):
        await fetch_issue.enqueue(issue_id="10001")
    await caller.host.settled()
    assert seen == [{"key": "AB-1"}]


async def test_job_that_is_rate_limited_is_retried_no_earlier(caller):
    site = await caller.host.install()
    caller.rest.answer("GET", "/rest/api/3/issue/10001", status=429, headers={"retry-after": "3000"})
    with tenant_scope(await caller.tenant(site)):
        number = await fetch_issue.enqueue(issue_id="10001")
    await caller.host.settled()
    row = await JobRow.get(id=number)
    assert (row.state, row.failures) == ("waiting", 1)
    assert row.due_at - time.time() > 2900
    assert "the rate limit is exhausted" in row.error


async def test_job_whose_call_is_forbidden_is_dead_at_once(caller):
    site = await caller.host.install()
    with tenant_scope(await caller.tenant(site)):
        number = await fetch_issue.enqueue(issue_id="../../users/search")
    await caller.host.settled()
    row = await JobRow.get(id=number)
    assert (row.state, row.failures) == ("dead", 1)
    assert "is not a plain path" in row.error


async def test_webhook_calls_the_host_of_its_tenant(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {"accountId": "addon"})
    await caller.host.fire("jira:issue_updated", issue={"id": "10001", "key": "AB-1"})
    await caller.host.settled()
    assert seen == [("10001", {"accountId": "addon"})]


async def test_call_outside_of_a_plugin_context_is_refused(caller):
    tenant = await caller.tenant()
    with pytest.raises(CallForbidden, match="host calls need a plugin context; call from a route, job"):
        await tenant.host.get("/rest/api/3/myself")


async def test_call_inside_a_transaction_is_refused(caller):
    async with in_transaction():
        with pytest.raises(CallForbidden, match="is called inside a transaction, which holds the database's lock"):
            await caller(lambda host: host.get("/rest/api/3/myself"))
    caller.rest.answer("GET", "/rest/api/3/myself", {})
    await caller(lambda host: host.get("/rest/api/3/myself"))


async def test_page_answers_502_or_503_for_host_errors(caller):
    site, issue = await caller.host.install(), {"id": "10001", "key": "AB-1"}
    caller.rest.answer("GET", "/rest/api/3/issue/10001", {"errorMessages": ["no"]}, status=400)
    page = await caller.host.open("caller-issue", site, issue=issue)
    assert page.status == 502
    caller.rest.answer("GET", "/rest/api/3/issue/10001", status=429, headers={"retry-after": "77"})
    page = await caller.host.open("caller-issue", site, issue=issue)
    assert (page.status, page.headers["retry-after"]) == (503, "77")


async def test_page_whose_call_is_forbidden_answers_500(caller):
    page = await caller.host.open("caller-forbidden")
    assert page.status == 500
    assert "evil" not in page.text
