"""The first move from a Connect descriptor to a manifest: whether administrators must approve it."""

from typing import Any

import pytest
from addonkit.errors import ManifestInvalid
from addonkit.forge.approvals import verdict_of
from addonkit.forge.data import read_data

from tests.support.forge_changes import BASE, Edit, add, both, changed, changes, drop, put

DESCRIPTOR: dict[str, Any] = {
    "key": "com.example.kit",
    "baseUrl": "https://kit.example.com",
    "enableLicensing": False,
    "scopes": ["READ"],
    "modules": {
        "jiraIssueContents": [
            {"key": "panel", "name": {"value": "Checklist"}, "target": {"type": "web_panel", "url": "/panel"}}
        ],
        "webhooks": [{"event": "jira:issue_deleted", "url": "/hook"}],
        "dynamicContentMacros": [{"key": "poll", "name": {"value": "Poll"}, "url": "/poll"}],
    },
}
FIRST = changed(
    both(
        drop("modules"),
        drop("providers"),
        drop("remotes", 1),
        drop("permissions", "external"),
        drop("permissions", "content"),
    )
)
FIRST_MOVES: dict[str, tuple[Edit, str, str]] = {
    "same": (lambda _: None, "first-enrolled", "automatic"),
    "another key": (put("app", "connect", "key", to="x"), "first-key", "refused"),
    "no key": (drop("app", "connect"), "first-key", "refused"),
    "scope": (add("permissions", "scopes", item="write:connect-jira"), "first-scope", "approval"),
    "token": (add("permissions", "scopes", item="read:app-system-token"), "first-scope", "approval"),
    "scope less": (drop("permissions", "scopes", 0), "first-scope-removed", "automatic"),
    "base URL": (put("remotes", 0, "baseUrl", to="https://x.example.com"), "first-url", "approval"),
    "base URL with a slash": (
        put("remotes", 0, "baseUrl", to="https://kit.example.com/"),
        "first-enrolled",
        "automatic",
    ),
    "no remote": (drop("remotes"), "first-url", "approval"),
    "region": (
        put("remotes", 0, "baseUrl", to={"default": "https://kit.example.com", "EU": "https://eu.example.com"}),
        "first-region",
        "automatic",
    ),
    "paid": (put("app", "licensing", to={"enabled": True}), "first-licence", "approval"),
    "access by user": (put("app", "access", to={"userAccess": True}), "first-user-access", "approval"),
    "provider": (put("providers", to={"auth": [{"key": "x"}]}), "first-provider", "approval"),
    "analytics": (
        put("permissions", "external", to={"frames": [{"address": "https://x", "category": "analytics"}]}),
        "first-analytics",
        "approval",
    ),
    "frame": (put("permissions", "external", to={"frames": ["https://x"]}), "first-egress", "automatic"),
    "further remote": (add("remotes", item={"key": "x", "baseUrl": "https://x"}), "first-remote", "automatic"),
    "module less": (drop("connectModules", "jira:webhooks"), "first-module-removed", "automatic"),
    "module": (
        put("connectModules", "jira:generalPages", to=[{"key": "x", "url": "/x"}]),
        "first-module-added",
        "automatic",
    ),
    "text": (
        put("connectModules", "jira:jiraIssueContents", 0, "name", "value", to="Tasks"),
        "first-module-changed",
        "automatic",
    ),
}


@pytest.mark.parametrize(("edit", "rule", "verdict"), FIRST_MOVES.values(), ids=FIRST_MOVES)
def test_first_move_has_the_verdict_of_its_rule(edit, rule, verdict):
    found = changes(DESCRIPTOR, changed(edit, FIRST))
    assert rule in {one.rule for one in found}
    assert verdict_of(found).value == verdict
    assert len(found) == (1 if rule == "first-enrolled" else 2) or rule in ("first-key", "first-url")


def test_every_rule_of_a_first_move_is_reached():
    found = {one.rule for edit, _, _ in FIRST_MOVES.values() for one in changes(DESCRIPTOR, changed(edit, FIRST))}
    assert found == set(read_data("approvals")["first_move"])


@pytest.mark.parametrize(
    ("asked", "present", "verdict"),
    [
        (["WRITE"], ["write:connect-jira", "read:connect-jira"], "automatic"),
        (["ADMIN"], ["admin:connect-jira", "project-admin:connect-jira"], "automatic"),
        (["read", "act_as_user"], ["read:connect-jira", "act-as-user:connect-jira"], "automatic"),
        (["PROJECT_ADMIN"], ["write:connect-confluence"], "automatic"),
        (["READ"], ["read:connect-jira", "act-as-user:connect-jira"], "approval"),
        (["READ"], ["read:jira-work"], "approval"),
        ([], ["read:connect-jira"], "approval"),
    ],
)
def test_first_move_compares_scopes_with_those_that_connect_includes(asked, present, verdict):
    manifest = changed(put("permissions", "scopes", to=present), FIRST)
    found = changes(DESCRIPTOR | {"scopes": asked}, manifest)
    assert verdict_of(found).value == verdict


def test_descriptor_cannot_be_the_newer_one():
    with pytest.raises(ManifestInvalid, match="'new' is a Connect descriptor, expected a manifest"):
        changes(BASE, DESCRIPTOR)
