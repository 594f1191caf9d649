"""``addon_failed``: which failures plugins hear of, with which facts, and what a fault of theirs changes: nothing."""

from __future__ import annotations

import asyncio

import pytest
from addonkit.app import failure_reports
from addonkit.app.purge import call_purge_hooks
from addonkit.errors import (
    CallForbidden,
    CrossTenantWrite,
    HostUnavailable,
    HostUnreachable,
    RateLimited,
    ResponseInvalid,
    StorageUnavailable,
    TenantMissing,
    VaultLocked,
)
from addonkit.failure import FailureFacts, FailureKind
from addonkit.jobs.models import JobRow
from addonkit.observers import report_failure
from addonkit.tenant_data.scope import tenant_scope

from tests.support import failing_plugin, reporting_plugin
from tests.support.failing_plugin import SECRET, TOKEN, failing_addon
from tests.support.reporting_plugin import behaviour, received, scopes, threads

PLACE = reporting_plugin.__name__
PLUGINS = {"patient": f"{PLACE}:patient", "threaded": f"{PLACE}:threaded"}
ISSUE = {"id": "10001", "key": "AB-1"}


@pytest.fixture
async def failing(tmp_path):
    reporting_plugin.clear()
    async with failing_addon(tmp_path, PLUGINS, jobs={"recover_hours": 0}) as running:
        await running.host.settled()
        yield running


async def until(count):
    """Wait for so many calls of both hooks."""
    async with asyncio.timeout(20):
        while len(received) < count:  # noqa: ASYNC110 - the hooks run in the background
            await asyncio.sleep(0.01)
    return [facts for name, _, facts in received if name == "patient"]


async def enqueue(addon, job, **values):
    with addon.addon.scope(), tenant_scope(await addon.tenant()):
        await job.enqueue(**values)


async def page(addon, way):
    return await addon.host.open("failing-page", issue={"id": way})


@pytest.mark.parametrize("way", ["lookup", "type", "unusual"])
async def test_failure_of_a_page_is_reported_to_both_hooks(failing, way):
    answer = await page(failing, way)
    assert answer.status == 500
    [facts] = await until(2)
    tenant = await failing.tenant()
    assert (facts.kind, facts.plugin, facts.name) == (FailureKind.REQUEST, "failing", "failing.page")
    assert (facts.tenant, facts.tenant_id, facts.status) == (tenant.key, tenant.id, 500)
    assert facts.request_id == answer.headers["x-request-id"]
    assert facts.trace_id.startswith(facts.request_id)
    assert (facts.job_id, facts.attempt, facts.will_retry) == (None, None, False)
    assert {type(error) for _, error, _ in received} == {type(received[0][1])}
    assert threads == ["addon_failed"]
    assert scopes == [(tenant, "patient", True, facts.request_id)]


async def test_failure_by_time_is_reported(failing):
    assert (await failing.host.open("failing-slow")).status == 504
    [facts] = await until(2)
    assert (facts.kind, facts.name, facts.status) == (FailureKind.REQUEST, "failing.slow", 504)


async def test_failure_of_the_runtime_is_reported(failing, monkeypatch):
    async def broken(*_):
        raise RuntimeError("the runtime has a fault")

    monkeypatch.setattr("addonkit.edge.asgi.send_descriptor", broken)
    failing.addon.edge.observers = (lambda *_: None,)
    assert (await failing.host.request("GET", "/atlassian-connect.json")).status_code == 500
    [facts] = await until(2)
    assert (facts.kind, facts.plugin, facts.name, facts.status) == ("request", "addonkit", "descriptor", 500)


@pytest.mark.parametrize("way", ["lookup", "type", "unusual", "cancelled", "storage dead", "give up"])
async def test_failure_of_a_job_is_reported(failing, way):
    name = way.removesuffix(" dead")
    await enqueue(failing, failing_plugin.attempt, way=name)
    if way.endswith("dead"):
        await failing.host.settled()
        with failing.addon.scope():
            await JobRow.filter(name="attempt").update(due_at=0, state="ready")
            failing.addon.runtime.notify()
    [facts] = await until(2)
    with failing.addon.scope():
        [job] = await JobRow.filter(name="attempt")
    assert (facts.kind, facts.plugin, facts.name) == ("job", "failing", "attempt")
    assert (facts.job_id, facts.tenant) == (job.id, failing.host.site.client_key)
    is_last = way in ("storage dead", "give up")
    assert (facts.attempt, facts.will_retry) == (2 if way == "storage dead" else 1, not is_last)


async def test_failure_of_a_webhook_is_reported_with_its_identifier(failing):
    [answer] = await failing.host.fire("jira:issue_updated", identifier="delivery-1", issue=ISSUE)
    [facts] = await until(2)
    assert (facts.kind, facts.name, facts.webhook, facts.will_retry) == ("webhook", "updated", "delivery-1", True)
    assert facts.request_id == answer.headers["x-request-id"]


async def test_failure_of_a_lifecycle_hook_is_reported(failing):
    await failing.host.disable()
    [facts] = await until(2)
    assert (facts.kind, facts.plugin, facts.name, facts.attempt) == ("lifecycle", "failing", "addon_disabled", 1)


async def test_failure_of_a_purge_is_reported(failing):
    async def hook(tenant):
        raise LookupError(SECRET)

    with failing.addon.scope():
        assert "LookupError" in await call_purge_hooks({"failing": hook}, await failing.tenant())
    [facts] = await until(2)
    assert (facts.kind, facts.plugin, facts.name) == ("purge", "failing", "addon_purge")


@pytest.mark.parametrize("way", ["host", "storage", "scope", "refusing"])
async def test_expected_errors_are_not_reported(failing, way):
    if way == "refusing":
        await failing.host.open("failing-refusing")
    else:
        await page(failing, way)
        await enqueue(failing, failing_plugin.attempt, way=way)
        await failing.host.settled()
    await page(failing, "lookup")
    assert [facts.name for facts in await until(2)] == ["failing.page"]


EXPECTED = {
    "no answer": HostUnavailable("the host did not answer", sent=False),
    "rate limit": RateLimited("429"),
    "other answer": ResponseInvalid("the response is not JSON"),
    "no key host": HostUnreachable("no install key"),
    "no database": StorageUnavailable("the database did not answer"),
}
UNEXPECTED = {
    "other tenant": CrossTenantWrite("a row of another tenant"),
    "no tenant": TenantMissing("no tenant in scope"),
    "locked": VaultLocked("no key"),
    "mistake": LookupError("x"),
    "scope": CallForbidden("no scope"),
}


@pytest.mark.parametrize("name", [*EXPECTED, *UNEXPECTED])
@pytest.mark.parametrize("work", ["page", "admission", "purge", "job to be retried", "dead job"])
async def test_expected_errors_are_reported_of_dead_jobs_only(failing, work, name):
    error = {**EXPECTED, **UNEXPECTED}[name]
    facts = {
        "page": FailureFacts(FailureKind.REQUEST, "failing", "expected", status=500),
        "admission": FailureFacts(FailureKind.ADMISSION, "failing", "expected", status=503),
        "purge": FailureFacts(FailureKind.PURGE, "failing", "expected", will_retry=True),
        "job to be retried": FailureFacts(FailureKind.JOB, "failing", "expected", job_id=1, will_retry=True),
        "dead job": FailureFacts(FailureKind.JOB, "failing", "expected", job_id=1),
    }[work]
    with failing.addon.scope():
        report_failure(error, facts)
        report_failure(LookupError(), FailureFacts(FailureKind.REQUEST, "failing", "last"))
    is_reported = name in UNEXPECTED or work == "dead job"
    assert [one.name for one in await until(4 if is_reported else 2)] == ["expected"] * is_reported + ["last"]


async def test_failure_of_a_purge_that_waits_for_the_host_is_not_reported(failing):
    async def hook(tenant):
        raise HostUnavailable("the host did not answer", sent=False)

    with failing.addon.scope():
        assert "HostUnavailable" in await call_purge_hooks({"failing": hook}, await failing.tenant())
    await page(failing, "lookup")
    assert [facts.name for facts in await until(2)] == ["failing.page"]


@pytest.mark.parametrize("hook", ["patient", "threaded"])
async def test_exception_of_a_hook_changes_nothing_else(failing, capsys, hook):
    behaviour[hook] = "raises"
    assert (await page(failing, "lookup")).status == 500
    await until(1)
    async with asyncio.timeout(10):
        while failing.addon.runtime.failure_reporter._calls:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    written = capsys.readouterr().out
    [line] = [line for line in written.splitlines() if "failure_hook.failed" in line]
    assert f"plugin={hook}" in line
    assert "request_id=" in line
    assert SECRET not in line
    assert [name for name, _, _ in received] == [{"patient": "threaded", "threaded": "patient"}[hook]]


async def test_hanging_hook_delays_no_answer_and_is_limited(failing, monkeypatch, capsys):
    monkeypatch.setattr(failure_reports, "TIMEOUT_S", 0.05)
    behaviour["patient"] = "hangs"
    assert (await page(failing, "lookup")).status == 500
    async with asyncio.timeout(10):
        while failing.addon.runtime.failure_reporter._calls:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert "failure_hook.failed" in capsys.readouterr().out


async def test_calls_beyond_the_limit_are_only_logged(failing, monkeypatch, capsys):
    monkeypatch.setattr(failure_reports, "MAX_CALLS", 1)
    monkeypatch.setattr(failure_reports, "CLOSE_S", 0.0)
    behaviour["patient"] = "hangs"
    for _ in range(3):
        assert (await page(failing, "lookup")).status == 500
    assert received == []
    assert capsys.readouterr().out.count("failure_hook.skipped") == 1


async def test_facts_hold_no_secrets(failing):
    client = failing.host.client
    await page(failing, "unusual")
    await client.get(f"http://localhost:8000/failing/page?jwt={TOKEN}", headers={"authorization": f"JWT {TOKEN}"})
    [facts] = await until(2)
    assert not [word for word in (SECRET, TOKEN, "jwt", "eyJ") if word in repr(facts)]


async def test_addon_without_the_hook_reports_nothing(tmp_path):
    async with failing_addon(tmp_path) as running:
        assert running.addon.runtime.failure_reporter is None
        assert (await page(running, "lookup")).status == 500
