import pytest
from addonkit import Context, Licence, Route, Tenant, TenantState
from addonkit_licensing import Settings, addon_admit, manage_apps
from pydantic import ValidationError

SITE = Tenant(1, "site", "jira", "https://x.atlassian.net", "https://issues.example.com", TenantState.ENABLED)


def route(*, licensed):
    return Route("notes", "notes.board", "exact", licensed=licensed)


@pytest.mark.parametrize("licence", list(Licence))
async def test_what_is_free_is_open_whatever_the_licence(licence):
    assert await addon_admit(Context(SITE, "acc-1", licence), route(licensed=False)) is None


async def test_what_is_sold_is_open_with_an_active_licence():
    assert await addon_admit(Context(SITE, "acc-1", Licence.ACTIVE), route(licensed=True)) is None


@pytest.mark.parametrize("licence", [Licence.NONE, Licence.UNKNOWN])
async def test_a_program_is_refused_what_is_sold_without_one(addon, licence):
    async with addon.application.test_request_context("/", headers={"Accept": "application/json"}):
        refusal, status = await addon_admit(Context(SITE, None, licence), route(licensed=True))
    assert status == 403
    assert refusal["error"].startswith("this site has no active licence")


def test_administrators_are_led_to_the_site_as_its_users_see_it():
    assert manage_apps(SITE) == "https://issues.example.com/plugins/servlet/upm"


@pytest.mark.parametrize("contact", ["javascript:alert(1)", "http://example.com", "https://a b"])
def test_a_contact_is_an_address_that_is_safe_to_click(contact):
    with pytest.raises(ValidationError):
        Settings(contact=contact)


async def test_the_add_on_of_this_plugin_alone_brings_no_module(host):
    assert (await host.descriptor())["modules"] == {}
