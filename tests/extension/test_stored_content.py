"""Declaration of rows about objects of the host: which models and fields are accepted."""

from __future__ import annotations

from typing import Any

import pytest
from addonkit import Plugin, PluginError
from addonkit_issue_panel.models import Item
from addonkit_macro.models import Place, Poll


async def delete(object_id: str) -> None: ...


def declare(scopes: Any = frozenset({"READ"}), model: Any = Item, **fields: str) -> Plugin:
    plugin = Plugin("sample", __name__, scopes=scopes)
    plugin.clean_up(model, delete=delete, **fields)
    return plugin


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"issue": "issue_id"},
        {"project": "project_id"},
        {"issue": "issue_id", "space": "project_id"},
        {"content": "issue_id", "project": "project_id"},
        {"issue": "issue_id", "project": "project_id", "content": "issue_id", "space": "project_id"},
        {"issue": "", "project": ""},
    ],
    ids=str,
)
def test_fields_of_two_kinds_or_of_none_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(PluginError, match="clean_up needs the fields of one kind of object"):
        declare(**fields)


@pytest.mark.parametrize(
    ("model", "fields", "missing"),
    [
        (Item, {"issue": "issue", "project": "project_id"}, "issue"),
        (Item, {"issue": "issue_id", "project": "project"}, "project"),
        (Poll, {"issue": "key", "project": "draft"}, "checked_at"),
        (Place, {"content": "page_id", "space": "space_key"}, "page_id"),
        (object, {"content": "content_id", "space": "space_key"}, "content_id"),
        (None, {"content": "content_id", "space": "space_key"}, "content_id"),
    ],
    ids=["issue", "project", "no state", "content", "no model", "None"],
)
def test_model_without_a_field_is_refused(model: Any, fields: dict[str, str], missing: str) -> None:
    with pytest.raises(PluginError, match=f"clean_up needs the field '{missing}'"):
        declare(model=model, **fields)


@pytest.mark.parametrize("scopes", [(), {"ACT_AS_USER"}, {"NONE"}], ids=["none", "ACT_AS_USER", "NONE"])
def test_plugin_without_the_scope_to_ask_is_refused(scopes: Any) -> None:
    with pytest.raises(PluginError, match="lacks the scope 'READ'"):
        declare(scopes, issue="issue_id", project="project_id")


@pytest.mark.parametrize("scopes", [{"read"}, {"WRITE"}, {"ADMIN"}], ids=["read", "WRITE", "ADMIN"])
def test_scope_that_includes_reading_is_accepted(scopes: Any) -> None:
    declare(scopes, issue="issue_id", project="project_id")


def test_two_models_of_one_plugin_have_jobs_of_their_own() -> None:
    plugin = declare(issue="issue_id", project="project_id")
    plugin.clean_up(Place, content="content_id", space="space_key", delete=delete)
    names = [spec.name for spec in plugin.addon_jobs()]
    assert len(set(names)) == len(names) == 6
    assert [module.body["event"] for module in plugin.addon_modules()] == ["project_deleted", "space_removed"]
