"""Names and pictures of users."""

from __future__ import annotations

from functools import partial

import pytest
import pytest_asyncio
from addonkit import User
from addonkit.hostapi import users
from cachetools import TTLCache

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def site(caller):
    """A Jira site of this test's own."""
    caller.rest.requests.clear()
    caller.rest.resources.denied.clear()
    return await caller.host.install()


@pytest_asyncio.fixture(loop_scope="module")
async def wiki(caller):
    caller.rest.resources.denied.clear()
    return await caller.host.install("confluence")


async def test_users_have_names_and_pictures(caller, site):
    found = await caller(lambda host: host.users(["acc-2", "acc-1", "acc-2"]), site=site)
    assert list(found) == ["acc-2", "acc-1"]
    assert found["acc-1"] == User("acc-1", "User acc-1", f"{site.origin}/avatars/acc-1.png", True)


async def test_user_unknown_to_the_site_has_no_name(caller, site):
    caller.rest.resources.names["gone"] = ""
    assert await caller(lambda host: host.users(["gone"]), site=site) == {"gone": User("gone")}


async def test_users_are_requested_in_bulk_and_cached(caller, site):
    ids = [f"acc-{number}" for number in range(200)]
    for _ in range(2):
        assert len(await caller(lambda host: host.users(ids), site=site)) == 200
    assert len(caller.rest.requests_to("GET", "/rest/api/3/user/bulk")) == 3


async def test_attack_23_name_from_one_site_is_not_shown_on_another(caller, site):
    other = await caller.host.install()
    await caller(lambda host: host.users(["acc-1"]), site=site)
    caller.rest.resources.names["acc-1"] = "Elsewhere"
    try:
        assert (await caller(lambda host: host.users(["acc-1"]), site=other))["acc-1"].name == "Elsewhere"
    finally:
        del caller.rest.resources.names["acc-1"]


async def test_users_of_confluence_have_names_and_pictures(caller, wiki):
    found = await caller(lambda host: host.users(["acc-1"]), site=wiki)
    assert found["acc-1"] == User("acc-1", "User acc-1", f"{wiki.origin}/avatars/acc-1.png", True)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example.com/a.png", "data:text/html,x", "https//[x", 5, None]
)
async def test_user_picture_with_an_unsafe_url_is_omitted(caller, site, url):
    entry = {"accountId": "odd", "displayName": "Odd", "avatarUrls": {"48x48": url}}
    caller.rest.answer("GET", "/rest/api/3/user/bulk", {"values": [entry]})
    try:
        assert (await caller(lambda host: host.users(["odd"]), site=site))["odd"].avatar_url is None
    finally:
        caller.rest.remove_last_answer()


async def named(caller, site, cache, *accounts):
    """Ask a cache for users, and return their names."""
    tenant = await caller.tenant(site)
    found = await caller(lambda host: cache.find(host, tenant, accounts, check_scope=lambda *_: None), site=site)
    return [user.name for user in found.values()]


@pytest.mark.parametrize(("age_s", "name"), [(0, "Ann"), (599.9, "Ann"), (600.1, "")])
async def test_user_whose_name_was_erased_is_shown_for_ten_minutes(caller, site, monkeypatch, age_s, name):
    now = [1000.0]
    monkeypatch.setattr(users, "TTLCache", partial(TTLCache, timer=lambda: now[0]))
    monkeypatch.setitem(caller.rest.resources.names, "acc-9", "Ann")
    cache = users.Users()
    assert await named(caller, site, cache, "acc-9") == ["Ann"]
    caller.rest.resources.names["acc-9"] = ""
    now[0] += age_s
    assert await named(caller, site, cache, "acc-9") == [name]


async def test_user_cache_is_bounded(caller, site, monkeypatch):
    monkeypatch.setattr(users, "MAX_CACHED", 2)
    cache = users.Users()
    for account in ("acc-1", "acc-2", "acc-1", "acc-2"):
        await named(caller, site, cache, account)
    assert len(caller.rest.requests_to("GET", "/rest/api/3/user/bulk")) == 2
    for account in ("acc-3", "acc-1", "acc-2", "acc-3"):
        await named(caller, site, cache, account)
    assert len(caller.rest.requests_to("GET", "/rest/api/3/user/bulk")) > 3
