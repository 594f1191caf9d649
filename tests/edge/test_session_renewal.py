"""Session renewal: with a context token of the same site and user, for at most a day."""

import time

import pytest
from addonkit.context import Licence
from addonkit.protocol.sessions import Page, Sessions

pytestmark = pytest.mark.asyncio(loop_scope="module")
RENEWAL = "/addonkit/session"
WHO = "/under_test/who"


@pytest.fixture
def sessions(wire):
    """Sessions signed with the add-on's key, for any time."""
    return Sessions(wire.addon.deployment.encryption_keys(), "com.example.test")


@pytest.fixture
def page(wire):
    return Page(wire.site.client_key, "acc-1", "under_test", {"issue_id": "10001"}, Licence.ACTIVE)


async def renewed(wire, session, token, as_json=True):
    body = f'{{"session": "{session}"}}'.encode() if as_json else session.encode()
    return await wire.send(f"JWT {token}", "POST", RENEWAL, body, "application/json")


async def test_session_renewal_extends_the_same_page(wire, sessions, page):
    old = sessions.mint(page, now=time.time() - 3600)
    answer = await renewed(wire, old, wire.site.context_token("acc-1"))
    fresh = sessions.read(answer.json()["session"])
    assert (fresh.plugin, fresh.objects, fresh.account_id) == ("under_test", {"issue_id": "10001"}, "acc-1")
    assert fresh.renewable_until == sessions.read(old, allow_expired=True).renewable_until


async def test_session_that_expired_is_valid_only_for_renewal(wire, sessions, page):
    old = sessions.mint(page, now=time.time() - 3600)
    assert (await wire.send(f"Session {old}", "GET", WHO)).status == 401
    assert (await renewed(wire, old, wire.site.context_token("acc-1"))).status == 200


async def test_session_renewal_is_refused_after_a_day(wire, sessions, page):
    old = sessions.mint(page, now=time.time() - 24 * 3600 - 1)
    assert (await renewed(wire, old, wire.site.context_token("acc-1"))).status == 401


async def test_session_renewal_in_a_chain_ends_a_day_after_the_first_session(wire, sessions, page):
    ends_at = int(time.time()) + 60
    late = Page(page.tenant_key, "acc-1", "under_test", page.objects, page.licence, ends_at)
    answer = await renewed(wire, sessions.mint(late), wire.site.context_token("acc-1"))
    with pytest.raises(Exception, match="expired"):
        sessions.read(answer.json()["session"], now=ends_at + 1)


@pytest.mark.parametrize("account", ["acc-2", None])
async def test_session_renewal_by_another_user_is_refused(wire, sessions, page, account):
    assert (await renewed(wire, sessions.mint(page), wire.site.context_token(account))).status == 401


async def test_session_renewal_by_another_site_is_refused(wire, sessions, page):
    other = await wire.host.install()
    assert (await renewed(wire, sessions.mint(page), other.context_token("acc-1"))).status == 401


async def test_session_renewal_without_a_token_is_refused(wire, sessions, page):
    answer = await wire.ask("POST", RENEWAL, body=f'{{"session": "{sessions.mint(page)}"}}'.encode())
    assert answer.status == 401


async def test_session_renewal_with_the_session_as_credential_is_refused(wire, sessions, page):
    session = sessions.mint(page)
    body = f'{{"session": "{session}"}}'.encode()
    assert (await wire.send(f"Session {session}", "POST", RENEWAL, body)).status == 401


async def test_session_renewal_with_an_exact_token_is_refused(wire, sessions, page):
    assert (await renewed(wire, sessions.mint(page), wire.token("POST", RENEWAL))).status == 401


async def test_session_renewal_with_the_token_in_the_query_is_refused(wire, sessions, page):
    body = f'{{"session": "{sessions.mint(page)}"}}'.encode()
    answer = await wire.ask("POST", f"{RENEWAL}?jwt={wire.site.context_token('acc-1')}", body=body)
    assert answer.status == 401


async def test_session_renewal_of_a_host_token_is_refused(wire):
    token = wire.site.context_token("acc-1")
    assert (await renewed(wire, token, token)).status == 401


@pytest.mark.parametrize("body", ["", "[]", "null", "{}", '{"session": 3}', "[" * 9000])
async def test_session_renewal_without_a_session_is_refused(wire, body):
    assert (await renewed(wire, body, wire.site.context_token("acc-1"), as_json=False)).status == 422


async def test_session_renewal_over_the_size_limit_is_refused(wire):
    assert (await renewed(wire, "x" * 20_000, wire.site.context_token("acc-1"), as_json=False)).status == 413


@pytest.mark.parametrize(("size", "status"), [(16_383, 200), (16_384, 200), (16_385, 413)])
async def test_session_renewal_has_an_exact_size_limit(wire, sessions, page, size, status):
    body = f'{{"session": "{sessions.mint(page)}"}}'.ljust(size)
    assert (await renewed(wire, body, wire.site.context_token("acc-1"), as_json=False)).status == status


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "HEAD"])
async def test_session_renewal_accepts_only_post(wire, method):
    answer = await wire.ask(method, RENEWAL)
    assert (answer.status, answer.header("allow")) == (405, "POST")


async def test_session_renewal_updates_the_licence(wire, sessions, page):
    token = wire.site.context_token("acc-1", {"license": {"active": False}})
    answer = await renewed(wire, sessions.mint(page), token)
    assert sessions.read(answer.json()["session"]).licence is Licence.NONE
