"""Signed calls over real HTTP: tokens are for exactly what is sent, for one site, with its current secret."""

from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import quote

import pytest
from addonkit import HostError, TenantState
from addonkit.current import plugin_scope
from addonkit.tenancy.record import IdentityKind
from addonkit.testing.exchange import Reply

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("clean")]
QUERIES = [
    {"jql": "project = AB AND text ~ 'a+b & c'"},
    {"expand": ["names", "changelog"], "fields": "*all"},
    {"b": 2, "a": True, "c": None, "d": ""},
    {"jql": 'summary ~ "Ünïcode ✓"'},
    {"a:": "1", "a0": "2", "ids": [".1", ":1"]},
]


@pytest.mark.parametrize("params", QUERIES)
async def test_query_hash_covers_exactly_what_is_sent(caller, params):
    caller.rest.answer("GET", "/rest/api/3/search/jql", {})
    await caller(lambda host: host.get("/rest/api/3/search/jql", params))
    assert caller.rest.rejected == []
    assert len(caller.rest.requests) == 1


@pytest.mark.parametrize("name", ["a b", "a/b", "ä", "a&b", "a%b", "a?b", "a;b", "a'b(c)"])
async def test_path_that_is_escaped_is_sent_unchanged(caller, name):
    caller.rest.answer("GET", "/rest/api/3/issue/AB-1/properties/*", {"value": 1})
    await caller(lambda host: host.get(f"/rest/api/3/issue/AB-1/properties/{quote(name, safe='')}"))
    assert caller.rest.rejected == []


async def test_site_that_moved_gets_no_token_at_its_former_url(caller):
    site = await caller.host.install()
    former = await caller.tenant(site)
    site.base_url = caller.host.site.base_url + "/moved"
    await caller.host.reinstall(site)
    with plugin_scope("caller"), pytest.raises(HostError, match=r"has moved to '.*/moved'; load the tenant again"):
        await caller.clients.of(former, None).get("/rest/api/3/myself")


async def test_site_that_uninstalled_is_not_called(caller):
    site = await caller.host.install()
    tenant = await caller.tenant(site)
    await caller.host.uninstall(site)
    with plugin_scope("caller"), pytest.raises(HostError, match=f"is {TenantState.UNINSTALLED}"):
        await caller.clients.of(tenant, None).get("/rest/api/3/myself")


async def test_secret_replaced_by_another_process_is_reread(caller):
    site = await caller.host.install()
    caller.rest.answer("GET", "/rest/api/3/myself", {"ok": 1})
    old = await caller.addon.directory.get(IdentityKind.CLIENT_KEY, site.client_key)
    await caller.host.reinstall(site)
    caller.addon.directory._known[site.client_key] = old
    assert await caller(lambda host: host.get("/rest/api/3/myself"), site=site) == {"ok": 1}
    assert len(caller.rest.rejected) == 1


async def test_token_that_is_refused_is_renewed_only_once(caller):
    site = await caller.host.install()
    caller.rest.sites.remove(site)
    with pytest.raises(HostError, match="does not accept the token") as refused:
        await caller(lambda host: host.get("/rest/api/3/myself"), site=site)
    assert refused.value.status == 401


async def test_attack_23_each_site_gets_its_own_token(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", by=lambda request: Reply(request.site.client_key))
    sites = [await caller.host.install() for _ in range(8)]
    answers = await asyncio.gather(
        *(caller(lambda host: host.get("/rest/api/3/myself"), site=one) for one in sites * 5)
    )
    assert answers == [site.client_key for site in sites * 5]


async def test_token_is_sent_in_the_header_only(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {})
    await caller(lambda host: host.get("/rest/api/3/myself", {"a": "b"}))
    [call] = caller.rest.requests
    assert "jwt" not in call.query
    claims = json.loads(base64.urlsafe_b64decode(call.headers["authorization"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 180
    assert claims["iss"] == "com.example.test"
    assert claims["aud"] == [caller.host.site.client_key]
