"""Shared secrets: the new one is valid immediately, the former one for a limited time in page URLs."""

import time
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def former(wire, site):
    """Return a copy of the site with its former secret."""
    before = replace(site)
    await wire.host.reinstall(site)
    assert before.shared_secret != site.shared_secret
    return before


async def test_new_secret_opens_pages_at_once(wire, site, former):
    assert (await wire.open(PAGE, site=site)).status == 200


async def test_former_secret_opens_pages_for_a_while(wire, former):
    assert (await wire.open(PAGE, site=former)).status == 200


async def test_former_secret_is_refused_in_a_header(wire, former):
    token = wire.token("GET", PAGE, former)
    assert (await wire.send(f"JWT {token}", "GET", PAGE)).status == 401
    context = former.context_token("acc-1")
    assert (await wire.send(f"JWT {context}", "GET", "/under_test/who")).status == 401


@pytest.mark.parametrize("event", ["enabled", "disabled"])
async def test_former_secret_is_refused_for_lifecycle_requests(wire, site, former, event):
    token = wire.token("POST", f"/lifecycle/{event}", former, sub=None)
    assert (await wire.send_lifecycle(event, token, wire.payload(former, event))).status == 401
    assert (await wire.open(PAGE, site=site)).status == 200


async def test_former_secret_is_refused_after_five_minutes(wire, former):
    edge = wire.addon.edge
    later = replace(edge.authenticator, now=lambda: time.time() + 301)
    wire.addon.edge = replace(edge, authenticator=later)
    now = int(time.time()) + 301
    try:
        statuses = [(await wire.open(PAGE, site=s, iat=now, exp=now + 99)).status for s in (former, wire.site)]
    finally:
        wire.addon.edge = edge
    assert statuses == [401, 200]


async def test_former_secret_of_the_former_secret_is_refused(wire, site, former):
    await wire.host.reinstall(site)
    assert (await wire.open(PAGE, site=former)).status == 401


async def test_former_secret_keeps_its_time_if_the_new_one_is_sent_again(wire, site, former):
    now = int(time.time())
    assert (await wire.send_lifecycle("installed", *wire.installed(site, exp=now + 77))).status == 204
    assert (await wire.open(PAGE, site=former)).status == 200


async def test_former_secret_ends_with_an_uninstall(wire, site, former):
    await wire.host.uninstall(site)
    assert (await wire.open(PAGE, site=former)).status == 401
    last = replace(site)
    await wire.host.reinstall(site)
    assert (await wire.open(PAGE, site=site)).status == 200
    for gone in (former, last):
        assert (await wire.open(PAGE, site=gone)).status == 401


async def test_shared_secret_is_unchanged_by_a_refused_install(wire, site):
    before = replace(site)
    site.shared_secret = "x" * 31
    assert (await wire.send_lifecycle("installed", *wire.installed(site))).status == 422
    assert (await wire.open(PAGE, site=before)).status == 200
