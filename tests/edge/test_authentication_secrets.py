"""A tenant without a shared secret: no token that is signed with one is accepted, whatever the token says."""

import base64
import hmac
import json
import time

import pytest
from addonkit.context import Licence
from addonkit.errors import TokenInvalid
from addonkit.protocol.sessions import Page, Sessions
from addonkit.tenancy.key_usage import SHARED
from addonkit.tenancy.record import IdentityKind
from addonkit.tenancy.vault import Vault

from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHO = "/under_test/who"
SECRETS = ["its own", "", "None", "null"]


async def without_secret(wire, site, **columns):
    """Remove the secrets of a site from the database, and set columns."""
    changes = {"shared_secret": None, "former_secret": None, "former_until": None, **columns}
    names = ", ".join(f"{name} = {'NULL' if value is None else repr(value)}" for name, value in changes.items())
    await wire.execute(f"UPDATE addonkit_tenant SET {names} WHERE client_key = '{site.client_key}'")
    wire.addon.directory.clear()


def token(wire, site, method, target, secret, **changes):
    """Return a token of the site, signed with its last secret or with a text that libraries refuse as a secret."""
    key = site.shared_secret if secret == "its own" else secret
    parts = [{"alg": "HS256", "typ": "JWT"}, wire.claims(method, target, site, **changes)]
    signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_base64(hmac.digest(key.encode(), signed.encode(), 'sha256'))}"


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("secret", SECRETS)
async def test_tenant_without_a_secret_refuses_every_hs256_token(wire, site, secret):
    assert await wire.is_known(site)
    await without_secret(wire, site)
    query = token(wire, site, "GET", PAGE, secret)
    assert (await wire.ask("GET", f"{PAGE}&jwt={query}")).status == 401
    assert (await wire.send(f"JWT {query}", "GET", PAGE)).status == 401
    context = token(wire, site, "GET", WHO, secret, qsh="context-qsh", context={})
    assert (await wire.send(f"JWT {context}", "GET", WHO)).status == 401
    for event in ("enabled", "disabled"):
        lifecycle = token(wire, site, "POST", f"/lifecycle/{event}", secret, sub=None)
        assert (await wire.send_lifecycle(event, lifecycle, wire.payload(site, event))).status == 401


async def test_tenant_without_a_secret_renews_no_session(wire, site):
    session = await wire.session(site=site)
    await without_secret(wire, site)
    body = json.dumps({"session": session}).encode()
    renewal = f"JWT {site.context_token('acc-1')}"
    assert (await wire.send(renewal, "POST", "/addonkit/session", body, "application/json")).status == 401


async def test_connect_tenant_without_a_secret_refuses_its_sessions(wire, site):
    session = await wire.session(site=site)
    assert (await wire.send(f"Session {session}", "GET", WHO)).status == 200
    await without_secret(wire, site)
    assert (await wire.send(f"Session {session}", "GET", WHO)).status == 401


async def test_connect_tenant_without_a_secret_recovers_by_an_install(wire, site):
    await without_secret(wire, site)
    assert not await wire.is_known(site)
    await wire.host.reinstall(site)
    assert await wire.is_known(site)


async def test_tenant_without_a_client_key_refuses_tokens_that_name_its_key(wire, site):
    key = f"forge:jira:{site.client_key}"
    await without_secret(wire, site, client_key=None, key=key)
    for issuer in (site.client_key, key):
        assert (await wire.open(PAGE, site=site, iss=issuer)).status == 401


async def test_tenant_without_a_client_key_accepts_sessions_that_name_its_key(wire, site):
    key = f"forge:jira:{site.client_key}"
    await without_secret(wire, site, client_key=None, key=key)
    sessions = Sessions(wire.addon.deployment.encryption_keys(), "com.example.test")
    page = Page(key, "acc-1", "under_test", {"issue_id": "10001"}, Licence.ACTIVE)
    answer = await wire.send(f"Session {sessions.mint(page)}", "GET", "/under_test/issue")
    assert answer.json() == {"issue_id": "10001"}


async def test_verify_with_secret_refuses_a_missing_secret_itself(wire, site):
    record = await wire.addon.directory.get(IdentityKind.CLIENT_KEY, site.client_key)
    signed = wire.token("GET", PAGE, site, iat=int(time.time()))
    with pytest.raises(TokenInvalid, match="has none"):
        wire.addon.edge.authenticator.verify_with_secret(signed, None, record)


async def store_elsewhere(wire, site, secret):
    """Store a new secret of a site as another process does: this one still has the former in memory."""
    encrypted = Vault(wire.addon.deployment.encryption_keys()).encrypt(
        secret.encode(), tenant_key=site.client_key, column=SHARED
    )
    await wire.execute("UPDATE addonkit_tenant SET shared_secret = ? WHERE client_key = ?", encrypted, site.client_key)


@pytest.mark.parametrize("times", [1, 2])  # a row is read four times a second at most
async def test_secret_that_another_process_has_stored_is_read_again(wire, site, times):
    assert await wire.is_known(site)
    for number in range(times):
        former = site.shared_secret
        site.shared_secret = f"a new secret that is long enough, {number}"
        assert not await wire.is_known(site)
        await store_elsewhere(wire, site, site.shared_secret)
        assert await wire.is_known(site)
        assert await wire.is_known(site)
    site.shared_secret = former
    assert not await wire.is_known(site)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM addonkit_tenant WHERE client_key = ?",
        "UPDATE addonkit_tenant SET state = 'disabled' WHERE client_key = ?",
        "UPDATE addonkit_tenant SET state = 'uninstalled' WHERE client_key = ?",
    ],
    ids=["deleted", "disabled", "uninstalled"],
)
async def test_token_of_a_new_secret_of_a_site_that_is_gone_is_refused(wire, site, change):
    assert await wire.is_known(site)
    site.shared_secret = "a new secret that is long enough"
    await store_elsewhere(wire, site, site.shared_secret)
    if change.startswith("DELETE"):
        await wire.execute(
            "DELETE FROM addonkit_identity WHERE tenant_id IN (SELECT id FROM addonkit_tenant WHERE client_key = ?)",
            site.client_key,
        )
    await wire.execute(change, site.client_key)
    assert await wire.page_status(site) == 401
