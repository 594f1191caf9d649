"""Lists of tenants for operators: which of them are the same site, since when they have their state, and filters."""

from datetime import UTC, datetime, timedelta

import pytest
from addonkit.context import TenantState
from addonkit.errors import AddonkitError
from addonkit.tenancy import admin
from addonkit.tenancy.models import TenantHistory, TenantRow
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


CREATED, INSTALLED, LEFT = (datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3))


@pytest.fixture
async def sites(location):
    async with tenant_database(location, {}):
        yield InstalledSites()


@pytest.mark.parametrize("batch", [1, 2, 500])
@pytest.mark.parametrize(
    ("has_history", "has_left", "since"),
    [(False, False, CREATED), (True, False, INSTALLED), (False, True, LEFT), (True, True, LEFT)],
    ids=["no history", "history", "left, without history", "left"],
)
async def test_tenant_is_listed_with_the_start_of_its_state(sites, monkeypatch, batch, has_history, has_left, since):
    monkeypatch.setattr(admin, "BATCH", batch)
    for number in range(3):
        await sites.install(f"site-{number}")
    await TenantRow.all().update(created_at=CREATED, uninstalled_at=LEFT if has_left else None)
    if has_history:
        await TenantHistory.all().update(at=INSTALLED)
    else:
        await TenantHistory.all().delete()
    assert [one.since for one in await admin.list_tenants(30)] == [since] * 3


@pytest.mark.parametrize(("state", "counts"), [("uninstalled", True), ("enabled", False), ("disabled", False)])
@pytest.mark.parametrize(("days_ago", "is_due"), [(29.99, False), (30.01, True), (400, True), (None, False)])
async def test_uninstalled_tenant_is_due_after_its_retention(sites, state, counts, days_ago, is_due):
    tenant = await sites.install("one")
    at = None if days_ago is None else datetime.now(UTC) - timedelta(days=days_ago)
    await TenantRow.all().update(state=state, uninstalled_at=at)
    assert (await admin.tenant_status(tenant.id, 30)).is_due == (is_due and counts)


FILTERS = {
    "all": ({}, [1, 2, 3, 4, 5]),
    "limit": ({"limit": 2}, [1, 2]),
    "no limit": ({"limit": None}, [1, 2, 3, 4, 5]),
    "installed": ({"state": TenantState.INSTALLED}, [1]),
    "disabled": ({"state": TenantState.DISABLED}, [3]),
    "uninstalled": ({"state": TenantState.UNINSTALLED}, [4]),
    "gone": ({"state": TenantState.GONE}, [5]),
    "product": ({"product": "confluence"}, [2]),
    "part of a key": ({"site": "SITE-3"}, [3]),
    "part of a URL": ({"site": "wiki.Example"}, [2]),
    "several": ({"site": "site", "state": TenantState.ENABLED}, [2]),
    "none": ({"site": "elsewhere"}, []),
}


@pytest.mark.parametrize("case", FILTERS)
async def test_list_of_tenants_has_those_that_meet_all_conditions(sites, case):
    for number in range(1, 6):
        product, url = ("confluence", "https://wiki.example") if number == 2 else ("jira", f"https://{number}.x")
        await sites.install(f"site-{number}", url, product=product)
    for number, state in enumerate(["installed", "enabled", "disabled", "uninstalled", "uninstalled"], 1):
        await TenantRow.filter(id=number).update(state=state, gone_at=LEFT if number == 5 else None)
    options, numbers = FILTERS[case]
    assert [one.tenant.id for one in await admin.list_tenants(30, **options)] == numbers
    assert await admin.gone_numbers() == [5]


@pytest.mark.parametrize("batch", [1, 2, 3, 500])
async def test_active_tenants_of_a_product_are_read_in_batches(sites, monkeypatch, batch):
    monkeypatch.setattr(admin, "BATCH", batch)
    for number, state in enumerate(["installed", "enabled", "disabled", "enabled", "uninstalled", "enabled"], 1):
        tenant = await sites.install(f"site-{number}", product="confluence" if number == 4 else "jira")
        await TenantRow.filter(id=tenant.id).update(state=state)
    assert [tenant.id async for tenant in admin.active_tenants("jira")] == [1, 2, 6]
    assert [tenant.id async for tenant in admin.active_tenants("confluence")] == [4]


@pytest.mark.parametrize(("note", "detail"), [("text", "written"), ("", "written"), (None, "removed")])
async def test_note_is_stored_for_its_tenant_alone(sites, note, detail):
    first, second = await sites.install("one"), await sites.install("two")
    await TenantRow.all().update(note="before")
    await admin.set_note(first.id, note)
    assert [(await admin.tenant_status(one.id, 1)).note for one in (first, second)] == [note, "before"]
    assert (await TenantHistory.filter(what="noted").values_list("tenant_id", "detail")) == [(first.id, detail)]
    with pytest.raises(AddonkitError, match="there is no tenant 99"):
        await admin.set_note(99, note)


@pytest.mark.parametrize(
    ("columns", "key_id", "unapproved"),
    [
        ({}, "k1", ()),
        ({"shared_secret": None}, None, ()),
        ({"shared_secret": "plain"}, "", ()),
        ({"unapproved_scopes": "WRITE READ"}, "k1", ("READ", "WRITE")),
        ({"cloud_id": "c"}, "k1", ()),
    ],
    ids=["usual", "no secret", "another form", "scopes", "cloud id"],
)
async def test_status_of_a_tenant_has_its_details(sites, columns, key_id, unapproved):
    tenant = await sites.install("one")
    if columns:
        await TenantRow.all().update(**columns)
    status = await admin.tenant_status(tenant.id, 1)
    assert (status.key_id, status.unapproved, status.cloud_id) == (key_id, unapproved, columns.get("cloud_id"))
