"""Authentication by session: valid for the routes of the plugin whose page it was served with, and nowhere else."""

import time
from dataclasses import replace

import pytest
from addonkit.context import Licence
from addonkit.protocol.sessions import Page, Sessions
from addonkit.protocol.tokens import peek

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHO = "/under_test/who"


@pytest.fixture
def sessions(wire):
    """Sessions signed with the add-on's key, for any time."""
    return Sessions(wire.addon.deployment.encryption_keys(), "com.example.test")


@pytest.fixture
def page(wire):
    return Page(wire.site.client_key, "acc-1", "under_test", {"issue_id": "10001"}, Licence.ACTIVE)


async def test_session_opens_the_routes_of_its_page(wire):
    answer = await wire.send(f"Session {await wire.session()}", "GET", WHO)
    found = answer.json()
    assert (found["tenant"], found["account"], found["proof"]) == (wire.site.client_key, "acc-1", "session")


async def test_context_token_opens_the_routes_of_a_page(wire):
    answer = await wire.send(f"JWT {wire.site.context_token('acc-2')}", "GET", WHO)
    assert (answer.json()["account"], answer.json()["proof"]) == ("acc-2", "context")


async def test_session_has_the_host_objects_of_its_page(wire, sessions, page):
    answer = await wire.send(f"Session {sessions.mint(page)}", "GET", "/under_test/issue")
    assert answer.json() == {"issue_id": "10001"}


async def test_session_is_refused_for_a_page(wire):
    assert (await wire.send(f"Session {await wire.session()}", "GET", "/under_test/page?issue_key=AB-1")).status == 401


@pytest.mark.parametrize("event", ["installed", "uninstalled", "enabled", "disabled"])
@pytest.mark.parametrize("scheme", ["Session", "JWT"])
async def test_session_is_refused_for_lifecycle_requests(wire, event, scheme):
    answer = await wire.send(f"{scheme} {await wire.session()}", "POST", f"/lifecycle/{event}", b"{}")
    assert answer.status == 401


@pytest.mark.parametrize("path", ["/neighbour/who", "/under_testing/who", "/nowhere", "/addonkit/session"])
async def test_session_is_refused_at_another_plugin(wire, path):
    assert (await wire.send(f"Session {await wire.session()}", "GET", path)).status in (401, 405)


async def test_session_sent_as_a_host_token_is_refused(wire):
    assert (await wire.send(f"JWT {await wire.session()}", "GET", WHO)).status == 401


PAGE, OVERVIEW = "under_test.page", "under_test.overview"


@pytest.mark.parametrize(
    ("path", "endpoint"), [("page-only", PAGE), ("pages-only", PAGE), ("pages-only", OVERVIEW)], ids=str
)
async def test_session_of_a_page_opens_the_routes_that_name_the_page(wire, sessions, page, path, endpoint):
    session = sessions.mint(replace(page, endpoint=endpoint))
    answer = await wire.send(f"Session {session}", "POST", f"/under_test/{path}")
    assert (answer.status, answer.json()) == (200, {"page": endpoint})


async def test_session_names_the_page_that_was_served_with_it(wire):
    answer = await wire.send(f"Session {await wire.session()}", "POST", "/under_test/page-only")
    assert answer.json() == {"page": PAGE}


@pytest.mark.parametrize(
    "endpoint",
    [None, "", OVERVIEW, "under_test.failing", "under_test.page_only", "neighbour.page", "page", PAGE + "s", PAGE[:-1]],
    ids=str,
)
async def test_session_of_another_page_is_refused_by_a_route_that_names_its_pages(wire, sessions, page, endpoint):
    session = sessions.mint(replace(page, endpoint=endpoint))
    assert (await wire.send(f"Session {session}", "POST", "/under_test/page-only")).status == 401
    assert (await wire.send(f"Session {session}", "GET", WHO)).status == 200


@pytest.mark.parametrize("path", ["page-only", "pages-only"])
async def test_host_tokens_are_refused_by_a_route_that_names_its_pages(wire, path):
    for token in (wire.site.context_token("acc-1"), wire.token("POST", f"/under_test/{path}")):
        assert (await wire.send(f"JWT {token}", "POST", f"/under_test/{path}")).status == 401


async def test_session_in_the_query_is_refused(wire):
    assert (await wire.ask("GET", f"{WHO}?jwt={await wire.session()}")).status == 401


@pytest.mark.parametrize("make", ["context", "exact"])
async def test_session_scheme_with_a_host_token_is_refused(wire, make):
    token = wire.site.context_token("acc-1") if make == "context" else wire.token("GET", WHO)
    assert (await wire.send(f"Session {token}", "GET", WHO)).status == 401


async def test_session_signed_with_the_shared_secret_is_refused(wire, sessions, page):
    seen = peek(sessions.mint(page))
    forged = wire.claims("GET", WHO, iss=seen.issuer, aud="addonkit-session:com.example.test", qsh=None)
    assert (await wire.send(f"Session {wire.signed(forged)}", "GET", WHO)).status == 401


async def test_session_is_refused_after_fifteen_minutes(wire, sessions, page):
    old = sessions.mint(page, now=time.time() - 15 * 60 - 1)
    assert (await wire.send(f"Session {old}", "GET", WHO)).status == 401


async def test_session_of_another_add_on_is_refused(wire, page):
    other = Sessions(wire.addon.deployment.encryption_keys(), "com.example.other")
    assert (await wire.send(f"Session {other.mint(page)}", "GET", WHO)).status == 401


async def test_session_signed_with_another_key_is_refused(wire, page):
    other = Sessions([("local", b"k" * 32)], "com.example.test")
    assert (await wire.send(f"Session {other.mint(page)}", "GET", WHO)).status == 401


async def test_session_ends_with_the_uninstall(wire):
    site = await wire.host.install()
    session = await wire.session(site=site)
    await wire.host.uninstall(site)
    assert (await wire.send(f"Session {session}", "GET", WHO)).status == 401


async def test_session_is_refused_while_the_site_is_disabled(wire):
    site = await wire.host.install()
    session = await wire.session(site=site)
    await wire.host.disable(site)
    assert (await wire.send(f"Session {session}", "GET", WHO)).status == 401
    await wire.host.enable(site)
    assert (await wire.send(f"Session {session}", "GET", WHO)).status == 200


async def test_session_of_an_anonymous_user_has_no_account(wire):
    session = await wire.session(account=None)
    assert (await wire.send(f"Session {session}", "GET", WHO)).json()["account"] is None
    assert (await wire.send(f"Session {session}", "GET", "/under_test/me")).status == 401
