"""What users may do, what they are called, and what the host keeps for add-ons."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from addonkit import CallForbidden, HostUnavailable, Plugin, PluginError, ResponseInvalid, ScopeMissing, User
from addonkit.calling import calling
from addonkit.hostapi.properties import MAX_VALUE_LENGTH
from pydantic import BaseModel, Field

from tests.support.calling_plugin import site_at

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHECK = "/rest/api/3/permissions/check"


@pytest_asyncio.fixture(loop_scope="module")
async def site(asking):
    """A Jira site of this test's own."""
    asking.rest.requests.clear()
    asking.rest.resources.denied.clear()
    return await asking.host.install()


@pytest_asyncio.fixture(loop_scope="module")
async def wiki(asking):
    asking.rest.resources.denied.clear()
    return await asking.host.install("confluence")


class Liking(BaseModel):
    """A value."""

    colour: str = "blue"
    words: list[str] = Field([], alias="someWords")


# ---- permissions


async def test_permission_granted_by_the_host_is_true(asking, site):
    assert await asking(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site) is True
    [call] = asking.rest.requests_to("POST", CHECK)
    assert call.json() == {
        "accountId": "acc-1",
        "globalPermissions": [],
        "projectPermissions": [{"permissions": ["EDIT_ISSUES"], "issues": [10001]}],
    }


async def test_permission_denied_by_the_host_is_false(asking, site):
    asking.rest.resources.deny("EDIT_ISSUES", "acc-1")
    assert await asking(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site) is False
    assert await asking(lambda host: host.may("EDIT_ISSUES", project="10000"), site=site) is False
    assert await asking(lambda host: host.may("ADMINISTER"), site=site) is True
    assert await asking(lambda host: host.may("EDIT_ISSUES", issue="10001", account_id="acc-2"), site=site) is True


async def test_permission_of_an_anonymous_visitor_is_false_without_a_request(asking, site):
    assert await asking(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site, account=None) is False
    assert asking.rest.requests == []


async def test_permission_cache_is_per_site_and_user(asking, site):
    other = await asking.host.install()
    for one, account in ((site, "acc-1"), (site, "acc-1"), (site, "acc-2"), (other, "acc-1")):
        await asking(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=one, account=account)
    assert len(asking.rest.requests_to("POST", CHECK)) == 3


async def test_permissions_of_many_issues_are_requested_in_bulk(asking, site):
    numbers = [str(number) for number in range(10_000, 10_250)]
    assert await asking(lambda host: host.may_each("BROWSE_PROJECTS", issues=numbers), site=site) == frozenset(numbers)
    assert len(asking.rest.requests_to("POST", CHECK)) == 2


async def test_permission_to_read_content_is_requested_from_confluence(asking, wiki):
    assert await asking(lambda host: host.may_read(content="98347"), site=wiki) is True
    asking.rest.resources.deny("read", "acc-2")
    assert await asking(lambda host: host.may_read(content="98347"), site=wiki, account="acc-2") is False
    [call, *_] = asking.rest.requests_to("POST", "/rest/api/content/98347/permission/check")
    assert call.json() == {"subject": {"type": "user", "identifier": "acc-1"}, "operation": "read"}


@pytest.mark.parametrize("number", ["AB-1", "", "1 or 1", "../1", "١٢", "9" * 25])
async def test_permission_for_a_non_numeric_id_is_refused(asking, site, number):
    with pytest.raises(CallForbidden, match="is not a numeric id of issues; pass the id, not the key"):
        await asking(lambda host: host.may("EDIT_ISSUES", issue=number), site=site)


@pytest.mark.parametrize(
    "said", [{"projectPermissions": ["x"]}, {"projectPermissions": 5}, {}, {"globalPermissions": 5}]
)
async def test_permission_is_false_after_a_malformed_response(asking, site, said):
    asking.rest.answer("POST", CHECK, said)
    try:
        assert await asking(lambda host: host.may("EDIT_ISSUES", issue="1"), site=site) is False
        assert await asking(lambda host: host.may("ADMINISTER"), site=site) is False
    finally:
        asking.rest.remove_last_answer()


async def test_permissions_and_users_are_requested_as_the_add_on(asking, site):
    await asking(lambda host: host.as_user().users(["acc-1"]), site=site)
    await asking(lambda host: host.as_user().may("EDIT_ISSUES", issue="1"), site=site)
    assert {call.account_id for call in asking.rest.requests} == {None}


async def test_cache_does_not_answer_a_plugin_without_the_scope(asking, site):
    await asking(lambda host: host.users(["acc-1"]), site=site)
    await asking(lambda host: host.may("EDIT_ISSUES", issue="1"), site=site)
    with pytest.raises(ScopeMissing):
        await asking(lambda host: host.users(["acc-1"]), site=site, plugin="poor")
    with pytest.raises(ScopeMissing):
        await asking(lambda host: host.may("EDIT_ISSUES", issue="1"), site=site, plugin="poor")


async def test_ids_given_as_one_string_are_refused(asking, site):
    with pytest.raises(TypeError, match=r"write \[account_id\]"):
        await asking(lambda host: host.users("acc-1"), site=site)
    with pytest.raises(TypeError, match=r"use may\(\) for one issue"):
        await asking(lambda host: host.may_each("EDIT_ISSUES", issues="10001"), site=site)


async def test_permission_for_two_subjects_is_refused(asking, site):
    with pytest.raises(CallForbidden, match="a permission is checked for one subject; pass one of"):
        await asking(lambda host: host.may("EDIT_ISSUES", issue="1", project="2"), site=site)


async def test_permission_raises_when_the_host_is_unavailable(asking, site):
    tenant = await site_at(asking, "http://127.0.0.1:1")
    with calling("asking"), pytest.raises(HostUnavailable):
        await asking.clients.of(tenant, "acc-1").may("EDIT_ISSUES", issue="10001")


# ---- routes that require a permission


async def test_attack_24_route_with_a_requirement_asks_the_host(asking, site):
    issue = {"id": "10001", "key": "AB-1"}
    asking.rest.resources.deny("EDIT_ISSUES", "acc-2")
    statuses = [
        (
            await (await asking.host.open("asking-start", site, account=account, issue=issue)).fetch("guarded")
        ).status_code
        for account in ("acc-1", "acc-2", None)
    ]
    assert statuses == [200, 403, 401]


async def test_attack_24_page_with_a_requirement_names_its_project(asking, site):
    page = await asking.host.open("asking-administration", site, project={"id": "10000", "key": "AB"})
    assert (page.status, page.text) == (200, "administration")
    assert "project_id=10000" in page.url
    asking.rest.resources.deny("ADMINISTER_PROJECTS", "acc-2")
    page = await asking.host.open("asking-administration", site, account="acc-2", project={"id": "10000"})
    assert page.status == 403
    page = await asking.host.open("asking-administration", site, account=None, project={"id": "10000"})
    assert page.status == 401


async def test_attack_24_page_without_a_proven_project_does_not_run(asking, site):
    page = await asking.host.open("asking-administration", site)
    assert page.status == 401


async def test_requirement_that_is_malformed_stops_the_start():
    plugin = Plugin("wrong", __name__, scopes={"READ"})

    @plugin.get("/x")
    @plugin.requires(issue="EDIT_ISSUES")
    async def ask() -> None: ...

    plugin.check()
    late = Plugin("late", __name__, scopes={"READ"})

    @late.get("/x")
    async def early() -> None: ...

    with pytest.raises(PluginError, match="on 'early' has no permission or stands above the route"):
        late.requires(issue="EDIT_ISSUES")(early)
    with pytest.raises(PluginError, match="has no permission"):
        late.requires()(lambda: None)
    with pytest.raises(PluginError, match="without saying what the permission applies to"):
        late.requires(early)
    with pytest.raises(PluginError, match="requires 'EDIT' on content, but Confluence has read, update, delete"):
        late.requires(content="EDIT")

    @late.requires(issue="EDIT_ISSUES")
    async def work() -> None: ...

    for word in (late.job(), late.webhook("jira:issue_created"), late.every("1h")):
        with pytest.raises(PluginError, match="background work has no user"):
            word(work)
    poor = Plugin("poor", __name__)

    @poor.get("/x")
    @poor.requires(issue="EDIT_ISSUES")
    async def poorly() -> None: ...

    with pytest.raises(PluginError, match="lacks the scope 'READ' to check it"):
        poor.check()


# ---- users


async def test_users_have_names_and_pictures(asking, site):
    found = await asking(lambda host: host.users(["acc-2", "acc-1", "acc-2"]), site=site)
    assert list(found) == ["acc-2", "acc-1"]
    assert found["acc-1"] == User("acc-1", "User acc-1", f"{site.origin}/avatars/acc-1.png", True)


async def test_user_unknown_to_the_site_has_no_name(asking, site):
    asking.rest.resources.names["gone"] = ""
    assert await asking(lambda host: host.users(["gone"]), site=site) == {"gone": User("gone")}


async def test_users_are_requested_in_bulk_and_cached(asking, site):
    ids = [f"acc-{number}" for number in range(200)]
    for _ in range(2):
        assert len(await asking(lambda host: host.users(ids), site=site)) == 200
    assert len(asking.rest.requests_to("GET", "/rest/api/3/user/bulk")) == 3


async def test_attack_23_name_from_one_site_is_not_shown_on_another(asking, site):
    other = await asking.host.install()
    await asking(lambda host: host.users(["acc-1"]), site=site)
    asking.rest.resources.names["acc-1"] = "Elsewhere"
    try:
        assert (await asking(lambda host: host.users(["acc-1"]), site=other))["acc-1"].name == "Elsewhere"
    finally:
        del asking.rest.resources.names["acc-1"]


async def test_users_of_confluence_have_names_and_pictures(asking, wiki):
    found = await asking(lambda host: host.users(["acc-1"]), site=wiki)
    assert found["acc-1"] == User("acc-1", "User acc-1", f"{wiki.origin}/avatars/acc-1.png", True)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example.com/a.png", "data:text/html,x", "https//[x", 5, None]
)
async def test_user_picture_with_an_unsafe_url_is_omitted(asking, site, url):
    said = {"accountId": "odd", "displayName": "Odd", "avatarUrls": {"48x48": url}}
    asking.rest.answer("GET", "/rest/api/3/user/bulk", {"values": [said]})
    try:
        assert (await asking(lambda host: host.users(["odd"]), site=site))["odd"].avatar_url is None
    finally:
        asking.rest.remove_last_answer()


# ---- properties

PLACES = [{}, {"issue": "10001"}, {"project": "AB"}, {"comment": "5"}, {"user": "acc-1"}]


@pytest.mark.parametrize("entity", PLACES)
async def test_property_in_jira_is_stored_and_deleted(asking, site, entity):
    async def work(host):
        liking = host.property(Liking, "a liking/ü", **entity)
        assert await liking.get() is None
        await liking.put(Liking(colour="red", someWords=["ä"]))
        found = await liking.get()
        await liking.put(Liking())
        again = await liking.get()
        await liking.delete()
        await liking.delete()
        return found, again, await liking.get()

    found, again, gone = await asking(work, site=site)
    assert (found.colour, found.words, again.colour, gone) == ("red", ["ä"], "blue", None)


@pytest.mark.parametrize("entity", [{}, {"content": "98347"}, {"space": "SHOP"}])
async def test_property_in_confluence_is_stored_and_deleted(asking, wiki, entity):
    async def work(host):
        liking = host.property(Liking, "liking", **entity)
        await liking.put(Liking(colour="red"))
        await liking.put(Liking(colour="green"))
        found = await liking.get()
        await liking.delete()
        return found, await liking.get()

    found, gone = await asking(work, site=wiki)
    assert (found.colour, gone) == ("green", None)


async def test_property_of_the_add_on_needs_no_scope(asking, site):
    await asking(lambda host: host.property(Liking, "liking").put(Liking()), site=site, plugin="poor")


async def test_property_value_that_is_too_long_is_not_sent(asking, site):
    asking.rest.requests.clear()
    fits = MAX_VALUE_LENGTH - len(Liking(colour="").model_dump_json(by_alias=True))
    await asking(lambda host: host.property(Liking, "liking").put(Liking(colour="x" * fits)), site=site)
    assert len(asking.rest.requests) == 1
    with pytest.raises(CallForbidden, match="has 32769 characters, and the host accepts 32768"):
        await asking(lambda host: host.property(Liking, "liking").put(Liking(colour="x" * (fits + 1))), site=site)
    assert len(asking.rest.requests) == 1


async def test_property_value_of_another_model_is_refused(asking, site):
    with pytest.raises(TypeError, match="has the type 'dict', expected 'Liking'"):
        await asking(lambda host: host.property(Liking, "liking").put({"colour": "red"}), site=site)


async def test_property_value_that_does_not_match_is_invalid(asking, site):
    path = "/rest/api/3/issue/10001/properties/liking"
    await asking(lambda host: host.put(path, {"colour": ["no", "text"]}), site=site)
    with pytest.raises(ResponseInvalid, match="does not match 'Liking': 'colour': Input should be a valid string"):
        await asking(lambda host: host.property(Liking, "liking", issue="10001").get(), site=site)


@pytest.mark.parametrize(
    ("key", "entity", "said"),
    [
        ("", {}, "has 0 characters, expected 1 to 127"),
        ("k" * 128, {}, "has 128 characters"),
        ("k", {"issue": "1", "project": "2"}, "belongs to one entity, found issue and project; pass one"),
        ("k", {"content": "1"}, "Jira stores no properties of 'content', expected one of issue, project"),
        ("k", {"issue": ""}, "'issue' is empty; pass the entity's id or key"),
    ],
)
async def test_property_that_cannot_exist_is_refused(asking, site, key, entity, said):
    async def work(host):
        host.property(Liking, key, **entity)

    with pytest.raises(CallForbidden, match=said):
        await asking(work, site=site)


async def test_property_conflict_lets_both_writers_succeed(asking, wiki):
    async def work(host):
        one, two = (host.property(Liking, "shared", content="98347") for _ in range(2))
        await one.put(Liking(colour="first"))
        await asyncio.gather(one.put(Liking(colour="a")), two.put(Liking(colour="b")))
        return await one.get()

    assert (await asking(work, site=wiki)).colour in ("a", "b")
