"""Webhooks that were refused for a fault of ours: counted, and plugins are notified once for each site and outage."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from addonkit.app.addon import Addon
from addonkit.edge import refused_webhooks
from addonkit.errors import PayloadOverdue, QueueFull, StorageUnavailable, VaultLocked
from addonkit.jobs import missed
from addonkit.protocol.canonical import CONTEXT_QSH
from addonkit.tenancy.models import TenantRow
from addonkit.testing import Host

from tests.support.job_plugin import BASE_URL, HOOK, deliver, jobs, seen, until_settled, working_addon
from tests.support.scraped_metrics import TOKEN, growth
from tests.support.wire import Wire

METRIC = "addonkit_webhooks_refused_total"
OURS = {
    "storage": StorageUnavailable("the database did not answer"),
    "queue": QueueFull("too many wait"),
    "keys": VaultLocked("a key is missing"),
    "slow": PayloadOverdue("the body did not arrive"),
    "fault": RuntimeError("something else"),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(refused_webhooks, "RECORD_S", 0.01)
    monkeypatch.setattr(missed, "QUIET_S", 0.05)


@pytest.fixture
async def wire(tmp_path):
    async with working_addon(tmp_path, operations={"metrics_token": TOKEN}) as running:
        await until_settled(running)
        await running.host.install("confluence")
        await until_settled(running)
        seen.clear()
        yield running


@pytest.fixture
def site(wire):
    """The Confluence site."""
    return wire.host.sites[1]


@pytest.fixture
def storage(wire, monkeypatch):
    """Lets the storing of webhooks fail, and with ``all`` the database."""
    real = {name: getattr(wire.addon.edge.webhooks.writer, name) for name in ("store", "reserve")}
    read = wire.addon.store.find
    record = refused_webhooks.record_missed

    class Storage:
        def fail(self, problem, everything=False):
            async def fails(*_, **__):
                raise problem

            monkeypatch.setattr(wire.addon.edge.webhooks.writer, "store", fails)
            if everything:
                monkeypatch.setattr(wire.addon.store, "find", fails)
                monkeypatch.setattr(refused_webhooks, "record_missed", fails)
                wire.addon.directory.clear()

        def answer(self):
            monkeypatch.setattr(wire.addon.edge.webhooks.writer, "store", real["store"])
            monkeypatch.setattr(wire.addon.store, "find", read)
            monkeypatch.setattr(refused_webhooks, "record_missed", record)

    return Storage()


async def refused(wire, site, number=1, **changes):
    """Deliver webhooks of a site, and return the statuses of the responses."""
    return [(await deliver_from(wire, site, **changes)).status for _ in range(number)]


async def deliver_from(wire, site, **changes):
    headers = [("authorization", f"JWT {wire.token('POST', HOOK, site, **changes)}")]
    return await wire.ask("POST", HOOK, headers, b"{}")


async def tenant_of(site):
    return (await TenantRow.get(client_key=site.client_key)).as_tenant()


def calls():
    """The calls of the hook: the sites and the times."""
    return [(one[1], one[2]) for one in seen if one[0] == "missed"]


async def until(condition):
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.01)


async def until_missed(number=1):
    """Wait until the hook was called so many times and no further call waits, and give the calls."""

    async def all_called():
        return len(calls()) >= number and not await jobs(name="addon_missed", state__not="done")

    await until(all_called)
    return calls()


async def known(wire, *sites):
    """Let this process read the sites, as their first webhooks do."""
    for one in sites:
        assert (await deliver_from(wire, one)).status == 204
    await until_settled(wire)
    seen.clear()


@pytest.mark.parametrize("fault", OURS)
async def test_refusal_of_confluence_calls_the_hook_once_after_the_outage(wire, site, storage, fault):
    storage.fail(OURS[fault])
    before = time.time()
    statuses = await refused(wire, site, 3)
    after = time.time()
    assert statuses == [{"slow": 408, "fault": 500}.get(fault, 503)] * 3
    storage.answer()
    [(tenant_id, since)] = await until_missed()
    assert tenant_id == (await tenant_of(site)).id
    assert before - 0.01 <= since <= after


async def test_refusal_of_each_site_calls_the_hook_for_it(wire, site, storage):
    other = await wire.host.install("confluence")
    await until_settled(wire)
    storage.fail(OURS["queue"])
    await refused(wire, site, 2)
    await refused(wire, other, 2)
    storage.answer()
    found = await until_missed(2)
    assert {tenant_id for tenant_id, _ in found} == {(await tenant_of(one)).id for one in (site, other)}
    assert len(found) == 2


@pytest.mark.parametrize(("number", "product"), [(0, "jira"), (1, "confluence")])
async def test_refusal_is_counted_by_product(wire, storage, number, product):
    storage.fail(OURS["queue"])
    assert await growth(wire, refused(wire, wire.host.sites[number], 2), METRIC, product=product) == 2


async def test_refusal_of_jira_calls_no_hook(wire, site, storage):
    storage.fail(OURS["queue"])
    await refused(wire, wire.host.sites[0], 2)
    await refused(wire, site)
    storage.answer()
    [(tenant_id, _)] = await until_missed()
    assert tenant_id == (await tenant_of(site)).id


@pytest.mark.parametrize(
    "changes",
    [{"qsh": CONTEXT_QSH}, {"qsh": "0" * 64}, {"exp": 1}, {"aud": "another"}, {"iss": "nobody"}],
    ids=["context", "request", "expired", "audience", "site"],
)
async def test_webhook_that_its_sender_got_wrong_is_not_counted(wire, site, changes):
    assert await growth(wire, refused(wire, site, 2, **changes), METRIC) == 0
    assert await jobs(name="addon_missed") == []


async def test_webhook_that_is_stored_is_not_counted(wire, site):
    assert await growth(wire, refused(wire, site, 2), METRIC) == 0
    assert await jobs(name="addon_missed") == []


async def test_refusal_is_logged_with_its_site_and_event(wire, site, storage, capsys):
    storage.fail(OURS["queue"])
    await refused(wire, site)
    [line] = [line for line in capsys.readouterr().out.splitlines() if "request.refused" in line]
    assert "event_name=jira:issue_deleted" in line
    assert f"tenant={site.client_key}" in line


async def test_refusal_without_any_database_is_kept_until_it_answers(wire, site, storage):
    await known(wire, site)
    storage.fail(OURS["storage"], everything=True)
    assert await growth(wire, refused(wire, site, 2), METRIC, product="confluence") == 2
    await asyncio.sleep(0.1)
    assert not calls()
    storage.answer()
    assert len(await until_missed()) == 1


async def test_refusal_of_a_site_that_was_never_read_is_verified_later(wire, site, storage):
    storage.fail(OURS["storage"], everything=True)
    assert await growth(wire, refused(wire, site, 2), METRIC, product="unknown") == 2
    held = wire.addon._refused
    # An hour later the token is expired, but it was not when the webhook was refused.
    held.authenticator = replace(held.authenticator, now=lambda: time.time() + 3600)
    storage.answer()
    [(tenant_id, _)] = await until_missed()
    assert tenant_id == (await tenant_of(site)).id


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "never read"])
@pytest.mark.parametrize("forgery", ["secret", "request", "expired", "site"])
async def test_refusal_of_a_forged_webhook_calls_no_hook(wire, site, storage, is_known, forgery):
    genuine = await wire.host.install("confluence")
    await known(wire, site, genuine)
    if not is_known:
        wire.addon.directory._last_known.clear()
    storage.fail(OURS["storage"], everything=True)
    changes = {"request": {"qsh": "0" * 64}, "expired": {"exp": 1, "iat": 0}, "site": {"iss": "nobody"}}
    secret = site.shared_secret
    if forgery == "secret":
        site.shared_secret = "x" * 64
    await refused(wire, site, **changes.get(forgery, {}))
    site.shared_secret = secret
    await refused(wire, genuine)
    storage.answer()
    [(tenant_id, _)] = await until_missed()
    assert tenant_id == (await tenant_of(genuine)).id


async def test_sites_that_cannot_be_verified_are_limited(wire, storage, monkeypatch, capsys):
    monkeypatch.setattr(refused_webhooks, "MAX_UNVERIFIED", 2)
    storage.fail(OURS["storage"], everything=True)
    for number in range(5):
        await refused(wire, wire.host.sites[1], iss=f"stranger-{number}")
    assert len(wire.addon._refused._unverified) == 2
    assert capsys.readouterr().out.count("webhooks.missed_unrecorded") == 1


async def test_hook_waits_while_its_site_is_disabled(wire, site, storage):
    storage.fail(OURS["queue"])
    await refused(wire, site)
    storage.answer()
    await wire.host.disable(site)
    await until(lambda: jobs(name="addon_missed", state="held"))
    assert not calls()
    await wire.host.enable(site)
    assert len(await until_missed()) == 1


async def test_hook_is_not_called_for_a_site_that_uninstalled(wire, site, storage):
    other = await wire.host.install("confluence")
    await until_settled(wire)
    storage.fail(OURS["storage"], everything=True)
    await refused(wire, site)
    await refused(wire, other)
    await TenantRow.filter(client_key=site.client_key).update(state="uninstalled")
    storage.answer()
    [(tenant_id, _)] = await until_missed()
    assert tenant_id == (await tenant_of(other)).id


# ---- restarts ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def restarted(wire):
    """The same deployment, started again."""
    addon = Addon(wire.addon.deployment)
    async with Host(addon, wire.host.keys, BASE_URL) as host:
        host.sites += wire.host.sites
        yield Wire(addon, host)


def files(wire):
    return sorted(wire.addon.deployment.data_directory.glob("addonkit-missed-*"))


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_refusal_is_notified_after_a_restart(wire, site, storage, end):
    await known(wire, site)
    storage.fail(OURS["storage"], everything=True)
    await refused(wire, site, 2)
    [file] = files(wire)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "." in file.read_text()
    assert file.read_text().split(" ")[0] == str((await tenant_of(site)).id)
    if end == "killed":
        # The kernel releases the lock of a process that has ended; nothing else happens.
        wire.addon._refused.file.close()
    else:
        await wire.addon._refused.close()
    wire.addon._refused._sites.clear()
    storage.answer()
    async with restarted(wire) as again:
        assert len(await until_missed()) == 1
        assert files(again) == []


async def test_refusal_that_was_notified_is_not_notified_again_after_a_restart(wire, site, storage):
    storage.fail(OURS["queue"])
    await refused(wire, site)
    storage.answer()
    await until_missed()
    assert files(wire) == []
    async with restarted(wire) as again:
        await until_settled(again)
        assert len(await jobs(name="addon_missed")) == 1
        assert len(calls()) == 1


async def test_file_of_a_process_that_runs_is_not_adopted(wire, site, storage):
    await known(wire, site)
    storage.fail(OURS["storage"], everything=True)
    await refused(wire, site)
    assert wire.addon._refused.file.adopt() == {}
    assert len(files(wire)) == 1


async def test_stop_records_what_the_database_takes(wire, site, storage, monkeypatch):
    monkeypatch.setattr(refused_webhooks, "RECORD_S", 1000.0)
    storage.fail(OURS["queue"])
    await refused(wire, site)
    storage.answer()
    with wire.addon.scope():
        await wire.addon._refused.close()
    assert len(await until_missed()) == 1
    assert files(wire) == []


async def test_folder_that_cannot_be_written_is_logged_once(wire, site, storage, monkeypatch, capsys):
    monkeypatch.setattr(wire.addon._refused.file, "_path", wire.addon.deployment.data_directory / "gone" / "x")
    other = await wire.host.install("confluence")
    await known(wire, site, other)
    storage.fail(OURS["storage"], everything=True)
    await refused(wire, site)
    await refused(wire, other)
    assert capsys.readouterr().out.count("webhooks.missed_file_failed") == 1
    storage.answer()
    assert len(await until_missed(2)) == 2


async def test_deliver_without_a_fault_writes_no_file(wire):
    assert (await deliver(wire)).status == 204
    assert files(wire) == []
