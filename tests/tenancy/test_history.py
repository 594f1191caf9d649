"""The history of a tenant: one entry per change, written in the transaction of the change."""

import pytest
from addonkit.errors import StorageUnavailable, TokenInvalid
from addonkit.tenancy import installs as installs_module
from addonkit.tenancy.admin import set_note
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.history import Change, describe_changes, history_of, state_since, tenants_once_called
from addonkit.tenancy.models import TenantHistory, TenantRow
from addonkit.tenancy.record import IdentityKind, Installation
from addonkit.tenant_data.connection import tenant_database
from addonkit.testing.databases import run_sql
from tortoise.exceptions import OperationalError

from tests.support.tenant_rows import HOME, InstalledSites, unused_token

SECOND = "s" * 40
ELSEWHERE = "https://two.atlassian.net"


@pytest.fixture
async def sites(location):
    async with tenant_database(location, {}):
        yield InstalledSites()


async def changes(tenant):
    return [(entry.what, entry.detail) for entry in await history_of(tenant.id)]


async def test_history_records_a_first_install_with_client_key_and_url(sites):
    site = await sites.install("site-1")
    [entry] = await history_of(site.id)
    assert (entry.what, entry.key, entry.base_url) == ("installed", "site-1", site.base_url)


async def test_history_records_a_new_secret_without_showing_it(sites):
    site = await sites.install("site-1")
    await sites.install("site-1", secret=SECOND)
    assert await changes(site) == [("installed", ""), ("rotated", "")]
    assert SECOND not in str(await TenantHistory.all().values())


async def test_history_records_both_urls_of_a_renamed_site(sites):
    site = await sites.install("site-1")
    renamed = await sites.install("site-1", ELSEWHERE)
    assert (renamed.id, renamed.base_url) == (site.id, ELSEWHERE)
    last = (await history_of(site.id))[-1]
    assert (last.what, last.base_url, last.detail) == ("renamed", ELSEWHERE, f"was '{site.base_url}'")


async def test_history_records_an_install_that_changes_nothing(sites):
    site = await sites.install("site-1")
    await sites.install("site-1")
    assert await changes(site) == [("installed", ""), ("reinstalled", "")]


async def test_history_names_other_changes_of_an_install(sites):
    site = await sites.install("site-1")
    await TenantRow.all().update(oauth_client_id="oauth-0")
    await sites.install("site-1")
    assert (await changes(site))[-1] == ("reinstalled", "another oauth_client_id")


async def test_history_records_uninstall_and_reinstall(sites):
    site = await sites.install("site-1")
    await sites.uninstall("site-1")
    await sites.install("site-1", secret=SECOND)
    assert await changes(site) == [
        ("installed", ""),
        ("uninstalled", ""),
        ("reinstalled", "was uninstalled"),
        ("rotated", ""),
    ]


async def test_history_records_enabled_and_disabled_once(sites):
    site = await sites.install("site-1")
    for enabled in (True, True, False, False):
        await sites.store.set_enabled("site-1", enabled, unused_token(), [])
    assert [what for what, _ in await changes(site)] == ["installed", "enabled", "disabled"]


async def test_history_records_a_repeated_uninstall_once(sites):
    site = await sites.install("site-1")
    await sites.uninstall("site-1")
    await sites.uninstall("site-1")
    assert [what for what, _ in await changes(site)] == ["installed", "uninstalled"]


async def test_history_has_no_refused_request(sites):
    site = await sites.install("site-1")
    token = unused_token()
    await sites.store.set_enabled("site-1", True, token, [])
    with pytest.raises(TokenInvalid):
        await sites.store.set_enabled("site-1", False, token, [])
    assert [what for what, _ in await changes(site)] == ["installed", "enabled"]


async def test_history_failure_rolls_the_change_back(sites, monkeypatch):
    async def fail(*_):
        raise OperationalError("no room")

    site = await sites.install("site-1")
    monkeypatch.setattr(installs_module, "record_change", fail)
    with pytest.raises(StorageUnavailable):
        await sites.install("site-1", ELSEWHERE)
    assert await sites.store.get(site.id) == site


async def test_history_marks_a_new_client_key_at_a_known_url(sites):
    old, new = await sites.install("site-1"), await sites.install("site-2")
    assert new.id != old.id
    assert await changes(new) == [("installed", f"same base URL as tenant {old.id}")]


async def test_history_does_not_mark_another_product_at_the_same_url(sites):
    await sites.install("site-1")
    assert await changes(await sites.install("site-2", product="confluence")) == [("installed", "")]


async def test_history_finds_former_client_keys(sites):
    site = await sites.install("site-1")
    assert await tenants_once_called("site-1") == [site.id]
    assert await tenants_once_called("site-9") == []


async def test_history_gives_the_start_of_a_state(sites):
    site = await sites.install("site-1")
    await sites.store.set_enabled("site-1", True, unused_token(), [])
    await sites.install("site-1", secret=SECOND)
    enabled = (await history_of(site.id))[1]
    assert await state_since([site.id]) == {site.id: enabled.at}


async def test_note_is_stored_and_removed_and_recorded_without_text(sites):
    site = await sites.install("site-1")
    await set_note(site.id, "ask Ms Doe")
    assert (await TenantRow.get(id=site.id)).note == "ask Ms Doe"
    await set_note(site.id, None)
    assert (await TenantRow.get(id=site.id)).note is None
    assert (await changes(site))[1:] == [("noted", "written"), ("noted", "removed")]


async def test_tenant_is_found_by_its_new_url_after_a_rename(sites):
    await sites.install("site-1")
    directory = Directory(sites.store)
    await directory.get(IdentityKind.CLIENT_KEY, "site-1")
    await sites.install("site-1", ELSEWHERE)
    directory.forget("site-1")
    assert (await directory.get(IdentityKind.CLIENT_KEY, "site-1")).tenant.base_url == ELSEWHERE


async def test_tenant_number_is_never_reused(sites, tmp_path):
    first = await sites.install("site-1")
    await TenantRow.filter(id=first.id).delete()
    assert (await sites.install("site-1")).id > first.id
    assert run_sql(tmp_path, "SELECT count(*) FROM addonkit_tenant") == [(1,)]


BEFORE = {"client_key": "one", "product": "jira", "base_url": HOME, "display_url": HOME, "state": "enabled"}
CHANGES = {
    "nothing": ({}, {}, {"reinstalled": ""}),
    "installed": ({"state": "installed"}, {}, {"reinstalled": ""}),
    "disabled": ({"state": "disabled"}, {}, {"reinstalled": "was disabled"}),
    "uninstalled": ({"state": "uninstalled"}, {}, {"reinstalled": "was uninstalled"}),
    "renamed": ({}, {"base_url": f"{HOME}/x"}, {"renamed": f"was '{HOME}'"}),
    "another display URL": ({}, {"display_url": "https://d"}, {"reinstalled": "another display_url"}),
    "same display URL": ({"display_url": "https://d"}, {"display_url": "https://d"}, {"reinstalled": ""}),
    "another product": ({}, {"product": "confluence"}, {"reinstalled": "another product"}),
    "another client": ({"oauth_client_id": "a"}, {"oauth_client_id": "b"}, {"reinstalled": "another oauth_client_id"}),
    "client key": ({"client_key": "two"}, {}, {"client key changed": "was 'two'"}),
    "no client key before": ({"client_key": None}, {}, {"reinstalled": ""}),
    "first installation": ({}, {"installation_id": "i"}, {"installation changed": "'i', the first one"}),
    "another installation": (
        {"installation_id": "h"},
        {"installation_id": "i"},
        {"installation changed": "'i', was 'h'"},
    ),
    "same installation": ({"installation_id": "i"}, {"installation_id": "i"}, {"reinstalled": ""}),
    "no installation": ({"installation_id": "h"}, {}, {"reinstalled": "no installation, was 'h'"}),
    "renamed and disabled": (
        {"state": "disabled"},
        {"base_url": "https://b"},
        {"renamed": f"was '{HOME}'", "reinstalled": "was disabled"},
    ),
    "several": (
        {"state": "uninstalled"},
        {"product": "confluence", "oauth_client_id": "c"},
        {"reinstalled": "was uninstalled, another product, another oauth_client_id"},
    ),
}


@pytest.mark.parametrize("case", CHANGES)
@pytest.mark.parametrize("recorded", [(), (Change.ROTATED,)], ids=["alone", "with another secret"])
def test_history_describes_what_an_install_changes(case, recorded):
    row, installation, expected = CHANGES[case]
    sent = Installation(
        **({"client_key": "one", "product": "jira", "base_url": HOME, "shared_secret": ""} | installation)
    )
    found = describe_changes(TenantRow(**(BEFORE | row)), sent, recorded)
    assert {str(what): detail for what, detail in found.items()} == (
        {} if recorded and expected == {"reinstalled": ""} else expected
    )
