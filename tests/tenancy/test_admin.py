"""Suggestions for a tenant whose name an operator misspelt."""

import pytest
from addonkit.errors import AddonkitError
from addonkit.tenancy import admin as admin_module
from addonkit.tenancy.admin import find_tenant
from addonkit.tenancy.models import TenantRow
from addonkit.tenant_data.connection import tenant_database

from tests.support.tenant_rows import InstalledSites


@pytest.fixture
async def sites(location):
    async with tenant_database(location, {}):
        yield InstalledSites()


@pytest.fixture
def compared(monkeypatch):
    """The names that each comparison with a misspelt name considers."""
    seen = []

    def near_matches(text, names):
        seen.append(set(names))
        return ()

    monkeypatch.setattr(admin_module, "near_matches", near_matches)
    return seen


async def suggestion(text):
    with pytest.raises(AddonkitError) as result:
        await find_tenant(text)
    return str(result.value).partition("; ")[2]


async def test_suggestion_compares_a_misspelt_name_with_similar_ones_only(sites, compared):
    await sites.install("orchard", "https://orchard.atlassian.net")
    await sites.install("bakery", "https://bakery.atlassian.net")
    await suggestion("orchrad")
    assert "orchard" in set().union(*compared)
    assert "bakery" not in set().union(*compared)


async def test_suggestion_compares_a_limited_number_of_tenants(sites, compared):
    site = {"product": "jira", "base_url": "https://one.example", "display_url": "", "state": "enabled"}
    await TenantRow.bulk_create(
        TenantRow(client_key=f"site-{number}", installed_iat=0, **site) for number in range(250)
    )
    await suggestion("site-x")
    assert max(len([name for name in names if name.startswith("site-")]) for names in compared) == 200


@pytest.mark.parametrize(
    "text", ["orchrad", "ochard", "orchardd", "ORCHAD", "https://orchad.example.net", "orchard.exmple.net"]
)
async def test_suggestion_finds_a_typo_anywhere_in_a_name(sites, text):
    await sites.install("orchard", "https://orchard.example.net")
    assert "(tenant 1)" in await suggestion(text)


@pytest.mark.parametrize("text", ["", "%", "_", "://", "http://[", "."])
async def test_suggestion_is_generic_for_text_that_is_not_a_name(sites, text):
    await sites.install("orchard", "https://orchard.example.net")
    assert await suggestion(text) == "see 'addonkit tenants list'"
