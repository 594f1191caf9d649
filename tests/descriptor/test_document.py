import hashlib
import random
from dataclasses import replace
from types import MappingProxyType

import orjson
import pytest
from addonkit.context import Module
from addonkit.descriptor.document import AddonFacts, build
from addonkit.errors import DescriptorConflict, DescriptorInvalid, SettingsInvalid

FACTS = AddonFacts(key="com.example.kit", name="Kit", base_url="https://kit.example.com")


def panel(plugin, key, **fields):
    body = {"key": key, "name": {"value": key}, "location": "somewhere", "url": f"/{plugin}/{key}"}
    return Module("webPanels", plugin, body | fields)


def page(plugin, key, type_="generalPages"):
    return Module(type_, plugin, {"key": key, "name": {"value": key}, "url": f"/{plugin}/{key}"})


def hook(plugin, event, url):
    return Module("webhooks", plugin, {"event": event, "url": url})


def scopes(*plugins, names=("READ",)):
    return {plugin: frozenset(names) for plugin in plugins}


def test_descriptor_without_plugins_is_complete():
    assert build(FACTS, [], {}).document == {
        "key": "com.example.kit",
        "name": "Kit",
        "baseUrl": "https://kit.example.com",
        "links": {"self": "https://kit.example.com/atlassian-connect.json"},
        "authentication": {"type": "jwt"},
        "lifecycle": {
            "installed": "/lifecycle/installed",
            "uninstalled": "/lifecycle/uninstalled",
            "enabled": "/lifecycle/enabled",
            "disabled": "/lifecycle/disabled",
        },
        "apiVersion": 1,
        "apiMigrations": {"signed-install": True, "context-qsh": True, "gdpr": True},
        "enableLicensing": False,
        "scopes": ["NONE"],
        "modules": {},
    }


def test_descriptor_has_the_deployments_fields():
    vendor = {"name": "Example", "url": "https://example.com"}
    facts = AddonFacts("kit", "Kit", "https://kit.example.com/app", description="Boxes", vendor=vendor, licensing=True)
    document = build(facts, [], {}).document
    assert (document["description"], document["vendor"], document["enableLicensing"]) == ("Boxes", vendor, True)
    assert document["links"]["self"] == "https://kit.example.com/app/atlassian-connect.json"


def test_modules_of_two_plugins_share_a_list_in_the_order_of_plugin_names():
    merged = build(FACTS, [panel("zoo", "z"), panel("ant", "b"), panel("ant", "a")], {})
    assert [one["key"] for one in merged.document["modules"]["webPanels"]] == ["b", "a", "z"]


def test_sources_name_the_plugin_of_each_module():
    merged = build(FACTS, [panel("zoo", "z"), panel("ant", "a"), page("ant", "c", "configurePage")], {})
    assert dict(merged.sources) == {
        "/modules/configurePage": "ant",
        "/modules/webPanels/0": "ant",
        "/modules/webPanels/1": "zoo",
    }


def test_sources_name_the_plugins_of_each_scope():
    asked = {"zoo": frozenset({"READ"}), "ant": frozenset({"read", "ACT_AS_USER"})}
    merged = build(FACTS, [], asked)
    assert merged.document["scopes"] == ["READ", "ACT_AS_USER"]
    assert dict(merged.sources) == {"/scopes/0": "ant, zoo", "/scopes/1": "ant"}


def test_single_valued_module_is_an_object():
    assert build(FACTS, [page("ant", "c", "configurePage")], {}).document["modules"]["configurePage"]["key"] == "c"


def test_descriptor_bytes_do_not_depend_on_the_order_of_plugins():
    brought = {name: [panel(name, f"{name}-{n}") for n in range(3)] + [page(name, f"{name}-p")] for name in "abcd"}
    expected = build(FACTS, [one for name in "abcd" for one in brought[name]], scopes(*"abcd"))
    shuffler = random.Random(7)
    for _ in range(20):
        names = shuffler.sample("abcd", 4)
        arrived = build(FACTS, [one for name in names for one in brought[name]], scopes(*names))
        assert (arrived.body, arrived.etag, arrived.sources) == (expected.body, expected.etag, expected.sources)


def test_descriptor_body_is_the_document_as_json():
    merged = build(FACTS, [panel("ant", "a")], {})
    assert orjson.loads(merged.body) == merged.document


def test_etag_is_quoted_and_derived_from_the_body():
    merged = build(FACTS, [], {})
    assert merged.etag == f'"{hashlib.sha256(merged.body).hexdigest()[:32]}"'


def test_etag_changes_with_the_name():
    other = AddonFacts(key=FACTS.key, name="Other", base_url=FACTS.base_url)
    assert build(FACTS, [], {}).etag != build(other, [], {}).etag


def test_document_cannot_be_changed_by_a_plugin_afterwards():
    layout = {"width": "10px"}
    merged = build(FACTS, [panel("ant", "a", layout=MappingProxyType(layout))], {})
    layout["width"] = "99px"
    assert merged.document["modules"]["webPanels"][0]["layout"] == {"width": "10px"}


def test_conflict_of_a_module_key_names_both_plugins():
    with pytest.raises(DescriptorConflict) as caught:
        build(FACTS, [page("zoo", "greeting"), panel("ant", "greeting")], {})
    assert str(caught.value) == "plugins 'ant' and 'zoo' both declare the module key 'greeting'; rename one of them"
    assert (caught.value.plugin, caught.value.other) == ("zoo", "ant")


def test_module_key_twice_in_one_plugin_is_refused():
    with pytest.raises(DescriptorInvalid, match="plugin 'ant' declares the module key 'a' twice"):
        build(FACTS, [panel("ant", "a"), page("ant", "a")], {})


def test_conflict_of_a_single_module_names_both_plugins():
    with pytest.raises(
        DescriptorConflict, match="plugins 'ant' and 'zoo' both declare the single module 'configurePage'"
    ):
        build(FACTS, [page("zoo", "z", "configurePage"), page("ant", "a", "configurePage")], {})


def test_conflict_of_a_webhook_url_names_both_plugins():
    with pytest.raises(DescriptorConflict, match="both declare the webhook URL '/hook'"):
        build(FACTS, [hook("ant", "login", "/hook"), hook("zoo", "logout", "/hook")], scopes("ant", "zoo"))


def test_webhook_url_may_receive_two_events_of_one_plugin():
    merged = build(FACTS, [hook("ant", "login", "/hook"), hook("ant", "logout", "/hook")], scopes("ant"))
    assert [one["event"] for one in merged.document["modules"]["webhooks"]] == ["login", "logout"]


def test_webhook_event_twice_at_one_url_is_refused():
    with pytest.raises(DescriptorInvalid, match="plugin 'ant' declares the webhook 'login /hook' twice"):
        build(FACTS, [hook("ant", "login", "/hook"), hook("ant", "login", "/hook")], scopes("ant"))


def test_module_that_breaks_a_rule_is_refused():
    with pytest.raises(DescriptorInvalid, match="lacks 'url'"):
        build(FACTS, [panel("ant", "a", url="")], {})


def test_scope_of_another_plugin_does_not_cover_a_webhook():
    asked = {"ant": frozenset[str](), "zoo": frozenset({"READ"})}
    with pytest.raises(DescriptorInvalid, match=r"plugin 'ant' .*without the scope 'READ'"):
        build(FACTS, [hook("ant", "login", "/hook")], asked)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", float("nan"), {1: "x"}])
def test_value_that_is_not_json_is_refused(value):
    with pytest.raises(DescriptorInvalid, match=r"plugin 'ant': 'webPanels' 'a' holds .* not a JSON value"):
        build(FACTS, [panel("ant", "a", params=value)], {})


@pytest.mark.parametrize(
    ("changed", "result"),
    [
        ({"key": "k" * 81}, "key has 81 characters"),
        ({"key": "com/example"}, "only letters, digits"),
        ({"key": "kit\n"}, "only letters, digits"),
        ({"key": ""}, "only letters, digits"),
        ({"name": "n" * 81}, "name has 81 characters"),
        ({"name": " "}, "name is empty"),
        ({"description": "d" * 1401}, "description has 1401 characters"),
        ({"base_url": "https://kit.example.com/" + "b" * 200}, "base_url has 224 characters"),
        ({"base_url": "https://kit.example.com/"}, "without a trailing '/'"),
        ({"base_url": "ftp://kit.example.com"}, "write it as 'https://host/path'"),
        ({"base_url": "https://kit.example.com?x=1"}, "write it as 'https://host/path'"),
    ],
)
def test_fields_of_the_add_on_are_checked(changed, result):
    facts = AddonFacts(**({"key": FACTS.key, "name": FACTS.name, "base_url": FACTS.base_url} | changed))
    with pytest.raises(SettingsInvalid) as caught:
        build(facts, [], {})
    assert result in str(caught.value)


def test_fields_of_the_longest_allowed_length_pass():
    facts = AddonFacts("k" * 80, "n" * 80, "https://kit.example.com/" + "b" * 176, description="d" * 1400)
    assert build(facts, [], {}).document["key"] == "k" * 80


def translations(plugin, product=None):
    return Module("translations", plugin, {"paths": {"en-US": f"/{plugin}/static/en.json"}}, product)


def test_fields_that_plugins_declare_are_at_the_top_of_the_descriptor():
    migration = Module("cloudAppMigration", "zoo", {"migrationWebhookPath": "/zoo/migrated"})
    merged = build(FACTS, [migration, translations("ant"), panel("ant", "a")], {})
    assert merged.document["translations"] == {"paths": {"en-US": "/ant/static/en.json"}}
    assert merged.document["cloudAppMigration"] == {"migrationWebhookPath": "/zoo/migrated"}
    assert list(merged.document["modules"]) == ["webPanels"]
    assert dict(merged.sources) == {"/modules/webPanels/0": "ant", "/cloudAppMigration": "zoo", "/translations": "ant"}


def test_field_of_two_plugins_is_refused():
    with pytest.raises(DescriptorConflict, match="'ant' and 'zoo' both declare the descriptor's field 'translations'"):
        build(FACTS, [translations("ant"), translations("zoo")], {})
    with pytest.raises(DescriptorInvalid, match="'ant' declares the descriptor's field 'translations' twice; keep one"):
        build(FACTS, [translations("ant"), translations("ant")], {})


SINGLES = [
    page("ant", "a", "configurePage"),
    page("ant", "a", "postInstallPage"),
    translations("ant"),
    Module("cloudAppMigration", "ant", {"migrationWebhookPath": "/ant/migrated"}),
]


def other(module, plugin, product):
    body = {**module.body, "key": "other"} if "key" in module.body else module.body
    return replace(module, plugin=plugin, body=body, product=product)


@pytest.mark.parametrize("single", SINGLES, ids=lambda module: module.type)
def test_single_module_of_each_product_leaves_the_first_in_the_descriptor(single, caplog):
    two = [other(single, "zoo", "confluence"), replace(single, product="jira")]
    with caplog.at_level("WARNING"):
        merged = build(FACTS, two, {})
    assert merged.document == build(FACTS, [single], {}).document
    assert "'ant'" not in caplog.messages[0].partition(" is not in the descriptor")[0]
    assert caplog.messages[0].endswith("that of plugin 'ant' for jira; a Forge manifest has both")


@pytest.mark.parametrize("single", SINGLES, ids=lambda module: module.type)
@pytest.mark.parametrize("products", [(None, "jira"), ("jira", None), ("jira", "jira"), (None, None)])
def test_single_module_of_one_product_twice_is_refused(single, products):
    with pytest.raises(DescriptorConflict, match=f"both declare the .* '{single.type}'; enable only one"):
        build(FACTS, [replace(single, product=products[0]), other(single, "zoo", products[1])], {})
