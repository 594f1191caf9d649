"""Host calls are checked against the plugin's scopes before they are sent."""

from __future__ import annotations

import pytest
import pytest_asyncio
from addonkit import ScopeMissing
from addonkit.hostapi.scopes import required_scope

from tests.support.calling_plugin import calling_addon

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory):
    directory = tmp_path_factory.mktemp("caller")
    async with calling_addon(directory, host={"record_calls": "calls.jsonl"}) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/rest/api/3/issue/AB-1", "READ"),
        ("GET", "/rest/api/2/issue/AB-1", "READ"),
        ("GET", "/rest/api/latest/issue/AB-1", "READ"),
        ("HEAD", "/rest/api/3/issue/AB-1", "READ"),
        ("PUT", "/rest/api/3/issue/AB-1", "WRITE"),
        ("DELETE", "/rest/api/3/issue/AB-1", "DELETE"),
        ("POST", "/rest/api/3/search", "READ"),
        ("POST", "/rest/api/3/search/jql", "READ"),
        ("POST", "/rest/api/3/permissions/check", "READ"),
        ("GET", "/rest/api/3/users/search", "INACCESSIBLE"),
        ("GET", "/rest/atlassian-connect/1/addons/com.x/properties/a", "NONE"),
        ("GET", "/rest/api/3/workflow/search", "ADMIN"),
        ("DELETE", "/rest/api/3/component/1", "PROJECT_ADMIN"),
        ("GET", "/rest/api/3/not/yet/known", "READ"),
        ("PATCH", "/rest/api/3/not/yet/known", "WRITE"),
        ("DELETE", "/rest/api/3/not/yet/known", "DELETE"),
        ("DELETE", "/rest/api/3/issue/AB-1/properties/x", "DELETE"),
    ],
)
async def test_scope_of_a_jira_resource(method, path, scope):
    assert required_scope("jira", method, path)[0] == scope


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/rest/api/content/1", "READ"),
        ("POST", "/api/v2/pages", "WRITE"),
        ("DELETE", "/api/v2/pages/1", "DELETE"),
        ("POST", "/rest/api/content/1/permission/check", "READ"),
        ("GET", "/rest/api/audit", "ADMIN"),
        ("GET", "/rest/api/user/email", "ACCESS_EMAIL_ADDRESSES"),
    ],
)
async def test_scope_of_a_confluence_resource(method, path, scope):
    assert required_scope("confluence", method, path)[0] == scope


@pytest.mark.parametrize(
    "path",
    [
        "/rest/api/3/announcementBanne%72",
        "/rest/api/%32/announcementBanner",
        "/rest/api/3;x=y/announcementBanner",
        "/rest/API/3/announcementbanner/",
        "/rest/api/3%2FannouncementBanner",
        "/rest/api/latest/announcementBanner;",
    ],
)
async def test_scope_is_the_same_for_every_spelling_of_a_path(path):
    assert required_scope("jira", "GET", path)[0] == "ADMIN"


async def test_scope_is_checked_after_a_redirect(caller):
    location = {"location": "/rest/api/3/announcementBanner"}
    caller.rest.answer("GET", "/rest/api/3/field", status=302, headers=location)
    with pytest.raises(ScopeMissing, match="'GET /rest/api/3/announcementBanner' without the scope 'ADMIN'"):
        await caller(lambda host: host.get("/rest/api/3/field"), plugin="neighbour")


async def test_scope_map_replaces_ids_of_unknown_resources():
    assert required_scope("confluence", "GET", "/api/v2/pages/123/labels")[1] == "GET /api/v2/pages/{…}/labels"


async def test_scope_map_prefers_names_to_placeholders():
    assert required_scope("jira", "GET", "/rest/api/3/issue/createmeta")[1] == "GET /rest/api/3/issue/createmeta"
    assert required_scope("jira", "GET", "/rest/api/3/issue/AB-1")[1] == "GET /rest/api/3/issue/{issueIdOrKey}"


async def test_scope_that_is_missing_stops_the_call(caller):
    caller.rest.requests.clear()
    with pytest.raises(ScopeMissing) as missing:
        await caller(lambda host: host.put("/rest/api/3/issue/AB-1", {}), plugin="neighbour")
    assert str(missing.value) == (
        "plugin 'neighbour' calls 'PUT /rest/api/3/issue/AB-1' without the scope 'WRITE' that the host requires for "
        "it; add 'WRITE' to the plugin's scopes"
    )
    assert caller.rest.requests == []


async def test_scope_of_another_plugin_does_not_count(caller):
    with pytest.raises(ScopeMissing, match="plugin 'poor' calls 'GET /rest/api/3/myself' without the scope 'READ'"):
        await caller(lambda host: host.get("/rest/api/3/myself"), plugin="poor")
    assert (await caller.host.open("poor-unscoped")).status == 500


async def test_scope_that_is_implied_is_enough(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {})
    await caller(lambda host: host.get("/rest/api/3/myself"))


async def test_scope_inaccessible_names_the_resource(caller):
    with pytest.raises(
        ScopeMissing,
        match=r"does not make available to Connect add-ons \(scope 'INACCESSIBLE'\); use another",
    ):
        await caller(lambda host: host.get("/rest/api/3/users/search"))


async def test_scope_none_covers_the_add_ons_properties(caller):
    caller.rest.answer("GET", "/rest/atlassian-connect/1/addons/com.example.test", {"key": "com.example.test"})
    await caller(lambda host: host.get("/rest/atlassian-connect/1/addons/com.example.test"), plugin="poor")
