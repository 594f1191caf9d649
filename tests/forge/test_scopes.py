"""Scopes of a manifest: names, products, the fewest that include those of the plugins, and who asked for them."""

from __future__ import annotations

import pytest
from addonkit.context import Module, Product
from addonkit.descriptor.document import AddonFacts
from addonkit.descriptor.scopes import SCOPES
from addonkit.forge.manifest import build
from addonkit.forge.scopes import asked_scopes, scopes_in
from addonkit.settings.forge_section import ForgeSettings

J: tuple[Product, ...] = ("jira",)
C: tuple[Product, ...] = ("confluence",)
B: tuple[Product, ...] = ("confluence", "jira")

EACH = {
    "NONE": ([], []),
    "READ": (["read:connect-jira"], ["read:connect-confluence"]),
    "WRITE": (["write:connect-jira"], ["write:connect-confluence"]),
    "DELETE": (["delete:connect-jira"], ["delete:connect-confluence"]),
    "PROJECT_ADMIN": (["project-admin:connect-jira"], ["write:connect-confluence"]),
    "SPACE_ADMIN": (["write:connect-jira"], ["space-admin:connect-confluence"]),
    "ADMIN": (["admin:connect-jira"], ["admin:connect-confluence"]),
    "ACT_AS_USER": (["act-as-user:connect-jira"], ["act-as-user:connect-confluence"]),
    "ACCESS_EMAIL_ADDRESSES": (["access-email-addresses:connect-jira"], ["access-email-addresses:connect-confluence"]),
}


def names(scopes: dict[str, set[str]], products: dict[str, tuple[Product, ...]]) -> dict[str, tuple[str, ...]]:
    asked = asked_scopes({plugin: frozenset(wanted) for plugin, wanted in scopes.items()}, products)
    return {one.name: one.plugins for one in asked}


def test_each_scope_of_a_descriptor_is_translated() -> None:
    assert set(EACH) == set(SCOPES)


@pytest.mark.parametrize("scope", EACH)
def test_scope_has_its_name_in_each_product(scope: str) -> None:
    jira, confluence = EACH[scope]
    assert list(names({"kit": {scope}}, {"kit": J})) == jira
    assert list(names({"kit": {scope}}, {"kit": C})) == confluence
    assert list(names({"kit": {scope}}, {"kit": B})) == sorted([*jira, *confluence])


@pytest.mark.parametrize(
    ("scopes", "products", "expected"),
    [
        pytest.param({}, {}, {}, id="no-plugin"),
        pytest.param({"a": set()}, {"a": J}, {}, id="no-scope"),
        pytest.param({"a": {"NONE", "READ"}}, {"a": J}, {"read:connect-jira": ("a",)}, id="none-beside-read"),
        pytest.param(
            {"a": {"READ"}, "b": {"WRITE"}},
            {"a": J, "b": C},
            {"read:connect-jira": ("a",), "write:connect-confluence": ("b",)},
            id="each-in-its-product",
        ),
        pytest.param(
            {"b": {"READ"}, "a": {"READ"}}, {"a": J, "b": J}, {"read:connect-jira": ("a", "b")}, id="shared-by-two"
        ),
        pytest.param({"a": {"READ"}, "b": {"WRITE"}}, {"a": J, "b": J}, {"write:connect-jira": ("b",)}, id="included"),
        pytest.param(
            {"a": {"PROJECT_ADMIN", "SPACE_ADMIN"}},
            {"a": B},
            {"project-admin:connect-jira": ("a",), "space-admin:connect-confluence": ("a",)},
            id="one-for-each-product",
        ),
        pytest.param(
            {"a": {"ADMIN", "ACT_AS_USER", "READ", "DELETE"}},
            {"a": J},
            {"act-as-user:connect-jira": ("a",), "admin:connect-jira": ("a",)},
            id="fewest",
        ),
    ],
)
def test_scopes_are_the_fewest_in_each_product(
    scopes: dict[str, set[str]],
    products: dict[str, tuple[Product, ...]],
    expected: dict[str, tuple[str, ...]],
) -> None:
    assert names(scopes, products) == expected


def test_scopes_in_a_product_allow_what_they_allow_today() -> None:
    assert scopes_in("jira", {"SPACE_ADMIN"}) == {"READ", "WRITE"}
    assert scopes_in("confluence", {"PROJECT_ADMIN", "ACT_AS_USER"}) == {"READ", "WRITE", "ACT_AS_USER"}


def module(type_: str, plugin: str, product: Product | None = None) -> Module:
    return Module(type_, plugin, {"key": f"{plugin}-{type_.lower()}", "url": f"/{plugin}/x"}, product)


MODULES = [module("jiraReports", "notes"), module("dynamicContentMacros", "polls"), module("dialogs", "both", "jira")]
MODULES += [module("spaceToolsTabs", "both")]


@pytest.mark.parametrize(
    ("plugin", "siblings", "expected"),
    [
        pytest.param("notes", False, ["act-as-user:connect-jira"], id="jira-alone"),
        pytest.param("polls", False, ["act-as-user:connect-confluence"], id="confluence-alone"),
        pytest.param("both", False, ["act-as-user:connect-confluence", "act-as-user:connect-jira"], id="both"),
        pytest.param("notes", True, ["act-as-user:connect-confluence", "act-as-user:connect-jira"], id="siblings"),
        pytest.param("jobs", False, ["act-as-user:connect-confluence", "act-as-user:connect-jira"], id="no-modules"),
    ],
)
def test_scopes_of_a_plugin_are_asked_where_it_works(plugin: str, siblings: bool, expected: list[str]) -> None:
    scopes = {name: frozenset({"ACT_AS_USER"} if name == plugin else ()) for name in ("notes", "polls", "both", "jobs")}
    made = build(
        AddonFacts("kit", "Kit", "https://kit.example.com"),
        ForgeSettings(app_id="ari:cloud:ecosystem::app/8a3b0b9c-1d2e-4f50-8a6b-7c8d9e0f1a2b"),
        MODULES,
        scopes,
        frozenset({plugin} if siblings else ()),
    )
    assert made.document["permissions"]["scopes"] == expected
    assert {made.sources[f"/permissions/scopes/{place}"] for place in range(len(expected))} == {plugin}
