import re

import pytest
from addonkit.descriptor.variables import VARIABLES, looks_like_variable
from addonkit.text import near_matches


@pytest.mark.parametrize(
    ("parameter", "variable"),
    [
        ("issue_key", "issue.key"),
        ("project_id", "project.id"),
        ("issuetype_id", "issuetype.id"),
        ("profile_user_account_id", "profileUser.accountId"),
        ("dashboard_item_view_type", "dashboardItem.viewType"),
        ("post_function_config", "postFunction.config"),
        ("macro_body", "macro.body"),
        ("servicedesk_request_id", "servicedesk.requestId"),
    ],
)
def test_parameter_stands_for_its_variable(parameter, variable):
    assert VARIABLES[parameter] == variable


def test_parameter_is_its_variable_in_snake_case():
    for parameter, variable in VARIABLES.items():
        assert parameter == re.sub(r"([A-Z])", r"_\1", variable).lower().replace(".", "_"), variable


def test_variable_has_one_parameter():
    assert len(set(VARIABLES.values())) == len(VARIABLES)


@pytest.mark.parametrize(
    "name", ["issue_kee", "project_name", "space_title", "macro_hash", "board_name", "issue_type_id"]
)
def test_name_with_a_prefix_of_the_host_looks_like_a_variable(name):
    assert looks_like_variable(name)


@pytest.mark.parametrize("name", ["page_idd", "page_typ", "version_ids", "component_ids"])
def test_name_with_a_common_prefix_looks_like_a_variable_if_nearly_one(name):
    assert looks_like_variable(name)


@pytest.mark.parametrize("name", ["page_size", "page_number", "version_notes_text", "title", "poll", "limit", "issues"])
def test_names_of_common_words_do_not_look_like_variables(name):
    assert not looks_like_variable(name)


def test_known_variable_does_not_look_like_a_mistake():
    assert not any(looks_like_variable(name) for name in VARIABLES)


def test_near_matches_begin_with_the_closest_name():
    assert near_matches("issue_kee", VARIABLES)[0] == "issue_key"


def test_near_matches_are_empty_for_an_unrelated_name():
    assert near_matches("zebra", VARIABLES) == ()


def test_near_matches_do_not_depend_on_the_order_of_names():
    names = list(VARIABLES)
    assert near_matches("space_kex", names) == near_matches("space_kex", reversed(names))


def test_near_matches_ignore_case():
    assert near_matches("webpanels", ["webPanels", "webItems"])[0] == "webPanels"
