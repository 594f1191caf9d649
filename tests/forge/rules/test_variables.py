"""Variables of a manifest: declared, with a value."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.forge_findings import found, places
from tests.support.forge_variants import all_of, put

BASE_URL = "remotes 0 baseUrl"


@pytest.mark.parametrize(
    ("variables", "environment", "is_found"),
    [
        (None, {}, True),
        (None, {"KIT": "https://kit.example.com"}, True),
        (["KIT"], {}, True),
        (["KIT"], {"KIT": "https://kit.example.com"}, False),
        ([{"key": "KIT", "default": "https://kit.example.com"}], {}, False),
        ([{"key": "KIT", "default": "http://localhost"}], {}, True),
        ([{"key": "KIT", "default": "http://localhost"}], {"KIT": "https://kit.example.com"}, False),
        (["OTHER"], {"OTHER": "x"}, True),
    ],
    ids=["undeclared", "undeclared but set", "unset", "set", "default", "bad default", "overridden", "another"],
)
def test_variable_needs_a_declaration_and_a_value(variables: Any, environment: dict[str, str], is_found: bool):
    change = put(BASE_URL, "${KIT}")
    if variables:
        change = all_of(change, put("environment", {"variables": variables}))
    assert (places(change, environment=environment) == [("error", "/remotes/0/baseUrl")]) is is_found
    assert bool(found(change, environment=environment)) is is_found


def test_variable_of_the_product_in_a_webhook_is_no_variable_of_the_manifest():
    url = "/webhooks/x?project=${project.key}&user={user.id}"
    assert found(put("connectModules jira:webhooks 0 url", url)) == []


@pytest.mark.parametrize(
    "entry", ["a-b", "1a", 3, None, {"key": "A"}, {"default": "x"}, {"key": "A", "default": 3}], ids=repr
)
def test_declaration_of_another_form_is_an_error(entry: Any):
    assert ("error", "/environment/variables/0") in [
        (level, pointer.removesuffix("/default"))
        for level, pointer in places(put("environment", {"variables": [entry]}))
    ]
