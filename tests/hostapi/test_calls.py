"""Calls to the host over real HTTP: signed for what is sent, to the site and nowhere else, in a plugin's name."""

from __future__ import annotations

import asyncio
import base64
import email
import json
import time
from urllib.parse import quote

import pytest
from addonkit import CallForbidden, HostError, TenantState
from addonkit.calling import calling
from addonkit.errors import ResponseInvalid
from addonkit.jobs.models import JobRow
from addonkit.tenant_data.scope import tenant_scope
from addonkit.testing.rest import Reply
from pydantic import BaseModel
from tortoise.transactions import in_transaction

from tests.support.calling_plugin import look, seen, site_at
from tests.support.faulty_servers import answer, faulty

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def anew(asking):
    asking.rest.requests.clear()
    asking.rest.rejected.clear()
    seen.clear()


async def test_get_returns_parsed_json(asking):
    asking.rest.answer("GET", "/rest/api/3/issue/AB-1", {"key": "AB-1"})
    assert await asking(lambda host: host.get("/rest/api/3/issue/AB-1")) == {"key": "AB-1"}


async def test_request_headers_name_the_add_on_and_accept_json(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", {})
    await asking(lambda host: host.get("/rest/api/3/myself"))
    [call] = asking.rest.requests
    assert call.headers["user-agent"].startswith("addonkit/")
    assert call.headers["user-agent"].endswith(" com.example.test")
    assert call.headers["accept"].startswith("application/json")


async def test_body_is_json_and_may_contain_models(asking):
    class Note(BaseModel):
        text: str

    asking.rest.answer("POST", "/rest/api/3/issue", {"id": "1"}, status=201)
    answer = await asking(lambda host: host.post("/rest/api/3/issue", {"fields": {"note": Note(text="ü")}}))
    assert answer == {"id": "1"}
    assert asking.rest.requests[0].json() == {"fields": {"note": {"text": "ü"}}}
    assert asking.rest.requests[0].headers["content-type"] == "application/json"


async def test_empty_response_is_none(asking):
    asking.rest.answer("PUT", "/rest/api/3/issue/AB-1", status=204)
    assert await asking(lambda host: host.put("/rest/api/3/issue/AB-1", {})) is None


async def test_body_of_bytes_is_sent_unchanged(asking):
    asking.rest.answer("POST", "/rest/api/3/issue/AB-1/attachments", [])
    headers = {"Content-Type": "multipart/form-data; boundary=x", "X-Atlassian-Token": "no-check"}
    await asking(lambda host: host.post("/rest/api/3/issue/AB-1/attachments", content=b"--x--", headers=headers))
    [call] = asking.rest.requests
    assert (call.body, call.headers["x-atlassian-token"]) == (b"--x--", "no-check")


async def test_file_is_sent_as_a_multipart_form(asking):
    asking.rest.answer("POST", "/rest/api/3/issue/AB-1/attachments", [{"id": "1"}])
    files = {"file": ("ä.png", b"\x89PNG", "image/png")}
    made = await asking(lambda host: host.post("/rest/api/3/issue/AB-1/attachments", files=files))
    [call] = asking.rest.requests
    assert made == [{"id": "1"}]
    assert call.headers["x-atlassian-token"] == "no-check"
    head = b"content-type: " + call.headers["content-type"].encode()
    form = email.message_from_bytes(head + b"\r\n\r\n" + call.body)
    [part] = form.get_payload()
    assert (part.get_content_type(), part.get_payload(decode=True)) == ("image/png", b"\x89PNG")
    assert part.get_param("name", header="content-disposition") == "file"


async def test_body_is_given_only_once(asking):
    with pytest.raises(TypeError, match="a host call has one body, found json and content; pass one of them"):
        await asking(lambda host: host.post("/rest/api/3/issue", {}, content=b"x"))


async def test_anonymous_call_has_no_token_and_needs_no_scope(asking):
    heads = []
    async with faulty(answer("200 OK", b'{"version": "1001"}'), heads=heads) as url:
        tenant = await site_at(asking, url)
        with calling("poor"):
            found = await asking.clients.of(tenant, "acc-1").as_anonymous().get("/rest/api/3/serverInfo")
    assert found == {"version": "1001"}
    assert b"authorization" not in heads[0].lower()


async def test_anonymous_call_is_not_retried_with_a_token(asking):
    heads = []
    async with faulty(answer("401 Unauthorized"), heads=heads) as url:
        tenant = await site_at(asking, url)
        with calling("asking"), pytest.raises(HostError):
            await asking.clients.of(tenant, None).as_anonymous().get("/rest/api/3/serverInfo")
    assert len(heads) == 1


async def test_body_of_a_get_is_refused(asking):
    with pytest.raises(CallForbidden, match="has a body, which the host refuses"):
        await asking(lambda host: host.request("GET", "/rest/api/3/myself", json={"a": 1}))
    assert asking.rest.requests == []


async def test_option_that_is_unknown_is_named(asking):
    with pytest.raises(
        TypeError, match="unknown option 'timeout' of a host call, expected content, deadline_s, files, headers"
    ):
        await asking(lambda host: host.get("/rest/api/3/myself", timeout=3))


@pytest.mark.parametrize("name", ["Authorization", "Host", "Cookie", "Content-Length", "Transfer-Encoding"])
async def test_header_of_the_runtime_cannot_be_set(asking, name):
    with pytest.raises(CallForbidden, match="is set by the runtime"):
        await asking(lambda host: host.get("/rest/api/3/myself", headers={name: "x"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-a", "b\r\nx-evil: 1"), ("x-a\r\nb", "c"), ("x a", "b"), ("x-a", "ü"), ("", "b"), ("x-a", " b")],
)
async def test_header_that_would_inject_another_is_refused(asking, name, value):
    with pytest.raises(CallForbidden, match="is invalid; its name has to be a token, its value one line of ASCII"):
        await asking(lambda host: host.get("/rest/api/3/myself", headers={name: value}))


QUERIES = [
    {"jql": "project = AB AND text ~ 'a+b & c'"},
    {"expand": ["names", "changelog"], "fields": "*all"},
    {"b": 2, "a": True, "c": None, "d": ""},
    {"jql": 'summary ~ "Ünïcode ✓"'},
    {"a:": "1", "a0": "2", "ids": [".1", ":1"]},
]


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


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example.com/rest/api/3/myself",
        "//evil.example.com/rest/api/3/myself",
        "http:/evil.example.com",
        "rest/api/3/myself",
        "@evil.example.com/",
        ":80@evil.example.com/",
        ".evil.example.com/rest",
        "\\\\evil.example.com/rest",
        "/\\evil.example.com/rest",
        "/rest/../../evil",
        "/rest/%2e%2e/x",
        "/rest/api/3/issue/..%2F..%2Fx",
        "/..;/rest/api/3/myself",
        "/rest/%2e%2e%3bx/y",
        "/rest/api/3/issue/%2e%2e%5cx",
        "/rest//api",
        "/rest/api/3/issue/AB 1",
        "/rest/api/3/issue/AB-1#x",
        "/rest/\r\nHost: evil",
        "",
    ],
)
async def test_attack_22_url_off_the_site_gets_no_token(asking, path):
    with pytest.raises((CallForbidden, HostError)) as refused:
        await asking(lambda host: host.get(path))
    if path:
        assert isinstance(refused.value, CallForbidden)
        assert asking.rest.requests == []


async def test_path_may_be_a_link_from_the_host(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", {"ok": True})
    site = asking.host.site
    assert await asking(lambda host: host.get(f"{site.base_url}/rest/api/3/myself?a=b")) == {"ok": True}


async def test_path_without_a_leading_slash_is_refused(asking):
    with pytest.raises(CallForbidden, match="does not begin with '/'; write '/rest/api/3/myself'"):
        await asking(lambda host: host.get("rest/api/3/myself"))


async def test_site_that_moved_gets_no_token_at_its_former_url(asking):
    site = await asking.host.install()
    former = await asking.tenant(site)
    site.base_url = asking.host.site.base_url + "/moved"
    await asking.host.reinstall(site)
    with calling("asking"), pytest.raises(HostError, match=r"has moved to '.*/moved'; load the tenant again"):
        await asking.clients.of(former, None).get("/rest/api/3/myself")


async def test_url_of_a_site_with_the_same_prefix_is_refused(asking):
    with pytest.raises(CallForbidden, match="leads off the site"):
        await asking(lambda host: host.get(f"{asking.host.site.base_url}.evil.example.com/rest"))


async def test_path_in_confluence_may_begin_with_wiki(asking):
    site = await asking.host.install("confluence")
    asking.rest.answer("GET", "/api/v2/pages/1", {"id": "1"})
    for path in ("/api/v2/pages/1", "/wiki/api/v2/pages/1", f"{site.base_url}/api/v2/pages/1"):
        assert await asking(lambda host, path=path: host.get(path), site=site) == {"id": "1"}


async def test_error_contains_the_hosts_messages(asking):
    said = {"errorMessages": ["Issue does not exist"], "errors": {"summary": "is required"}}
    asking.rest.answer("GET", "/rest/api/3/issue/NO-1", said, status=404, headers={"atl-traceid": "abc123"})
    with pytest.raises(HostError) as refused:
        await asking(lambda host: host.get("/rest/api/3/issue/NO-1", {"fields": "secret-words"}))
    error = refused.value
    assert (error.status, error.request_id) == (404, "abc123")
    assert error.messages == ("Issue does not exist", "summary: is required")
    assert "404 to 'GET /rest/api/3/issue/NO-1': Issue does not exist; summary: is required" in str(error)
    assert "secret-words" not in str(error)
    assert "Issue does not exist" not in error.brief


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"statusCode": 404, "message": "No content found"}, "No content found"),
        ({"errors": [{"status": 404, "code": "NOT_FOUND", "title": "Not Found", "detail": "no page 1"}]}, "no page 1"),
        ({"error": "x", "error_description": "too much"}, "too much"),
    ],
)
async def test_error_messages_are_found_in_every_format(asking, body, said):
    asking.rest.answer("GET", "/rest/api/3/field", body, status=400)
    with pytest.raises(HostError) as refused:
        await asking(lambda host: host.get("/rest/api/3/field"))
    assert refused.value.messages == (said,)


async def test_response_that_is_not_json_is_invalid(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", content=b"<html>", headers={"content-type": "text/html"})
    with pytest.raises(ResponseInvalid, match="with 'text/html', expected JSON"):
        await asking(lambda host: host.get("/rest/api/3/myself"))
    answer = await asking(lambda host: host.request("GET", "/rest/api/3/myself"))
    assert answer.content == b"<html>"


async def test_page_calls_as_the_add_on_and_knows_its_user(asking):
    asking.rest.answer("GET", "/rest/api/3/issue/10001", {"key": "AB-1"})
    page = await asking.host.open("asking-issue", issue={"id": "10001", "key": "AB-1"})
    assert json.loads(page.text) == {"issue": {"key": "AB-1"}, "account": "acc-1"}
    assert asking.rest.requests[0].account_id is None


async def test_job_calls_the_host_of_its_tenant(asking):
    asking.rest.answer("GET", "/rest/api/3/issue/10001", {"key": "AB-1"})
    tenant = await asking.tenant()
    with tenant_scope(tenant):
        await look.enqueue(issue_id="10001")
    await asking.host.settled()
    assert seen == [{"key": "AB-1"}]


async def test_job_that_is_rate_limited_is_retried_no_earlier(asking):
    site = await asking.host.install()
    asking.rest.answer("GET", "/rest/api/3/issue/10001", status=429, headers={"retry-after": "3000"})
    with tenant_scope(await asking.tenant(site)):
        number = await look.enqueue(issue_id="10001")
    await asking.host.settled()
    row = await JobRow.get(id=number)
    assert (row.state, row.failures) == ("waiting", 1)
    assert row.due_at - time.time() > 2900
    assert "the rate limit is exhausted" in row.error


async def test_job_whose_call_is_forbidden_is_dead_at_once(asking):
    site = await asking.host.install()
    with tenant_scope(await asking.tenant(site)):
        number = await look.enqueue(issue_id="../../users/search")
    await asking.host.settled()
    row = await JobRow.get(id=number)
    assert (row.state, row.failures) == ("dead", 1)
    assert "is not a plain path" in row.error


async def test_webhook_calls_the_host_of_its_tenant(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", {"accountId": "addon"})
    await asking.host.fire("jira:issue_updated", issue={"id": "10001", "key": "AB-1"})
    await asking.host.settled()
    assert seen == [("10001", {"accountId": "addon"})]


async def test_call_outside_of_a_plugin_context_is_refused(asking):
    tenant = await asking.tenant()
    with pytest.raises(CallForbidden, match="host calls need a plugin context; call from a route, job"):
        await tenant.host.get("/rest/api/3/myself")


async def test_call_inside_a_transaction_is_refused(asking):
    async with in_transaction():
        with pytest.raises(CallForbidden, match="is called inside a transaction, which holds the database's lock"):
            await asking(lambda host: host.get("/rest/api/3/myself"))
    asking.rest.answer("GET", "/rest/api/3/myself", {})
    await asking(lambda host: host.get("/rest/api/3/myself"))


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


async def test_cookie_of_a_site_is_not_sent_back(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", {}, headers={"set-cookie": "session=of-somebody; Path=/"})
    for _ in range(2):
        await asking(lambda host: host.get("/rest/api/3/myself"))
    assert all("cookie" not in call.headers for call in asking.rest.requests)


async def test_token_is_sent_in_the_header_only(asking):
    asking.rest.answer("GET", "/rest/api/3/myself", {})
    await asking(lambda host: host.get("/rest/api/3/myself", {"a": "b"}))
    [call] = asking.rest.requests
    assert "jwt" not in call.query
    claims = json.loads(base64.urlsafe_b64decode(call.headers["authorization"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 180
    assert claims["iss"] == "com.example.test"
    assert claims["aud"] == [asking.host.site.client_key]


async def test_call_that_is_cancelled_releases_its_slot(asking):
    gate = asyncio.Event()
    asking.rest.answer("GET", "/rest/api/3/myself", {"ok": 1})
    calls = [asyncio.create_task(asking(lambda host: host.get("/rest/api/3/myself"))) for _ in range(40)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    gate.set()
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [one for one in done if one == {"ok": 1}] == [{"ok": 1}] * 20
    assert asking.clients.limits.of((await asking.tenant()).id).semaphore.is_idle()
