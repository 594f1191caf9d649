"""Calls as a user: consent and scopes, the token cache, and errors of the token server."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
import pytest_asyncio
from addonkit import CallForbidden, HostError, HostUnavailable, ResponseInvalid, ScopeMissing, UserTokenDenied
from addonkit.current import plugin_scope
from addonkit.hostapi import user_tokens
from addonkit.hostapi.scopes import ScopeCheck
from addonkit.hostapi.user_tokens import server_of
from addonkit.tenancy.record import IdentityKind
from addonkit.testing.exchange import Reply

from tests.support.faulty_servers import answer, faulty

pytestmark = pytest.mark.asyncio(loop_scope="module")
MYSELF = "/rest/api/3/myself"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(caller):
    caller.rest.answer("GET", MYSELF, by=lambda request: Reply({"accountId": request.account_id}))
    return caller


@pytest_asyncio.fixture(loop_scope="module")
async def site(caller):
    caller.rest.token_grants.clear()
    return await caller.host.install()


def as_user(*args, **options):
    return lambda host: host.as_user(*args, **options).get(MYSELF)


def _lasting(reply, life_s):
    return Reply({**reply.json, "expires_in": life_s})


def cached_tokens(caller, site):
    return [key for key in caller.clients._user_tokens._cache if key[0] == site.client_key]


async def test_as_user_acts_as_the_pages_user(caller, site):
    page = await caller.host.open("caller-as-viewer", site, account="acc-7")
    assert json.loads(page.text) == {"accountId": "acc-7"}


async def test_as_user_needs_a_user(caller, site):
    with pytest.raises(CallForbidden, match="the current request has no user to act as"):
        await caller(as_user(), site=site, account=None)


async def test_as_user_needs_consent_for_another_account(caller, site):
    with pytest.raises(CallForbidden, match="the account is not the user who sent the current request"):
        await caller(as_user("acc-2"), site=site)
    assert await caller(as_user("acc-2", consented=True), site=site) == {"accountId": "acc-2"}
    assert await caller(as_user("acc-3", consented=True), site=site, account=None) == {"accountId": "acc-3"}


async def test_as_user_needs_the_scope_act_as_user(caller, site):
    with pytest.raises(ScopeMissing, match="plugin 'neighbour' acts as a user without the scope 'ACT_AS_USER'"):
        await caller(as_user(), site=site, plugin="neighbour")


async def test_as_user_host_passed_to_another_plugin_is_checked_again(caller, site):
    acting = []

    async def hand_over(host):
        acting.append(host.as_user())

    await caller(hand_over, site=site)
    with pytest.raises(ScopeMissing, match="plugin 'neighbour' acts as a user without the scope"):
        await caller(lambda _: acting[0].get(MYSELF), site=site, plugin="neighbour")


async def test_as_user_needs_a_second_scope():
    scopes = ScopeCheck({"bare": frozenset({"ACT_AS_USER"}), "rich": frozenset({"ADMIN"})})
    with pytest.raises(ScopeMissing, match="acts as a user but has no other scope"):
        scopes.check_acting("bare")


async def test_user_token_is_cached_per_user_and_site(caller, site):
    other = await caller.host.install()
    for one in (site, site, other):
        await caller(as_user(), site=one)
    await caller(as_user(), site=site, account="acc-2")
    assert sorted(caller.rest.token_grants) == ["acc-1", "acc-1", "acc-2"]


async def test_user_token_is_requested_once_by_concurrent_calls(caller, site):
    await asyncio.gather(*(caller(as_user(), site=site) for _ in range(20)))
    assert caller.rest.token_grants == ["acc-1"]


async def test_user_token_request_survives_the_cancellation_of_its_first_caller(caller, site):
    calls = [asyncio.create_task(caller(as_user(), site=site)) for _ in range(3)]
    await asyncio.sleep(0.001)
    calls[0].cancel()
    assert await asyncio.gather(*calls[1:]) == [{"accountId": "acc-1"}] * 2


async def test_user_token_is_requested_with_the_plugins_own_scopes(caller, site):
    forms = []
    real = caller.rest.issue_token
    caller.rest.issue_token = lambda body: forms.append(body) or real(body)
    try:
        await caller(as_user(), site=site)
    finally:
        caller.rest.issue_token = real
    assert b"scope=DELETE+READ+WRITE" in forms[0]


async def test_user_token_is_renewed_before_it_expires(caller, site):
    await caller(as_user(), site=site)
    kept = caller.clients._user_tokens._cache
    [key] = cached_tokens(caller, site)
    assert 0 < kept[key].renew_at - asyncio.get_running_loop().time() <= 900 - 60
    kept[key] = type(kept[key])("ended", 0.0)
    await caller(as_user(), site=site)
    assert caller.rest.token_grants == ["acc-1", "acc-1"]


async def test_user_token_refused_by_the_host_is_renewed_once(caller, site):
    await caller(as_user(), site=site)
    caller.rest._tokens.clear()
    assert await caller(as_user(), site=site) == {"accountId": "acc-1"}
    assert caller.rest.token_grants == ["acc-1", "acc-1"]


async def test_token_server_outage_does_not_mark_the_site_unreachable(caller, site, monkeypatch):
    await caller(as_user(), site=site)
    caller.rest._tokens.clear()
    with monkeypatch.context() as patch:
        patch.setattr(caller.clients._user_tokens, "_server", "http://127.0.0.1:1")
        with pytest.raises(HostUnavailable, match="accepts no connection"):
            await caller(lambda host: host.as_user().get(MYSELF, deadline_s=2), site=site)
    assert await caller(lambda host: host.get(MYSELF), site=site) == {"accountId": None}
    assert await caller(as_user(), site=site) == {"accountId": "acc-1"}


async def test_user_token_is_dropped_when_the_secret_changes(caller, site):
    await caller(as_user(), site=site)
    await caller.host.reinstall(site)
    await caller(as_user(), site=site)
    assert caller.rest.token_grants == ["acc-1", "acc-1"]
    assert len(cached_tokens(caller, site)) == 1


async def test_user_tokens_of_an_uninstalled_site_alone_are_dropped(caller, site):
    other = await caller.host.install()
    for one in (site, other):
        await caller(as_user(), site=one)
    await caller.host.uninstall(site)
    assert (len(cached_tokens(caller, site)), len(cached_tokens(caller, other))) == (0, 1)


async def test_user_token_received_after_the_uninstall_is_not_cached(caller, site):
    going = await caller.host.install()
    real = caller.rest.issue_token
    caller.rest.issue_token = lambda body: caller.addon.directory.forget(going.client_key) or real(body)
    try:
        assert await caller(as_user(), site=going) == {"accountId": "acc-1"}
    finally:
        caller.rest.issue_token = real
    assert cached_tokens(caller, going) == []


async def test_attack_23_token_is_not_used_after_an_uninstall(caller, site):
    await caller(as_user(), site=site)
    tenant = await caller.tenant(site)
    await caller.host.uninstall(site)
    caller.rest.requests.clear()
    with plugin_scope("caller"), pytest.raises(HostError, match="uninstalled"):
        await caller.clients.of(tenant, "acc-1").as_user().get(MYSELF)
    assert caller.rest.requests == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("invalid_grant", "inactive"),
        ("access_denied", "inactive"),
        ("invalid_scope", "scope"),
        ("unauthorized_client", "scope"),
        ("invalid_client", "not installed"),
        ("something_new", "other"),
    ],
)
async def test_token_server_errors_are_distinguished(caller, site, error, reason):
    caller.rest.token_errors["acc-9"] = error
    with pytest.raises(UserTokenDenied, match=f"gives no token for the user .*{error}") as refused:
        await caller(as_user(), site=site, account="acc-9")
    assert (refused.value.reason, refused.value.status) == (reason, 400)


async def test_token_server_that_does_not_know_the_installation(caller, site):
    caller.rest.sites.remove(site)
    with pytest.raises(UserTokenDenied, match="does not know this installation") as refused:
        await caller(as_user(), site=site)
    assert refused.value.reason == "not installed"


@pytest.mark.parametrize("status", ["500 Oops", "503 Later", "429 Many"])
async def test_token_server_that_answers_an_error_is_unavailable(caller, site, status, monkeypatch):
    async with faulty(answer(status, b"", retry_after="30")) as url:
        monkeypatch.setattr(caller.clients._user_tokens, "_server", url)
        with pytest.raises(HostUnavailable, match=r"the token server '.*' answered") as down:
            await caller(lambda host: host.as_user().get(MYSELF, deadline_s=0.2), site=site)
    assert down.value.retry_after_s == 30


async def test_token_server_without_a_connection_is_unavailable(caller, site, monkeypatch):
    monkeypatch.setattr(caller.clients._user_tokens, "_server", "http://127.0.0.1:1")
    with pytest.raises(HostUnavailable, match="accepts no connection"):
        await caller(lambda host: host.as_user().get(MYSELF, deadline_s=0.2), site=site)
    assert await caller(lambda host: host.get(MYSELF), site=site) == {"accountId": None}


LIVES = ["null", '"900"', "true", "900.5", "[900]", "{}"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"access_token": 5, "expires_in": 900}',
        b'{"access_token": "a\\nb", "expires_in": 900}',
        b'{"access_token": "a"}',
        *(f'{{"access_token": "a", "expires_in": {life}}}'.encode() for life in LIVES),
    ],
    ids=["nothing", "a list", "a number", "two lines", "no life", *LIVES],
)
async def test_token_server_answer_without_a_token_is_invalid(caller, site, body, monkeypatch):
    async with faulty(answer("200 OK", body)) as url:
        monkeypatch.setattr(caller.clients._user_tokens, "_server", url)
        with pytest.raises(ResponseInvalid, match="answered 200 without a token"):
            await caller(as_user(), site=site)


async def test_log_contains_no_token(caller, site, capsys):
    await caller(as_user(), site=site)
    caller.rest.token_errors["acc-8"] = "invalid_grant"
    with pytest.raises(UserTokenDenied):
        await caller(as_user(), site=site, account="acc-8")
    output = capsys.readouterr().out
    assert not any(token in output for token in caller.rest._tokens)
    assert "eyJ" not in output


@pytest.mark.parametrize(
    ("site", "server"),
    [
        ("https://x.atlassian.net", "https://oauth-2-authorization-server.services.atlassian.com"),
        ("https://x.jira-dev.com", "https://oauth-2-authorization-server.stg.services.atlassian.com"),
        (
            "https://x.atlassian-us-gov-mod.net",
            "https://oauth-2-authorization-server.services.atlassian-us-gov-mod.com",
        ),
    ],
)
async def test_token_server_follows_from_the_sites_domain(site, server):
    assert server_of(site) == server


@pytest.fixture
def new_cache(caller):
    """Make a token cache of its own."""
    kept = caller.clients._user_tokens
    return lambda: user_tokens.UserTokens(kept._transport, kept._server)


async def test_user_token_cache_is_bounded_and_keeps_what_was_used_last(caller, site, monkeypatch, new_cache):
    monkeypatch.setattr(user_tokens, "MAX_CACHED", 2)
    cache, record = new_cache(), await caller.addon.directory.get(IdentityKind.CLIENT_KEY, site.client_key)
    for account in ("acc-1", "acc-2", "acc-1", "acc-3", "acc-1", "acc-3"):
        await cache.token(record, account, "READ")
    assert caller.rest.token_grants == ["acc-1", "acc-2", "acc-3"]
    await cache.token(record, "acc-2", "READ")
    assert caller.rest.token_grants[3:] == ["acc-2"]


@pytest.mark.parametrize(
    ("life_s", "age_s", "grants"), [(900, 839, 1), (900, 841, 2), (120, 59, 1), (120, 61, 2), (60, 0, 2), (1, 0, 2)]
)
async def test_user_token_is_used_until_a_minute_before_it_expires(
    caller, site, monkeypatch, new_cache, life_s, age_s, grants
):
    now = [1000.0]
    monkeypatch.setattr(user_tokens, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    real = caller.rest.issue_token
    monkeypatch.setattr(caller.rest, "issue_token", lambda body: _lasting(real(body), life_s))
    cache, record = new_cache(), await caller.addon.directory.get(IdentityKind.CLIENT_KEY, site.client_key)
    await cache.token(record, "acc-1", "READ")
    now[0] += age_s
    await cache.token(record, "acc-1", "READ")
    assert len(caller.rest.token_grants) == grants
