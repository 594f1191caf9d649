"""Lists of tenants for operators: which of them are the same site."""

import pytest
from addonkit.tenancy import admin
from addonkit.tenant_data.connection import tenant_database

from tests.support.tenant_rows import InstalledSites

URLS = {
    "none": [],
    "one": ["a"],
    "different": ["a", "b", "c"],
    "one pair": ["a", "b", "a"],
    "two groups": ["a", "b", "a", "b", "c", "a"],
}


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("batch", [1, 2, 500], ids=["all at once", "batches of two", "by address"])
async def test_tenants_with_the_same_base_url_are_listed_as_the_same_site(location, monkeypatch, kind, batch):
    monkeypatch.setattr(admin, "BATCH", batch)
    urls = URLS[kind]
    async with tenant_database(location, {}):
        sites = InstalledSites()
        for number, name in enumerate(urls):
            await sites.install(f"site-{number}", f"https://{name}.atlassian.net")
        found = {one.tenant.id: set(one.same_site) for one in await admin.list_tenants(30)}
    numbers = list(enumerate(urls, 1))
    assert found == {
        number: {other for other, one in numbers if one == name and other != number} for number, name in numbers
    }
