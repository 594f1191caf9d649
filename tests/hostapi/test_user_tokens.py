"""Calls as a user: for whom, with which token, kept how long, and why not."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio
from addonkit import CallForbidden, HostError, HostUnavailable, ScopeMissing, UserTokenDenied
from addonkit.calling import calling
from addonkit.hostapi.scopes import ScopeCheck
from addonkit.hostapi.user_tokens import server_of
from addonkit.testing.rest import Reply

from tests.support.faulty_servers import answer, faulty

pytestmark = pytest.mark.asyncio(loop_scope="module")
MYSELF = "/rest/api/3/myself"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(asking):
    asking.rest.answer("GET", MYSELF, by=lambda asked: Reply({"accountId": asked.account_id}))
    return asking


@pytest_asyncio.fixture(loop_scope="module")
async def site(asking):
    asking.rest.token_grants.clear()
    return await asking.host.install()


def as_user(*args, **options):
    return lambda host: host.as_user(*args, **options).get(MYSELF)


def kept_of(asking, site):
    return [key for key in asking.clients._user_tokens._cache if key[0] == site.client_key]


async def test_as_user_acts_as_the_pages_user(asking, site):
    page = await asking.host.open("asking-as-viewer", site, account="acc-7")
    assert json.loads(page.text) == {"accountId": "acc-7"}


async def test_as_user_needs_a_user(asking, site):
    with pytest.raises(CallForbidden, match="the current request has no user to act as"):
        await asking(as_user(), site=site, account=None)


async def test_as_user_needs_consent_for_another_account(asking, site):
    with pytest.raises(CallForbidden, match="the account is not the user who sent the current request"):
        await asking(as_user("acc-2"), site=site)
    assert await asking(as_user("acc-2", consented=True), site=site) == {"accountId": "acc-2"}
    assert await asking(as_user("acc-3", consented=True), site=site, account=None) == {"accountId": "acc-3"}


async def test_as_user_needs_the_scope_act_as_user(asking, site):
    with pytest.raises(ScopeMissing, match="plugin 'neighbour' acts as a user without the scope 'ACT_AS_USER'"):
        await asking(as_user(), site=site, plugin="neighbour")


async def test_as_user_host_passed_to_another_plugin_is_checked_again(asking, site):
    acting = []

    async def hand_over(host):
        acting.append(host.as_user())

    await asking(hand_over, site=site)
    with pytest.raises(ScopeMissing, match="plugin 'neighbour' acts as a user without the scope"):
        await asking(lambda _: acting[0].get(MYSELF), site=site, plugin="neighbour")


async def test_as_user_needs_a_second_scope():
    scopes = ScopeCheck({"bare": frozenset({"ACT_AS_USER"}), "rich": frozenset({"ADMIN"})})
    with pytest.raises(ScopeMissing, match="acts as a user but has no other scope"):
        scopes.check_acting("bare")


async def test_user_token_is_cached_per_user_and_site(asking, site):
    other = await asking.host.install()
    for one in (site, site, other):
        await asking(as_user(), site=one)
    await asking(as_user(), site=site, account="acc-2")
    assert sorted(asking.rest.token_grants) == ["acc-1", "acc-1", "acc-2"]


async def test_user_token_is_requested_once_by_concurrent_calls(asking, site):
    await asyncio.gather(*(asking(as_user(), site=site) for _ in range(20)))
    assert asking.rest.token_grants == ["acc-1"]


async def test_user_token_request_survives_the_cancellation_of_its_first_caller(asking, site):
    calls = [asyncio.create_task(asking(as_user(), site=site)) for _ in range(3)]
    await asyncio.sleep(0.001)
    calls[0].cancel()
    assert await asyncio.gather(*calls[1:]) == [{"accountId": "acc-1"}] * 2


async def test_user_token_is_requested_with_the_plugins_own_scopes(asking, site):
    forms = []
    real = asking.rest.issue_token
    asking.rest.issue_token = lambda body: forms.append(body) or real(body)
    try:
        await asking(as_user(), site=site)
    finally:
        asking.rest.issue_token = real
    assert b"scope=DELETE+READ+WRITE" in forms[0]


async def test_user_token_is_renewed_before_it_expires(asking, site):
    await asking(as_user(), site=site)
    kept = asking.clients._user_tokens._cache
    [key] = kept_of(asking, site)
    assert 0 < kept[key].renew_at - asyncio.get_running_loop().time() <= 900 - 60
    kept[key] = type(kept[key])("ended", 0.0)
    await asking(as_user(), site=site)
    assert asking.rest.token_grants == ["acc-1", "acc-1"]


async def test_user_token_refused_by_the_host_is_renewed_once(asking, site):
    await asking(as_user(), site=site)
    asking.rest._tokens.clear()
    assert await asking(as_user(), site=site) == {"accountId": "acc-1"}
    assert asking.rest.token_grants == ["acc-1", "acc-1"]


async def test_token_server_outage_does_not_mark_the_site_unreachable(asking, site, monkeypatch):
    await asking(as_user(), site=site)
    asking.rest._tokens.clear()
    with monkeypatch.context() as patch:
        patch.setattr(asking.clients._user_tokens, "_server", "http://127.0.0.1:1")
        with pytest.raises(HostUnavailable, match="accepts no connection"):
            await asking(lambda host: host.as_user().get(MYSELF, deadline_s=2), site=site)
    assert await asking(lambda host: host.get(MYSELF), site=site) == {"accountId": None}
    assert await asking(as_user(), site=site) == {"accountId": "acc-1"}


async def test_user_token_is_dropped_when_the_secret_changes(asking, site):
    await asking(as_user(), site=site)
    await asking.host.reinstall(site)
    await asking(as_user(), site=site)
    assert asking.rest.token_grants == ["acc-1", "acc-1"]
    assert len(kept_of(asking, site)) == 1


async def test_user_tokens_of_an_uninstalled_site_alone_are_dropped(asking, site):
    other = await asking.host.install()
    for one in (site, other):
        await asking(as_user(), site=one)
    await asking.host.uninstall(site)
    assert (len(kept_of(asking, site)), len(kept_of(asking, other))) == (0, 1)


async def test_user_token_received_after_the_uninstall_is_not_cached(asking, site):
    going = await asking.host.install()
    real = asking.rest.issue_token
    asking.rest.issue_token = lambda body: asking.addon.directory.forget(going.client_key) or real(body)
    try:
        assert await asking(as_user(), site=going) == {"accountId": "acc-1"}
    finally:
        asking.rest.issue_token = real
    assert kept_of(asking, going) == []


async def test_attack_23_token_is_not_used_after_an_uninstall(asking, site):
    await asking(as_user(), site=site)
    tenant = await asking.tenant(site)
    await asking.host.uninstall(site)
    asking.rest.requests.clear()
    with calling("asking"), pytest.raises(HostError, match="uninstalled"):
        await asking.clients.of(tenant, "acc-1").as_user().get(MYSELF)
    assert asking.rest.requests == []


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
async def test_token_server_errors_are_distinguished(asking, site, error, reason):
    asking.rest.token_errors["acc-9"] = error
    with pytest.raises(UserTokenDenied, match=f"gives no token for the user .*{error}") as refused:
        await asking(as_user(), site=site, account="acc-9")
    assert (refused.value.reason, refused.value.status) == (reason, 400)


async def test_token_server_that_does_not_know_the_installation(asking, site):
    asking.rest.sites.remove(site)
    with pytest.raises(UserTokenDenied, match="does not know this installation") as refused:
        await asking(as_user(), site=site)
    assert refused.value.reason == "not installed"


@pytest.mark.parametrize("status", ["500 Oops", "503 Later", "429 Many"])
async def test_token_server_that_answers_an_error_is_unavailable(asking, site, status, monkeypatch):
    async with faulty(answer(status, b"", retry_after="30")) as url:
        monkeypatch.setattr(asking.clients._user_tokens, "_server", url)
        with pytest.raises(HostUnavailable, match=r"the token server '.*' answered") as down:
            await asking(lambda host: host.as_user().get(MYSELF, deadline_s=0.2), site=site)
    assert down.value.retry_after_s == 30


async def test_token_server_without_a_connection_is_unavailable(asking, site, monkeypatch):
    monkeypatch.setattr(asking.clients._user_tokens, "_server", "http://127.0.0.1:1")
    with pytest.raises(HostUnavailable, match="accepts no connection"):
        await asking(lambda host: host.as_user().get(MYSELF, deadline_s=0.2), site=site)
    assert await asking(lambda host: host.get(MYSELF), site=site) == {"accountId": None}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"access_token": 5}', b'{"access_token": "a\\nb", "expires_in": 9}'])
async def test_token_server_answer_without_a_token_is_invalid(asking, site, body, monkeypatch):
    async with faulty(answer("200 OK", body)) as url:
        monkeypatch.setattr(asking.clients._user_tokens, "_server", url)
        with pytest.raises(Exception, match="answered 200 without a token"):
            await asking(as_user(), site=site)


async def test_log_contains_no_token(asking, site, capsys):
    await asking(as_user(), site=site)
    asking.rest.token_errors["acc-8"] = "invalid_grant"
    with pytest.raises(UserTokenDenied):
        await asking(as_user(), site=site, account="acc-8")
    said = capsys.readouterr().out
    assert not any(token in said for token in asking.rest._tokens)
    assert "eyJ" not in said


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
