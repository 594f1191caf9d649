"""Remotes: base URLs that Atlassian can call, regions, tokens, storage."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.forge_findings import found, places
from tests.support.forge_variants import SCOPES, Change, add, all_of, drop, put

BASE_URL = "remotes 0 baseUrl"


@pytest.mark.parametrize(
    "url",
    [
        "http://kit.example.com",
        "HTTP://kit.example.com",
        "https://localhost",
        "https://localhost:8443/app",
        "https://127.0.0.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://[::1]",
        "https://0.0.0.0",
        "https://10.1.2.3",
        "https://192.168.0.9/app",
        "https://169.254.169.254",
        "https://kit",
        "https://kit.local",
        "https://kit.localhost",
        "https://kit.internal",
        "https://user:password@kit.example.com",
        "https://kit.example.com?x=1",
        "https://kit.example.com/a/../b",
        "https://kit.example.com:0",
        "ftp://kit.example.com",
        "kit.example.com",
        "https://",
    ],
)
@pytest.mark.parametrize("region", [None, "EU"], ids=["default", "region"])
def test_base_url_that_atlassian_cannot_call_is_an_error_in_every_region(url: str, region: str | None):
    value = {"default": "https://kit.example.com", region: url} if region else url
    at = "/remotes/0/baseUrl" + (f"/{region}" if region else "")
    assert places(put(BASE_URL, value)) == [("error", at)]


@pytest.mark.parametrize(
    "url",
    [
        "https://kit.example.com",
        "https://kit.example.com/",
        "https://kit.example.com:8443/app",
        "https://93.184.215.14/app",
        {"default": "https://kit.example.com", "EU": "https://eu.example.com", "CH": "https://ch.example.com/a"},
    ],
    ids=["name", "slash", "port", "address", "regions"],
)
def test_base_url_that_atlassian_can_call_is_accepted(url: Any):
    assert found(put(BASE_URL, url)) == []


def test_base_url_with_a_password_is_not_repeated_by_the_reason():
    ((_, _, message),) = found(put(BASE_URL, "https://user:secret@kit.example.com"))
    assert "secret" not in message


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"EU": "https://eu.example.com"}, "/remotes/0/baseUrl"),
        ({"default": "https://a.example.com", "MARS": "https://b.example.com"}, "/remotes/0/baseUrl/MARS"),
        ({"default": "https://a.example.com", "eu": "https://b.example.com"}, "/remotes/0/baseUrl/eu"),
        ({"default": 3}, "/remotes/0/baseUrl/default"),
        (None, "/remotes/0/baseUrl"),
        (["https://a.example.com"], "/remotes/0/baseUrl"),
        ("", "/remotes/0/baseUrl"),
    ],
    ids=["no default", "unknown region", "lower case", "number", "empty", "list", "empty text"],
)
def test_base_url_of_another_form_is_an_error(value: Any, pointer: str):
    assert ("error", pointer) in places(put(BASE_URL, value))


def test_remote_without_a_region_of_another_remote_is_an_error():
    other = {
        "key": "other",
        "baseUrl": {"default": "https://kit.example.com", "EU": "https://eu.example.com"},
        "operations": ["compute"],
    }
    assert places(add("remotes", other)) == [("error", "/remotes/0/baseUrl")]


@pytest.mark.parametrize(
    ("token", "scope"), [("appSystemToken", "read:app-system-token"), ("appUserToken", "read:app-user-token")]
)
@pytest.mark.parametrize("path", ["remotes 0", "modules endpoint 1"])
def test_token_needs_its_scope(token: str, scope: str, path: str):
    endpoint = add("modules endpoint", {"key": "pages", "remote": "connect", "auth": {}})
    wanted = all_of(endpoint, put(f"{path} auth {token}", {"enabled": True}))
    change = all_of(wanted, put(SCOPES, ["read:connect-jira", "read:connect-confluence"]))
    assert ("error", f"/{path.replace(' ', '/')}/auth/{token}") in places(change)
    assert found(all_of(wanted, add(SCOPES, *({scope} - {"read:app-system-token"})))) == []


@pytest.mark.parametrize(
    ("change", "level", "pointer"),
    [
        (drop("remotes 0 storage"), "error", "/remotes/0"),
        (put("remotes 0 storage", {}), "error", "/remotes/0"),
        (put("remotes 0 storage inScopeEUD", "yes"), "error", "/remotes/0/storage/inScopeEUD"),
        (put("remotes 0 operations", ["compute"]), "warning", "/remotes/0/operations"),
        (put("remotes 0 operations", []), "error", "/remotes/0/operations"),
        (put("remotes 0 operations", ["store"]), "error", "/remotes/0/operations/0"),
        (drop("remotes 0 operations"), "warning", "/remotes/0"),
    ],
    ids=["no storage", "empty storage", "text", "no operation", "empty", "unknown", "none"],
)
def test_storage_and_operations_belong_together(change: Change, level: str, pointer: str):
    assert (level, pointer) in places(change)
