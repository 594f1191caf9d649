"""What happened to a site is written down with each change, and found again."""

import pytest
from addonkit.errors import StorageUnavailable, TokenInvalid
from addonkit.tenancy import store as store_module
from addonkit.tenancy.admin import set_note
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.history import history_of, state_since, tenants_once_called
from addonkit.tenancy.models import TenantHistory, TenantRow
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import ask
from tortoise.exceptions import OperationalError

from tests.support.tenant_rows import Residents, use

SECOND = "s" * 40
ELSEWHERE = "https://two.atlassian.net"


@pytest.fixture
async def sites(location):
    async with tenant_database(location, {}):
        yield Residents()


async def changes(tenant):
    return [(entry.what, entry.detail) for entry in await history_of(tenant.id)]


async def test_a_first_install_is_written_down_with_key_and_address(sites):
    site = await sites.install("site-1")
    [entry] = await history_of(site.id)
    assert (entry.what, entry.client_key, entry.base_url) == ("installed", "site-1", site.base_url)


async def test_a_new_secret_is_written_down_and_not_shown(sites):
    site = await sites.install("site-1")
    await sites.install("site-1", secret=SECOND)
    assert await changes(site) == [("installed", ""), ("rotated", "")]
    assert SECOND not in str(await TenantHistory.all().values())


async def test_a_rename_keeps_the_site_and_tells_both_addresses(sites):
    site = await sites.install("site-1")
    renamed = await sites.install("site-1", ELSEWHERE)
    assert (renamed.id, renamed.base_url) == (site.id, ELSEWHERE)
    last = (await history_of(site.id))[-1]
    assert (last.what, last.base_url, last.detail) == ("renamed", ELSEWHERE, f"was '{site.base_url}'")


async def test_an_install_that_changes_nothing_is_written_down_all_the_same(sites):
    site = await sites.install("site-1")
    await sites.install("site-1")
    assert await changes(site) == [("installed", ""), ("reinstalled", "")]


async def test_what_else_an_install_changes_is_named(sites):
    site = await sites.install("site-1")
    await TenantRow.all().update(oauth_client_id="oauth-0")
    await sites.install("site-1")
    assert (await changes(site))[-1] == ("reinstalled", "another oauth_client_id")


async def test_leaving_and_coming_back_are_written_down(sites):
    site = await sites.install("site-1")
    await sites.leave("site-1")
    await sites.install("site-1", secret=SECOND)
    assert await changes(site) == [
        ("installed", ""),
        ("uninstalled", ""),
        ("reinstalled", "was uninstalled"),
        ("rotated", ""),
    ]


async def test_enabling_and_disabling_are_written_down_once(sites):
    site = await sites.install("site-1")
    for enabled in (True, True, False, False):
        await sites.store.set_enabled("site-1", enabled, use(), [])
    assert [what for what, _ in await changes(site)] == ["installed", "enabled", "disabled"]


async def test_a_repeated_uninstall_is_written_down_once(sites):
    site = await sites.install("site-1")
    await sites.leave("site-1")
    await sites.leave("site-1")
    assert [what for what, _ in await changes(site)] == ["installed", "uninstalled"]


async def test_a_refused_call_leaves_no_history(sites):
    site = await sites.install("site-1")
    token = use()
    await sites.store.set_enabled("site-1", True, token, [])
    with pytest.raises(TokenInvalid):
        await sites.store.set_enabled("site-1", False, token, [])
    assert [what for what, _ in await changes(site)] == ["installed", "enabled"]


async def test_a_change_whose_history_cannot_be_written_is_not_made(sites, monkeypatch):
    async def fail(*_):
        raise OperationalError("no room")

    site = await sites.install("site-1")
    monkeypatch.setattr(store_module, "record_change", fail)
    with pytest.raises(StorageUnavailable):
        await sites.install("site-1", ELSEWHERE)
    assert await sites.store.get(site.id) == site


async def test_a_new_client_key_at_a_known_address_is_a_site_of_its_own_and_says_so(sites):
    old, new = await sites.install("site-1"), await sites.install("site-2")
    assert new.id != old.id
    assert await changes(new) == [("installed", f"same base URL as tenant {old.id}")]


async def test_another_product_at_the_same_address_is_no_candidate(sites):
    await sites.install("site-1")
    assert await changes(await sites.install("site-2", product="confluence")) == [("installed", "")]


async def test_a_client_key_is_found_in_the_history(sites):
    site = await sites.install("site-1")
    assert await tenants_once_called("site-1") == [site.id]
    assert await tenants_once_called("site-9") == []


async def test_since_when_a_site_is_in_its_state_is_told_by_its_history(sites):
    site = await sites.install("site-1")
    await sites.store.set_enabled("site-1", True, use(), [])
    await sites.install("site-1", secret=SECOND)
    enabled = (await history_of(site.id))[1]
    assert await state_since([site.id]) == {site.id: enabled.at}


async def test_a_note_is_kept_and_removed_and_only_that_is_written_down(sites):
    site = await sites.install("site-1")
    await set_note(site.id, "ask Ms Doe")
    assert (await TenantRow.get(id=site.id)).note == "ask Ms Doe"
    await set_note(site.id, None)
    assert (await TenantRow.get(id=site.id)).note is None
    assert (await changes(site))[1:] == [("noted", "written"), ("noted", "removed")]


async def test_a_renamed_site_is_known_by_its_new_address_at_once(sites):
    await sites.install("site-1")
    directory = Directory(sites.store)
    await directory.get("site-1")
    await sites.install("site-1", ELSEWHERE)
    directory.forget("site-1")
    assert (await directory.get("site-1")).tenant.base_url == ELSEWHERE


async def test_a_number_is_never_given_twice(sites, tmp_path):
    first = await sites.install("site-1")
    await TenantRow.filter(id=first.id).delete()
    assert (await sites.install("site-1")).id > first.id
    assert ask(tmp_path, "SELECT count(*) FROM addonkit_tenant") == [(1,)]
