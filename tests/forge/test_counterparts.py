"""What takes the place of modules and webhooks on Forge: the tables and how they are read."""

import re

import pytest
from addonkit.descriptor.module_types import DECLARABLE, ELSEWHERE
from addonkit.forge.counterparts import Note, event_counterpart, module_counterpart, products_of_event
from addonkit.forge.data import read_data

PRODUCTS = ("jira", "confluence")
EVENTS = [(event, product) for event, rows in read_data("events")["events"].items() for product in rows]
# Names that the descriptor schema of 2020 and the host's documentation since have, by product. No order.
SPECIFIED = {
    "jira": """connect_addon_enabled connect_addon_disabled jira:issue_created jira:issue_updated jira:issue_deleted
        comment_created comment_updated comment_deleted issue_property_set issue_property_deleted issuelink_created
        issuelink_deleted worklog_created worklog_updated worklog_deleted jira:worklog_updated attachment_created
        attachment_deleted project_created project_updated project_deleted project_soft_deleted
        project_restored_deleted project_archived project_restored_archived jira:version_created jira:version_deleted
        jira:version_merged jira:version_updated jira:version_moved jira:version_released jira:version_unreleased
        user_created user_updated user_deleted option_voting_changed option_watching_changed
        option_unassigned_issues_changed option_subtasks_changed option_attachments_changed option_issuelinks_changed
        option_timetracking_changed board_created board_updated board_deleted board_configuration_changed
        sprint_created sprint_deleted sprint_updated sprint_started sprint_closed
        jira_expression_evaluation_failed""",
    "confluence": """attachment_created attachment_removed attachment_restored attachment_trashed attachment_updated
        attachment_viewed blog_created blog_removed blog_restored blog_trashed blog_updated blog_viewed
        blueprint_page_created comment_created comment_removed comment_updated connect_addon_enabled
        connect_addon_disabled content_created content_restored content_trashed content_updated
        content_permissions_updated group_created group_removed label_added label_created label_deleted label_removed
        login login_failed logout page_children_reordered page_created page_moved page_removed page_restored
        page_trashed page_updated page_viewed relation_created relation_deleted search_performed space_created
        space_logo_updated space_permissions_updated space_removed space_updated theme_enabled user_created
        user_deactivated user_followed user_reactivated user_removed""",
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_table_of_events_has_every_event_of_the_host(product):
    assert [event for event in SPECIFIED[product].split() if product not in products_of_event(event)] == []


@pytest.mark.parametrize(("event", "product"), EVENTS)
def test_event_has_scopes_and_marks(event, product):
    found = event_counterpart({"event": event}, product)
    marks = read_data("marks")["marks"]
    assert bool(found.scopes) is bool(found.names), event
    assert found.sources
    assert set(found.sources) <= set(marks)
    assert all(re.fullmatch(r"avi:[a-z-]+:[a-z_-]+:[a-z_-]+(:V2)?", name) for name in found.names)
    assert {note for note in found.notes if not set(note.sources) <= set(marks)} == set()


@pytest.mark.parametrize(
    ("event", "products"),
    [
        ("jira:issue_deleted", {"jira"}),
        ("page_removed", {"confluence"}),
        ("comment_created", {"jira", "confluence"}),
        ("attachment_created", {"jira", "confluence"}),
        ("attachment_removed", {"confluence"}),
        ("user_created", {"jira", "confluence"}),
        ("connect_addon_disabled", {"jira", "confluence"}),
        ("nothing_such", set()),
    ],
)
def test_event_belongs_to_the_products_that_send_it(event, products):
    assert products_of_event(event) == products


@pytest.mark.parametrize("product", PRODUCTS)
def test_table_of_modules_has_every_type_of_the_product(product):
    types = {name for name, kind in DECLARABLE.items() if product in kind.products} | set(ELSEWHERE)
    assert set(read_data("modules")[product]) == types


@pytest.mark.parametrize("product", PRODUCTS)
def test_module_without_a_counterpart_is_a_redesign_or_has_none(product):
    for name, row in read_data("modules")[product].items():
        assert row["how"] in ("direct", "caveat", "redesign", "none"), name
        assert row["forge"] or row["how"] != "direct", name
        assert not (row["forge"] and row["how"] == "none"), name
        assert set(row["sources"]) <= set(read_data("marks")["marks"]), name


def test_module_names_what_becomes_of_the_fields_that_it_has():
    with_modes = module_counterpart("dynamicContentMacros", "confluence", {"renderModes": {"pdf": {}}})
    without = module_counterpart("dynamicContentMacros", "confluence", {"renderModes": {}})
    assert [note.text for note in with_modes.notes if "adfExport" in note.text]
    assert not [note.text for note in without.notes if "adfExport" in note.text]


def test_event_names_the_fields_that_it_has_no_longer():
    texts = [note.text for note in event_counterpart({"event": "jira:issue_deleted"}, "jira").notes]
    assert any("fields.customfield_*" in text for text in texts)
    assert event_counterpart({"event": "jira:issue_created"}, "jira").notes == ()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("filter", "project = A", "not JQL"),
        ("propertyKeys", ["a"], "propertyPaths"),
        ("excludeBody", True, "always sent"),
        ("conditions", [{"condition": "user_is_logged_in"}], "displayConditions"),
        ("excludeBody", False, ""),
    ],
)
def test_webhook_names_what_becomes_of_the_fields_that_it_has(field, value, text):
    found = event_counterpart({"event": "jira:issue_created", field: value}, "jira").notes
    assert len(found) == bool(text)
    assert all(text in note.text for note in found)


def test_conditions_of_any_module_are_named():
    found = module_counterpart("jiraReports", "jira", {"conditions": [{"condition": "x"}]})
    assert any("displayConditions" in note.text for note in found.notes)


def test_unknown_type_and_event_have_no_counterpart():
    assert module_counterpart("nothingSuch", "jira", {}) is None
    assert module_counterpart("dynamicContentMacros", "jira", {}) is None
    assert event_counterpart({"event": "page_removed"}, "jira") is None
    assert {product for product in PRODUCTS if module_counterpart("webItems", product, {})} == {"jira", "confluence"}
    assert {product for product in PRODUCTS if module_counterpart("jiraReports", product, {})} == {"jira"}


@pytest.mark.parametrize(("sources", "is_confirmed"), [(("R",), False), (("D",), True), (("R", "V"), True)])
def test_note_is_as_sure_as_its_surest_source(sources, is_confirmed):
    assert Note("x", sources).is_confirmed() is is_confirmed


def test_tables_name_modules_events_and_scopes_that_forge_knows():
    modules = {name for product in PRODUCTS for row in read_data("modules")[product].values() for name in row["forge"]}
    assert modules - set(read_data("module_names")["names"]) == set()
    events = [row for rows in read_data("events")["events"].values() for row in rows.values() if "scopes" not in row]
    assert {name for row in events for name in row["forge"]} - set(read_data("event_scopes")) == set()
    included = read_data("changes")["scopes"]["includes"].values()
    scopes = {scope for by_product in included for names in by_product.values() for scope in names}
    rows = [row for by_product in read_data("events")["events"].values() for row in by_product.values()]
    scopes |= {scope for row in rows for scope in row.get("scopes", ())}
    assert scopes - set(read_data("scope_names")["names"]) == set()


def test_dates_are_days_with_a_source():
    dates = read_data("dates")["dates"]
    assert {row["key"] for row in dates} >= {"descriptors", "end-of-support"}
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", row["day"]) and row["source"] for row in dates)
