"""The manifest: its parts, byte-stability, keys, and what is refused with a sentence."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from addonkit.context import Module, Product
from addonkit.descriptor.document import AddonFacts
from addonkit.errors import AddonkitError, PluginError, SettingsInvalid
from addonkit.extension.modules import checked_modules
from addonkit.forge.checks import check_manifest
from addonkit.forge.manifest import Manifest, build
from addonkit.forge.manifest_file import render
from addonkit.forge.manifest_parser import parse
from addonkit.forge.products import key_of
from addonkit.settings.forge_section import ForgeSettings

from tests.support.all_modules import TYPES, all_modules
from tests.support.forge_addon import APP

FACTS = AddonFacts(key="com.example.kit", name="Kit", base_url="https://kit.example.com")
TEXT = {"value": "Text"}
ROOT = Path(__file__).parent.parent.parent


def panel(plugin: str, key: str) -> Module:
    return Module("webPanels", plugin, {"key": key, "name": TEXT, "location": "x", "url": f"/{plugin}/x"}, "jira")


def report(plugin: str) -> Module:
    body = {"key": f"{plugin}-report", "name": TEXT, "description": TEXT, "url": f"/{plugin}/report"}
    return Module("jiraReports", plugin, body)


def macro(plugin: str) -> Module:
    return Module("dynamicContentMacros", plugin, {"key": f"{plugin}-poll", "name": TEXT, "url": f"/{plugin}/poll"})


def hook(plugin: str, event: str, path: str = "hook") -> Module:
    return Module("webhooks", plugin, {"event": event, "url": f"/webhooks/{plugin}/{path}"})


def forge(**settings: Any) -> ForgeSettings:
    return ForgeSettings(app_id=APP, **settings)


def manifest(*modules: Module, facts: AddonFacts = FACTS, **settings: Any) -> Manifest:
    plugins = {module.plugin: frozenset({"READ"}) for module in modules}
    return build(facts, forge(**settings), modules, plugins)


def keys(made: Manifest, type_: str) -> list[str]:
    return [body["key"] for body in made.document["connectModules"][type_]]


def refusal(*modules: Module, **settings: Any) -> str:
    with pytest.raises(AddonkitError) as caught:
        manifest(*modules, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_manifest_of_one_product_is_complete() -> None:
    assert manifest(hook("notes", "jira:issue_deleted"), report("notes")).document == {
        "app": {
            "id": APP,
            "runtime": {"name": "nodejs24.x"},
            "connect": {"key": "com.example.kit", "remote": "connect", "authentication": "jwt"},
            "licensing": {"enabled": False},
        },
        "remotes": [
            {
                "key": "connect",
                "baseUrl": "https://kit.example.com",
                "operations": ["storage", "compute"],
                "storage": {"inScopeEUD": True},
            }
        ],
        "connectModules": {
            "jira:jiraReports": [
                {"key": "notes-report", "name": TEXT, "description": TEXT, "url": "/notes/report"},
            ],
            "jira:lifecycle": [
                {
                    "key": "addonkit-lifecycle-jira",
                    "installed": "/lifecycle/installed",
                    "uninstalled": "/lifecycle/uninstalled",
                    "enabled": "/lifecycle/enabled",
                    "disabled": "/lifecycle/disabled",
                }
            ],
            "jira:webhooks": [
                {
                    "key": "addonkit-webhook-notes-jira-issue-deleted-a720c4f7",
                    "event": "jira:issue_deleted",
                    "url": "/webhooks/notes/hook",
                }
            ],
        },
        "permissions": {"scopes": ["read:connect-jira"]},
    }


def test_manifest_of_two_products_is_compatible_with_each_alone() -> None:
    made = manifest(report("notes"), macro("poll"))
    assert made.document["app"]["compatibility"] == {"confluence": {"required": False}, "jira": {"required": False}}
    assert {"jira:lifecycle", "confluence:lifecycle"} < set(made.document["connectModules"])


def test_manifest_of_plugins_without_modules_is_of_both_products() -> None:
    made = build(FACTS, forge(), [], {"licensing": frozenset()})
    assert list(made.document["connectModules"]) == ["confluence:lifecycle", "jira:lifecycle"]
    assert made.document["permissions"] == {"scopes": []}


def test_manifest_follows_the_licensing_of_the_add_on() -> None:
    facts = AddonFacts("kit", "Kit", "https://kit.example.com", licensing=True)
    assert manifest(report("notes"), facts=facts).document["app"]["licensing"] == {"enabled": True}


def test_manifest_names_the_base_urls_of_regions() -> None:
    residency = {"US": "https://us.kit.example.com", "EU": "https://eu.kit.example.com"}
    [remote] = manifest(report("notes"), residency=residency).document["remotes"]
    assert list(remote["baseUrl"].items()) == [
        ("default", "https://kit.example.com"),
        ("EU", "https://eu.kit.example.com"),
        ("US", "https://us.kit.example.com"),
    ]


@pytest.mark.parametrize(("will", "said"), [("yes", "YES"), ("no", "NO"), ("undecided", "UNDECIDED")])
def test_manifest_shows_the_migration_guide(will: str, said: str) -> None:
    made = manifest(report("notes"), migration_guide="https://kit.example.com/moving", will_migrate=will)
    assert made.document["modules"] == {
        "connectToForgeMigration": [
            {
                "key": "addonkit-connect-to-forge-migration",
                "migrationGuideUrl": "https://kit.example.com/moving",
                "willMigrateToForgeBeforeEOS": said,
            }
        ]
    }


def test_manifest_has_nothing_that_forge_would_ask_administrators_about() -> None:
    document = manifest(*all_modules(), migration_guide="https://kit.example.com/moving").document
    assert list(document) == ["app", "remotes", "connectModules", "modules", "permissions"]
    assert list(document["modules"]) == ["connectToForgeMigration"]
    assert list(document["permissions"]) == ["scopes"]
    assert [set(remote) for remote in document["remotes"]] == [{"key", "baseUrl", "operations", "storage"}]


def test_manifest_has_each_of_the_83_module_types() -> None:
    modules = all_modules()
    made = manifest(*checked_modules("kit", modules, frozenset(), strict=True)[0])
    assert set(made.document["connectModules"]) == TYPES
    assert len(TYPES) == 83
    assert {len(bodies) for bodies in made.document["connectModules"].values()} == {1}


def test_manifest_passes_the_checks_of_manifests() -> None:
    settings = {"migration_guide": "https://kit.example.com/moving", "residency": {"EU": "https://eu.example.com"}}
    assert list(check_manifest(manifest(*all_modules(), **settings).document)) == []
    assert list(check_manifest(build(FACTS, forge(), [], {"licensing": frozenset()}).document)) == []


@pytest.mark.parametrize(("panels", "expected"), [(148, 0), (149, 0), (150, 1), (400, 1)])
def test_manifest_with_more_modules_than_forge_documents_is_warned_about(panels: int, expected: int) -> None:
    made = manifest(*(panel("notes", f"notes-{place}") for place in range(panels)))
    findings = list(check_manifest(made.document))
    assert [finding.level for finding in findings] == ["warning"] * expected
    assert all(f"the manifest has {panels + 1} modules" in finding.message for finding in findings)


def test_manifest_leaves_bodies_as_the_plugin_wrote_them() -> None:
    made = manifest(*all_modules())
    for module in all_modules():
        place = [type_ for type_ in made.document["connectModules"] if type_.endswith(f":{module.type}")]
        bodies = [made.document["connectModules"][type_][0] for type_ in place]
        assert any(body | dict(module.body) == body for body in bodies), module


def test_manifest_has_a_source_for_each_module_and_scope() -> None:
    made = manifest(report("notes"), macro("poll"), hook("notes", "project_deleted"), hook("poll", "page_removed"))
    assert dict(made.sources) == {
        "/connectModules/confluence:dynamicContentMacros/0": "poll",
        "/connectModules/confluence:webhooks/0": "poll",
        "/connectModules/jira:jiraReports/0": "notes",
        "/connectModules/jira:webhooks/0": "notes",
        "/permissions/scopes/0": "poll",
        "/permissions/scopes/1": "notes",
    }


def test_manifest_has_the_same_bytes_whatever_the_order_of_plugins() -> None:
    modules = [
        *(make(plugin) for plugin in ("notes", "poll", "zebra") for make in (report, macro)),
        *(hook(plugin, event) for plugin in ("notes", "poll") for event in ("jira:issue_deleted", "page_removed")),
    ]
    texts = set()
    for seed in range(20):
        plugins = ["notes", "poll", "zebra"]
        random.Random(seed).shuffle(plugins)
        ordered = [module for plugin in plugins for module in modules if module.plugin == plugin]
        asked = {plugin: frozenset({"WRITE", "ACT_AS_USER"}) for plugin in plugins}
        texts.add(render(build(FACTS, forge(residency={"EU": "https://eu.example.com"}), ordered, asked)))
    assert len(texts) == 1


@pytest.mark.parametrize("seed", ["1", "2"])
def test_manifest_has_the_same_bytes_in_each_process(seed: str) -> None:
    code = (
        "import sys; from tests.forge.test_manifest import all_modules, manifest, render; "
        "sys.stdout.buffer.write(render(manifest(*all_modules())).encode())"
    )
    variables = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=variables, cwd=ROOT)
    assert done.stdout.decode() == render(manifest(*all_modules()))


def test_manifest_survives_its_file() -> None:
    made = manifest(*all_modules(), migration_guide="https://kit.example.com/moving")
    read = parse(render(made), Path("manifest.yml"))
    assert read.document == made.document
    lines = render(made).splitlines()
    for pointer, plugin in made.sources.items():
        assert lines[read.line_of(pointer) - 2].strip() == f"# plugin: {plugin}"


def test_webhook_keys_do_not_depend_on_other_webhooks() -> None:
    alone = keys(manifest(hook("notes", "jira:issue_deleted")), "jira:webhooks")
    others = [hook("a", "jira:issue_deleted"), hook("notes", "jira:issue_created"), hook("notes", "project_deleted")]
    together = keys(manifest(*others, hook("notes", "jira:issue_deleted")), "jira:webhooks")
    assert alone[0] in together


def test_webhook_keys_differ_for_names_that_look_alike() -> None:
    modules = [
        *(hook("a_b", "jira:issue_deleted", path) for path in ("c", "c?id=${issue.id}", "d")),
        hook("a", "jira:issue_deleted", "b_c"),
        hook("a_b", "jira:issue_created", "c"),
    ]
    found = keys(manifest(*modules), "jira:webhooks")
    assert len(set(found)) == len(modules)
    assert all(key.startswith("addonkit-webhook-a") for key in found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"filter": "project = A"}, {"filter": "project = B"}),
        ({"filter": "project = A"}, {}),
        ({"excludeBody": True}, {"excludeBody": False}),
        ({"propertyKeys": ["a"]}, {"propertyKeys": ["a", "b"]}),
        ({"propertyKeys": ["a"]}, {"filter": "a"}),
    ],
    ids=["filters", "one filter", "body", "property keys", "fields"],
)
def test_webhooks_of_one_event_and_url_that_differ_have_keys_of_their_own(one: Any, other: Any) -> None:
    body = hook("notes", "jira:issue_deleted").body
    modules = [Module("webhooks", "notes", {**body, **more}) for more in (one, other)]
    both = keys(manifest(*modules), "jira:webhooks")
    assert len(set(both)) == 2
    assert [keys(manifest(module), "jira:webhooks") for module in modules] == [[key] for key in both]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("more", [{}, {"filter": "project = A"}, {"filter": "a", "excludeBody": True}])
def test_webhook_that_a_plugin_declares_again_is_written_once(count: int, more: Any) -> None:
    module = Module("webhooks", "notes", {**hook("notes", "jira:issue_deleted").body, **more})
    made = manifest(*[module] * count, Module("webhooks", "poll", module.body))
    assert len(keys(made, "jira:webhooks")) == 2


def test_webhook_keys_are_as_short_as_keys_of_modules() -> None:
    [key] = keys(manifest(hook("notes_" * 20 + "x", "jira:issue_deleted")), "jira:webhooks")
    assert len(key) == 100


def test_webhook_key_of_the_plugin_is_kept() -> None:
    module = Module("webhooks", "notes", {"key": "gone", "event": "project_deleted", "url": "/webhooks/notes/x"})
    assert keys(manifest(module), "jira:webhooks") == ["gone"]


COLLISIONS = {
    "lifecycle-jira": ("addonkit-lifecycle-jira", "the runtime's 'jira:lifecycle'"),
    "lifecycle-confluence": ("addonkit-lifecycle-confluence", "the runtime's 'confluence:lifecycle'"),
    "migration": ("addonkit-connect-to-forge-migration", "the runtime's 'connectToForgeMigration'"),
    "translations": ("addonkit-translations-jira", "'jira:translations' of plugin 'poll'"),
    "own-translations": ("addonkit-translations-confluence", "'confluence:translations' of plugin 'poll'"),
    "webhook": (key_of(hook("poll", "page_removed")), "'confluence:webhooks' of plugin 'poll'"),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_key_that_the_manifest_generates_is_refused(case: str) -> None:
    key, owner = COLLISIONS[case]
    translations = Module("translations", "poll", {"paths": {"en-US": "/poll/en.json"}})
    others = [macro("poll"), hook("poll", "page_removed"), translations]
    guide = "https://kit.example.com/moving"
    message = refusal(panel("notes", key), *others, migration_guide=guide)
    assert message == (
        f"plugin 'notes': 'jira:webPanels' has the key '{key}', which {owner} has in the manifest, where keys are "
        "unique; rename it"
    )


def at(base_url: str) -> dict[str, Any]:
    return {"facts": AddonFacts("kit", "Kit", base_url)}


LIMITS: dict[str, tuple[str, dict[str, Any]]] = {
    "http": ("[addon] base_url 'http://kit.example.com' is not https", at("http://kit.example.com")),
    "localhost": ("[addon] base_url 'http://localhost:8000' is not https", at("http://localhost:8000")),
    "https-loopback": ("is not a public address", at("https://127.0.0.1:8443")),
    "ipv6-loopback": ("is not a public address", at("https://[::1]/kit")),
    "private-address": ("is not a public address", at("https://10.1.2.3")),
    "region-in-private": (
        "[forge] residency has for EU the base URL 'https://192.168.1.9', which is not a public address",
        {"residency": {"EU": "https://192.168.1.9"}},
    ),
    "hybrid": ("the stage is 'hybrid', but this release makes manifests of the stage 'connect'", {"stage": "hybrid"}),
    "forge": ("the stage is 'forge', but this release makes manifests of the stage 'connect'", {"stage": "forge"}),
}


@pytest.mark.parametrize("case", LIMITS)
def test_settings_that_forge_cannot_use_are_refused(case: str) -> None:
    words, settings = LIMITS[case]
    assert words in refusal(report("notes"), **settings)


@pytest.mark.parametrize("type_", ["profilePages", "longTasks", "webPanel", "lifecycle", "jira:webPanels"])
def test_type_that_no_manifest_has_is_refused(type_: str) -> None:
    message = refusal(report("notes"), Module(type_, "notes", {"key": "x"}))
    assert message.startswith(f"plugin 'notes': '{type_}' 'x' is not a module type of a Forge manifest")


def place(*modules: Module, products: dict[str, Product] | None = None) -> list[str]:
    made = manifest(*modules, products=products or {})
    return [type_ for type_ in made.document["connectModules"] if not type_.endswith(":lifecycle")]


def both(type_: str, product: Product | None = None, key: str = "notes-x", **body: Any) -> Module:
    return Module(type_, "notes", {"key": key} | body, product)


PLACES: dict[str, tuple[list[Module], dict[str, Product], list[str]]] = {
    "product-of-the-plugin": ([both("dialogs", "confluence")], {}, ["confluence:dialogs"]),
    "product-of-the-configuration": ([both("dialogs")], {"notes-x": "jira"}, ["jira:dialogs"]),
    "both-say-the-same": ([both("dialogs", "jira")], {"notes-x": "jira"}, ["jira:dialogs"]),
    "only-jira-elsewhere": ([both("webItems"), report("poll")], {}, ["jira:jiraReports", "jira:webItems"]),
    "only-confluence-elsewhere": (
        [both("webPanels"), macro("poll")],
        {},
        ["confluence:dynamicContentMacros", "confluence:webPanels"],
    ),
    "two-products": (
        [both("adminPages", "jira"), both("adminPages", "confluence", "notes-y")],
        {},
        ["confluence:adminPages", "jira:adminPages"],
    ),
    "single-type-twice": (
        [both("configurePage", "jira"), both("configurePage", "confluence", "notes-y")],
        {},
        ["confluence:configurePage", "jira:configurePage"],
    ),
    "event-of-jira": ([hook("notes", "sprint_closed")], {}, ["jira:webhooks"]),
    "event-of-confluence": ([hook("notes", "label_added")], {}, ["confluence:webhooks"]),
    "event-of-both-beside-jira": (
        [hook("notes", "comment_created"), report("poll")],
        {},
        ["jira:jiraReports", "jira:webhooks"],
    ),
    "event-of-both-by-configuration": (
        [hook("notes", "attachment_created")],
        {"addonkit-webhook-notes-attachment-created-5b5efc90": "confluence"},
        ["confluence:webhooks"],
    ),
    "unknown-event": ([Module("webhooks", "notes", hook("notes", "new_thing").body, "jira")], {}, ["jira:webhooks"]),
    "translations-everywhere": (
        [report("notes"), macro("poll"), Module("translations", "poll", {"paths": {"en-US": "/poll/en.json"}})],
        {},
        ["confluence:dynamicContentMacros", "confluence:translations", "jira:jiraReports", "jira:translations"],
    ),
    "migration-in-one-product": (
        [report("notes"), Module("cloudAppMigration", "notes", {"migrationWebhookPath": "/notes/m"})],
        {},
        ["jira:cloudAppMigration", "jira:jiraReports"],
    ),
    "translations-of-one-product": (
        [report("notes"), macro("poll"), Module("translations", "poll", {"paths": {"en-US": "/poll/en.json"}}, "jira")],
        {},
        ["confluence:dynamicContentMacros", "jira:jiraReports", "jira:translations"],
    ),
}


@pytest.mark.parametrize("case", PLACES)
def test_product_of_a_module(case: str) -> None:
    modules, products, expected = PLACES[case]
    assert place(*modules, products=products) == expected


UNDECIDED: dict[str, list[Module]] = {
    "page-alone": [both("generalPages")],
    "page-beside-both": [both("postInstallPage"), report("poll"), macro("poll")],
    "page-beside-translations": [
        both("generalPages"),
        Module("translations", "poll", {"paths": {"en-US": "/poll/en.json"}}, "jira"),
    ],
    "two-pages": [both("generalPages"), both("adminPages", key="notes-y")],
    "shortcut": [both("keyboardShortcuts")],
    "section-beside-both": [both("webSections"), report("poll"), hook("poll", "page_created")],
    "event": [hook("notes", "comment_updated")],
    "user-event-beside-both": [hook("notes", "user_created"), report("poll"), macro("poll")],
    "unknown-event": [hook("notes", "new_thing")],
}


@pytest.mark.parametrize("case", UNDECIDED)
def test_module_of_both_products_needs_its_product(case: str) -> None:
    message = refusal(*UNDECIDED[case])
    name = UNDECIDED[case][0].key or str(UNDECIDED[case][0].body["event"])
    assert message.startswith(f"plugin 'notes': '{UNDECIDED[case][0].type}' '{name}' exists in Jira and in Confluence")
    assert "write product='jira' or product='confluence' in the plugin" in message
    key = message.partition('products = {"')[2].partition('"')[0]
    assert place(*UNDECIDED[case][:1], products={key: "jira"}), "the remedy of the message helps"


WRONG: dict[str, tuple[list[Module], dict[str, Product], type[AddonkitError], str]] = {
    "type-of-the-other": ([both("spaceToolsTabs", "jira")], {}, PluginError, "only Confluence has it"),
    "event-of-the-other": (
        [Module("webhooks", "notes", hook("notes", "page_created").body, "jira")],
        {},
        PluginError,
        "has product='jira', but only Confluence has it",
    ),
    "setting-of-the-other": ([report("notes")], {"notes-report": "confluence"}, SettingsInvalid, "in Jira only"),
    "setting-against-the-plugin": ([both("dialogs", "jira")], {"notes-x": "confluence"}, SettingsInvalid, "remove the"),
    "setting-of-no-module": (
        [report("notes")],
        {"notes-repot": "jira"},
        SettingsInvalid,
        "did you mean 'notes-report'",
    ),
    "setting-of-nothing": ([report("notes")], {"zzz": "jira"}, SettingsInvalid, "the key of no module; remove it"),
}


@pytest.mark.parametrize("case", WRONG)
def test_product_that_does_not_fit_is_refused(case: str) -> None:
    modules, products, error, words = WRONG[case]
    with pytest.raises(error) as caught:
        manifest(*modules, products=products)
    assert words in str(caught.value)
