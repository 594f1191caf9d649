"""Scopes that a site has not approved: recognised by the host's refusals, stored with the tenant, and paused."""

from __future__ import annotations

import httpx2
import pytest
import pytest_asyncio
from addonkit import HostError, ScopeNotApproved, UserTokenDenied
from addonkit.current import plugin_scope
from addonkit.hostapi.approvals import is_scope_refusal
from addonkit.hostapi.client import HostClients
from addonkit.hostapi.transport import RawResponse, Transport
from addonkit.hostapi.user_tokens import UserTokens
from addonkit.jobs.models import JobRow
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.history import history_of
from addonkit.tenancy.record import IdentityKind
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.exchange import Reply

from tests.support.calling_plugin import fetch_issue, seen

pytestmark = pytest.mark.asyncio(loop_scope="module")
COMMENT = "/rest/api/3/issue/AB-1/comment"
TEXT = "Request not in an authorized API scope"
JSON, HTML = "application/json", "text/html;charset=UTF-8"
SCOPE_REFUSALS = {
    "JSON of Jira": (403, JSON, b'{"errorMessages":["%s"],"errors":{}}' % TEXT.encode()),
    "JSON of Confluence": (403, JSON, b'{"statusCode":403,"message":"%s"}' % TEXT.encode()),
    "a page": (403, HTML, b"<html><body><h1>Forbidden</h1><p>%s</p></body></html>" % TEXT.encode()),
    "XML": (403, "application/xml", b"<status><code>403</code><message>%s</message></status>" % TEXT.encode()),
    "plain text": (403, "text/plain", TEXT.encode()),
    "the gateway": (401, JSON, b'{"code":401,"message":"Unauthorized; scope does not match"}'),
}
OTHER_REFUSALS = {
    "a permission": (403, JSON, b'{"errorMessages":["You do not have permission to comment on this issue."]}'),
    "an invalid token": (401, JSON, b'{"errorMessages":["the token was rejected"]}'),
    "an empty body": (403, JSON, b""),
    "text of a user": (403, JSON, b'{"errorMessages":["\'Request not in an authorized API scope\' is locked"]}'),
    "text of a user in a page": (403, HTML, b"<title>On: request not in an authorized API scope, again</title>"),
    "another status": (404, JSON, b'{"errorMessages":["Request not in an authorized API scope"]}'),
    "an error of ours": (400, "text/plain", TEXT.encode()),
}


def raw(status, content_type, content, **headers):
    return RawResponse(status, httpx2.Headers({"content-type": content_type, **headers}), content)


def refuse(caller, method, path, kind="JSON of Jira"):
    status, content_type, content = SCOPE_REFUSALS[kind]
    caller.rest.answer(method, path, status=status, content=content, headers={"content-type": content_type})


@pytest_asyncio.fixture(loop_scope="module")
async def site(caller):
    """A Jira site of this test's own, whose host refuses comments for lack of a scope."""
    caller.rest.requests.clear()
    refuse(caller, "POST", COMMENT)
    yield await caller.host.install()
    caller.rest.remove_last_answer()


async def stored(caller, site):
    record = await caller.addon.store.find(IdentityKind.CLIENT_KEY, site.client_key)
    return record.unapproved


async def comment(caller, site):
    return await caller(lambda host: host.post(COMMENT, {"body": {}}), site=site)


def comments(caller):
    return len(caller.rest.requests_to("POST", COMMENT))


@pytest.mark.parametrize("kind", SCOPE_REFUSALS)
async def test_refusal_for_a_scope_is_recognised(kind):
    assert is_scope_refusal(raw(*SCOPE_REFUSALS[kind]))


@pytest.mark.parametrize("kind", OTHER_REFUSALS)
async def test_refusal_for_another_reason_is_not_one_for_a_scope(kind):
    assert not is_scope_refusal(raw(*OTHER_REFUSALS[kind]))


async def test_refusal_for_a_scope_is_recognised_by_its_header():
    header = {"www-authenticate": 'Bearer realm="x", error="insufficient_scope", scope="WRITE"'}
    assert is_scope_refusal(raw(403, JSON, b"", **header))
    assert not is_scope_refusal(raw(403, JSON, b"", **{"www-authenticate": 'Bearer error="invalid_token"'}))


@pytest.mark.parametrize("kind", SCOPE_REFUSALS)
async def test_refused_call_names_the_scope_that_the_site_has_not_approved(caller, site, kind):
    refuse(caller, "POST", COMMENT, kind)
    try:
        with pytest.raises(ScopeNotApproved, match=r"the site has not approved WRITE yet, so 'POST .* of plugin") as it:
            await comment(caller, site)
    finally:
        caller.rest.remove_last_answer()
    assert (it.value.scope, it.value.status) == ("WRITE", 403)
    assert await stored(caller, site) == {"WRITE"}


async def test_calls_that_need_the_scope_pause_and_others_do_not(caller, site):
    for _ in range(3):
        with pytest.raises(ScopeNotApproved):
            await comment(caller, site)
    with pytest.raises(ScopeNotApproved, match=r"has not approved WRITE yet, so 'DELETE .* was not sent"):
        await caller(lambda host: host.delete("/rest/api/3/issue/AB-1"), site=site)
    assert comments(caller) == 1
    caller.rest.answer("GET", "/rest/api/3/myself", {"ok": 1})
    assert await caller(lambda host: host.get("/rest/api/3/myself"), site=site) == {"ok": 1}
    assert await caller(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site) is True
    assert await stored(caller, site) == {"WRITE"}


async def test_other_sites_are_not_paused(caller, site):
    other = await caller.host.install()
    with pytest.raises(ScopeNotApproved):
        await comment(caller, site)
    caller.rest.answer("POST", COMMENT, {"id": "1"})
    try:
        assert await comment(caller, other) == {"id": "1"}
    finally:
        caller.rest.remove_last_answer()


async def test_another_process_knows_it(caller, site):
    with pytest.raises(ScopeNotApproved):
        await comment(caller, site)
    transport = Transport("tests")
    other = HostClients(
        directory=Directory(caller.addon.store),
        transport=transport,
        scopes=caller.clients._pipeline.scopes,
        user_tokens=UserTokens(transport),
        addon_key="com.example.test",
    )
    with plugin_scope("caller"), pytest.raises(ScopeNotApproved, match="was not sent"):
        await other.of(await caller.tenant(site), None).post(COMMENT, {})
    await other.close()
    assert comments(caller) == 1


@pytest.mark.parametrize("event", ["installed", "enabled"])
async def test_lifecycle_request_clears_the_marks(caller, site, event):
    with pytest.raises(ScopeNotApproved):
        await comment(caller, site)
    response = await caller.host.notify(site, event)
    assert response.status_code == 204
    assert await stored(caller, site) == frozenset()
    caller.rest.answer("POST", COMMENT, {"id": "1"})
    try:
        assert await comment(caller, site) == {"id": "1"}
    finally:
        caller.rest.remove_last_answer()
    tenant = await caller.tenant(site)
    changes = [entry.what for entry in await history_of(tenant.id)]
    assert changes.index("scopes refused") < changes.index("scopes approved")


async def test_call_that_succeeds_clears_the_mark(caller, site, monkeypatch):
    with pytest.raises(ScopeNotApproved):
        await comment(caller, site)
    monkeypatch.setattr("addonkit.hostapi.approvals.TRIAL_S", 0.0)
    caller.rest.answer("POST", COMMENT, {"id": "1"})
    try:
        assert await comment(caller, site) == {"id": "1"}
    finally:
        caller.rest.remove_last_answer()
    assert await stored(caller, site) == frozenset()


@pytest.mark.parametrize("ahead_s", [40, 3600, 86_400])
async def test_refusal_that_a_clock_ahead_has_stored_pauses_no_longer(caller, site, monkeypatch, ahead_s):
    approvals = caller.clients._pipeline.transmit.__self__._approvals
    clock = approvals._clock
    monkeypatch.setattr(approvals, "_clock", lambda: clock() + ahead_s)
    with pytest.raises(ScopeNotApproved, match="was refused"):
        await comment(caller, site)
    monkeypatch.setattr(approvals, "_clock", clock)
    with pytest.raises(ScopeNotApproved, match="was refused"):
        await comment(caller, site)
    for _ in range(2):
        with pytest.raises(ScopeNotApproved, match="was not sent"):
            await comment(caller, site)
    assert comments(caller) == 2


async def test_only_one_call_tries_again_after_the_pause(caller, site, monkeypatch):
    with pytest.raises(ScopeNotApproved):
        await comment(caller, site)
    record = await caller.addon.directory.get(IdentityKind.CLIENT_KEY, site.client_key)
    approvals = caller.clients._pipeline.transmit.__self__._approvals
    monkeypatch.setattr(approvals, "_clock", lambda: record.unapproved_at + 61)
    for _ in range(3):
        with pytest.raises(ScopeNotApproved):
            await comment(caller, site)
    assert comments(caller) == 2


async def test_permission_of_the_app_is_no_scope(caller, site):
    caller.rest.answer("POST", COMMENT, {"errorMessages": ["no permission"]}, status=403)
    try:
        with pytest.raises(HostError) as refused:
            await comment(caller, site)
    finally:
        caller.rest.remove_last_answer()
    assert type(refused.value) is HostError
    assert await stored(caller, site) == frozenset()


async def test_permission_check_that_needs_an_unapproved_scope_raises(caller, site):
    refuse(caller, "POST", "/rest/api/3/permissions/check")
    try:
        with pytest.raises(ScopeNotApproved, match="has not approved READ yet"):
            await caller(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site)
    finally:
        caller.rest.remove_last_answer()


async def test_refusal_of_one_resource_does_not_pause_a_scope_that_works(caller, site):
    caller.rest.answer("PUT", "/rest/api/3/issue/AB-1", status=204)
    await caller(lambda host: host.put("/rest/api/3/issue/AB-1", {}), site=site)
    with pytest.raises(HostError, match="with the scope 'WRITE', with which other calls succeed") as refused:
        await comment(caller, site)
    assert type(refused.value) is HostError
    assert await stored(caller, site) == frozenset()


async def test_token_server_that_gives_no_tokens_is_named_and_paused(caller, site):
    caller.rest.token_errors["acc-8"] = "unauthorized_client"
    for _ in range(2):
        with pytest.raises(UserTokenDenied) as denied:
            await caller(lambda host: host.as_user("acc-8", consented=True).get("/rest/api/3/myself"), site=site)
    assert denied.value.reason == "scope"
    assert "the site has not approved ACT_AS_USER yet" in str(denied.value)
    assert await stored(caller, site) == {"ACT_AS_USER"}


async def test_job_pauses_and_no_attempt_is_counted(caller, site):
    seen.clear()
    caller.rest.answer(
        "GET",
        "/rest/api/3/issue/AB-9",
        by=lambda _: Reply({"errorMessages": [TEXT]}, 403),
    )
    tenant = await caller.tenant(site)
    with caller.addon.scope(), tenant_scope(tenant):
        job = await fetch_issue.enqueue(issue_id="AB-9")
    await caller.addon.settled()
    row = await JobRow.get(tenant_id=tenant.id, name="fetch_issue")
    assert (row.state, row.failures, row.starts) == ("waiting", 0, 0), job
    assert "the site has not approved READ yet" in row.error
    caller.rest.remove_last_answer()
