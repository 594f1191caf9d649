"""Signed calls over real HTTP: tokens are for exactly what is sent, for one site, with its current secret."""

from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import quote

import pytest
from addonkit import HostError, TenantState
from addonkit.calling import calling
from addonkit.testing.rest import Reply

from tests.support.calling_plugin import seen

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUERIES = [
    {"jql": "project = AB AND text ~ 'a+b & c'"},
    {"expand": ["names", "changelog"], "fields": "*all"},
    {"b": 2, "a": True, "c": None, "d": ""},
    {"jql": 'summary ~ "Ünïcode ✓"'},
    {"a:": "1", "a0": "2", "ids": [".1", ":1"]},
]


@pytest.fixture(autouse=True)
def anew(asking):
    asking.rest.requests.clear()
    asking.rest.rejected.clear()
    seen.clear()


@pytest.mark.parametrize("params", QUERIES)
async def test_query_hash_covers_exactly_what_is_sent(asking, params):
    asking.rest.answer("GET", "/rest/api/3/search/jql", {})
    await asking(lambda host: host.get("/rest/api/3/search/jql", params))
    assert asking.rest.rejected == []
    assert len(asking.rest.requests) == 1


@pytest.mark.parametrize("name", ["a b", "a/b", "ä", "a&b", "a%b", "a?b", "a;b", "a'b(c)"])
async def test_path_that_is_escaped_is_sent_unchanged(asking, name):
    asking.rest.answer("GET", "/rest/api/3/issue/AB-1/properties/*", {"value": 1})
    await asking(lambda host: host.get(f"/rest/api/3/issue/AB-1/properties/{quote(name, safe='')}"))
    assert asking.rest.rejected == []


async def test_site_that_moved_gets_no_token_at_its_former_url(asking):
    site = await asking.host.install()
    former = await asking.tenant(site)
    site.base_url = asking.host.site.base_url + "/moved"
    await asking.host.reinstall(site)
    with calling("asking"), pytest.raises(HostError, match=r"has moved to '.*/moved'; load the tenant again"):
        await asking.clients.of(former, None).get("/rest/api/3/myself")


async def test_site_that_uninstalled_is_not_called(asking):
    site = await asking.host.install()
    tenant = await asking.tenant(site)
    await asking.host.uninstall(site)
    with calling("asking"), pytest.raises(HostError, match=f"is {TenantState.UNINSTALLED}"):
        await asking.clients.of(tenant, None).get("/rest/api/3/myself")


async def test_secret_replaced_by_another_process_is_reread(asking):
    site = await asking.host.install()
    asking.rest.answer("GET", "/rest/api/3/myself", {"ok": 1})
    old = await asking.addon.directory.get(site.client_key)
    await asking.host.reinstall(site)
    asking.addon.directory._known[site.client_key] = old
    assert await asking(lambda host: host.get("/rest/api/3/myself"), site=site) == {"ok": 1}
    assert len(asking.rest.rejected) == 1


async def test_token_that_is_refused_is_renewed_only_once(asking):
    site = await asking.host.install()
    asking.rest.sites.remove(site)
    with pytest.raises(HostError, match="does not accept the token") as refused:
        await asking(lambda host: host.get("/rest/api/3/myself"), site=site)
    assert refused.value.status == 401


async def test_attack_23_each_site_gets_its_own_token(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", by=lambda asked: Reply(asked.site.client_key))
    sites = [await asking.host.install() for _ in range(8)]
    answers = await asyncio.gather(
        *(asking(lambda host: host.get("/rest/api/3/myself"), site=one) for one in sites * 5)
    )
    assert answers == [site.client_key for site in sites * 5]


async def test_token_is_sent_in_the_header_only(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", {})
    await asking(lambda host: host.get("/rest/api/3/myself", {"a": "b"}))
    [call] = asking.rest.requests
    assert "jwt" not in call.query
    claims = json.loads(base64.urlsafe_b64decode(call.headers["authorization"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 180
    assert claims["iss"] == "com.example.test"
    assert claims["aud"] == [asking.host.site.client_key]
