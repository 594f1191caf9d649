"""States of a site: lifecycle requests in any order, repeated and replayed."""

import asyncio
import time

import pytest
from addonkit.testing import Site
from addonkit.testing.site import fresh_secret

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_replay_of_an_install_is_refused(wire, site):
    token, body = wire.installed(site)
    assert (await wire.send_lifecycle("installed", token, body)).status == 204
    assert (await wire.send_lifecycle("installed", token, body)).status == 401


async def test_replay_of_an_install_with_another_secret_is_refused(wire, site):
    token, body = wire.installed(site)
    await wire.send_lifecycle("installed", token, body)
    forged = wire.payload(site, "installed", sharedSecret=fresh_secret())
    assert (await wire.send_lifecycle("installed", token, forged)).status == 401
    assert await wire.page_status(site) == 200


async def test_replay_of_an_install_many_times_at_once_is_accepted_once(wire, site):
    token, body = wire.installed(site)
    answers = await asyncio.gather(*(wire.send_lifecycle("installed", token, body) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [204] + [401] * 7


async def test_replay_of_an_install_after_the_uninstall_is_refused(wire, site):
    token, body = wire.installed(site)
    await wire.send_lifecycle("installed", token, body)
    await wire.host.uninstall(site)
    assert (await wire.send_lifecycle("installed", token, body)).status == 401
    assert await wire.page_status(site) == 401


async def test_replay_of_a_delayed_older_install_is_refused(wire, site):
    token, body = wire.installed(site, iat=int(time.time()) - 5)
    await wire.send_lifecycle("installed", *wire.installed(site))
    assert (await wire.send_lifecycle("installed", token, body)).status == 401


async def test_replay_of_a_delayed_older_install_after_the_uninstall_is_refused(wire, site):
    token, body = wire.installed(site, iat=int(time.time()) - 5)
    await wire.host.uninstall(site)
    assert (await wire.send_lifecycle("installed", token, body)).status == 401


async def test_install_in_the_same_second_as_another_is_accepted(wire, site):
    now = int(time.time())
    for life in (100, 101):
        assert (await wire.send_lifecycle("installed", *wire.installed(site, iat=now, exp=now + life))).status == 204


async def test_uninstalled_site_keeps_its_row_and_gets_no_page(wire, site):
    await wire.host.uninstall(site)
    assert await wire.page_status(site) == 401
    assert wire.rows("SELECT state FROM addonkit_tenant WHERE client_key=?", site.client_key) == [("uninstalled",)]


async def test_reinstalled_site_keeps_its_row(wire, site):
    query = "SELECT id FROM addonkit_tenant WHERE client_key=?"
    before = wire.rows(query, site.client_key)
    await wire.host.uninstall(site)
    await wire.host.reinstall(site)
    assert (await wire.page_status(site), wire.rows(query, site.client_key)) == (200, before)


async def test_uninstall_a_second_time_changes_nothing(wire, site):
    await wire.host.uninstall(site)
    now = int(time.time())
    assert (await wire.send_lifecycle("uninstalled", *wire.installed(site, "uninstalled", exp=now + 99))).status == 204


@pytest.mark.parametrize("product", ["jira", "confluence"])
async def test_uninstall_of_an_unknown_site_is_acknowledged(wire, product):
    path = "/wiki" if product == "confluence" else ""
    unknown = Site(wire.host.keys, product, f"http://127.0.0.1:9000{path}")
    token, body = wire.installed(unknown, "uninstalled")
    assert (await wire.send_lifecycle("uninstalled", token, body)).status == 204
    assert (await wire.send_lifecycle("uninstalled", token, body)).status == 401
    assert wire.rows("SELECT id FROM addonkit_tenant WHERE client_key=?", unknown.client_key) == []


@pytest.mark.parametrize(
    "changes",
    [{"aud": ["https://other.example"]}, {"aud": None}, {"exp": 1}, {"qsh": "0" * 64}, {"iss": "another"}],
    ids=["audience", "no audience", "expired", "query hash", "issuer"],
)
async def test_uninstall_of_an_unknown_site_is_refused_unless_it_is_signed_for_it(wire, changes):
    unknown = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    token, body = wire.installed(unknown, "uninstalled", **changes)
    assert (await wire.send_lifecycle("uninstalled", token, body)).status == 401


async def test_replay_of_an_uninstall_does_not_remove_a_reinstalled_site(wire, site):
    token, body = wire.installed(site, "uninstalled")
    await wire.send_lifecycle("uninstalled", token, body)
    await wire.host.reinstall(site)
    assert (await wire.send_lifecycle("uninstalled", token, body)).status == 401
    assert await wire.page_status(site) == 200


@pytest.mark.parametrize("order", [("disabled", "uninstalled"), ("uninstalled", "disabled")])
async def test_disabled_and_uninstalled_are_accepted_in_either_order(wire, site, order):
    assert [(await wire.send_lifecycle(event, *wire.lifecycle_request(site, event))).status for event in order] == [
        204,
        204,
    ]
    assert wire.rows("SELECT state FROM addonkit_tenant WHERE client_key=?", site.client_key) == [("uninstalled",)]


async def test_disabled_and_uninstalled_are_accepted_at_once(wire):
    sites = [await wire.host.install() for _ in range(5)]
    calls = [(event, *wire.lifecycle_request(site, event)) for site in sites for event in ("disabled", "uninstalled")]
    answers = await asyncio.gather(*(wire.send_lifecycle(*call) for call in calls))
    assert {answer.status for answer in answers} == {204}
    names = [site.client_key for site in sites]
    marks = ",".join("?" * len(names))
    assert set(wire.rows(f"SELECT state FROM addonkit_tenant WHERE client_key IN ({marks})", *names)) == {
        ("uninstalled",)
    }


async def test_enabled_of_an_uninstalled_site_changes_nothing(wire, site):
    await wire.host.uninstall(site)
    assert (await wire.send_lifecycle("enabled", *wire.lifecycle_request(site, "enabled"))).status == 204
    assert await wire.page_status(site) == 401


@pytest.mark.parametrize("event", ["enabled", "disabled"])
async def test_lifecycle_request_of_an_unknown_site_is_refused(wire, event):
    stranger = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    assert (await wire.send_lifecycle(event, *wire.lifecycle_request(stranger, event))).status == 401


@pytest.mark.parametrize("event", ["enabled", "disabled"])
async def test_lifecycle_request_without_a_token_changes_nothing(wire, site, event):
    body = wire.payload(site, event, sharedSecret=None)
    assert (await wire.send_lifecycle(event, None, body)).status == 401
    assert await wire.page_status(site) == 200


async def test_disabled_without_a_token_after_an_uninstall_changes_nothing(wire, site):
    await wire.host.uninstall(site)
    assert (await wire.send_lifecycle("disabled", None, wire.payload(site, "disabled"))).status == 401
    await wire.host.reinstall(site)
    assert await wire.page_status(site) == 200


@pytest.mark.parametrize("event", ["enabled", "disabled"])
async def test_enabled_and_disabled_signed_with_an_install_key_are_refused(wire, site, event):
    token, body = wire.installed(site, event)
    assert (await wire.send_lifecycle(event, token, body)).status == 401


@pytest.mark.parametrize("changes", [{"qsh": "context-qsh"}, {"qsh": None}, {"aud": "com.example.other"}])
async def test_enabled_and_disabled_signed_for_another_request_are_refused(wire, site, changes):
    assert (await wire.send_lifecycle("disabled", *wire.state_request(site, "disabled", **changes))).status == 401
    assert await wire.page_status(site) == 200


async def test_enabled_token_is_refused_at_disabled(wire, site):
    token, _ = wire.state_request(site, "enabled")
    assert (await wire.send_lifecycle("disabled", token, wire.payload(site, "disabled"))).status == 401


async def test_disabled_of_one_site_does_not_disable_another(wire, site):
    other = await wire.host.install()
    token, _ = wire.state_request(other, "disabled")
    assert (await wire.send_lifecycle("disabled", token, wire.payload(site, "disabled"))).status == 401
    assert await wire.page_status(site) == 200


async def test_disabled_site_gets_no_page_until_it_is_enabled(wire, site):
    await wire.host.disable(site)
    assert await wire.page_status(site) == 401
    await wire.host.enable(site)
    assert await wire.page_status(site) == 200


async def test_replay_of_disabled_after_enabled_is_refused(wire, site):
    captured = wire.state_request(site, "disabled")
    assert (await wire.send_lifecycle("disabled", *captured)).status == 204
    await wire.host.enable(site)
    assert (await wire.send_lifecycle("disabled", *captured)).status == 401
    assert await wire.page_status(site) == 200


async def test_replay_of_enabled_after_disabled_is_refused(wire, site):
    captured = wire.state_request(site, "enabled")
    assert (await wire.send_lifecycle("enabled", *captured)).status == 204
    await wire.host.disable(site)
    assert (await wire.send_lifecycle("enabled", *captured)).status == 401
    assert await wire.page_status(site) == 401


@pytest.mark.parametrize("event", ["enabled", "disabled"])
async def test_enabled_and_disabled_are_accepted_again_with_a_new_token(wire, site, event):
    answers = [await wire.send_lifecycle(event, *wire.state_request(site, event)) for _ in range(2)]
    assert [answer.status for answer in answers] == [204, 204]


@pytest.mark.parametrize("event", ["enabled", "disabled"])
async def test_replay_of_enabled_and_disabled_many_times_at_once_is_accepted_once(wire, site, event):
    call = wire.state_request(site, event)
    answers = await asyncio.gather(*(wire.send_lifecycle(event, *call) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [204] + [401] * 7


async def test_enabled_and_disabled_issued_before_the_last_install_are_accepted(wire, site):
    held_back = wire.state_request(site, "disabled", iat=int(time.time()) - 5)
    assert (await wire.send_lifecycle("disabled", *held_back)).status == 204


async def test_enabled_site_of_another_process_is_served_at_once(wire, site):
    await wire.host.disable(site)
    assert await wire.page_status(site) == 401
    await wire.execute("UPDATE addonkit_tenant SET state='enabled' WHERE client_key=?", site.client_key)
    await asyncio.sleep(1.1)
    assert await wire.page_status(site) == 200
