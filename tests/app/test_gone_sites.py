"""Sites that have disappeared without an uninstall: found by daily calls, marked as gone, and restored."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest
import structlog
from addonkit.app import gone_sites
from addonkit.app.maintenance import runtime_jobs
from addonkit.context import TenantState
from addonkit.errors import StorageUnavailable
from addonkit.jobs.models import JobRow, ScheduleRow
from addonkit.tenancy import presence
from addonkit.tenancy.history import history_of
from addonkit.tenancy.models import PresenceRow, TenantRow
from addonkit.tenancy.record import IdentityKind
from addonkit.testing.exchange import Reply

from tests.support.calling_plugin import calling_addon
from tests.support.served import until

DAY_S = 86400
RUNS_A_DAY = 4
PATH = "/rest/atlassian-connect/1/addons/com.example.test"


class Days:
    """An add-on with sites that are asked daily, and a clock.

    Attributes:
        caller: The add-on, its host and the REST API.
        now: The time of the database's clock.
        answers: The status of the REST API by client key; 200 for others.
    """

    def __init__(self, caller) -> None:
        self.caller, self.answers = caller, {}
        self.now = time.time() // DAY_S * DAY_S + 60.0
        caller.rest.answer("GET", PATH, by=self._answer)

    def _answer(self, sent):
        return Reply({"state": "ENABLED"}, self.answers.get(sent.site.client_key, 200))

    async def clock(self) -> float:
        return self.now

    async def install(self, number, product="jira"):
        """Install the add-on on more sites."""
        suffix = "/wiki" if product == "confluence" else ""
        return [await self.caller.host.install(product, self.caller.rest.url + suffix) for _ in range(number)]

    async def pass_days(self, number=1):
        """Let days pass, with four runs each."""
        for _ in range(number * RUNS_A_DAY):
            self.now += DAY_S / RUNS_A_DAY
            await self.run()

    async def run(self):
        with self.caller.addon.scope():
            await self.caller.addon.gone_sites.run()

    async def state(self, site):
        with self.caller.addon.scope():
            row = await TenantRow.get(client_key=site.client_key)
        return row.tenant_state

    async def tenant_id(self, site):
        with self.caller.addon.scope():
            return (await TenantRow.get(client_key=site.client_key)).id

    async def jobs(self, site):
        """Names of the lifecycle jobs of a site, oldest first."""
        with self.caller.addon.scope():
            rows = JobRow.filter(tenant_id=await self.tenant_id(site), kind="lifecycle").order_by("id")
            return [row.name for row in await rows]


@pytest.fixture
async def days(tmp_path, monkeypatch):
    monkeypatch.setattr(gone_sites, "MAX_PAUSE_S", 0)
    async with calling_addon(tmp_path, tenants={"gone_days": 3}, jobs={"in_server": False}) as caller:
        days = Days(caller)
        monkeypatch.setattr(presence, "database_time", days.clock)
        await days.run()
        yield days


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@pytest.mark.parametrize("product", ["jira", "confluence"])
async def test_site_is_gone_after_it_refused_the_add_on_for_days(days, product, status):
    [site] = await days.install(1, product)
    days.answers[site.client_key] = status
    await days.run()
    await days.pass_days(2)
    assert await days.state(site) is TenantState.ENABLED
    await days.pass_days(2)
    assert await days.state(site) is TenantState.GONE
    with days.caller.addon.scope():
        *_, entry = await history_of(await days.tenant_id(site))
    assert entry.what == "gone"
    assert f"the site answered {status} at " in entry.detail
    assert entry.detail.endswith("on 3 days")


@pytest.mark.parametrize(("product", "prefix"), [("jira", ""), ("confluence", "/wiki")])
async def test_daily_call_asks_for_the_add_on_itself(days, product, prefix):
    [site] = await days.install(1, product)
    await days.run()
    await days.pass_days()
    [sent] = [one for one in days.caller.rest.requests if one.site.client_key == site.client_key]
    assert (sent.method, sent.path, urlsplit(site.base_url).path) == ("GET", PATH, prefix)
    assert sent.account_id is None


async def test_daily_call_is_made_once_a_day(days):
    [site] = await days.install(1)
    await days.run()
    await days.pass_days(5)
    assert 4 <= len([one for one in days.caller.rest.requests if one.site.client_key == site.client_key]) <= 5


@pytest.mark.parametrize("status", [200, 204, 500, 502, 503, 429, 302, 400])
async def test_other_answers_mark_no_site_as_gone(days, status):
    [site] = await days.install(1)
    days.answers[site.client_key] = status
    await days.run()
    await days.pass_days(6)
    assert await days.state(site) is TenantState.ENABLED


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:1", "http://[::1", "nowhere", "http://127.0.0.1:1/a b", ""],
    ids=["no-server", "no-url", "no-scheme", "space", "empty"],
)
async def test_site_that_cannot_be_asked_does_not_keep_the_others_from_being_asked(days, base_url):
    first, second = await days.install(2)
    with days.caller.addon.scope():
        await TenantRow.filter(client_key=first.client_key).update(base_url=base_url)
    days.caller.addon.directory.clear()
    days.answers[second.client_key] = 404
    await days.run()
    await days.pass_days(4)
    assert await days.state(second) is TenantState.GONE
    assert await days.state(first) is TenantState.ENABLED
    with days.caller.addon.scope():
        assert (await PresenceRow.get(tenant_id=await days.tenant_id(first))).answer == "no answer"


@pytest.mark.parametrize("name", ["find", "record_answer"])
async def test_outage_of_the_database_ends_a_run_with_one_error_and_the_next_run_continues(days, monkeypatch, name):
    sites = await days.install(2)
    await days.run()
    days.now += DAY_S

    async def fail(*_, **__):
        raise StorageUnavailable("the database did not answer")

    with monkeypatch.context() as patch:
        if name == "find":
            patch.setattr(days.caller.addon.gone_sites._store, "find", fail)
        else:
            patch.setattr(gone_sites, "record_answer", fail)
        with pytest.raises(StorageUnavailable, match="did not answer"):
            await days.run()
    await days.run()
    asked = {one.site.client_key for one in days.caller.rest.requests}
    assert {site.client_key for site in sites} <= asked


async def test_site_that_cannot_be_reached_is_not_gone(days):
    site = await days.caller.host.install("jira", "http://127.0.0.1:1")
    await days.run()
    await days.pass_days(6)
    assert await days.state(site) is TenantState.ENABLED
    with days.caller.addon.scope():
        assert (await PresenceRow.get(tenant_id=await days.tenant_id(site))).answer == "no answer"


async def test_gone_site_gets_the_hooks_of_an_uninstall_and_is_due_after_the_retention(days):
    [site] = await days.install(1)
    days.answers[site.client_key] = 404
    days.caller.addon.gone_sites._uninstalled = ("caller",)
    await days.run()
    await days.pass_days(4)
    assert await days.jobs(site) == ["addon_uninstalled"]
    with days.caller.addon.scope():
        row = await TenantRow.get(client_key=site.client_key)
    assert (row.state, row.uninstalled_at) == ("uninstalled", row.gone_at)
    assert row.uninstalled_at is not None


async def test_gone_site_is_restored_with_the_hooks_of_an_install_when_it_knows_the_add_on_again(days):
    [site] = await days.install(1)
    days.answers[site.client_key] = 404
    days.caller.addon.gone_sites._listeners = {"installed": ("caller",), "enabled": ("caller",)}
    await days.run()
    await days.pass_days(5)
    assert await days.state(site) is TenantState.GONE
    del days.answers[site.client_key]
    await days.pass_days(1)
    assert await days.state(site) is TenantState.ENABLED
    assert await days.jobs(site) == ["addon_installed", "addon_enabled"]
    with days.caller.addon.scope():
        row = await TenantRow.get(client_key=site.client_key)
        entries = [entry.what for entry in await history_of(row.id)]
        evidence = await PresenceRow.get(tenant_id=row.id)
    assert (row.uninstalled_at, row.gone_at) == (None, None)
    assert entries[-3:] == ["gone", "reinstalled", "enabled"]
    assert not evidence.is_failing


async def test_gone_site_is_restored_by_an_install(days):
    [site] = await days.install(1)
    days.answers[site.client_key] = 404
    await days.run()
    await days.pass_days(4)
    number = await days.tenant_id(site)
    await days.caller.host.reinstall(site)
    assert (await days.state(site), await days.tenant_id(site)) == (TenantState.INSTALLED, number)
    with days.caller.addon.scope():
        reinstalled = [entry.detail for entry in await history_of(number) if entry.what == "reinstalled"]
        assert not (await PresenceRow.get(tenant_id=number)).is_failing
    assert "was gone" in reinstalled[-1]


async def test_gone_site_that_is_uninstalled_is_uninstalled(days):
    [site] = await days.install(1)
    days.answers[site.client_key] = 404
    await days.run()
    await days.pass_days(4)
    await days.caller.host.uninstall(site)
    assert await days.state(site) is TenantState.UNINSTALLED


async def test_day_on_which_too_many_sites_fail_marks_none_and_is_logged_as_an_error_once(days):
    sites = await days.install(12)
    with structlog.testing.capture_logs() as logs:
        days.answers = {site.client_key: 403 for site in sites[:4]}
        await days.run()
        await days.pass_days(3)
        await days.run()
    suspended = [entry for entry in logs if entry["event"] == "tenants.gone_suspended"]
    assert {entry["log_level"] for entry in suspended} == {"error"}
    assert [(entry["failing"], entry["active"]) for entry in suspended] == [(4, 13)] * len(suspended)
    assert len(suspended) == len({entry["day"] for entry in suspended}) >= 2
    await days.pass_days(3)
    assert {await days.state(site) for site in sites} == {TenantState.ENABLED}


async def test_site_is_not_marked_while_too_many_sites_fail_on_the_present_day(days):
    sites = await days.install(12)
    await days.run()
    today = int(days.now) // DAY_S
    with days.caller.addon.scope():
        rows = [await PresenceRow.get(tenant_id=await days.tenant_id(site)) for site in sites[:4]]
        for row in rows:
            row.is_failing, row.failed_on, row.failed_since, row.failed_at = True, today, 1.0, 1.0
            await row.save()
        await PresenceRow.filter(id=rows[0].id).update(failed_days=3, failed_on=None)
        await PresenceRow.all().update(next_at=days.now + DAY_S)
    await days.run()
    assert await days.state(sites[0]) is TenantState.ENABLED
    with days.caller.addon.scope():
        await PresenceRow.filter(id__in=[row.id for row in rows[1:]]).update(failed_on=None)
    await days.run()
    assert await days.state(sites[0]) is TenantState.GONE


async def test_suspension_does_not_hide_a_gone_site_when_the_other_sites_answer_again(days):
    sites = await days.install(12)
    days.answers = {site.client_key: 404 for site in sites}
    await days.run()
    await days.pass_days(2)
    days.answers = {sites[0].client_key: 404}
    await days.pass_days(5)
    assert await days.state(sites[0]) is TenantState.GONE
    assert {await days.state(site) for site in sites[1:]} == {TenantState.ENABLED}


async def test_lifecycle_request_of_a_failing_site_clears_the_evidence(days):
    [site] = await days.install(1)
    days.answers[site.client_key] = 404
    await days.run()
    await days.pass_days(2)
    await days.caller.host.enable(site)
    await days.pass_days(2)
    assert await days.state(site) is TenantState.ENABLED


@pytest.mark.parametrize("event", ["enabled", "disabled"])
async def test_lifecycle_request_of_a_gone_site_lets_it_be_asked_soon(days, event):
    [site] = await days.install(1)
    days.answers[site.client_key] = 404
    await days.run()
    await days.pass_days(4)
    with days.caller.addon.scope():
        await PresenceRow.all().update(asked_at=1.0, next_at=time.time() + 9999)
    await (days.caller.host.enable if event == "enabled" else days.caller.host.disable)(site)
    assert await days.state(site) is TenantState.GONE
    with days.caller.addon.scope():
        assert (await PresenceRow.get(tenant_id=await days.tenant_id(site))).next_at <= time.time() + 1


async def test_answer_of_a_site_changes_its_cached_record(days):
    [site] = await days.install(1)
    directory = days.caller.addon.directory
    assert not (await directory.get(IdentityKind.CLIENT_KEY, site.client_key)).is_failing
    days.answers[site.client_key] = 404
    await days.run()
    await days.pass_days(1)
    with days.caller.addon.scope():
        assert (await directory.get(IdentityKind.CLIENT_KEY, site.client_key)).is_failing


@pytest.mark.parametrize(("gone_days", "names"), [(0, []), (14, ["ask_sites"])])
async def test_sites_are_asked_by_one_scheduled_job_if_gone_days_is_set(tmp_path, gone_days, names):
    async with calling_addon(tmp_path, tenants={"gone_days": gone_days}) as caller:
        addon = caller.addon
        ask = addon.gone_sites.run if gone_days else None
        every = list(runtime_jobs(addon.deployment, None, ask))
        specs = [spec for spec in every if spec.name == "ask_sites"]
        assert [spec.name for spec in specs] == names
        assert not any(spec.schedule.each_tenant for spec in specs)

        async def all_rules():
            """The stored rules, once the job worker has registered all schedules."""
            with addon.scope():
                rules = {row.name: row.rule for row in await ScheduleRow.filter(plugin="addonkit")}
            return rules if rules.keys() >= {spec.name for spec in every} else None

        assert (await until(all_rules)).get("ask_sites") == ("300s" if names else None)
