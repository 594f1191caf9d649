"""``plugin.declare``: every module type with its fields, whatever their names."""

from __future__ import annotations

from typing import Any

import pytest
from addonkit import Plugin
from addonkit.descriptor.document import AddonFacts, build
from addonkit.errors import PluginError
from addonkit.extension.modules import checked_modules

from tests.support.all_modules import all_modules_plugin
from tests.support.schema_oracle import assert_valid


@pytest.fixture
def plugin() -> Plugin:
    return Plugin("sample", __name__)


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("jiraIssueFields", {"type": "string", "description": {"value": "A field"}}),
        ("jiraIssueTypes", {"type": "standard", "description": {"value": "A type"}}),
        ("jiraIssueContents", {"target": {"type": "web_panel", "url": "/sample/panel"}}),
        ("webItems", {"module_type": "x"}),
        ("profilePages", {"type": "x", "url": "/sample/x"}),
    ],
)
def test_fields_may_have_any_name(plugin: Plugin, type_: str, fields: dict[str, Any]) -> None:
    plugin.declare(type_, key="sample-x", product="jira", **fields)
    [module] = plugin.addon_modules()
    assert (module.type, module.product, module.body) == (type_, "jira", {"key": "sample-x", **fields})


def test_type_may_be_passed_by_name(plugin: Plugin) -> None:
    plugin.declare(type="dialogs", key="sample-x", url="/sample/x")
    [module] = plugin.addon_modules()
    assert (module.type, module.body) == ("dialogs", {"key": "sample-x", "url": "/sample/x"})


@pytest.mark.parametrize("fields", [{}, {"key": "x"}, {"type": None}, {"type": {"value": "x"}}])
def test_missing_type_is_refused(plugin: Plugin, fields: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match="without a module type; pass it first"):
        plugin.declare(**fields)


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("jiraJqlFunctions", "sampleIssues"),
        ("jiraReports", {"value": "Sample"}),
        ("confluenceThemes", {"value": "Sample"}),
        ("customContent", {"value": "Sample"}),
        ("profilePages", {"value": "Sample"}),
    ],
)
def test_name_becomes_a_text_for_users_where_users_read_it(plugin: Plugin, type_: str, name: Any) -> None:
    plugin.declare(type_, key="sample-x", name=name if isinstance(name, str) else name["value"])
    [module] = plugin.addon_modules()
    assert module.body["name"] == name


def test_every_type_can_be_declared_and_is_valid_for_the_host() -> None:
    modules, _ = checked_modules("kit", all_modules_plugin().addon_modules(), frozenset(), strict=True)
    facts = AddonFacts("kit", "Kit", "https://kit.example.com")
    assert_valid(build(facts, modules, {"kit": frozenset({"READ", "ACT_AS_USER"})}).document)
