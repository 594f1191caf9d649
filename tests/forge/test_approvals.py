"""What administrators must approve: each kind of change between two manifests, and its verdict."""

import pytest
from addonkit.forge.approvals import Impact, Side, compare, verdict_of
from addonkit.forge.data import read_data

from tests.support.forge_changes import BASE, CHANGES, add, both, changed, changes, drop, put

# Rules of other differences that a change makes as well.
FURTHER = {
    "no purposes": {"remote-operation-added", "remote-operation-removed"},
    "other scope": {"scope-removed"},
    "analytics": {"egress-data-first"},
    "modules that are no object": {"endpoint-changed", "module-removed"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_has_the_verdict_of_its_rule(name):
    edit, rule, verdict = CHANGES[name]
    found = changes(BASE, changed(edit))
    assert {one.rule for one in found} == ({rule} if rule else set()) | FURTHER.get(name, set())
    assert verdict_of(found).value == verdict
    assert [one.impact.value for one in found[:1]] == ([verdict] if found else [])


# What takes a change back; the other direction of a change may have another rule.
WAY_BACK = {
    "paid": ("licence-off", "approval"),
    "configurable": ("remote-options", "approval"),
    "token": ("remote-token-off", "automatic"),
    "impersonation": ("impersonation-off", "automatic"),
    "data to an address": ("egress-data-off", "automatic"),
    "frame": ("egress-removed", "automatic"),
    "scope": ("scope-removed", "approval"),
    "further product": ("product-removed", "refused"),
    "no Connect key": ("connect-key-added", "refused"),
    "further remote": ("remote-removed", "automatic"),
    "further region": ("remote-region-removed", "approval"),
    "same URL as an object": ("remote-form", "automatic"),
    "module": ("module-removed", "automatic"),
    "text": ("text-changed", "automatic"),
    "addresses of administrators": ("egress-removed", "automatic"),
}


@pytest.mark.parametrize(("name", "rule", "verdict"), [(name, *rule) for name, rule in WAY_BACK.items()], ids=WAY_BACK)
def test_change_back_has_a_rule_of_its_own(name, rule, verdict):
    found = changes(changed(CHANGES[name][0]), BASE)
    assert (rule in {one.rule for one in found}, verdict_of(found).value) == (True, verdict)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        pytest.param(
            put("permissions", "external", "images", to=[{"address": "https://a", "inScopeEUD": True}]),
            put("permissions", "external", "frames", 0, "inScopeEUD", to=True),
            "egress-data-more",
            id="data to a further address",
        ),
        pytest.param(
            add("modules", "webtrigger", item={"key": "x", "function": "f"}),
            add("modules", "webtrigger", item={"key": "y", "function": "f"}),
            "webtrigger-further",
            id="further dynamic web trigger",
        ),
        pytest.param(
            put("remotes", 1, "configurable", to={"name": "X"}),
            drop("remotes", 1, "baseUrl"),
            "remote-url-removed",
            id="base URL of a remote of administrators",
        ),
        pytest.param(
            add("remotes", item={"key": "same", "baseUrl": "https://kit.example.com"}),
            put("app", "connect", "remote", to="same"),
            "connect-remote-changed",
            id="Connect remote with the same base URL",
        ),
    ],
)
def test_further_change_of_a_kind_is_automatic(old, new, rule):
    before = changed(old)
    found = changes(before, changed(new, before))
    assert (rule in {one.rule for one in found}, verdict_of(found)) == (True, Impact.AUTOMATIC)


def test_every_rule_is_reached_by_a_change():
    found = {one.rule for edit, _, _ in CHANGES.values() for one in changes(BASE, changed(edit))}
    found |= {one.rule for edit, _, _ in CHANGES.values() for one in changes(changed(edit), BASE)}
    further = {"egress-data-more", "webtrigger-further", "remote-url-removed", "connect-remote-changed"}
    assert set(read_data("approvals")["rules"]) - found == further


def test_every_rule_has_a_source_or_is_not_confirmed():
    for rules in (read_data("approvals")["rules"], read_data("approvals")["first_move"]):
        for name, rule in rules.items():
            assert rule["impact"] in ("automatic", "approval", "refused"), name
            assert rule.get("where") or rule["sources"] == ["R"], name


def test_changes_begin_with_the_worst():
    names = ("newer runtime", "text", "scope", "another app")
    new = changed(both(*(CHANGES[name][0] for name in names)))
    assert [one.impact.value for one in changes(BASE, new)] == ["refused", "approval", "automatic", "automatic"]


def test_long_texts_of_a_manifest_are_cut():
    [change] = changes(BASE, changed(add("permissions", "scopes", item="x" * 10_000)))
    assert len(change.what) < 600


def test_change_names_plugin_and_line_of_the_side_that_has_it():
    old = Side(BASE, "old.yml", lambda pointer: f"old {pointer}", lambda _: 7)
    new = Side(
        changed(drop("connectModules", "jira:webhooks")), "new.yml", lambda pointer: f"new {pointer}", lambda _: 8
    )
    [removed] = compare(old, new)
    assert (removed.plugin, removed.where) == ("old /connectModules/jira:webhooks/0", "old.yml:7")
    [added] = compare(new, old)
    assert (added.plugin, added.where) == ("old /connectModules/jira:webhooks/0", "old.yml:7")


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"app": None},
        {"app": []},
        {"app": {}, "remotes": {}},
        {"app": {}, "remotes": [1, None, {"key": 3}]},
        {"app": {}, "modules": []},
        {"app": {}, "modules": {"macro": "x", "trigger": [None, 1, {"key": []}, {}]}},
        {"app": {}, "permissions": [1]},
        {
            "app": {},
            "permissions": {"scopes": "all", "content": 3, "external": {"fetch": [1], "frames": [None, [], {}]}},
        },
        {"app": {"compatibility": [1], "connect": "x", "licensing": 1, "access": "x"}},
        {"app": {}, "providers": {"auth": {"key": 1}}},
        {"app": {"connect": {"remote": ["x"], "key": {"a": 1}}}},
    ],
    ids=range(12),
)
def test_parts_of_another_form_are_compared_all_the_same(odd):
    for old, new in ((BASE, odd), (odd, BASE), (odd, odd)):
        found = changes(old, new)
        assert (verdict_of(found) is Impact.NONE) is (old == new)
