"""Whom a handler believes: host objects, users, sites and licences are proven or absent."""

import json

import pytest
from addonkit.text import well_formed

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = "application/json"
ISSUE = "/under_test/issue"
WHO = "/under_test/who"
SAID = {
    "tenant": "other",
    "client_key": "other",
    "account_id": "admin",
    "licence": "none",
    "context": {"account_id": "admin"},
    "issue_id": "666",
}


@pytest.fixture
def bare(wire):
    """A context token that names a user and no object."""
    return f"JWT {wire.site.context_token('acc-1')}"


def on(wire, **issue):
    return f"JWT {wire.site.context_token('acc-1', {'jira': {'issue': issue}})}"


async def test_object_in_the_query_of_a_session_route_is_ignored(wire, bare):
    assert (await wire.send(bare, "GET", f"{ISSUE}?issue_id=666")).status == 401


async def test_object_in_the_body_is_ignored(wire, bare):
    assert (await wire.send(bare, "POST", ISSUE, b'{"issue_id": "666"}', JSON)).status == 401


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", ""])
async def test_object_in_a_form_or_text_body_is_ignored(wire, bare, kind):
    assert (await wire.send(bare, "POST", ISSUE, b"issue_id=666", kind)).status == 401


@pytest.mark.parametrize("name", ["issue-id", "x-issue-id", "issue_id", "x-addonkit-issue-id"])
async def test_object_in_a_header_is_ignored(wire, bare, name):
    assert (await wire.ask("GET", ISSUE, [("authorization", bare), (name, "666")])).status == 401


@pytest.mark.parametrize("half", ["\ud83d", "y\ude00", "\udfff\ud800", "x\ud83dx", "\ud83d\ud83d\ude00"], ids=range(5))
async def test_object_with_half_a_surrogate_pair_has_the_replacement_character(wire, half):
    answer = await wire.send(on(wire, id=half), "GET", ISSUE)
    assert answer.json() == {"issue_id": well_formed(half)}


async def test_object_that_is_proven_is_not_replaced_by_the_caller(wire):
    proven = on(wire, id="10001")
    asked = await wire.send(proven, "GET", f"{ISSUE}?issue_id=666")
    posted = await wire.send(proven, "POST", f"{ISSUE}?issue_id=666", b'{"issue_id": "777"}', JSON)
    assert [asked.json(), posted.json()] == [{"issue_id": "10001"}] * 2


async def test_object_of_a_session_is_not_replaced_by_the_caller(wire):
    session = f"Session {await wire.session()}"
    assert (await wire.send(session, "GET", f"{ISSUE}?issue_id=666")).status == 401


async def test_object_id_may_be_a_number_in_a_context_claim(wire):
    assert (await wire.send(on(wire, id=10001), "GET", ISSUE)).json() == {"issue_id": "10001"}


@pytest.mark.parametrize("odd", [None, True, [], {}, "", {"id": "1"}, 1.5])
async def test_object_of_a_wrong_type_in_a_context_claim_is_ignored(wire, odd):
    assert (await wire.send(on(wire, id=odd), "GET", ISSUE)).status == 401


async def test_tenant_user_and_licence_come_from_the_proof_only(wire, bare):
    query = "&".join(f"{name}=other" for name in ("tenant", "client_key", "account_id", "licence", "lic", "sub"))
    expected = {"tenant": wire.site.client_key, "account": "acc-1", "licence": "unknown"}
    asked = (await wire.send(bare, "GET", f"{WHO}?{query}")).json()
    posted = (await wire.send(bare, "POST", WHO, json.dumps(SAID).encode(), JSON)).json()
    assert [{**asked, "proof": "context"}, posted] == [{**expected, "proof": "context"}, expected]


@pytest.mark.parametrize(
    ("active", "licence"), [(True, "active"), (False, "none"), ("true", "unknown"), (1, "unknown")]
)
async def test_licence_is_what_the_token_says(wire, active, licence):
    token = wire.site.context_token("acc-1", {"license": {"active": active}})
    assert (await wire.send(f"JWT {token}", "GET", f"{WHO}?lic=active")).json()["licence"] == licence


@pytest.mark.parametrize(("lic", "licence"), [("active", "active"), ("none", "none"), ("ACTIVE", "unknown")])
async def test_licence_of_a_page_is_what_the_host_signed(wire, lic, licence):
    assert (await wire.open(f"/under_test/overview?lic={lic}")).text == f"overview {licence} None"


async def test_user_is_not_taken_from_old_parameters(wire):
    answer = await wire.open("/under_test/page?issue_key=AB-1&user_id=admin&user_key=admin&account_id=admin", sub=None)
    assert "AB-1 for None" in answer.text


async def test_anonymous_visitor_is_refused_where_a_user_is_required(wire):
    anonymous = f"JWT {wire.site.context_token(None)}"
    assert (await wire.send(anonymous, "GET", "/under_test/me?account_id=admin")).status == 401
    assert (await wire.send(anonymous, "GET", WHO)).json()["account"] is None


async def test_user_is_anonymous_with_an_empty_subject(wire):
    token = wire.token("GET", "/x", qsh="context-qsh", sub="")
    assert (await wire.send(f"JWT {token}", "GET", "/under_test/me")).status == 401


async def test_tenants_with_one_user_stay_separate(wire):
    other = await wire.host.install()
    tokens = [site.context_token("acc-1") for site in (wire.site, other)]
    found = [(await wire.send(f"JWT {token}", "GET", WHO)).json()["tenant"] for token in tokens]
    assert found == [wire.site.client_key, other.client_key]
