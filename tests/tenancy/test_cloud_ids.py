"""Links between tenants and cloud ids: concurrent ones, and those of tenants that change meanwhile."""

import asyncio

import pytest
from addonkit.errors import AddonkitError, IdentityConflict
from addonkit.tenancy import cloud_ids
from addonkit.tenancy.cloud_ids import link_cloud_id, parse_cloud_id, unlinked_tenants
from addonkit.tenancy.history import history_of
from addonkit.tenancy.identities import identities_of, retire_identity
from addonkit.tenancy.models import TenantIdentity, TenantRow, retired_key
from addonkit.tenancy.record import IdentityKind
from addonkit.tenant_data.connection import tenant_database

from tests.support.tenant_rows import HOME, InstalledSites

ONE, TWO = "11223344-a1b2-3b33-c444-def123456789", "00112233-a1b2-3b33-c444-def123456789"


@pytest.fixture
async def sites(location):
    async with tenant_database(location, {}):
        yield InstalledSites()


@pytest.mark.parametrize("text", [ONE, ONE.upper(), f" {ONE}\n"])
def test_cloud_id_is_read_in_lower_case(text):
    assert parse_cloud_id(text) == ONE


@pytest.mark.parametrize(
    "text",
    [ONE[:-1], f"{ONE}\0", ONE.replace("a", "g"), f"{{{ONE}}}", ONE.replace("1", "\uff11")],
    ids=["short", "NUL", "not hexadecimal", "braces", "other digits"],
)
def test_cloud_id_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="not a cloud id"):
        parse_cloud_id(text)


async def test_cloud_id_that_two_tenants_are_linked_to_at_once_names_one(sites):
    tenants = [await sites.install(f"site-{number}", f"https://{number}.atlassian.net") for number in range(6)]
    links = [link_cloud_id(tenant.id, ONE, "by an operator") for tenant in tenants]
    results = await asyncio.gather(*links, return_exceptions=True)
    assert [result for result in results if not isinstance(result, IdentityConflict)] == [True]
    assert await TenantRow.filter(cloud_id=ONE).count() == 1


async def test_retired_cloud_id_that_two_tenants_are_linked_to_at_once_names_one(sites):
    first = await sites.install("site-1")
    await link_cloud_id(first.id, ONE, "by an operator")
    await retire_identity(first.id, (await identities_of(first.id))[-1].id)
    await test_cloud_id_that_two_tenants_are_linked_to_at_once_names_one(sites)


async def test_cloud_id_of_a_tenant_that_is_linked_many_times_at_once_is_recorded_once(sites):
    tenant = await sites.install("site-1")
    results = await asyncio.gather(*(link_cloud_id(tenant.id, ONE, "by an operator") for _ in range(6)))
    assert sorted(results) == [False] * 5 + [True]


async def test_cloud_id_names_one_tenant_of_each_product(sites):
    jira = await sites.install("site-1")
    wiki = await sites.install("site-2", f"{HOME}/wiki", product="confluence")
    assert [await link_cloud_id(tenant.id, ONE, "by an operator") for tenant in (jira, wiki)] == [True, True]
    record = await sites.store.find(IdentityKind.CLOUD, f"confluence:{ONE}")
    assert record.tenant.id == wiki.id


async def test_cloud_id_is_not_stored_for_a_tenant_that_was_renamed_or_uninstalled_meanwhile(sites):
    tenant = await sites.install("site-1")
    with pytest.raises(AddonkitError, match="was renamed or uninstalled in the meantime"):
        await link_cloud_id(tenant.id, ONE, "as it states", base_url="https://other.atlassian.net")
    await sites.uninstall("site-1")
    with pytest.raises(AddonkitError, match="was renamed or uninstalled in the meantime"):
        await link_cloud_id(tenant.id, ONE, "as it states", base_url=HOME)
    assert (await TenantRow.get(id=tenant.id)).cloud_id is None
    assert await link_cloud_id(tenant.id, ONE, "by an operator")


async def test_cloud_id_of_a_tenant_that_does_not_exist_is_refused(sites):
    with pytest.raises(AddonkitError, match="there is no tenant 7"):
        await link_cloud_id(7, ONE, "by an operator")


async def test_cloud_id_stays_after_an_install_a_rename_and_an_uninstall(sites):
    tenant = await sites.install("site-1")
    await link_cloud_id(tenant.id, ONE, "by an operator")
    await sites.install("site-1", "https://two.atlassian.net", installation_id="ari:1")
    await sites.install("site-2", "https://two.atlassian.net", installation_id="ari:1")
    await sites.uninstall("site-2")
    assert (await TenantRow.get(id=tenant.id)).cloud_id == ONE
    assert (await sites.store.find(IdentityKind.CLOUD, f"jira:{ONE}")).tenant.key == "site-2"


async def test_tenants_without_a_cloud_id_are_listed_in_order_behind_a_number(sites):
    tenants = [await sites.install(f"site-{number}", f"https://{number}.atlassian.net") for number in range(4)]
    await link_cloud_id(tenants[2].id, ONE, "by an operator")
    assert [one.tenant.key for one in await unlinked_tenants(tenants[0].id, 9)] == ["site-1", "site-3"]
    assert [one.tenant.key for one in await unlinked_tenants(0, 1)] == ["site-0"]


@pytest.mark.parametrize(
    ("first_left", "second_left", "newest", "oldest"),
    [(False, False, 2, 1), (True, False, 2, 1), (False, True, 1, 2), (True, True, None, None)],
    ids=["both installed", "first left", "second left", "both left"],
)
async def test_cloud_id_of_another_tenant_is_refused_with_the_commands(sites, first_left, second_left, newest, oldest):
    """The data goes to the tenant that is installed; to the newer one if both are."""
    first, second = await sites.install("site-1"), await sites.install("site-2")
    await link_cloud_id(first.id, ONE, "by an operator")
    for key, left in (("site-1", first_left), ("site-2", second_left)):
        if left:
            await sites.uninstall(key)
    number = (await identities_of(first.id))[-1].id
    with pytest.raises(IdentityConflict) as refused:
        await link_cloud_id(second.id, ONE, "by an operator")
    state = "uninstalled" if first_left else "installed"
    assert f"names tenant {first.id} ('site-1', {state}); " in str(refused.value)
    assert ("addonkit tenants adopt" in str(refused.value)) == (newest is not None)
    if newest is not None:
        assert f"run 'addonkit tenants adopt {newest} --from {oldest}'; if it is wrong" in str(refused.value)
    assert f"'addonkit tenants identities {first.id} --retire {number}' and link tenant {second.id}" in str(
        refused.value
    )


@pytest.mark.parametrize("is_live", [True, False])
async def test_another_cloud_id_of_the_tenant_is_refused_with_the_command(sites, is_live):
    tenant = await sites.install("site-1")
    await link_cloud_id(tenant.id, ONE, "by an operator")
    number = (await identities_of(tenant.id))[-1].id
    if not is_live:
        await TenantIdentity.filter(id=number).delete()
    command = (
        f"'addonkit tenants identities {tenant.id} --retire {number}'" if is_live else "'addonkit tenants identities'"
    )
    with pytest.raises(AddonkitError) as refused:
        await link_cloud_id(tenant.id, TWO, "by an operator")
    assert str(refused.value).startswith(f"tenant {tenant.id} ('site-1') has the cloud id '{ONE}'; ")
    assert f"run {command} and link it again" in str(refused.value)


async def test_cloud_id_is_not_stored_in_a_dry_run_nor_during_a_purge(sites, monkeypatch):
    keys = []

    async def notify(key):
        keys.append(key)

    monkeypatch.setattr(cloud_ids, "notify_change", notify)
    tenant = await sites.install("site-1")
    assert await link_cloud_id(tenant.id, ONE, "by an operator", dry_run=True)
    assert ((await TenantRow.get()).cloud_id, keys) == (None, [])
    assert await link_cloud_id(tenant.id, ONE, "by an operator")
    assert keys == ["site-1"]
    assert not await link_cloud_id(tenant.id, ONE, "by an operator")
    assert [entry.detail for entry in await history_of(tenant.id) if entry.what == "linked"] == [
        f"cloud id '{ONE}', by an operator"
    ]
    await TenantRow.all().update(key=retired_key(tenant.id), client_key=None)
    with pytest.raises(AddonkitError, match="is being purged"):
        await link_cloud_id(tenant.id, TWO, "by an operator")


async def test_cloud_id_of_a_row_without_its_identity_is_recorded_again(sites):
    tenant = await sites.install("site-1")
    await TenantRow.all().update(cloud_id=ONE)
    assert await link_cloud_id(tenant.id, ONE, "by an operator")
    assert [one.value for one in await identities_of(tenant.id) if one.kind == "cloud"] == [f"jira:{ONE}"]


def test_cloud_id_that_is_all_zeros_is_refused():
    with pytest.raises(ValueError, match="not a cloud id"):
        parse_cloud_id("00000000-0000-0000-0000-000000000000")


async def test_tenants_without_a_cloud_id_name_the_others_of_their_site(sites):
    for number, (url, product) in enumerate(
        [("a", "jira"), ("a", "jira"), ("a", "confluence"), ("b", "jira"), ("a", "jira"), ("a", "jira")], 1
    ):
        await sites.install(f"site-{number}", f"https://{url}.x", product=product)
    await sites.uninstall("site-5")
    await link_cloud_id(6, ONE, "by an operator")
    found = {one.tenant.id: one.same_site for one in await unlinked_tenants(0, 9)}
    assert found == {1: (2,), 2: (1,), 3: (), 4: (), 5: (1, 2)}
    assert [one.is_purging for one in await unlinked_tenants(0, 9)] == [False] * 5
    assert [await cloud_ids.count_unlinked(after) for after in (0, 1, 4, 5, 9)] == [5, 4, 1, 0, 0]
