import pytest
from addonkit import Context, Licence, Route, Tenant, TenantState
from addonkit_licensing import Settings, addon_admit, manage_apps
from pydantic import ValidationError

SITE = Tenant(1, "site", "jira", "https://x.atlassian.net", "https://issues.example.com", TenantState.ENABLED)


def route(*, licensed):
    return Route("notes", "notes.board", "exact", licensed=licensed)


@pytest.mark.parametrize("licence", list(Licence))
async def test_free_route_is_admitted_whatever_the_licence(licence):
    assert await addon_admit(Context(SITE, "acc-1", licence), route(licensed=False)) is None


async def test_licensed_route_is_admitted_with_an_active_licence():
    assert await addon_admit(Context(SITE, "acc-1", Licence.ACTIVE), route(licensed=True)) is None


@pytest.mark.parametrize("licence", [Licence.NONE, Licence.UNKNOWN])
async def test_licensed_route_is_refused_with_json_without_a_licence(addon, licence):
    async with addon.application.test_request_context("/", headers={"Accept": "application/json"}):
        refusal, status = await addon_admit(Context(SITE, None, licence), route(licensed=True))
    assert status == 403
    assert refusal["error"].startswith("this site has no active licence")


def test_manage_apps_link_uses_the_display_url():
    assert manage_apps(SITE) == "https://issues.example.com/plugins/servlet/upm"


@pytest.mark.parametrize("contact", ["javascript:alert(1)", "http://example.com", "https://a b"])
def test_contact_must_be_a_safe_url(contact):
    with pytest.raises(ValidationError):
        Settings(contact=contact)


async def test_licensing_contributes_no_module(host):
    assert (await host.descriptor())["modules"] == {}
