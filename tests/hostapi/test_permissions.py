"""Permissions of users, and routes that require them."""

from __future__ import annotations

from functools import partial

import pytest
import pytest_asyncio
from addonkit import (
    Access,
    CallForbidden,
    HostError,
    HostUnavailable,
    ObjectIdInvalid,
    Plugin,
    PluginError,
    ResponseInvalid,
    ScopeMissing,
    public,
)
from addonkit.current import plugin_scope
from addonkit.hostapi import permissions
from cachetools import TTLCache

from tests.support.calling_plugin import site_at

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHECK = "/rest/api/3/permissions/check"


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


async def test_permission_granted_by_the_host_is_true(caller, site):
    assert await caller(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site) is True
    [call] = caller.rest.requests_to("POST", CHECK)
    assert call.json() == {
        "accountId": "acc-1",
        "globalPermissions": [],
        "projectPermissions": [{"permissions": ["EDIT_ISSUES"], "issues": [10001]}],
    }


async def test_permission_denied_by_the_host_is_false(caller, site):
    caller.rest.resources.deny("EDIT_ISSUES", "acc-1")
    assert await caller(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site) is False
    assert await caller(lambda host: host.may("EDIT_ISSUES", project="10000"), site=site) is False
    assert await caller(lambda host: host.may("ADMINISTER"), site=site) is True
    assert await caller(lambda host: host.may("EDIT_ISSUES", issue="10001", account_id="acc-2"), site=site) is True


async def test_permission_of_an_anonymous_visitor_is_false_without_a_request(caller, site):
    assert await caller(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=site, account=None) is False
    assert caller.rest.requests == []


async def test_permission_cache_is_per_site_and_user(caller, site):
    other = await caller.host.install()
    for one, account in ((site, "acc-1"), (site, "acc-1"), (site, "acc-2"), (other, "acc-1")):
        await caller(lambda host: host.may("EDIT_ISSUES", issue="10001"), site=one, account=account)
    assert len(caller.rest.requests_to("POST", CHECK)) == 3


async def test_permissions_of_many_issues_are_requested_in_bulk(caller, site):
    numbers = [str(number) for number in range(10_000, 10_250)]
    assert await caller(lambda host: host.may_each("BROWSE_PROJECTS", issues=numbers), site=site) == frozenset(numbers)
    assert len(caller.rest.requests_to("POST", CHECK)) == 2


async def test_permission_to_read_content_is_requested_from_confluence(caller, wiki):
    assert await caller(lambda host: host.may_read(content="98347"), site=wiki) is True
    caller.rest.resources.deny("read", "acc-2")
    assert await caller(lambda host: host.may_read(content="98347"), site=wiki, account="acc-2") is False
    [call, *_] = caller.rest.requests_to("POST", "/rest/api/content/98347/permission/check")
    assert call.json() == {"subject": {"type": "user", "identifier": "acc-1"}, "operation": "read"}


@pytest.mark.parametrize("number", ["AB-1", "", "1 or 1", "../1", "١٢", "9" * 25])
async def test_permission_for_a_non_numeric_id_is_refused(caller, site, number):
    with pytest.raises(CallForbidden, match="is not a numeric id of issues; pass the id, not the key"):
        await caller(lambda host: host.may("EDIT_ISSUES", issue=number), site=site)


@pytest.mark.parametrize(
    "response", [{"projectPermissions": ["x"]}, {"projectPermissions": 5}, {}, {"globalPermissions": 5}]
)
async def test_permission_is_false_after_a_malformed_response(caller, site, response):
    caller.rest.answer("POST", CHECK, response)
    try:
        assert await caller(lambda host: host.may("EDIT_ISSUES", issue="1"), site=site) is False
        assert await caller(lambda host: host.may("ADMINISTER"), site=site) is False
    finally:
        caller.rest.remove_last_answer()


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("product", "path", "about"),
    [
        ("jira", CHECK, {"issue": "10001"}),
        ("jira", CHECK, {"project": "10000"}),
        ("jira", CHECK, {}),
        ("confluence", "/rest/api/content/*/permission/check", {"content": "98347"}),
        ("confluence", "/rest/api/content/*/permission/check", {"content": "att98347"}),
    ],
    ids=["issue", "project", "site", "page", "attachment"],
)
async def test_permission_on_what_the_app_may_not_see_is_hidden(caller, site, wiki, status, product, path, about):
    caller.rest.answer("POST", path, {"message": "No permission to view this"}, status=status)
    where, permission = (site, "EDIT_ISSUES") if product == "jira" else (wiki, "read")
    try:
        assert await caller(lambda host: host.access(permission, **about), site=where) is Access.HIDDEN
        assert await caller(lambda host: host.may(permission, **about), site=where) is False
    finally:
        caller.rest.remove_last_answer()


async def test_hidden_issues_are_not_among_the_permitted_ones(caller, site):
    caller.rest.answer("POST", CHECK, status=403)
    try:
        assert await caller(lambda host: host.may_each("EDIT_ISSUES", issues=["1", "2"]), site=site) == frozenset()
    finally:
        caller.rest.remove_last_answer()


@pytest.mark.parametrize("status", [400, 401, 409, 500, 501])
async def test_permission_raises_on_every_other_status(caller, site, status):
    caller.rest.answer("POST", CHECK, {"errorMessages": ["no"]}, status=status)
    try:
        with pytest.raises(HostError):
            await caller(lambda host: host.may("EDIT_ISSUES", issue="1"), site=site)
    finally:
        caller.rest.remove_last_answer()


@pytest.mark.parametrize(
    "body",
    [
        {"hasPermission": True, "errors": ["boom"]},
        {"hasPermission": False, "errors": ["boom"]},
        {"hasPermission": False, "errors": [{"translation": "Unknown operation 'reed'", "args": []}]},
        {"hasPermission": False, "errors": [{"key": "operation.unknown", "args": []}]},
        {"errors": [{}]},
        {"hasPermission": True, "errors": {"operation": "is unknown"}},
        {"hasPermission": True, "errors": [{"translation": "User does not have permission to the space"}]},
        {"hasPermission": False, "errors": ["User does not have permission to the space", "boom"]},
        {"hasPermission": True, "errorMessages": ["boom"]},
    ],
)
async def test_errors_in_the_answer_about_content_raise(caller, wiki, body):
    caller.rest.answer("POST", "/rest/api/content/1/permission/check", body)
    try:
        with pytest.raises(ResponseInvalid, match="with errors instead of an answer") as invalid:
            await caller(lambda host: host.may_read(content="1"), site=wiki)
    finally:
        caller.rest.remove_last_answer()
    assert "boom" not in invalid.value.brief


@pytest.mark.parametrize(
    "reason",
    [
        "User does not have permission to the content",
        "User does not have permission to the space",
        "User is not allowed to use Confluence",
        "Anonymous users are not allowed to use Confluence",
        "Group does not have permission to the content",
    ],
)
async def test_reason_of_a_denial_is_no_error(caller, wiki, reason):
    body = {"hasPermission": False, "errors": [{"translation": reason, "args": []}]}
    caller.rest.answer("POST", "/rest/api/content/1/permission/check", body)
    try:
        assert await caller(lambda host: host.access("read", content="1"), site=wiki) is Access.DENIED
    finally:
        caller.rest.remove_last_answer()


@pytest.mark.parametrize(
    "body",
    [
        {"errorMessages": ["boom"], "errors": {}},
        {"errors": {"permissions": "'EDIT' is unknown"}},
        {"projectPermissions": [{"permission": "EDIT_ISSUES", "issues": [1]}], "errors": ["boom"]},
        {"globalPermissions": ["ADMINISTER"], "errorMessages": ["boom"]},
        {"errors": "boom"},
    ],
)
async def test_errors_in_the_answer_of_jira_raise(caller, site, body):
    caller.rest.answer("POST", CHECK, body)
    try:
        for about in ({"issue": "1"}, {}):
            with pytest.raises(ResponseInvalid, match="with errors instead of an answer"):
                await caller(lambda host, about=about: host.may("EDIT_ISSUES", **about), site=site)
    finally:
        caller.rest.remove_last_answer()


async def test_empty_lists_of_errors_are_no_errors(caller, site, wiki):
    body = {"projectPermissions": [{"permission": "X", "issues": [1]}], "errors": {}, "errorMessages": []}
    caller.rest.answer("POST", CHECK, body)
    caller.rest.answer("POST", "/rest/api/content/1/permission/check", {"hasPermission": True, "errors": []})
    try:
        assert await caller(lambda host: host.may("X", issue="1"), site=site) is True
        assert await caller(lambda host: host.may_read(content="1"), site=wiki) is True
    finally:
        caller.rest.remove_last_answer()
        caller.rest.remove_last_answer()


@pytest.mark.parametrize("number", ["98347", "att98347", "ATT1", "comment12", "1"])
async def test_id_of_content_may_have_a_prefix(caller, wiki, number):
    assert await caller(lambda host: host.may_read(content=number), site=wiki) is True


@pytest.mark.parametrize(
    "number", ["AB-1", "", "9" * 30, "\uff11\uff12", "1 or 1", "att", "att1/2", "../1", "a" * 17 + "1", "1\n"]
)
async def test_id_of_an_unexpected_form_is_refused_before_a_call(caller, wiki, number):
    caller.rest.requests.clear()
    with pytest.raises(ObjectIdInvalid):
        await caller(lambda host: host.may_read(content=number), site=wiki)
    assert caller.rest.requests == []


ODD_IDS = ["AB-1", "9" * 30, "\uff11\uff12", "att123", "1.5", "-1", "x" * 128, "0x10", "\u0661"]
MALFORMED_IDS = ["x" * 129, "1 2", "1\0", "a/b", "../1", "1\n2", "a?b", "a\\b", "a#b"]


@pytest.mark.parametrize("number", ODD_IDS + MALFORMED_IDS)
async def test_signed_id_of_an_unexpected_form_is_400_or_unauthorized_but_no_500(caller, site, number):
    page = await caller.host.open("caller-administration", site, project={"id": number, "key": "AB"})
    assert page.status == 400
    page = await caller.host.open("caller-start", site, issue={"id": number, "key": "AB-1"})
    if number in MALFORMED_IDS:
        assert page.status == 400
    else:
        assert (page.status, (await page.fetch("guarded")).status_code) == (200, 400)


async def test_requirement_on_what_the_app_may_not_see_is_403(caller, site):
    page = await caller.host.open("caller-start", site, issue={"id": "10001", "key": "AB-1"})
    caller.rest.answer("POST", CHECK, status=404)
    try:
        response = await page.fetch("guarded")
    finally:
        caller.rest.remove_last_answer()
    assert response.status_code == 403
    assert "the app itself may not see this issue" in response.text


async def test_permissions_and_users_are_requested_as_the_add_on(caller, site):
    await caller(lambda host: host.as_user().users(["acc-1"]), site=site)
    await caller(lambda host: host.as_user().may("EDIT_ISSUES", issue="1"), site=site)
    assert {call.account_id for call in caller.rest.requests} == {None}


async def test_cache_does_not_answer_a_plugin_without_the_scope(caller, site):
    await caller(lambda host: host.users(["acc-1"]), site=site)
    await caller(lambda host: host.may("EDIT_ISSUES", issue="1"), site=site)
    with pytest.raises(ScopeMissing):
        await caller(lambda host: host.users(["acc-1"]), site=site, plugin="poor")
    with pytest.raises(ScopeMissing):
        await caller(lambda host: host.may("EDIT_ISSUES", issue="1"), site=site, plugin="poor")


async def test_ids_given_as_one_string_are_refused(caller, site):
    with pytest.raises(TypeError, match=r"write \[account_id\]"):
        await caller(lambda host: host.users("acc-1"), site=site)
    with pytest.raises(TypeError, match=r"use may\(\) for one issue"):
        await caller(lambda host: host.may_each("EDIT_ISSUES", issues="10001"), site=site)


async def test_permission_for_two_subjects_is_refused(caller, site):
    with pytest.raises(CallForbidden, match="a permission is checked for one subject; pass one of"):
        await caller(lambda host: host.may("EDIT_ISSUES", issue="1", project="2"), site=site)


@pytest.mark.usefixtures("fast_backoff")
async def test_permission_raises_when_the_host_is_unavailable(caller, site):
    tenant = await site_at(caller, "http://127.0.0.1:1")
    with plugin_scope("caller"), pytest.raises(HostUnavailable):
        await caller.clients.of(tenant, "acc-1").may("EDIT_ISSUES", issue="10001")


async def test_attack_24_route_with_a_requirement_asks_the_host(caller, site):
    issue = {"id": "10001", "key": "AB-1"}
    caller.rest.resources.deny("EDIT_ISSUES", "acc-2")
    statuses = [
        (
            await (await caller.host.open("caller-start", site, account=account, issue=issue)).fetch("guarded")
        ).status_code
        for account in ("acc-1", "acc-2", None)
    ]
    assert statuses == [200, 403, 401]


async def test_attack_24_page_with_a_requirement_names_its_project(caller, site):
    page = await caller.host.open("caller-administration", site, project={"id": "10000", "key": "AB"})
    assert (page.status, page.text) == (200, "administration")
    assert "project_id=10000" in page.url
    caller.rest.resources.deny("ADMINISTER_PROJECTS", "acc-2")
    page = await caller.host.open("caller-administration", site, account="acc-2", project={"id": "10000"})
    assert page.status == 403
    page = await caller.host.open("caller-administration", site, account=None, project={"id": "10000"})
    assert page.status == 401


async def test_attack_24_page_without_a_proven_project_does_not_run(caller, site):
    page = await caller.host.open("caller-administration", site)
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
    with pytest.raises(PluginError, match="without the object it applies to"):
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


@pytest.fixture
def clock(monkeypatch):
    """The time of caches that are made from now on, in a list of one number."""
    now = [1000.0]
    monkeypatch.setattr(permissions, "TTLCache", partial(TTLCache, timer=lambda: now[0]))
    return now


async def asked(caller, site, cache, *numbers):
    """Ask a cache for a permission on issues, and return the answers."""
    tenant = await caller.tenant(site)
    found = await caller(
        lambda host: cache.access(host, tenant, "acc-1", "EDIT_ISSUES", "issues", numbers, check_scope=lambda *_: None),
        site=site,
    )
    return [found[number] for number in numbers]


@pytest.mark.parametrize(("age_s", "answer"), [(0, Access.GRANTED), (14.9, Access.GRANTED), (15.1, Access.DENIED)])
async def test_permission_that_was_withdrawn_counts_for_fifteen_seconds(caller, site, clock, age_s, answer):
    cache = permissions.Permissions()
    assert await asked(caller, site, cache, "10001") == [Access.GRANTED]
    caller.rest.resources.deny("EDIT_ISSUES", "acc-1")
    clock[0] += age_s
    assert await asked(caller, site, cache, "10001") == [answer]


@pytest.mark.parametrize("life_s", [1.0, 7.5, 60.0])
async def test_permission_cache_follows_its_lifetime(caller, site, clock, monkeypatch, life_s):
    monkeypatch.setattr(permissions, "CACHE_S", life_s)
    cache = permissions.Permissions()
    for moment, requests in ((0, 1), (life_s - 0.01, 1), (0.02, 2)):
        clock[0] += moment
        await asked(caller, site, cache, "10001")
        assert len(caller.rest.requests_to("POST", CHECK)) == requests


async def test_permission_cache_is_bounded(caller, site, monkeypatch):
    monkeypatch.setattr(permissions, "MAX_CACHED", 3)
    cache = permissions.Permissions()
    for number in ("10001", "10002", "10003", "10001"):
        await asked(caller, site, cache, number)
    assert len(caller.rest.requests_to("POST", CHECK)) == 3
    await asked(caller, site, cache, "10004")
    for number in ("10001", "10002", "10003", "10004"):
        await asked(caller, site, cache, number)
    assert len(caller.rest.requests_to("POST", CHECK)) > 4


@pytest.mark.parametrize("kind", ["issue", "project", "content", "site"])
@pytest.mark.parametrize("order", ["public outside", "public inside"])
async def test_requirement_on_a_public_route_stops_the_start(kind, order):
    """A public request has no user: the requirement could not be met, or would not be checked."""
    wrong = Plugin("wrong", __name__, scopes={"READ"})
    require = wrong.requires(**{kind: "update" if kind == "content" else "ADMINISTER"})

    async def ask() -> None: ...

    handler = public(require(ask)) if order == "public outside" else require(public(ask))
    wrong.get("/x")(handler)
    with pytest.raises(PluginError, match="handler 'ask' is public and requires a permission, but a public request"):
        wrong.check()
