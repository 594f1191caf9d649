import subprocess
import sys

import pytest
from addonkit.descriptor.module_types import DECLARABLE, ELSEWHERE, FIELDS, MODULE_TYPES

from tests.support.schema_oracle import module_fields


@pytest.mark.parametrize(("product", "count"), [("jira", 61), ("confluence", 22)])
def test_module_types_of_each_product_are_complete(product, count):
    known = {name for name, one in DECLARABLE.items() if product in one.products} | set(ELSEWHERE)
    assert len(known) == count


@pytest.mark.parametrize("product", ["jira", "confluence"])
def test_types_are_those_of_the_hosts_schemas(product):
    known = {name for name, one in DECLARABLE.items() if product in one.products} | set(ELSEWHERE)
    assert known == set(module_fields(product))


@pytest.mark.parametrize("product", ["jira", "confluence"])
def test_fields_are_those_of_the_hosts_schemas(product):
    for name, theirs in module_fields(product).items():
        if name in ELSEWHERE:
            continue
        one = DECLARABLE[name]
        assert {*one.required, "key"} == {*theirs.required, *(one.required if name in FIELDS else ())}, name
        known = {*one.required, *one.optional, *({"key"} if name in FIELDS else ())}
        assert known == theirs.required | theirs.optional, name


def test_module_types_but_webhooks_require_a_key():
    assert [name for name, one in MODULE_TYPES.items() if "key" not in one.required] == ["webhooks"]


def test_single_modules_are_the_two_pages_and_the_providers():
    single = {name for name, one in MODULE_TYPES.items() if one.box == "single"}
    assert {"configurePage", "postInstallPage", "jiraDevelopmentTool"} < single
    assert {name for name in single if not name.startswith("jira")} == {"configurePage", "postInstallPage"}


def test_page_url_is_one_of_the_types_urls():
    for name, one in MODULE_TYPES.items():
        assert one.page_url in (None, *one.urls), name
        assert one.page_url in (None, "url", "target.url"), name


@pytest.mark.parametrize("name", ["jiraIssueContents", "jiraIssueGlances", "jiraIssueContexts"])
def test_pages_on_the_issue_sit_in_the_target(name):
    assert MODULE_TYPES[name].page_url == "target.url"


@pytest.mark.parametrize("name", ["webhooks", "jiraJqlFunctions", "jiraWorkflowPostFunctions", "blueprints"])
def test_page_url_is_none_for_types_without_a_single_page(name):
    assert MODULE_TYPES[name].page_url is None


def test_macro_urls_include_editor_and_render_modes():
    urls = MODULE_TYPES["dynamicContentMacros"].urls
    assert urls == ("url", "editor.url", "propertyPanel.url", "renderModes.*.url")


def test_table_cannot_be_changed():
    with pytest.raises(TypeError):
        MODULE_TYPES["x"] = MODULE_TYPES["webPanels"]


def test_import_of_the_table_loads_no_slow_library():
    code = (
        "import addonkit.descriptor.module_types, sys; print({'difflib', 'pydantic', 'jsonschema'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
