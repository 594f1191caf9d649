"""Host calls of the add-on: authentication and responses of the simulated products."""

import time
from urllib.parse import urlencode

import jwt
import pytest
from addonkit.testing import query_hash

MIA, NOOR = "5b10a2844c20165700ede21g", "712020:3d2f6c1e-5a74-4b0e-8f7d-9c1b2a3e4f50"
CLIENT = "urn:atlassian:connect:clientid:"


@pytest.fixture
def call(simulation, ask):
    """Send a signed host call, as the add-on does."""

    async def call_it(path, method="GET", product="jira", base="", token=None, **options):
        site, (plain, _, query) = simulation.state.sites[product], path.partition("?")
        now = int(time.time())
        qsh = query_hash(method, plain, query, base)
        claims = {"iss": "com.example.test", "iat": now, "exp": now + 180, "aud": [site.client_key], "qsh": qsh}
        token = token or f"JWT {jwt.encode(claims, site.shared_secret)}"
        return await ask(path, method, {"Origin": None, "Authorization": token}, **options)

    return call_it


async def test_host_call_with_a_valid_token_is_answered(call):
    answer = await call("/rest/api/3/issue/DEMO-42")
    assert (await answer.get_json())["id"] == "10042"


async def test_host_call_of_the_add_on_has_an_account_of_its_own(call):
    assert (await (await call("/rest/api/3/myself")).get_json())["accountType"] == "app"


@pytest.mark.parametrize("token", ["JWT a.b.c", "Bearer nobody", "Basic eDp5", "JWT"])
async def test_host_call_with_an_invalid_token_is_refused(call, token):
    assert (await call("/rest/api/3/issue/DEMO-42", token=token)).status_code == 401


async def test_host_call_token_is_accepted_by_the_rest_api_only(ask):
    headers = {"Origin": None, "Authorization": "JWT a.b.c"}
    assert (await ask("/sandbox/lifecycle", "POST", headers, form={"site": "jira"})).status_code == 403


async def test_host_call_to_a_disabled_site_is_refused(call, simulation):
    simulation.events["jira"] = "disabled"
    assert (await call("/rest/api/3/issue/DEMO-42")).status_code == 401


async def test_users_have_names_and_avatars(call, ask):
    answer = await call(f"/rest/api/3/user/bulk?{urlencode([('accountId', MIA), ('accountId', 'nobody')])}")
    [user] = (await answer.get_json())["values"]
    assert user["displayName"] == "Mia Krystof"
    picture = await ask(user["avatarUrls"]["48x48"].removeprefix("http://127.0.0.1:9000"))
    assert (picture.status_code, picture.content_type) == (200, "image/svg+xml")
    assert ">MK<" in await picture.get_data(as_text=True)
    answer = await call(f"/wiki/rest/api/user/bulk?accountId={MIA}", product="confluence", base="/wiki")
    assert (await answer.get_json())["results"][0]["profilePicture"]["path"] == "/sandbox/avatars/mia.svg"


@pytest.mark.parametrize(("account", "granted"), [(MIA, [10042]), (NOOR, []), ("nobody", [])])
async def test_permission_to_edit_is_for_editors_only(call, account, granted):
    entry = {"permissions": ["EDIT_ISSUES"], "issues": [10042]}
    body = {"accountId": account, "projectPermissions": [entry], "globalPermissions": []}
    answer = await (await call("/rest/api/3/permissions/check", "POST", json=body)).get_json()
    assert [issue for one in answer["projectPermissions"] for issue in one["issues"]] == granted


@pytest.mark.parametrize(
    ("account", "operation", "page", "may"),
    [
        (NOOR, "read", "98347", True),
        (NOOR, "update", "98347", False),
        (MIA, "update", "98347", True),
        (MIA, "read", "1", False),
    ],
)
async def test_permission_to_read_a_page_is_for_every_user(call, account, operation, page, may):
    path, subject = f"/wiki/rest/api/content/{page}/permission/check", {"type": "user", "identifier": account}
    answer = await call(path, "POST", "confluence", "/wiki", json={"subject": subject, "operation": operation})
    assert (await answer.get_json())["hasPermission"] is may


async def found_by(call, jql, **more):
    answer = await call(f"/rest/api/3/search/jql?{urlencode({'jql': jql, **more})}")
    return await answer.get_json()


async def test_search_finds_issues_by_jql_page_by_page(call):
    first = await found_by(call, "project = DEMO", maxResults=2)
    assert [one["key"] for one in first["issues"]] == ["DEMO-42", "DEMO-57"]
    rest = await found_by(call, "project = DEMO", maxResults=2, nextPageToken=first["nextPageToken"])
    assert ([one["key"] for one in rest["issues"]], rest["isLast"]) == (["DEMO-58"], True)
    assert [one["key"] for one in (await found_by(call, 'status = "In progress"'))["issues"]] == ["DEMO-42"]
    assert (await found_by(call, "project = OTHER"))["issues"] == []


async def test_comments_come_page_by_page(call, simulation):
    simulation.descriptor = {**simulation.descriptor, "scopes": ["WRITE"]}
    path = "/rest/api/3/issue/DEMO-57/comment"
    for _ in range(3):
        await call(path, "POST", json={"body": {"type": "doc", "version": 1, "content": []}})
    first = await (await call(f"{path}?maxResults=2")).get_json()
    rest = await (await call(f"{path}?maxResults=2&startAt=2")).get_json()
    assert [len(page["comments"]) for page in (first, rest)] == [2, 1]
    assert [(page["startAt"], page["maxResults"], page["total"]) for page in (first, rest)] == [(0, 2, 3), (2, 2, 3)]


@pytest.mark.parametrize(("body", "status"), [({"type": "doc", "version": 1, "content": []}, 201), ("text", 400)])
async def test_comment_is_stored(call, simulation, body, status):
    simulation.descriptor = {**simulation.descriptor, "scopes": ["WRITE"]}
    path = "/rest/api/3/issue/DEMO-42/comment"
    assert (await call(path, "POST", json={"body": body})).status_code == status
    kept = (await (await call(path)).get_json())["comments"]
    assert [one["body"] for one in kept] == ([body] if status == 201 else [])


async def test_property_of_the_add_on_is_stored(call):
    path = "/rest/atlassian-connect/1/addons/com.example.test/properties/liking"
    assert (await call(path)).status_code == 404
    assert (await call(path, "PUT", json={"colour": "red"})).status_code == 201
    assert (await (await call(path)).get_json())["value"] == {"colour": "red"}


async def test_user_token_lets_the_add_on_act_as_a_user(call, ask, simulation):
    site, now = simulation.state.sites["jira"], int(time.time())
    assertion = {
        "iss": CLIENT + site.oauth_client_id,
        "sub": f"urn:atlassian:connect:useraccountid:{MIA}",
        "tnt": site.base_url,
        "aud": simulation.origin,
        "iat": now,
        "exp": now + 60,
    }
    form = {"assertion": jwt.encode(assertion, site.shared_secret)}
    granted = await (await ask("/oauth2/token", "POST", {"Origin": None}, form=form)).get_json()
    answer = await call("/rest/api/3/myself", token=f"Bearer {granted['access_token']}")
    assert (await answer.get_json())["displayName"] == "Mia Krystof"
    assert (await ask("/oauth2/token", "POST", {"Origin": None}, form={"assertion": "a.b.c"})).status_code == 401
