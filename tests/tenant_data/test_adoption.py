"""Adoption: the data of one tenant is given to another client key of the same site."""

import asyncio

import pytest
from addonkit.errors import AddonkitError
from addonkit.jobs.lifecycle import move_jobs
from addonkit.jobs.models import JobRow
from addonkit.tenancy.admin import set_note
from addonkit.tenancy.cloud_ids import link_cloud_id
from addonkit.tenancy.history import history_of, tenants_once_called
from addonkit.tenancy.identities import identities_of
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.record import IdentityKind
from addonkit.tenant_data import adoption as adoption_module
from addonkit.tenant_data.adoption import Difference, adopt, delete_late_rows, plan_adoption
from addonkit.tenant_data.purge import purge_tenant
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.tables import count_tenant_rows
from addonkit.testing.databases import run_sql

from tests.support.archive.models import Folder
from tests.support.tenant_rows import create_rows, unused_token

OLD, NEW = "site-old", "site-new"
OLD_SECRET, NEW_SECRET = "o" * 40, "n" * 40


@pytest.fixture
async def pair(sites):
    """The old tenant with rows, and the new tenant of the same site."""
    old = await sites.install(OLD, secret=OLD_SECRET)
    await create_rows(old)
    return old, await sites.install(NEW, secret=NEW_SECRET)


async def adopted(new, old, listeners=(), *, discard=False, despite=(), move_jobs=move_jobs):
    plan = await plan_adoption(new.id, old.id, [])
    return await adopt(plan, [], list(listeners), discard=discard, despite=frozenset(despite), move_jobs=move_jobs)


async def no_failure(_tenant):
    return None


async def current_tenants(sites):
    return [(await sites.store.find(IdentityKind.CLIENT_KEY, key)).tenant for key in (NEW, OLD)]


async def lifecycle_jobs():
    rows = await JobRow.all().order_by("id")
    return [(row.tenant_id, row.plugin, row.name.removeprefix("addon_"), '"first":true' in row.facts) for row in rows]


async def test_adoption_gives_the_data_to_the_new_client_key(sites, pair):
    old, new = pair
    site = await adopted(new, old)
    assert (site.id, site.client_key) == (old.id, NEW)
    with tenant_scope(site):
        assert await Folder.all().count() == 3


async def test_adoption_keeps_the_new_secret_only(sites, pair):
    await sites.install(NEW, secret="m" * 40)
    site = await adopted(*await current_tenants(sites))
    record = await sites.store.find(IdentityKind.CLIENT_KEY, NEW)
    assert record.tenant == site
    assert (record.secret, record.former_secret) == (b"m" * 40, NEW_SECRET.encode())


async def test_adoption_makes_the_old_client_key_unknown_at_once(sites, pair):
    old, new = pair
    await adopted(new, old)
    assert await sites.store.find(IdentityKind.CLIENT_KEY, OLD) is None
    assert await tenants_once_called(OLD) == [old.id]


async def test_adoption_deletes_the_new_row(sites, pair, tmp_path):
    old, new = pair
    await adopted(new, old)
    assert await sites.store.get(new.id) is None
    for table in ("addonkit_job", "archive_folder"):
        assert run_sql(tmp_path, f"SELECT count(*) FROM {table} WHERE tenant_id = ?", new.id) == [(0,)]
    assert [entry.detail for entry in await history_of(new.id)] == [f"given up for tenant {old.id}"]


async def test_adoption_deletes_late_rows_of_the_number_given_up(sites, pair):
    old, new = pair
    await adopted(new, old)
    await create_rows(new)
    kept = await count_tenant_rows(old, [])
    assert await delete_late_rows([]) == 0
    assert await delete_late_rows([], min_age_s=0) == 1
    assert set((await count_tenant_rows(new, [])).values()) == {0}
    assert await count_tenant_rows(old, []) == kept
    assert await delete_late_rows([], min_age_s=0) == 0


async def test_adoption_moves_the_identities_and_retires_those_it_replaces(sites):
    old = await sites.install(OLD, installation_id="ari:1")
    new = await sites.install(NEW, installation_id="ari:2")
    await adopted(new, old)
    found = {(one.tenant_id, one.value): one.retired_at is None for one in await identities_of()}
    assert found == {
        (old.id, OLD): False,
        (old.id, "jira:ari:1"): False,
        (old.id, NEW): True,
        (old.id, "jira:ari:2"): True,
    }
    tenant = await sites.install(NEW, installation_id="ari:2")
    assert (tenant.id, tenant.key) == (old.id, NEW)


async def test_adoption_does_not_block_a_later_install_with_the_retired_names(sites):
    old = await sites.install(OLD, installation_id="ari:1")
    await adopted(await sites.install(NEW, installation_id="ari:2"), old)
    again = await sites.install(OLD, installation_id="ari:1")
    assert again.id != old.id
    assert {one.value for one in await identities_of(again.id) if one.retired_at is None} == {OLD, "jira:ari:1"}


ONE, TWO = "11223344-a1b2-3b33-c444-def123456789", "00112233-a1b2-3b33-c444-def123456789"


@pytest.mark.parametrize(
    ("of_new", "of_old", "despite", "kept"),
    [
        (None, ONE, [], ONE),
        (ONE, None, [], ONE),
        (None, None, [], None),
        (TWO, ONE, [Difference.CLOUD_ID], TWO),
    ],
    ids=["of the old", "of the new", "none", "two"],
)
async def test_adoption_keeps_the_cloud_id_that_is_known(sites, pair, of_new, of_old, despite, kept):
    old, new = pair
    for tenant, cloud_id in ((new, of_new), (old, of_old)):
        if cloud_id is not None:
            await link_cloud_id(tenant.id, cloud_id, "by an operator")
    await adopted(new, old, despite=despite)
    assert (await TenantRow.get(id=old.id)).cloud_id == kept
    live = [one.value for one in await identities_of(old.id) if one.kind == "cloud" and one.retired_at is None]
    assert live == ([f"jira:{kept}"] if kept else [])


async def test_adoption_of_a_site_with_another_cloud_id_is_refused(sites, pair):
    old, new = pair
    await link_cloud_id(old.id, ONE, "by an operator")
    await link_cloud_id(new.id, TWO, "by an operator")
    with pytest.raises(AddonkitError, match=f"cloud id: .* has '{TWO}', .* has '{ONE}'; .* add --despite cloud-id"):
        await adopted(new, old)


async def test_adoption_merges_the_histories(sites, pair):
    old, new = pair
    await adopted(new, old)
    entries = await history_of(old.id)
    assert [(entry.what, entry.key) for entry in entries] == [
        ("installed", OLD),
        ("installed", NEW),
        ("adopted", NEW),
    ]
    assert entries[-1].detail == f"was '{OLD}' at '{old.base_url}', took over from tenant {new.id}"


async def test_adoption_takes_the_new_tenants_state(sites, pair):
    await sites.uninstall(OLD)
    await sites.store.set_enabled(NEW, True, unused_token(), [])
    site = await adopted(*await current_tenants(sites))
    row = await TenantRow.get(id=site.id)
    assert (site.state, row.uninstalled_at) == ("enabled", None)


async def test_adoption_keeps_both_notes(sites, pair):
    old, new = pair
    await set_note(old.id, "first")
    await set_note(new.id, "second")
    await adopted(new, old)
    assert (await TenantRow.get(id=old.id)).note == "first\nsecond"


async def test_adoption_enqueues_lifecycle_jobs_behind_pending_ones(sites, pair):
    old, _ = pair
    sites.listeners = ("archive", "asleep")
    await sites.store.set_enabled(NEW, True, unused_token(), sites.listeners)
    await sites.uninstall(OLD)
    await adopted(*await current_tenants(sites), ["archive"])
    assert {number for number, *_ in await lifecycle_jobs()} == {old.id}
    assert [(event, first) for _, plugin, event, first in await lifecycle_jobs() if plugin == "archive"] == [
        ("installed", True),
        ("uninstalled", False),
        ("installed", False),
        ("enabled", False),
    ]
    assert [event for _, plugin, event, _ in await lifecycle_jobs() if plugin == "asleep"] == ["uninstalled", "enabled"]


async def test_adoption_keeps_pending_events_of_a_disabled_plugin(sites, pair):
    old, new = pair
    await adopted(new, old, [])
    assert await lifecycle_jobs() == [(old.id, "archive", "installed", True), (old.id, "archive", "installed", False)]


async def test_adoption_is_refused_if_the_new_tenant_has_rows(sites, pair):
    old, new = pair
    await create_rows(new)
    with pytest.raises(AddonkitError, match=r"archive_folder: 3, .*add --discard"):
        await adopted(new, old)
    assert await sites.store.get(new.id) == new


async def test_adoption_discards_the_new_tenants_rows_on_request(sites, pair):
    old, new = pair
    await create_rows(new, papers=2)
    site = await adopted(new, old, discard=True)
    assert (await count_tenant_rows(site, []))["archive_paper"] == 1
    assert (await count_tenant_rows(new, []))["archive_paper"] == 0


async def test_adoption_is_refused_if_rows_were_stored_since_the_plan(sites, pair):
    old, new = pair
    plan = await plan_adoption(new.id, old.id, [])
    await create_rows(new)
    with pytest.raises(AddonkitError, match="has stored data since the plan"):
        await adopt(plan, [], [], discard=False, despite=frozenset(), move_jobs=move_jobs)
    assert (await count_tenant_rows(new, []))["archive_folder"] == 3


async def test_adoption_is_refused_if_a_tenant_changed_since_the_plan(sites, pair):
    old, new = pair
    plan = await plan_adoption(new.id, old.id, [])
    await sites.uninstall(OLD)
    with pytest.raises(AddonkitError, match="has changed since the plan"):
        await adopt(plan, [], [], discard=False, despite=frozenset(), move_jobs=move_jobs)


@pytest.mark.parametrize(
    ("difference", "site"),
    [
        (Difference.BASE_URL, {"base_url": "https://two.atlassian.net"}),
        (Difference.PRODUCT, {"product": "confluence"}),
    ],
)
async def test_adoption_of_different_sites_needs_despite(sites, pair, difference, site):
    old, _ = pair
    other = await sites.install("site-other", **site)
    with pytest.raises(AddonkitError, match=rf"another's data; .* add --despite {difference}"):
        await adopted(other, old)
    assert (await adopted(other, old, despite=[difference])).id == old.id


async def test_adoption_despite_accepts_the_named_difference_only(sites, pair):
    old, _ = pair
    other = await sites.install("site-other", base_url="https://two.atlassian.net", product="confluence")
    with pytest.raises(AddonkitError, match="--despite product"):
        await adopted(other, old, despite=[Difference.BASE_URL])


async def test_adoption_of_the_same_tenant_is_refused(sites, pair):
    with pytest.raises(AddonkitError, match="use two tenants"):
        await plan_adoption(pair[0].id, pair[0].id, [])


async def test_adoption_by_an_uninstalled_tenant_is_refused(sites, pair):
    old, new = pair
    await sites.uninstall(NEW)
    with pytest.raises(AddonkitError, match="install the add-on on the site first"):
        await plan_adoption(new.id, old.id, [])


async def test_adoption_of_an_unknown_number_is_refused(sites, pair):
    with pytest.raises(AddonkitError, match="there is no tenant 99"):
        await plan_adoption(pair[1].id, 99, [])


async def test_adoption_plan_changes_nothing(sites, pair, tmp_path):
    old, new = pair
    before = run_sql(tmp_path, "SELECT * FROM addonkit_tenant ORDER BY id")
    await plan_adoption(new.id, old.id, [])
    assert run_sql(tmp_path, "SELECT * FROM addonkit_tenant ORDER BY id") == before


async def test_adoption_that_fails_is_rolled_back(sites, pair):
    async def fail(*_):
        raise AddonkitError("gone")

    old, new = pair
    await create_rows(new)
    with pytest.raises(AddonkitError, match="gone"):
        await adopted(new, old, discard=True, move_jobs=fail)
    assert await sites.store.get(old.id) == old
    assert await sites.store.get(new.id) == new
    assert (await count_tenant_rows(new, []))["archive_folder"] == 3


async def test_adoption_by_two_operators_happens_once(sites, pair):
    old, new = pair
    plan = await plan_adoption(new.id, old.id, [])
    calls = [adopt(plan, [], [], discard=False, despite=frozenset(), move_jobs=move_jobs) for _ in range(2)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(isinstance(result, AddonkitError) for result in results) == [False, True]


async def test_adoption_notifies_processes_of_both_client_keys(sites, pair, monkeypatch):
    announced = []

    async def hear(client_key):
        announced.append(client_key)

    monkeypatch.setattr(adoption_module, "notify_change", hear)
    await adopted(pair[1], pair[0])
    assert announced == [OLD, NEW]


async def test_adoption_leaves_no_site_details_with_the_number_given_up(sites, pair, tmp_path):
    old, new = pair
    await adopted(new, old)
    kept = run_sql(tmp_path, "SELECT client_key, base_url FROM addonkit_tenant_history WHERE tenant_id = ?", new.id)
    assert [tuple(row) for row in kept] == [("", "")]


async def test_adoption_leaves_no_site_details_after_a_purge(sites, pair, tmp_path):
    old, new = pair
    await adopted(new, old)
    await sites.uninstall(NEW)
    await purge_tenant(old.id, [], no_failure)
    kept = run_sql(tmp_path, "SELECT tenant_id, client_key, base_url, detail FROM addonkit_tenant_history")
    assert [tuple(row) for row in kept] == [(new.id, "", "", f"given up for tenant {old.id}")]
