"""What becomes of each part of a plugin at each stage on Forge."""

from typing import Any

import pytest
from addonkit.context import Module
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.forge.data import read_data
from addonkit.forge.losses import is_accepted, unmatched
from addonkit.forge.parity import Addon, Parts, parity
from addonkit.forge.statements import STAGES, Statement, Verdict


def module(type_name: str, key: str = "x-page", product: Any = None, **body: Any) -> Module:
    return Module(type_name, "x", {"key": key, **body}, product)


def webhook(event: str, product: Any = None) -> Module:
    return Module("webhooks", "x", {"event": event, "url": "/webhooks/x/f"}, product)


def stated(parts: Parts, stage: str, name: str, **addon: Any) -> Statement:
    """Return the one statement about a part."""
    found = [one for one in parity(Addon((parts,), **addon), stage) if (one.plugin, one.name) == (parts.name, name)]
    assert len(found) == 1, found
    return found[0]


def notes(statement: Statement) -> str:
    return "; ".join(note.text for note in statement.notes)


@pytest.mark.parametrize("type_name", sorted(MODULE_TYPES.keys() - {"webhooks"}))
def test_module_of_every_type_is_kept_at_the_stage_connect(type_name):
    for product in MODULE_TYPES[type_name].products:
        found = stated(Parts("x", (module(type_name, product=product),)), "connect", "x-page")
        assert (found.verdict, found.becomes) == (Verdict.KEPT, f"{product}:{type_name}")


@pytest.mark.parametrize("type_name", sorted(MODULE_TYPES.keys() - {"webhooks"}))
def test_module_of_every_type_is_changed_or_lost_at_the_stage_forge(type_name):
    for product in MODULE_TYPES[type_name].products:
        row = read_data("modules")[product][type_name]
        found = stated(Parts("x", (module(type_name, product=product),)), "forge", "x-page")
        assert found.verdict is (Verdict.LOST if row["how"] == "none" else Verdict.CHANGED)
        assert found.becomes == " or ".join(row["forge"])
        assert ("no counterpart known" in notes(found)) is (row["how"] == "none")
        assert ("needs a redesign" in notes(found)) is (row["how"] == "redesign")


@pytest.mark.parametrize("event", sorted(read_data("events")["events"]))
def test_webhook_of_every_event_has_a_statement_at_every_stage(event):
    for product in read_data("events")["events"][event]:
        parts = Parts("x", (webhook(event, product),), frozenset({"ADMIN"}))
        assert stated(parts, "connect", event).verdict is Verdict.KEPT
        assert stated(parts, "hybrid", event).verdict is Verdict.KEPT
        on_forge = stated(parts, "forge", event)
        assert (on_forge.verdict is Verdict.LOST) is (not on_forge.becomes)


@pytest.mark.parametrize(
    ("event", "scopes", "verdict", "needs"),
    [
        ("page_removed", {"READ"}, Verdict.PERMISSION, "needs write:confluence-content (Connect: READ)"),
        ("blog_removed", set(), Verdict.PERMISSION, "(Connect: none)"),
        ("page_removed", {"WRITE"}, Verdict.CHANGED, ""),
        ("page_removed", {"ADMIN"}, Verdict.CHANGED, ""),
        ("space_removed", {"WRITE"}, Verdict.PERMISSION, "needs write:confluence-space"),
        ("space_removed", {"SPACE_ADMIN"}, Verdict.CHANGED, ""),
        ("page_created", {"READ"}, Verdict.CHANGED, ""),
        ("jira:issue_deleted", {"READ"}, Verdict.CHANGED, ""),
        ("issuetype_created", {"READ"}, Verdict.PERMISSION, "needs manage:jira-configuration"),
        ("login", {"READ"}, Verdict.LOST, "no counterpart known"),
        ("nothing_such", {"READ"}, Verdict.LOST, "no counterpart known"),
    ],
)
def test_webhook_needs_the_scopes_that_connect_does_not_include(event, scopes, verdict, needs):
    found = stated(Parts("x", (webhook(event),), frozenset(scopes)), "forge", event)
    assert found.verdict is verdict
    assert needs in notes(found)


def test_webhook_of_an_unknown_event_is_kept_at_the_stage_connect():
    found = stated(Parts("x", (webhook("nothing_such"),)), "connect", "nothing_such")
    assert found.verdict is Verdict.KEPT
    assert "say product=" in notes(found)


@pytest.mark.parametrize(
    ("modules", "chosen", "becomes"),
    [
        ((module("generalPages", product="jira"),), {}, "jira:generalPages"),
        ((module("generalPages"),), {"x-page": "confluence"}, "confluence:generalPages"),
        ((module("generalPages"), module("jiraReports", "x-report")), {}, "jira:generalPages"),
        ((module("generalPages"), webhook("page_removed")), {}, "confluence:generalPages"),
        ((module("generalPages"),), {}, "confluence:generalPages or jira:generalPages"),
        (
            (module("generalPages"), module("jiraReports", "x-report"), module("blueprints", "x-blue")),
            {},
            "confluence:generalPages or jira:generalPages",
        ),
    ],
)
def test_module_of_both_products_takes_the_product_that_is_known(modules, chosen, becomes):
    found = stated(Parts("x", modules), "connect", "x-page", chosen=chosen)
    assert found.becomes == becomes
    assert ("say product=" in notes(found)) is (" or " in becomes)


def test_module_of_both_products_has_the_worse_verdict():
    assert stated(Parts("x", (webhook("comment_created"),)), "forge", "comment_created").verdict is Verdict.PERMISSION
    assert stated(Parts("x", (module("webSections"),)), "forge", "x-page").verdict is Verdict.LOST


@pytest.mark.parametrize("type_name", ["translations", "cloudAppMigration"])
@pytest.mark.parametrize(
    ("others", "products"),
    [
        ((), ("confluence", "jira")),
        (("jiraReports",), ("jira",)),
        (("jiraReports", "blueprints"), ("confluence", "jira")),
    ],
)
def test_field_of_the_descriptor_goes_to_every_product(type_name, others, products):
    field = Module(type_name, "x", {})
    parts = Parts("x", (field, *(module(one, f"x-{one}") for one in others)))
    found = stated(parts, "connect", type_name)
    assert found.becomes == " and ".join(f"{product}:{type_name}" for product in products)
    assert found.notes == ()
    assert stated(parts, "forge", type_name).verdict is Verdict.CHANGED


def test_module_of_an_unknown_type_is_lost():
    found = stated(Parts("x", (module("nothingSuch"),)), "connect", "x-page")
    assert (found.verdict, found.becomes) == (Verdict.LOST, "")


def test_native_module_alone_changes_at_the_stage_hybrid():
    parts = Parts("x", (module("jiraReports"), module("jiraIssueContents", "x-panel")))
    assert stated(parts, "hybrid", "x-panel", native=frozenset({"x-panel"})).becomes == "jira:issuePanel"
    assert stated(parts, "hybrid", "x-page", native=frozenset({"x-panel"})).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("hook", "verdicts"),
    [
        ("addon_installed", ("changed", "changed", "changed")),
        ("addon_enabled", ("changed", "changed", "changed")),
        ("addon_disabled", ("lost", "lost", "lost")),
        ("addon_uninstalled", ("kept", "kept", "changed")),
        ("addon_missed", ("kept", "kept", "changed")),
    ],
)
def test_hook_has_a_verdict_at_each_stage(hook, verdicts):
    parts = Parts("x", hooks=(hook,))
    assert tuple(stated(parts, stage, hook).verdict.value for stage in STAGES) == verdicts


@pytest.mark.parametrize(("licensing", "verdicts"), [(True, ("kept", "changed")), (False, ("kept", "kept"))])
def test_licence_changes_only_where_licences_are_sold(licensing, verdicts):
    parts = Parts("x", licensed=("page", "save"))
    found = [stated(parts, stage, "licence", licensing=licensing) for stage in ("connect", "forge")]
    assert tuple(one.verdict.value for one in found) == verdicts
    assert all("in page, save" in notes(one) for one in found)


@pytest.mark.parametrize(
    ("scope", "products", "connect", "forge"),
    [
        ("READ", ("jira",), "read:connect-jira", "read:jira-user, read:jira-work"),
        ("PROJECT_ADMIN", ("jira",), "project-admin:connect-jira", "manage:jira-project"),
        ("PROJECT_ADMIN", ("confluence",), "write:connect-confluence", "write:confluence-content"),
        ("SPACE_ADMIN", ("confluence",), "space-admin:connect-confluence", "write:confluence-space"),
        ("ACCESS_EMAIL_ADDRESSES", ("jira",), "access-email-addresses:connect-jira", "read:email-address:jira"),
        ("ACT_AS_USER", ("jira", "confluence"), "act-as-user:connect-confluence, act-as-user:connect-jira", ""),
    ],
)
def test_scope_has_the_names_of_its_products(scope, products, connect, forge):
    types = {"jira": module("jiraReports", "x-report"), "confluence": module("blueprints", "x-blue")}
    parts = Parts("x", tuple(types[product] for product in products), frozenset({scope}))
    assert stated(parts, "connect", scope).becomes == connect
    on_forge = stated(parts, "forge", scope)
    assert set(forge.split(", ")) <= set(on_forge.becomes.split(", "))
    assert on_forge.verdict is (Verdict.CHANGED if forge else Verdict.PERMISSION)


def test_scopes_of_a_plugin_without_modules_are_those_of_the_add_on():
    other = Parts("y", (Module("jiraReports", "y", {"key": "y"}),))
    found = parity(Addon((Parts("x", scopes=frozenset({"READ"})), other)), "connect")
    assert [one.becomes for one in found if one.plugin == "x"] == ["read:connect-jira"]


def test_scopes_of_a_plugin_with_siblings_are_those_of_both_products():
    blue = Parts("y", (Module("blueprints", "y", {"key": "y"}),))
    parts = Parts("x", (module("jiraReports"),), frozenset({"READ"}), siblings=True)
    found = parity(Addon((parts, blue)), "connect")
    assert "read:connect-confluence, read:connect-jira" in [one.becomes for one in found if one.plugin == "x"]


def test_add_on_asks_for_the_scopes_of_all_events():
    parts = Parts("x", (webhook("page_removed"), webhook("jira:issue_deleted")), frozenset({"READ"}))
    found = {one.name: one for one in parity(Addon((parts,)), "forge")}
    asked = ("read:confluence-content.summary", "read:jira-work", "write:confluence-content")
    assert found["scopes of events"].scopes == asked
    assert found["scopes of events"].verdict is Verdict.PERMISSION


@pytest.mark.parametrize("stage", STAGES)
def test_statement_has_marks_and_dates_in_place_of_names(stage):
    for one in parity(Addon((), True), stage):
        assert set(one.sources) <= set(read_data("marks")["marks"])
        assert one.sources
        assert "{" not in notes(one) + one.becomes


def test_row_has_stable_names():
    row = stated(Parts("x", (webhook("page_removed"),)), "forge", "page_removed").row(is_accepted=False)
    assert row == {
        "stage": "forge",
        "plugin": "x",
        "kind": "webhook",
        "name": "page_removed",
        "type": "webhooks",
        "verdict": "needs permission",
        "becomes": "avi:confluence:deleted:page",
        "scopes": ["read:confluence-content.summary", "write:confluence-content"],
        "notes": [
            {
                "text": "needs read:confluence-content.summary, write:confluence-content (Connect: none); "
                "administrators must approve it",
                "sources": ["V", "D"],
            }
        ],
        "sources": ["D"],
        "confirmed": True,
        "accepted": False,
    }


LOST = stated(Parts("x", hooks=("addon_disabled",)), "forge", "addon_disabled")
KEPT = stated(Parts("x", (module("jiraReports"),)), "connect", "x-page")


@pytest.mark.parametrize(
    ("statement", "accepted", "expected"),
    [
        (LOST, ["x addon_disabled"], True),
        (LOST, ["  x   addon_disabled "], True),
        (LOST, ["y addon_disabled"], False),
        (LOST, [], False),
        (KEPT, ["x x-page"], False),
    ],
)
def test_loss_is_accepted_by_its_name(statement, accepted, expected):
    assert is_accepted(statement, accepted) is expected


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("x addon_disable", "did you mean 'x addon_disabled'"),
        ("x x-pag", "did you mean 'x x-page'"),
        ("x x-page", "is lost at no stage"),
        ("nothing such", "write '<plugin> <module, event or hook>'"),
        ("macro", "write '<plugin> <module, event or hook>'"),
    ],
)
def test_accepted_loss_that_matches_nothing_is_named(entry, sentence):
    [found] = unmatched([LOST, KEPT], [entry, "x addon_disabled"])
    assert found.startswith(f"[forge] accepted_losses names '{entry}'")
    assert sentence in found
