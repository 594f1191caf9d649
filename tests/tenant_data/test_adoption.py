"""One site under two client keys, after an import: an operator gives the data of the one to the other."""

import asyncio

import pytest
from addonkit.database.location import Location
from addonkit.errors import AddonkitError
from addonkit.jobs.lifecycle import move_jobs
from addonkit.jobs.models import JobRow
from addonkit.tenancy.admin import set_note
from addonkit.tenancy.history import history_of, tenants_once_called
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data import adoption as adoption_module
from addonkit.tenant_data.adoption import Difference, adopt, delete_late_rows, plan_adoption
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.purge import purge_tenant
from addonkit.tenant_data.scope import tenant_scope
from addonkit.tenant_data.tables import count_tenant_rows
from addonkit.testing.databases import ask, give_tables, named_settings

from tests.support.archive import APPS
from tests.support.archive.models import Folder
from tests.support.tenant_rows import Residents, fill, use

OLD, NEW = "site-old", "site-new"
OLD_SECRET, NEW_SECRET = "o" * 40, "n" * 40


@pytest.fixture
async def sites(tmp_path):
    location = Location(**named_settings(tmp_path))
    await give_tables(location, APPS)
    async with tenant_database(location, APPS):
        yield Residents("archive")


@pytest.fixture
async def pair(sites):
    """The site as it was, with rows, and as it installed anew."""
    old = await sites.install(OLD, secret=OLD_SECRET)
    await fill(old)
    return old, await sites.install(NEW, secret=NEW_SECRET)


async def adopted(new, old, listeners=(), *, discard=False, despite=(), move_jobs=move_jobs):
    plan = await plan_adoption(new.id, old.id, [])
    return await adopt(plan, [], list(listeners), discard=discard, despite=frozenset(despite), move_jobs=move_jobs)


async def agree(_tenant):
    return None


async def as_they_are(sites):
    return [(await sites.store.find(key)).tenant for key in (NEW, OLD)]


async def told():
    rows = await JobRow.all().order_by("id")
    return [(row.tenant_id, row.plugin, row.name.removeprefix("addon_"), '"first":true' in row.facts) for row in rows]


async def test_the_data_goes_over_to_the_new_client_key(sites, pair):
    old, new = pair
    site = await adopted(new, old)
    assert (site.id, site.client_key) == (old.id, NEW)
    with tenant_scope(site):
        assert await Folder.all().count() == 3


async def test_the_new_secret_opens_and_the_old_one_is_gone(sites, pair):
    await sites.install(NEW, secret="m" * 40)
    site = await adopted(*await as_they_are(sites))
    record = await sites.store.find(NEW)
    assert record.tenant == site
    assert (record.secret, record.former_secret) == (b"m" * 40, NEW_SECRET.encode())


async def test_the_old_client_key_is_unknown_at_once(sites, pair):
    old, new = pair
    await adopted(new, old)
    assert await sites.store.find(OLD) is None
    assert await tenants_once_called(OLD) == [old.id]


async def test_the_new_row_goes(sites, pair, tmp_path):
    old, new = pair
    await adopted(new, old)
    assert await sites.store.get(new.id) is None
    for table in ("addonkit_job", "archive_folder"):
        assert ask(tmp_path, f"SELECT count(*) FROM {table} WHERE tenant_id = ?", new.id) == [(0,)]
    assert [entry.detail for entry in await history_of(new.id)] == [f"given up for tenant {old.id}"]


async def test_what_is_still_written_for_the_number_given_up_is_swept(sites, pair):
    old, new = pair
    await adopted(new, old)
    await fill(new)
    kept = await count_tenant_rows(old, [])
    assert await delete_late_rows([]) == 0
    assert await delete_late_rows([], min_age_s=0) == 1
    assert set((await count_tenant_rows(new, [])).values()) == {0}
    assert await count_tenant_rows(old, []) == kept
    assert await delete_late_rows([], min_age_s=0) == 0


async def test_the_history_of_both_is_one_and_tells_of_it(sites, pair):
    old, new = pair
    await adopted(new, old)
    entries = await history_of(old.id)
    assert [(entry.what, entry.client_key) for entry in entries] == [
        ("installed", OLD),
        ("installed", NEW),
        ("adopted", NEW),
    ]
    assert entries[-1].detail == f"was '{OLD}' at '{old.base_url}', took over from tenant {new.id}"


async def test_it_stands_as_the_new_one_stood(sites, pair):
    await sites.leave(OLD)
    await sites.store.set_enabled(NEW, True, use(), [])
    site = await adopted(*await as_they_are(sites))
    row = await TenantRow.get(id=site.id)
    assert (site.state, row.uninstalled_at) == ("enabled", None)


async def test_notes_of_both_are_kept(sites, pair):
    old, new = pair
    await set_note(old.id, "first")
    await set_note(new.id, "second")
    await adopted(new, old)
    assert (await TenantRow.get(id=old.id)).note == "first\nsecond"


async def test_plugins_are_told_of_the_site_behind_what_they_were_to_be_told(sites, pair):
    old, _ = pair
    sites.listeners = ("archive", "asleep")
    await sites.store.set_enabled(NEW, True, use(), sites.listeners)
    await sites.leave(OLD)
    await adopted(*await as_they_are(sites), ["archive"])
    assert {number for number, *_ in await told()} == {old.id}
    assert [(event, first) for _, plugin, event, first in await told() if plugin == "archive"] == [
        ("installed", True),
        ("uninstalled", False),
        ("installed", False),
        ("enabled", False),
    ]
    assert [event for _, plugin, event, _ in await told() if plugin == "asleep"] == ["uninstalled", "enabled"]


async def test_a_plugin_that_is_off_hears_later_what_it_was_to_hear(sites, pair):
    old, new = pair
    await adopted(new, old, [])
    assert await told() == [(old.id, "archive", "installed", True), (old.id, "archive", "installed", False)]


async def test_data_of_the_new_site_is_refused_with_counts(sites, pair):
    old, new = pair
    await fill(new)
    with pytest.raises(AddonkitError, match=r"archive_folder: 3, .*add --discard"):
        await adopted(new, old)
    assert await sites.store.get(new.id) == new


async def test_data_of_the_new_site_is_discarded_on_demand(sites, pair):
    old, new = pair
    await fill(new, papers=2)
    site = await adopted(new, old, discard=True)
    assert (await count_tenant_rows(site, []))["archive_paper"] == 1
    assert (await count_tenant_rows(new, []))["archive_paper"] == 0


async def test_data_that_came_since_it_was_looked_at_stops_it(sites, pair):
    old, new = pair
    plan = await plan_adoption(new.id, old.id, [])
    await fill(new)
    with pytest.raises(AddonkitError, match="has stored data since the plan"):
        await adopt(plan, [], [], discard=False, despite=frozenset(), move_jobs=move_jobs)
    assert (await count_tenant_rows(new, []))["archive_folder"] == 3


async def test_a_site_that_changed_since_it_was_looked_at_stops_it(sites, pair):
    old, new = pair
    plan = await plan_adoption(new.id, old.id, [])
    await sites.leave(OLD)
    with pytest.raises(AddonkitError, match="has changed since the plan"):
        await adopt(plan, [], [], discard=False, despite=frozenset(), move_jobs=move_jobs)


@pytest.mark.parametrize(
    ("difference", "site"),
    [
        (Difference.BASE_URL, {"base_url": "https://two.atlassian.net"}),
        (Difference.PRODUCT, {"product": "confluence"}),
    ],
)
async def test_two_sites_that_differ_are_refused_unless_an_operator_knows_better(sites, pair, difference, site):
    old, _ = pair
    other = await sites.install("site-other", **site)
    with pytest.raises(AddonkitError, match=rf"another's data; .* add --despite {difference}"):
        await adopted(other, old)
    assert (await adopted(other, old, despite=[difference])).id == old.id


async def test_one_word_does_not_stand_for_the_other(sites, pair):
    old, _ = pair
    other = await sites.install("site-other", base_url="https://two.atlassian.net", product="confluence")
    with pytest.raises(AddonkitError, match="--despite product"):
        await adopted(other, old, despite=[Difference.BASE_URL])


async def test_a_site_does_not_adopt_itself(sites, pair):
    with pytest.raises(AddonkitError, match="use two tenants"):
        await plan_adoption(pair[0].id, pair[0].id, [])


async def test_a_site_that_has_left_adopts_nothing(sites, pair):
    old, new = pair
    await sites.leave(NEW)
    with pytest.raises(AddonkitError, match="install the add-on on the site first"):
        await plan_adoption(new.id, old.id, [])


async def test_a_number_that_nobody_has_is_told(sites, pair):
    with pytest.raises(AddonkitError, match="there is no tenant 99"):
        await plan_adoption(pair[1].id, 99, [])


async def test_a_plan_changes_nothing(sites, pair, tmp_path):
    old, new = pair
    before = ask(tmp_path, "SELECT * FROM addonkit_tenant ORDER BY id")
    await plan_adoption(new.id, old.id, [])
    assert ask(tmp_path, "SELECT * FROM addonkit_tenant ORDER BY id") == before


async def test_an_adoption_that_fails_in_the_middle_has_not_begun(sites, pair):
    async def fail(*_):
        raise AddonkitError("gone")

    old, new = pair
    await fill(new)
    with pytest.raises(AddonkitError, match="gone"):
        await adopted(new, old, discard=True, move_jobs=fail)
    assert await sites.store.get(old.id) == old
    assert await sites.store.get(new.id) == new
    assert (await count_tenant_rows(new, []))["archive_folder"] == 3


async def test_two_operators_at_once_adopt_once(sites, pair):
    old, new = pair
    plan = await plan_adoption(new.id, old.id, [])
    calls = [adopt(plan, [], [], discard=False, despite=frozenset(), move_jobs=move_jobs) for _ in range(2)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(isinstance(result, AddonkitError) for result in results) == [False, True]


async def test_every_process_is_told_of_both_client_keys(sites, pair, monkeypatch):
    announced = []

    async def hear(client_key):
        announced.append(client_key)

    monkeypatch.setattr(adoption_module, "notify_change", hear)
    await adopted(pair[1], pair[0])
    assert announced == [OLD, NEW]


async def test_the_number_that_is_given_up_keeps_nothing_of_the_site(sites, pair, tmp_path):
    old, new = pair
    await adopted(new, old)
    kept = ask(tmp_path, "SELECT client_key, base_url FROM addonkit_tenant_history WHERE tenant_id = ?", new.id)
    assert [tuple(row) for row in kept] == [("", "")]


async def test_a_site_that_adopted_and_was_purged_is_in_no_history(sites, pair, tmp_path):
    old, new = pair
    await adopted(new, old)
    await sites.leave(NEW)
    await purge_tenant(old.id, [], agree)
    kept = ask(tmp_path, "SELECT tenant_id, client_key, base_url, detail FROM addonkit_tenant_history")
    assert [tuple(row) for row in kept] == [(new.id, "", "", f"given up for tenant {old.id}")]
