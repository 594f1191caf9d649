"""Modules: their names, keys, forms, and what they refer to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from addonkit.forge.rules.modules import connect_names

from tests.support.forge_findings import found, places
from tests.support.forge_variants import BASE, EVENTS, EXTERNAL, RESOLVER, Change, add, make_files, native, put


def test_connect_names_are_61_of_jira_and_22_of_confluence():
    names = connect_names()
    assert [sum(name.startswith(f"{product}:") for name in names) for product in ("jira", "confluence")] == [61, 22]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("jira:webPanel", "did you mean 'jira:webPanels'"),
        ("webPanels", "which lacks its product; write 'confluence:webPanels' or 'jira:webPanels'"),
        ("confluence:jiraIssueContents", "which confluence does not have; write 'jira:jiraIssueContents'"),
        ("jira:JiraIssueContent", "did you mean 'jira:jiraIssueContents'"),
        ("lifecycle", "which lacks its product; write 'confluence:lifecycle' or 'jira:lifecycle'"),
        ("bitbucket:webhooks", "which bitbucket does not have; write 'confluence:webhooks' or 'jira:webhooks'"),
        ("zebra", "which Forge does not know; look it up in its documentation"),
    ],
)
def test_unknown_connect_module_is_an_error_with_advice(name: str, advice: str):
    ((level, pointer, message),) = found(put(f"connectModules {name}", [{"key": "k"}]))
    assert (level, pointer) == ("error", f"/connectModules/{name}")
    assert advice in message


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("core:preUninstall", "write 'preUninstall'"),
        ("core:trigger", "write 'trigger'"),
        ("jira:issuePanels", "did you mean 'jira:issuePanel'"),
        ("scheduledTriggers", "did you mean 'scheduledTrigger'"),
        ("jira:webhooks", "write it below connectModules"),
        ("zebra", "look it up in its documentation"),
    ],
)
def test_unknown_forge_module_is_an_error_with_advice(name: str, advice: str):
    findings = found(put(f"modules {name}", [{"key": "k", "endpoint": EVENTS}]))
    (message,) = [message for level, pointer, message in findings if pointer == f"/modules/{name}"]
    assert advice in message


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("connectModules", "jira:webPanels"),
        ("connectModules", "confluence:webhooks"),
        ("modules", "trigger"),
        ("modules", "endpoint"),
        ("modules", "jira:issuePanel"),
    ],
)
@pytest.mark.parametrize("value", [[], None, {}, "x", [3], [[]], 7], ids=repr)
def test_modules_of_another_form_are_an_error(part: str, name: str, value: Any):
    assert any(
        level == "error" and pointer.startswith(f"/{part}/{name}")
        for level, pointer in places(put(f"{part} {name}", value))
    )


@pytest.mark.parametrize("key", ["", "a b", "a.b", "ä", 3, None, ["a"], "a/b"], ids=repr)
@pytest.mark.parametrize("path", ["connectModules jira:webhooks 0 key", "modules trigger 0 key"])
def test_key_of_a_module_with_other_characters_is_an_error(path: str, key: Any):
    assert places(put(path, key)) == [("error", "/" + path.replace(" ", "/"))]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (put("modules trigger 0 key", EVENTS), "/modules/trigger/0/key"),
        (put("modules trigger 0 key", "hook"), "/connectModules/jira:webhooks/0/key"),
        (put("connectModules confluence:webhooks 0 key", "hook"), "/connectModules/confluence:webhooks/0/key"),
        (put("connectModules jira:lifecycle 0 key", "lifecycle-confluence"), "/connectModules/jira:lifecycle/0/key"),
        (add("remotes", BASE["remotes"][0]), "/remotes/1/key"),
        (put("resources", [{"key": "ui", "path": "a"}, {"key": "ui", "path": "b"}]), "/resources/1/key"),
    ],
    ids=["trigger and endpoint", "forge and connect", "two products", "lifecycle", "remotes", "resources"],
)
def test_key_that_is_there_twice_is_an_error(change: Change, pointer: str):
    assert places(change) == [("error", pointer)]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (put("modules trigger 0 endpoint", "nothing"), "/modules/trigger/0/endpoint"),
        (
            put("modules scheduledTrigger", [{"key": "s", "function": "f", "interval": "hour"}]),
            "/modules/scheduledTrigger/0/function",
        ),
        (
            native("jira:issuePanel", key="p", resource="other", resolver=RESOLVER),
            "/modules/jira:issuePanel/0/resource",
        ),
        (
            native("jira:issuePanel", key="p", resource="ui", resolver={"endpoint": "x"}),
            "/modules/jira:issuePanel/0/resolver/endpoint",
        ),
        (native("macro", key="m", resource="ui", config={"resource": "x"}), "/modules/macro/0/config/resource"),
        (add("modules endpoint", {"key": "e", "remote": "x"}), "/modules/endpoint/1/remote"),
        (add("modules endpoint", {"key": "e", "service": "x"}), "/modules/endpoint/1/service"),
        (put(EXTERNAL, {"fetch": {"client": [{"remote": "x"}]}}), "/permissions/external/fetch/client/0/remote"),
        (put("app connect remote", "conect"), "/app/connect/remote"),
    ],
    ids=["trigger", "schedule", "resource", "resolver", "config", "endpoint", "service", "fetch", "connect"],
)
def test_name_of_something_that_does_not_exist_is_an_error(change: Change, pointer: str):
    assert places(change) == [("error", pointer)]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none", "does not exist"),
        ("none/index.html", "does not exist"),
        ("empty", "empty folder"),
        ("a" * 5000, "cannot be read"),
        ("a\0b", "does not exist"),
        ("\ud83d", "does not exist"),
        ("ui/index.html/x", "does not exist"),
    ],
    ids=["missing", "missing folder", "empty", "long", "nul", "surrogate", "below a file"],
)
def test_resource_without_its_files_is_an_error(tmp_path: Path, path: str, words: str):
    make_files(tmp_path)
    (tmp_path / "empty").mkdir()
    findings = found(put("resources", [{"key": "ui", "path": path}]), folder=tmp_path)
    assert {finding[:2] for finding in findings} == {("error", "/resources/0/path")}
    assert words in findings[-1][2]
