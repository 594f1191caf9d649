"""Building a host call: its body, headers and URL are validated before anything is sent."""

from __future__ import annotations

import email

import pytest
from addonkit import CallForbidden, HostError
from pydantic import BaseModel

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("clean")]


async def test_body_is_json_and_may_contain_models(caller):
    class Note(BaseModel):
        text: str

    caller.rest.answer("POST", "/rest/api/3/issue", {"id": "1"}, status=201)
    answer = await caller(lambda host: host.post("/rest/api/3/issue", {"fields": {"note": Note(text="ü")}}))
    assert answer == {"id": "1"}
    assert caller.rest.requests[0].json() == {"fields": {"note": {"text": "ü"}}}
    assert caller.rest.requests[0].headers["content-type"] == "application/json"


async def test_body_of_bytes_is_sent_unchanged(caller):
    caller.rest.answer("POST", "/rest/api/3/issue/AB-1/attachments", [])
    headers = {"Content-Type": "multipart/form-data; boundary=x", "X-Atlassian-Token": "no-check"}
    await caller(lambda host: host.post("/rest/api/3/issue/AB-1/attachments", content=b"--x--", headers=headers))
    [call] = caller.rest.requests
    assert (call.body, call.headers["x-atlassian-token"]) == (b"--x--", "no-check")


async def test_file_is_sent_as_a_multipart_form(caller):
    caller.rest.answer("POST", "/rest/api/3/issue/AB-1/attachments", [{"id": "1"}])
    files = {"file": ("ä.png", b"\x89PNG", "image/png")}
    made = await caller(lambda host: host.post("/rest/api/3/issue/AB-1/attachments", files=files))
    [call] = caller.rest.requests
    assert made == [{"id": "1"}]
    assert call.headers["x-atlassian-token"] == "no-check"
    head = b"content-type: " + call.headers["content-type"].encode()
    form = email.message_from_bytes(head + b"\r\n\r\n" + call.body)
    [part] = form.get_payload()
    assert (part.get_content_type(), part.get_payload(decode=True)) == ("image/png", b"\x89PNG")
    assert part.get_param("name", header="content-disposition") == "file"


async def test_body_is_given_only_once(caller):
    with pytest.raises(TypeError, match="a host call has one body, found json and content; pass one of them"):
        await caller(lambda host: host.post("/rest/api/3/issue", {}, content=b"x"))


async def test_body_of_a_get_is_refused(caller):
    with pytest.raises(CallForbidden, match="has a body, which the host refuses"):
        await caller(lambda host: host.request("GET", "/rest/api/3/myself", json={"a": 1}))
    assert caller.rest.requests == []


async def test_option_that_is_unknown_is_named(caller):
    with pytest.raises(
        TypeError, match="unknown option 'timeout' of a host call, expected content, deadline_s, files, headers"
    ):
        await caller(lambda host: host.get("/rest/api/3/myself", timeout=3))


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Host", "Cookie", "Content-Length", "Transfer-Encoding"),
        *("X-HTTP-Method", "x-http-method", "X-HTTP-Method-Override", "X-Http-MethodOverride", "X-Method-Override"),
        *("Proxy-Authorization", "Proxy-Connection"),
    ],
)
async def test_header_of_the_runtime_cannot_be_set(caller, name):
    with pytest.raises(CallForbidden, match="is set by the runtime"):
        await caller(lambda host: host.get("/rest/api/3/myself", headers={name: "x"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-a", "b\r\nx-evil: 1"), ("x-a\r\nb", "c"), ("x a", "b"), ("x-a", "ü"), ("", "b"), ("x-a", " b")],
)
async def test_header_that_would_inject_another_is_refused(caller, name, value):
    with pytest.raises(CallForbidden, match="is invalid; its name has to be a token, its value one line of ASCII"):
        await caller(lambda host: host.get("/rest/api/3/myself", headers={name: value}))


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
async def test_attack_22_url_off_the_site_gets_no_token(caller, path):
    with pytest.raises((CallForbidden, HostError)) as refused:
        await caller(lambda host: host.get(path))
    if path:
        assert isinstance(refused.value, CallForbidden)
        assert caller.rest.requests == []


async def test_path_may_be_a_link_from_the_host(caller):
    caller.rest.answer("GET", "/rest/api/3/myself", {"ok": True})
    site = caller.host.site
    assert await caller(lambda host: host.get(f"{site.base_url}/rest/api/3/myself?a=b")) == {"ok": True}


async def test_path_without_a_leading_slash_is_refused(caller):
    with pytest.raises(CallForbidden, match="does not begin with '/'; write '/rest/api/3/myself'"):
        await caller(lambda host: host.get("rest/api/3/myself"))


async def test_url_of_a_site_with_the_same_prefix_is_refused(caller):
    with pytest.raises(CallForbidden, match="leads off the site"):
        await caller(lambda host: host.get(f"{caller.host.site.base_url}.evil.example.com/rest"))


async def test_path_in_confluence_may_begin_with_wiki(caller):
    site = await caller.host.install("confluence")
    caller.rest.answer("GET", "/api/v2/pages/1", {"id": "1"})
    for path in ("/api/v2/pages/1", "/wiki/api/v2/pages/1", f"{site.base_url}/api/v2/pages/1"):
        assert await caller(lambda host, path=path: host.get(path), site=site) == {"id": "1"}
