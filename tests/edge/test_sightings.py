"""What a valid token proves about its site: a disabled site is enabled, and a site that uses the add-on is not gone."""

import asyncio
import time

import pytest
import structlog
from addonkit.jobs.lifecycle import enqueue_lifecycle_jobs
from addonkit.tenancy.states import TenantStates

from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
DRAWN = "/under_test/drawn?macro_id=1&text=x"


async def disable(wire, site, ago_s=60):
    """Disable a site with a token that was issued some seconds ago."""
    issued_at = int(time.time()) - ago_s
    assert (await wire.send_lifecycle("disabled", *wire.state_request(site, "disabled", iat=issued_at))).status == 204


def state(wire, site):
    [(found,)] = wire.rows("SELECT state FROM addonkit_tenant WHERE client_key = ?", site.client_key)
    return found


def number(wire, site):
    [(found,)] = wire.rows("SELECT id FROM addonkit_tenant WHERE client_key = ?", site.client_key)
    return found


def history(wire, site):
    return wire.rows(
        "SELECT what, detail FROM addonkit_tenant_history WHERE client_key = ? ORDER BY id", site.client_key
    )


async def send(wire, site, kind, **changes):
    """Send one request of a kind that the host signs; return the status."""
    if kind == "page":
        return (await wire.open(PAGE, site=site, **changes)).status
    if kind == "context":
        token = wire.token("GET", "/under_test/who", site, **{"qsh": "context-qsh", **changes})
        return (await wire.send(f"JWT {token}", "GET", "/under_test/who")).status
    if kind == "post":
        token = wire.token("POST", DRAWN, site, **changes)
        return (await wire.send(f"JWT {token}", "POST", DRAWN)).status
    assert kind == "header"
    token = wire.token("GET", PAGE, site, **changes)
    return (await wire.send(f"JWT {token}", "GET", PAGE)).status


@pytest.mark.parametrize("kind", ["page", "header", "context", "post"])
async def test_token_issued_after_the_disabling_enables_the_site(wire, site, kind):
    await disable(wire, site)
    with structlog.testing.capture_logs() as logs:
        assert await send(wire, site, kind) == 200
    assert state(wire, site) == "enabled"
    what, detail = history(wire, site)[-1]
    assert what == "enabled"
    assert detail.startswith("by a token issued at ")
    assert [entry["event"] for entry in logs].count("tenant.enabled_by_token") == 1
    assert await send(wire, site, kind) == 200


@pytest.mark.parametrize("later_s", [-170, -60, -1, 0, 1])
async def test_token_issued_before_or_with_the_disabling_is_refused(wire, site, later_s):
    now = int(time.time())
    await disable(wire, site, ago_s=5)
    issued_at = now - 5 + later_s
    assert await send(wire, site, "page", iat=issued_at, exp=issued_at + 300) == 401
    assert state(wire, site) == "disabled"


@pytest.mark.parametrize(
    "changes",
    [
        {"qsh": "0" * 64},
        {"exp": 1},
        {"aud": "com.example.other"},
        {"qsh": None},
        {"nbf": 4_000_000_000},
        {"iss": ""},
    ],
    ids=["other-request", "expired", "other-audience", "without-hash", "not-yet-valid", "no-issuer"],
)
async def test_invalid_token_enables_no_site(wire, site, changes):
    await disable(wire, site)
    assert await send(wire, site, "page", **changes) == 401
    assert state(wire, site) == "disabled"


async def test_token_of_another_secret_enables_no_site(wire, site):
    former = site.shared_secret
    await wire.host.reinstall(site)
    await disable(wire, site)
    site.shared_secret = former
    assert await send(wire, site, "page") == 401
    assert state(wire, site) == "disabled"


async def test_session_enables_no_site(wire, site):
    session = await wire.session(site=site)
    await disable(wire, site)
    assert (await wire.send(f"Session {session}", "GET", "/under_test/who")).status == 401
    assert state(wire, site) == "disabled"


@pytest.mark.parametrize("event", ["uninstalled", "gone"])
async def test_token_enables_no_uninstalled_or_gone_site(wire, site, event):
    await disable(wire, site)
    await wire.host.uninstall(site)
    if event == "gone":
        await wire.execute("UPDATE addonkit_tenant SET gone_at = uninstalled_at WHERE client_key = ?", site.client_key)
        wire.addon.directory.clear()
    assert await send(wire, site, "page") == 401
    assert state(wire, site) == "uninstalled"


async def test_site_that_an_operator_has_disabled_is_enabled_by_no_token(wire, site):
    with wire.addon.scope():
        states = TenantStates(enqueue_lifecycle_jobs)
        await states.set_by_operator(number(wire, site), enabled=False, listeners=())
    wire.addon.directory.clear()
    assert await send(wire, site, "page", iat=int(time.time()) + 20) == 401
    assert state(wire, site) == "disabled"
    await wire.host.enable(site)
    assert await send(wire, site, "page") == 200


async def test_site_that_an_earlier_release_has_disabled_is_enabled_by_a_later_token(wire, site):
    await disable(wire, site)
    await wire.execute("UPDATE addonkit_tenant SET disabled_iat = NULL WHERE client_key = ?", site.client_key)
    wire.addon.directory.clear()
    assert await send(wire, site, "page", iat=int(time.time()) - 60) == 401
    assert await send(wire, site, "page", iat=int(time.time()) + 5) == 200


async def test_time_of_an_earlier_disabling_does_not_count(wire, site):
    await disable(wire, site, ago_s=0)
    await wire.execute("UPDATE addonkit_tenant SET disabled_iat = 1000 WHERE client_key = ?", site.client_key)
    wire.addon.directory.clear()
    assert await send(wire, site, "page") == 401


async def test_repeated_disabled_refuses_tokens_issued_before_it(wire, site):
    await disable(wire, site, ago_s=100)
    await disable(wire, site, ago_s=10)
    assert await send(wire, site, "page", iat=int(time.time()) - 50) == 401
    assert await send(wire, site, "page") == 200


async def test_many_tokens_at_once_enable_a_site_once(wire, site):
    await disable(wire, site)
    assert set(await asyncio.gather(*(send(wire, site, "page") for _ in range(8)))) == {200}
    assert [what for what, _ in history(wire, site)].count("enabled") == 2  # with the one after the install


async def test_sign_of_life_clears_the_evidence_of_a_failing_site(wire, site):
    await wire.execute(
        "INSERT INTO addonkit_presence (tenant_id, next_at, is_failing, failed_days, failed_since)"
        " VALUES (?, 0, TRUE, 5, 1)",
        number(wire, site),
    )
    wire.addon.directory.clear()
    assert await send(wire, site, "page", exp=1) == 401
    assert wire.rows("SELECT failed_days FROM addonkit_presence WHERE tenant_id = ?", number(wire, site)) == [(5,)]
    assert await send(wire, site, "page") == 200
    found = wire.rows(
        "SELECT failed_days, failed_since FROM addonkit_presence WHERE tenant_id = ? AND NOT is_failing",
        number(wire, site),
    )
    assert found == [(0, None)]


async def test_signed_request_of_a_gone_site_lets_it_be_asked_soon(wire, site):
    await wire.host.uninstall(site)
    await wire.execute("UPDATE addonkit_tenant SET gone_at = uninstalled_at WHERE client_key = ?", site.client_key)
    later = time.time() + 50_000
    await wire.execute("INSERT INTO addonkit_presence (tenant_id, next_at) VALUES (?, ?)", number(wire, site), later)
    wire.addon.directory.clear()
    assert await send(wire, site, "page") == 401
    [(next_at,)] = wire.rows("SELECT next_at FROM addonkit_presence WHERE tenant_id = ?", number(wire, site))
    assert next_at < later - 40_000
