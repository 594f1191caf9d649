"""Requests that change the simulated host are accepted from its own pages only."""

import pytest

CHANGES = [
    ("/sandbox/visitor", "POST"),
    ("/sandbox/lifecycle", "POST"),
    ("/sandbox/context-token", "POST"),
    ("/plugins/servlet/ac/com.example.test/contents", "POST"),
    ("/wiki/sandbox/pages/98347/macros", "PUT"),
    ("/wiki/sandbox/pages/98347/macros/1", "DELETE"),
    ("/sandbox/issues/DEMO-42/delete", "POST"),
    ("/sandbox/issues/DEMO-42/restore", "POST"),
    ("/wiki/sandbox/pages/98347/remove", "POST"),
    ("/wiki/sandbox/pages/98347/restore", "POST"),
    ("/rest/api/3/permissions/check", "POST"),
]


@pytest.mark.parametrize(("path", "method"), CHANGES)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:8000", "http://127.0.0.1:9001", "null", None]
)
async def test_change_from_another_origin_is_refused(ask, path, method, origin):
    assert (await ask(path, method, {"Origin": origin}, json={})).status_code == 403


async def test_request_to_another_host_name_is_refused(ask):
    assert (await ask("/", headers={"Host": "evil.example:9000"})).status_code == 421


async def test_request_to_localhost_is_redirected_to_the_address(ask):
    answer = await ask("/browse/DEMO-42", headers={"Host": "localhost:9000"})
    assert (answer.status_code, answer.location) == (302, "http://127.0.0.1:9000/browse/DEMO-42")


async def test_screen_forbids_framing(ask):
    assert "frame-ancestors 'none'" in (await ask("/")).headers["Content-Security-Policy"]


async def test_switch_redirects_within_the_sandbox_only(ask):
    answer = await ask("/sandbox/visitor", "POST", {"Referer": "https://evil.example//x"}, form={"user": "sam"})
    assert answer.location == "/"


async def test_rest_requires_the_installed_add_on(ask):
    assert (await ask("/rest/api/3/myself")).status_code == 401


async def test_cloud_id_of_the_site_is_stated_to_anybody(ask):
    answer = await ask("/_edge/tenant_info")
    assert (answer.status_code, list(await answer.get_json())) == (200, ["cloudId"])


async def test_rest_refuses_what_the_scopes_forbid(ask):
    answer = await ask("/rest/api/3/issue/DEMO-42", "PUT", {"AP-Client-Key": "com.example.test"}, json={})
    assert answer.status_code == 403


async def test_rest_answers_what_the_scopes_allow(ask):
    answer = await ask("/rest/api/3/issue/DEMO-42", headers={"AP-Client-Key": "com.example.test"})
    assert (await answer.get_json())["id"] == "10042"


async def test_rest_error_of_an_unknown_resource_has_the_product_s_format(ask):
    answer = await ask("/rest/api/3/search", headers={"AP-Client-Key": "com.example.test"})
    assert (answer.status_code, list(await answer.get_json())) == (404, ["errorMessages", "errors"])
