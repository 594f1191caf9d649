"""Bodies of Connect modules, which the validator of Forge does not check."""

from __future__ import annotations

from typing import Any

import pytest
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.forge.data import read_data

from tests.support.forge_findings import found, places
from tests.support.forge_variants import Change, add, all_of, drop, put

PANEL = "connectModules jira:jiraIssueContents 0"
PANEL_AT = "/connectModules/jira:jiraIssueContents/0"


def test_field_types_cover_every_field_of_every_module_type():
    types = read_data("connect_fields")["types"]
    fields = {field for known in MODULE_TYPES.values() for field in (*known.required, *known.optional)} - {"key"}
    assert fields - set(types) == set()


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("target", 3, "/target"),
        ("target", "/panel", "/target"),
        ("target", {"type": "web_panel"}, "/target"),
        ("target type", "page", "/target/type"),
        ("name", "Checklist", "/name"),
        ("name", {"text": "Checklist"}, "/name"),
        ("icon width", "16px", "/icon/width"),
        ("icon height", True, "/icon/height"),
        ("name value", 3, "/name/value"),
        ("icon", "/icon.svg", "/icon"),
        ("tooltip", ["x"], "/tooltip"),
        ("conditions", {"condition": "user_is_admin"}, "/conditions"),
        ("jiraNativeAppsEnabled", "yes", "/jiraNativeAppsEnabled"),
        ("target url", "https://elsewhere.example.com/panel", ""),
        ("name value", "x" * 1501, ""),
        ("icon url", "javascript:alert(1)", ""),
    ],
    ids=[
        "target number",
        "target text",
        "target without url",
        "target type",
        "name text",
        "name without value",
        "icon width",
        "icon height",
        "name value",
        "icon text",
        "tooltip list",
        "conditions object",
        "flag text",
        "foreign url",
        "long name",
        "script",
    ],
)
def test_body_of_a_connect_module_with_a_wrong_value_is_an_error(path: str, value: Any, pointer: str):
    assert places(put(f"{PANEL} {path}", value)) == [("error", PANEL_AT + pointer)]


@pytest.mark.parametrize("type_", sorted(MODULE_TYPES))
def test_body_without_a_required_field_is_an_error_in_every_type(type_: str):
    known = MODULE_TYPES[type_]
    name = f"{min(known.products)}:{type_}"
    required = [field for field in known.required if field != "key"]
    messages = [message for _, pointer, message in found(put(f"connectModules {name}", [{"key": "k"}]))]
    assert [f"'{name}' 'k' lacks '{field}', which the host requires; add it" for field in required] == messages


def test_body_with_several_faults_has_a_finding_for_each():
    change = all_of(put(f"{PANEL} target", 3), put(f"{PANEL} name", 4), drop(f"{PANEL} icon"))
    assert places(change) == [("error", f"{PANEL_AT}/name"), ("error", f"{PANEL_AT}/target"), ("error", PANEL_AT)]


@pytest.mark.parametrize(
    ("field", "near"),
    [
        ("condition", "conditions"),
        ("Conditions", "conditions"),
        ("jiraNativeAppEnabled", "jiraNativeAppsEnabled"),
        ("contentPresentCondition", "contentPresentConditions"),
        ("content_present_conditions", "contentPresentConditions"),
    ],
)
def test_body_with_a_misspelt_field_is_a_warning(field: str, near: str):
    ((level, pointer, message),) = found(put(f"{PANEL} {field}", True))
    assert (level, pointer) == ("warning", f"{PANEL_AT}/{field}")
    assert message.endswith(f"did you mean '{near}'")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (drop("connectModules jira:lifecycle 0 installed"), "/connectModules/jira:lifecycle/0"),
        (put("connectModules jira:lifecycle 0 installed", 3), "/connectModules/jira:lifecycle/0/installed"),
        (put("connectModules jira:lifecycle 0 enabled", "on"), "/connectModules/jira:lifecycle/0/enabled"),
        (put("connectModules jira:lifecycle 0 enabled", "//x.com"), "/connectModules/jira:lifecycle/0/enabled"),
        (
            put("connectModules jira:translations", [{"key": "t", "paths": []}]),
            "/connectModules/jira:translations/0/paths",
        ),
        (add("connectModules jira:lifecycle", {"key": "l", "installed": "/x"}), "/connectModules/jira:lifecycle/1"),
    ],
    ids=["no installed", "number", "relative", "other host", "translations", "twice"],
)
def test_lifecycle_and_translations_are_checked(change: Change, pointer: str):
    assert ("error", pointer) in places(change)
