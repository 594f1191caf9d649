"""Recovery of webhooks that the host could not deliver."""

from __future__ import annotations

import time
from types import SimpleNamespace

import orjson
import pytest
import pytest_asyncio
from addonkit import HostError
from addonkit.app import maintenance
from addonkit.app import recovery as recovery_module
from addonkit.app.maintenance import runtime_jobs
from addonkit.app.recovery import Recovery, RecoveryCounts
from addonkit.current import plugin_scope
from addonkit.jobs.models import JobRow
from addonkit.jobs.queue import JobQueue
from addonkit.work import JobKind, NewJob

from tests.support.calling_plugin import BASE_URL, seen

FORMER = ("https://old.example.com", "https://old.example.com/kit")
TARGET = "/webhooks/caller/updated?issue_id=10001"


def failure(identifier: str, url: str = BASE_URL + TARGET, body: str | None = '{"issue": {"id": "1"}}', at: float = 0):
    moment = int((at or time.time()) * 1000)
    return {"id": identifier, "url": url, "failureTime": moment, **({} if body is None else {"body": body})}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {})
    return caller


@pytest_asyncio.fixture(loop_scope="module")
async def recover(caller):
    """Recovers what a new site could not deliver."""
    site = await caller.host.install()
    tenant = await caller.tenant(site)
    seen.clear()

    async def run(*failures, since=0.0, dry_run=False):
        caller.rest.resources.failed[site.client_key] = list(failures)
        with plugin_scope("addonkit", background=True):
            recovery = Recovery(caller.addon.deployment.registry, {BASE_URL, *FORMER})
            done = RecoveryCounts()
            await recovery.recover(tenant, since, done, dry_run=dry_run)
        await caller.host.settled()
        return done.found, done.new, done.unknown

    run.tenant, run.site = tenant, site
    return run


@pytest.mark.asyncio(loop_scope="module")
class TestRecovery:
    async def test_recovered_webhooks_are_handled(self, recover):
        assert await recover(failure("d-1"), failure("d-2")) == (2, 2, 0)
        assert seen == [("10001", {}), ("10001", {})]
        row = await JobRow.filter(tenant_id=recover.tenant.id, dedupe="d-1").get()
        assert (bytes(row.payload), row.kind) == (b'{"issue": {"id": "1"}}', "webhook")

    async def test_recovery_skips_webhooks_that_are_stored_already(self, recover, caller):
        await caller.host.fire(
            "jira:issue_updated", site=recover.site, identifier="d-1", issue={"id": "10001", "key": "AB-1"}
        )
        await caller.host.settled()
        assert await recover(failure("d-1")) == (1, 0, 0)
        assert await recover(failure("d-1"), failure("d-2")) == (2, 1, 0)
        assert len(seen) == 2

    async def test_recovery_reads_all_pages(self, recover):
        now = time.time()
        failures = [failure(f"d-{number}", at=now - 1000 + number) for number in range(250)]
        assert await recover(*failures) == (250, 250, 0)

    async def test_recovery_skips_failures_before_since(self, recover):
        now = time.time()
        assert await recover(failure("old", at=now - 7200), failure("new", at=now - 60), since=now - 3600) == (1, 1, 0)

    @pytest.mark.parametrize("since_h", [10_000, 73, 72], ids=["long ago", "an hour more", "exactly"])
    async def test_recovery_looks_back_no_further_than_the_host_keeps_webhooks(self, recover, monkeypatch, since_h):
        now = float(int(time.time()))
        monkeypatch.setattr(recovery_module, "time", SimpleNamespace(time=lambda: now))
        kept, gone = failure("kept", at=now - 72 * 3600 + 1), failure("gone", at=now - 72 * 3600 - 1)
        assert await recover(gone, kept, since=now - since_h * 3600) == (1, 1, 0)

    @pytest.mark.parametrize("hours", [1, 2, 24, 71, 72, 100])
    async def test_recovery_by_schedule_looks_back_as_long_as_done_jobs_are_kept(
        self, recover, caller, monkeypatch, hours
    ):
        """Of an earlier webhook it is not known whether it was handled: its job is deleted."""
        now = float(int(time.time()))
        for module in (recovery_module, maintenance):
            monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now))
        limit = now - min(hours, 72) * 3600
        failures = [failure("kept", at=limit + 1), failure("gone", at=limit - 1)]
        caller.rest.resources.failed[recover.site.client_key] = failures
        made_of = caller.addon.deployment
        jobs = made_of.settings.jobs.model_copy(update={"keep_done_hours": hours})
        settings = made_of.settings.model_copy(update={"jobs": jobs})
        changed = SimpleNamespace(settings=settings, registry=made_of.registry, path=None)
        [spec] = [each for each in runtime_jobs(changed, None) if each.name == "recover_webhooks"]
        with plugin_scope("addonkit", background=True):
            await spec.run(SimpleNamespace(tenant=recover.tenant))
        await caller.host.settled()
        rows = await JobRow.filter(tenant_id=recover.tenant.id, kind="webhook")
        assert [row.dedupe for row in rows] == ["kept"]

    async def test_dry_run_of_a_recovery_enqueues_nothing(self, recover):
        assert await recover(failure("d-1"), dry_run=True) == (1, 1, 0)
        assert seen == []

    @pytest.mark.parametrize(
        "url",
        [
            BASE_URL + "/webhooks/gone/updated",
            BASE_URL + "/caller/fetch",
            BASE_URL + TARGET + "&issue_id=10002",
            "http://elsewhere.example.com" + TARGET,
            BASE_URL + ".evil.example.com" + TARGET,
            FORMER[0] + ".evil.example.com" + TARGET,
            FORMER[1] + "x" + TARGET,
            "",
        ],
    )
    async def test_url_without_a_webhook_is_counted_as_unknown(self, recover, url):
        assert await recover(failure("d-1", url)) == (1, 0, 1)

    @pytest.mark.parametrize("base_url", [BASE_URL, *FORMER])
    async def test_webhook_that_was_sent_to_each_base_url_is_recovered(self, recover, base_url):
        assert await recover(failure("d-1", base_url + TARGET)) == (1, 1, 0)

    async def test_recovered_webhook_may_lack_a_body_and_keeps_declared_parameters_only(self, recover):
        assert await recover(failure("d-1", BASE_URL + TARGET + "&account_id=evil", None)) == (1, 1, 0)
        row = await JobRow.filter(tenant_id=recover.tenant.id, dedupe="d-1").get()
        assert orjson.loads(row.facts)["objects"] == {"issue_id": "10001"}

    async def test_recovery_asks_no_confluence_site(self, caller):
        tenant = await caller.tenant(await caller.host.install("confluence"))
        caller.rest.requests.clear()
        with plugin_scope("addonkit"):
            await Recovery(caller.addon.deployment.registry, {BASE_URL}).recover(tenant, 0, RecoveryCounts())
        assert caller.rest.requests == []

    async def test_recovery_is_scheduled_for_each_tenant(self, recover, caller):
        caller.rest.resources.failed[recover.site.client_key] = [failure("d-9")]
        job = NewJob("addonkit", "recover_webhooks", JobKind.SCHEDULE, tenant_id=recover.tenant.id)
        await JobQueue().put(job)
        await caller.host.settled()
        assert seen == [("10001", {})]
        specs = {spec.name: spec for spec in runtime_jobs(caller.addon.deployment, None)}
        assert specs["recover_webhooks"].schedule.rule == "6h"
        assert specs["recover_webhooks"].schedule.each_tenant

    async def test_recovery_that_fails_leaves_no_dead_job(self, recover, caller):
        caller.rest.sites.remove(recover.site)
        job = NewJob("addonkit", "recover_webhooks", JobKind.SCHEDULE, tenant_id=recover.tenant.id)
        number = await JobQueue().put(job)
        await caller.host.settled()
        assert (await JobRow.get(id=number)).state == "done"
        with plugin_scope("addonkit"), pytest.raises(HostError):
            await Recovery(caller.addon.deployment.registry, {BASE_URL}).recover(recover.tenant, 0, RecoveryCounts())
