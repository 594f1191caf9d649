"""Tenants by the names that operators use: all kinds of names, ambiguous names, and suggestions for misspelt ones."""

import pytest
from addonkit.errors import AddonkitError
from addonkit.tenancy import names as names_module
from addonkit.tenancy.identities import identities_of, retire_identity
from addonkit.tenancy.models import TenantRow
from addonkit.tenancy.names import find_tenant, find_tenant_id
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

    monkeypatch.setattr(names_module, "near_matches", near_matches)
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
    "text",
    [
        *("orchrad", "ochard", "orchardd", "ORCHAD", "https://orchad.example.net", "orchard.exmple.net"),
        *("https://orchad.example.net/wiki", "orchad.example.net/wiki/spaces"),
    ],
)
async def test_suggestion_finds_a_typo_anywhere_in_a_name(sites, text):
    await sites.install("orchard", "https://orchard.example.net")
    assert "(tenant 1)" in await suggestion(text)


@pytest.mark.parametrize("text", ["", "%", "_", "://", "http://[", "."])
async def test_suggestion_is_generic_for_text_that_is_not_a_name(sites, text):
    await sites.install("orchard", "https://orchard.example.net")
    assert await suggestion(text) == "see 'addonkit tenants list'"


def all_names_of(site):
    """Every name of a site, by its kind."""
    return {
        "number": str(site.id),
        "key": "own:one",
        "client_key": "client-one",
        "installation": "jira:ari:one",
        "base_url": "https://one.atlassian.net",
        "url_in_capitals": "HTTPS://ONE.atlassian.net/",
        "host": "one.atlassian.net",
        "host_with_slash": "one.atlassian.net/",
        "display_url": "https://help.one.example/jira",
        "display_host": "help.one.example",
    }


KINDS = list(all_names_of(TenantRow(id=1)))


@pytest.fixture
async def one(sites):
    """A site with a different name of each kind."""
    tenant = await sites.install(
        "client-one",
        "https://one.atlassian.net",
        installation_id="ari:one",
        display_url="https://help.one.example/jira",
    )
    await TenantRow.filter(id=tenant.id).update(key="own:one")
    return tenant


@pytest.mark.parametrize("kind", KINDS)
async def test_name_of_each_kind_finds_its_tenant(sites, one, kind):
    await sites.install("client-two", "https://two.atlassian.net")
    assert (await find_tenant(all_names_of(one)[kind])).id == one.id


@pytest.mark.parametrize("kind", KINDS)
async def test_name_that_is_a_key_of_another_tenant_is_refused(sites, one, kind):
    name = all_names_of(one)[kind]
    other = await sites.install("client-two", "https://two.atlassian.net")
    # Each of the two columns is unique.
    names = {"key": name} if kind == "client_key" else {"key": "own:two", "client_key": name}
    await TenantRow.filter(id=other.id).update(**names)
    with pytest.raises(AddonkitError, match="matches 2 tenants") as refused:
        await find_tenant(name)
    assert f"'{name}' matches 2 tenants: {one.id} by its" in str(refused.value)
    assert f"{other.id} by its " in str(refused.value)
    for tenant in (one, other):
        assert (await find_tenant(f"number:{tenant.id}")).id == tenant.id


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ({"key": "a", "display_url": "https://x.example"}, {"key": "b", "base_url": "https://x.example"}, "x.example"),
        (
            {"key": "a", "base_url": "https://x.example/wiki"},
            {"key": "b", "base_url": "https://x.example"},
            "X.example",
        ),
        ({"key": "jira:i"}, {"key": "b", "installation_id": "i"}, "jira:i"),
        ({"key": "02"}, {"key": "b"}, "02"),
        ({"key": "number:2"}, {"key": "b"}, "number:2"),
        ({"key": "2147483648"}, {"key": "b", "base_url": "https://2147483648"}, "2147483648"),
        ({"key": "x.example:8443"}, {"key": "b", "base_url": "https://x.example:8443"}, "x.example:8443"),
        ({"key": "x" * 255}, {"key": "b", "base_url": f"https://{'x' * 255}"}, "x" * 255),
    ],
    ids=["display", "products", "installation", "zeros", "prefix", "large", "port", "long"],
)
async def test_name_of_two_tenants_by_different_kinds_is_refused(sites, first, second, name):
    await sites.install(**{"base_url": "https://first.example", **first})
    await sites.install(**{"base_url": "https://second.example", **second})
    with pytest.raises(AddonkitError, match=r"matches 2 tenants: 1 by its .*, 2 by its "):
        await find_tenant(name)


async def test_name_of_one_tenant_by_two_kinds_is_not_ambiguous(sites):
    tenant = await sites.install("one.example", "https://one.example")
    assert await find_tenant("one.example") == tenant


async def test_retired_identity_names_no_tenant(sites, one):
    [installation] = [name for name in await identities_of(one.id) if name.kind == "installation"]
    await retire_identity(one.id, installation.id)
    with pytest.raises(AddonkitError, match="no tenant matches"):
        await find_tenant("jira:ari:one")


@pytest.mark.parametrize(("count", "rest"), [(2, ""), (10, ""), (11, " and 1 more"), (12, " and 2 more")])
async def test_refusal_of_many_matches_lists_ten(sites, count, rest):
    site = {"product": "jira", "base_url": "https://x.example", "display_url": "", "state": "enabled"}
    await TenantRow.bulk_create(TenantRow(client_key=f"{number}", installed_iat=0, **site) for number in range(count))
    with pytest.raises(AddonkitError, match=rf"matches {count} tenants.*\){rest}; use the number"):
        await find_tenant("x.example")


@pytest.mark.parametrize(
    "text",
    ["\udcff", "a\0b", "x" * 3000, "9" * 400, "/", "\u00b2"],
    ids=["no-utf8", "nul", "long", "digits", "slash", "sup"],
)
async def test_text_that_no_tenant_can_have_as_a_name_is_not_found(sites, text):
    await sites.install("orchard", "https://orchard.example.net")
    with pytest.raises(AddonkitError, match="no tenant matches"):
        await find_tenant(text)


@pytest.mark.parametrize("text", ["0", "number:0"])
async def test_zero_names_the_deployment(sites, text):
    await sites.install("orchard")
    assert await find_tenant_id(text) == 0


@pytest.mark.parametrize("site", [("0", "https://x.example"), ("b", "https://0")], ids=["key", "host"])
async def test_zero_is_refused_if_a_tenant_has_this_name(sites, site):
    tenant = await sites.install(*site)
    with pytest.raises(AddonkitError, match="means the deployment itself, and also matches tenant 1 by its") as refused:
        await find_tenant_id("0")
    assert str(refused.value).endswith("; use 'number:0' for the deployment, or 'number:1' for the tenant")
    assert await find_tenant_id("number:0") == 0
    assert await find_tenant_id(f"number:{tenant.id}") == tenant.id


async def test_longer_name_of_the_deployment_is_not_suggested_where_a_tenant_has_it(sites):
    await sites.install("number:0")
    with pytest.raises(AddonkitError) as refused:
        await find_tenant_id("number:0")
    assert str(refused.value).endswith("; use another name, or 'number:1' for the tenant")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("number:12", 12),
        ("007", 7),
        (str(2**31 - 1), 2**31 - 1),
        *((str(number), None) for number in (2**31, 2**32 - 1, 2**32, 10**10)),
        *((text, None) for text in ("", "0", "-1", "+1", "1.0", "one", " 1", "\uff11")),
        *((f"number:{text}", None) for text in ("", "0", "-1", " 1", "one")),
    ],
)
def test_number_that_no_tenant_can_have_is_not_looked_up(text, number):
    """PostgreSQL refuses a statement with a number that is too large for the column."""
    assert names_module._number(text) == number
