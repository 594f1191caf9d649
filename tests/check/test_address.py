"""Remote checks: who responds at the base URL, headers, key hosts and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from addonkit.app import Addon
from addonkit.check import CheckContext, HttpProbe
from addonkit.check.context import summarize
from addonkit.check.run import REMOTE

from tests.support.checks import (
    KEY_HOST,
    Application,
    Outside,
    instead,
    with_headers,
    with_path,
)
from tests.support.public_address import Plain, resolve_to_loopback


async def test_address_of_the_add_on_itself_is_recognised(outside: Outside) -> None:
    found = await outside.check("address")
    assert found.state == "warn"
    assert found.message.endswith(
        "/atlassian-connect.json serves the descriptor of this configuration; the host fetches descriptors from the "
        "ports 80, 443 and 8080 only"
    )


WRONG: dict[str, tuple[Callable[[Addon], Application], str]] = {
    "a redirect": (
        instead(301, location="https://www.example.com/?jwt=x"),
        "redirects to 'https://www.example.com/', and the host follows no redirects",
    ),
    "another page": (instead(200, b"<html>"), "does not serve a descriptor; another program listens there"),
    "another object": (instead(200, b"{}"), "does not serve a descriptor; another program listens there"),
    "another program": (instead(404, b"not here"), "another program responds with 404 to "),
    "another add-on": (
        instead(200, b'{"key": "com.example.other"}'),
        "serves a descriptor with the key 'com.example.other', expected 'com.example.test'",
    ),
    "another base URL": (
        instead(200, b'{"key": "com.example.test", "baseUrl": "https://old.example.com"}'),
        "serves a descriptor with the baseUrl 'https://old.example.com', expected 'https://kit.example.com:",
    ),
    "an empty proxy": (instead(502), "responds with 502; start the add-on behind it"),
    "a path that a proxy adds": (with_path(lambda path: f"/kit{path}"), "as if it were not below its base URL"),
    "endless answers": (instead(200, b"x" * 2_000_000), "its response is larger than 1048576 bytes"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_address_served_by_something_else_is_explained(outside: Outside, case: str) -> None:
    before, expected = WRONG[case]
    found = await outside.check("address", before)
    assert found.state == "wrong"
    assert expected in found.message


async def test_address_behind_a_proxy_that_removes_the_path_names_the_setting(outside: Outside) -> None:
    outside.path = "/kit"
    found = await outside.check("address", with_path(lambda path: path.removeprefix("/kit")))
    assert found.state == "wrong"
    assert "a proxy removes the path '/kit' of the base URL" in found.message
    assert "set [server] base_path_stripped to true" in found.message


async def test_address_behind_a_proxy_that_keeps_the_path_names_the_setting(outside: Outside) -> None:
    outside.path, outside.stripped = "/kit", True
    found = await outside.check("address")
    assert found.state == "wrong"
    assert "[server] base_path_stripped is true, but no proxy removes the path '/kit'" in found.message


@pytest.mark.parametrize(("stripped", "change"), [(False, "/kit"), (True, "")])
async def test_address_with_a_path_handled_as_configured_is_ok(outside: Outside, stripped: bool, change: str) -> None:
    outside.path, outside.stripped = "/kit", stripped
    found = await outside.check("address", with_path(lambda path: change + path.removeprefix("/kit")))
    assert "serves the descriptor of this configuration" in found.message


async def test_address_that_serves_an_older_release_lists_what_it_lacks(outside: Outside) -> None:
    def older(addon: Addon) -> Addon:
        settings = addon.deployment.settings.addon
        port = int(settings.base_url.rpartition(":")[2])
        return Addon(outside.deployment(port, 1, plugins=["neighbour"], name="Old"))

    found = await outside.check("address", older)
    assert found.state == "warn"
    assert "lacks generalPages 'under-test-overview', lacks jiraIssueContents 'under-test-page'" in found.message
    assert "an older release or configuration is running there, restart it" in found.message


async def test_address_whose_name_cannot_be_resolved_is_wrong(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outside.case() as case:
        resolve_to_loopback(monkeypatch, KEY_HOST)
        monkeypatch.setattr("socket.getaddrinfo", _nobody)
        found = summarize("address", [result async for result in REMOTE["address"](case)])
    assert found.state == "wrong"
    assert (
        "its name cannot be resolved from this machine (Name or service not known); create a DNS record for this name"
        in found.message
    )


def _nobody(*_args: Any, **_options: Any) -> Any:
    import socket

    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_address_that_refuses_connections_is_wrong(outside: Outside) -> None:
    async with HttpProbe(outside.authority.trusting(), timeout_s=30) as probe:
        case = CheckContext(outside.deployment(1, 1), probe)
        found = summarize("address", [result async for result in REMOTE["address"](case)])
    assert found.state == "wrong"
    assert (
        "cannot be reached from this machine: the connection failed (connection refused); start the add-on"
        in found.message
    )


HEADERS: dict[str, tuple[dict[str, str], str, str]] = {
    "framing forbidden": ({"x_frame_options": "SAMEORIGIN"}, "wrong", "adds 'X-Frame-Options: SAMEORIGIN'"),
    "a policy dropped": ({"content_security_policy": ""}, "wrong", "removes 'Content-Security-Policy'"),
    "a policy more": (
        {"content_security_policy": "frame-ancestors https://*.atlassian.net, default-src 'self'"},
        "wrong",
        "adds its own 'Content-Security-Policy'",
    ),
    "caching": ({"cache_control": "public, max-age=60"}, "warn", "removes 'Cache-Control: no-store'"),
    "open to others": ({"access_control_allow_origin": "*"}, "warn", "adds 'Access-Control-Allow-Origin'"),
}


@pytest.mark.parametrize("case", HEADERS)
async def test_headers_changed_by_a_proxy_are_reported(outside: Outside, case: str) -> None:
    changes, state, expected = HEADERS[case]
    found = await outside.check("headers", with_headers(**changes))
    assert found.state == state
    assert expected in found.message


async def test_headers_of_another_program_are_skipped(outside: Outside) -> None:
    found = await outside.check("headers", instead(200, b"{}"))
    assert (found.state, found.message) == ("-", "skipped, see address")


@pytest.mark.parametrize(("status", "state"), [(404, "ok"), (200, "wrong"), (403, "wrong"), (500, "wrong")])
async def test_key_host_must_respond_with_404_for_an_unknown_key(outside: Outside, status: int, state: str) -> None:
    outside.key_host = Plain(status, {})
    found = await outside.check("key-hosts")
    assert found.state == state
    assert (f"responds with {status} for a key that does not exist" in found.message) == (status != 404)


async def test_key_host_that_is_down_is_a_warning_while_another_one_works(outside: Outside) -> None:
    async with outside.case() as case:
        host = case.deployment.settings.host
        more = host.model_copy(update={"install_keys": [*host.install_keys, "https://gone.example.com"]})
        case.deployment.settings = case.deployment.settings.model_copy(update={"host": more})
        found = summarize("key-hosts", [result async for result in REMOTE["key-hosts"](case)])
    assert found.state == "warn"
    assert "'gone.example.com' cannot be reached: its name cannot be resolved from this machine" in found.message


def dated(difference_s: int, **headers: str) -> Application:
    """A key host with another clock."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        date = formatdate(time.time() + difference_s, usegmt=True)
        await Plain(404, {"date": date, **headers})(scope, receive, send)

    return answer


CLOCKS: dict[str, tuple[int, int, str, str]] = {
    "together": (0, 30, "ok", "clock agrees with "),
    "a little behind": (20, 30, "warn", "s behind 'keys.example.com"),
    "a little ahead": (-20, 30, "warn", "s ahead of 'keys.example.com"),
    "beyond the leeway": (60, 30, "wrong", "and [host] clock_leeway_s is 30, so tokens are refused"),
    "beyond a short leeway": (4, 2, "wrong", "and [host] clock_leeway_s is 2"),
}


@pytest.mark.parametrize("case", CLOCKS)
async def test_clock_is_compared_with_the_key_hosts(outside: Outside, case: str) -> None:
    difference, outside.leeway_s, state, expected = CLOCKS[case]
    outside.key_host = dated(difference)
    found = await outside.check("clock")
    assert found.state == state
    assert expected in found.message


async def test_clock_check_adds_the_age_of_a_cached_response(outside: Outside) -> None:
    outside.key_host = dated(-3600, age="3600")
    assert (await outside.check("clock")).state == "ok"
