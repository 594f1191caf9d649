"""Links between tenants and cloud ids: concurrent ones, and those of tenants that change meanwhile."""

import asyncio

import pytest
from addonkit.errors import AddonkitError, IdentityConflict
from addonkit.tenancy.cloud_ids import link_cloud_id, parse_cloud_id, unlinked_tenants
from addonkit.tenancy.identities import identities_of, retire_identity
from addonkit.tenancy.models import TenantRow
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
