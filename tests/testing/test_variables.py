"""Context variables in the URLs of modules, filled as the product fills them."""

import pytest
from addonkit.testing import Variables

VARIABLES = Variables.of(
    issue={"id": 10001, "key": "AB-1"}, project={"key": "A B/C&D"}, parameters={"poll": "ä 1"}, macro={"id": "m1"}
)


@pytest.mark.parametrize(
    ("url", "filled"),
    [
        ("/panel?issue={issue.key}", "/panel?issue=AB-1"),
        ("/panel?id={issue.id}&key={issue.key}", "/panel?id=10001&key=AB-1"),
        ("/of/{project.key}", "/of/A%20B%2FC%26D"),
        ("/of?project={project.key}", "/of?project=A+B%2FC%26D"),
        ("/poll?poll={poll}", "/poll?poll=%C3%A4+1"),
        ("/panel?space={space.key}", "/panel?space="),
        ("/of/{space.key}/x", "/of//x"),
        ("/hook?issue=${issue.key}", "/hook?issue=AB-1"),
        ("/plain", "/plain"),
    ],
)
def test_url_is_filled_as_the_product_fills_it(url, filled):
    assert VARIABLES.fill(url) == filled


def test_url_values_that_look_like_variables_are_not_filled_again():
    variables = Variables.of(issue={"key": "{project.key}"}, project={"key": "X"})
    assert variables.fill("/p/{issue.key}") == "/p/%7Bproject.key%7D"


def test_context_claim_of_jira_has_jira_s_objects():
    assert VARIABLES.context("jira") == {
        "jira": {"issue": {"id": "10001", "key": "AB-1"}, "project": {"key": "A B/C&D"}}
    }


def test_context_claim_of_confluence_has_confluence_s_objects():
    assert VARIABLES.context("confluence") == {"confluence": {"macro": {"id": "m1"}}}


def test_context_claim_without_variables_is_empty():
    assert Variables().context("jira") == {}
