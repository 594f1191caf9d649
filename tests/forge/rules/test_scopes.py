"""Scopes and the events of triggers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from addonkit.descriptor.scopes import SCOPES as DESCRIPTOR_SCOPES
from addonkit.forge.data import read_data

from tests.support.forge_findings import found, places
from tests.support.forge_variants import SCOPES, add, all_of, put, trigger


@pytest.mark.parametrize(
    ("event", "advice"),
    [
        ("avi:jira:deleted:isue", "did you mean 'avi:jira:deleted:issue'"),
        ("jira:issue_deleted", "look it up"),
        ("avi:jira:nosuch:thing", "which no product sends"),
        ("avi:forge:enabled:app", "did you mean 'avi:forge:installed:app'"),
        ("avi:forge:uninstalled:app", "preUninstall"),
        ("avi:confluence:removed:page", "did you mean 'avi:confluence:moved:page'"),
        ("", "look it up"),
    ],
)
@pytest.mark.parametrize("filtered", [False, True], ids=["plain", "filtered"])
def test_unknown_event_of_a_trigger_is_an_error_with_advice(event: str, advice: str, filtered: bool):
    entry: Any = {"eventType": event, "filter": {"ignoreSelf": True}} if filtered else event
    ((level, pointer, message),) = found(trigger(entry))
    assert (level, pointer) == ("error", "/modules/trigger/1/events/0")
    assert advice in message


@pytest.mark.parametrize("event", ["avi:newproduct:created:thing", "avi:trello:moved:card"])
def test_event_of_an_unknown_product_is_a_warning(event: str):
    assert places(trigger(event)) == [("warning", "/modules/trigger/1/events/0")]


@pytest.mark.parametrize("event", sorted(read_data("event_scopes")))
def test_event_needs_its_scopes_each_time(event: str):
    scopes = read_data("event_scopes")[event]
    for missing in scopes:
        rest = [scope for scope in scopes if scope != missing]
        ((level, _, message),) = found(all_of(trigger(event), add(SCOPES, *rest)))
        assert level == "error"
        assert f"'{missing}'" in message
    assert found(all_of(trigger(event), add(SCOPES, *scopes))) == []


@pytest.mark.parametrize("event", sorted(read_data("granular_scopes")["events"]))
def test_event_is_sent_with_granular_scopes_too(event: str):
    granular = read_data("granular_scopes")["events"][event]
    assert found(all_of(trigger(event), add(SCOPES, *granular))) == []
    if not set(granular[1:]) >= set(read_data("event_scopes")[event]):
        assert places(all_of(trigger(event), add(SCOPES, *granular[1:]))) == [("error", "/modules/trigger/1/events/0")]


@pytest.mark.parametrize(
    ("scope", "advice"),
    [
        ("READ", "write 'read:connect-jira' or 'read:connect-confluence'"),
        ("act_as_user", "write 'act-as-user:connect-jira'"),
        ("PROJECT_ADMIN", "of descriptors; write 'project-admin:connect-jira'"),
        ("space-admin", "of descriptors; write 'space-admin:connect-confluence'"),
        ("NONE", "remove it"),
        ("zebra", "look it up"),
        ("READ:connect-jira", "write 'read:connect-jira'"),
        ("act_as_user:connect-jira", "write 'act-as-user:connect-jira'"),
        ("read:jira_work", "write 'read:jira-work'"),
        ("read:jira-wrok", "did you mean 'read:jira-work'"),
        (" read:jira-work", "write 'read:jira-work'"),
        ("read:connect-jirra", "did you mean 'read:connect-jira'"),
        (3, "expected a text"),
    ],
    ids=str,
)
def test_unknown_scope_is_an_error_with_advice(scope: Any, advice: str):
    ((level, pointer, message),) = found(add(SCOPES, scope))
    assert (level, pointer) == ("error", "/permissions/scopes/3")
    assert advice in message


@pytest.mark.parametrize("scope", DESCRIPTOR_SCOPES)
def test_advice_for_a_scope_of_descriptors_names_scopes_that_exist(scope: str):
    ((_, _, message),) = found(add(SCOPES, scope))
    advised = re.findall(r"'([a-z-]+:connect-[a-z]+)'", message)
    assert set(advised) <= set(read_data("scope_names")["names"])
    assert bool(advised) == (scope != "NONE")


@pytest.mark.parametrize("value", [None, "read:jira-work", 3, True], ids=repr)
def test_scopes_of_another_form_are_an_error(value: Any):
    assert ("error", "/permissions/scopes") in places(put(SCOPES, value))
