"""The runtime's own rules for a manifest: what each of them finds, and that they find nothing in a right one."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.forge.checks import check_manifest
from addonkit.forge.data import read_data
from addonkit.forge.rules.modules import connect_names

from tests.support.forge_variants import (
    BASE,
    EVENTS,
    EXTERNAL,
    RESOLVER,
    SCOPES,
    VARIANTS,
    Change,
    Variant,
    add,
    all_of,
    drop,
    make_files,
    native,
    put,
    trigger,
)

PANEL = "connectModules jira:jiraIssueContents 0"
PANEL_AT = "/connectModules/jira:jiraIssueContents/0"
BASE_URL = "remotes 0 baseUrl"


def found(change: Change, **given: Any) -> list[tuple[str, str, str]]:
    document = deepcopy(BASE)
    change(document)
    return [(finding.level, finding.pointer, finding.message) for finding in check_manifest(document, **given)]


def places(change: Change, **given: Any) -> list[tuple[str, str]]:
    return [(level, pointer) for level, pointer, _ in found(change, **given)]


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_variant_has_the_verdict_of_our_own_rules(variant: Variant, tmp_path: Path):
    make_files(tmp_path)
    findings = check_manifest(variant.document(), folder=tmp_path)
    levels = {finding.level for finding in findings}
    assert ("error" if "error" in levels else "warning" if levels else "ok") == variant.ours
    assert variant.pointer is None or variant.pointer in {finding.pointer for finding in findings}


def test_variants_that_the_validator_refuses_are_refused_by_our_own_rules_too():
    assert [variant.name for variant in VARIANTS if not variant.accepted and variant.ours != "error"] == []


def test_connect_names_are_61_of_jira_and_22_of_confluence():
    names = connect_names()
    assert [sum(name.startswith(f"{product}:") for name in names) for product in ("jira", "confluence")] == [61, 22]


def test_field_types_cover_every_field_of_every_module_type():
    types = read_data("field_types")["fields"]
    fields = {field for known in MODULE_TYPES.values() for field in (*known.required, *known.optional)} - {"key"}
    assert fields - set(types) == set()


@pytest.mark.parametrize(
    "url",
    [
        "http://kit.example.com",
        "HTTP://kit.example.com",
        "https://localhost",
        "https://localhost:8443/app",
        "https://127.0.0.1",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://[::1]",
        "https://0.0.0.0",
        "https://10.1.2.3",
        "https://192.168.0.9/app",
        "https://169.254.169.254",
        "https://kit",
        "https://kit.local",
        "https://kit.localhost",
        "https://kit.internal",
        "https://user:password@kit.example.com",
        "https://kit.example.com?x=1",
        "https://kit.example.com/a/../b",
        "https://kit.example.com:0",
        "ftp://kit.example.com",
        "kit.example.com",
        "https://",
    ],
)
@pytest.mark.parametrize("region", [None, "EU"], ids=["default", "region"])
def test_base_url_that_atlassian_cannot_call_is_an_error_in_every_region(url: str, region: str | None):
    value = {"default": "https://kit.example.com", region: url} if region else url
    at = "/remotes/0/baseUrl" + (f"/{region}" if region else "")
    assert places(put(BASE_URL, value)) == [("error", at)]


@pytest.mark.parametrize(
    "url",
    [
        "https://kit.example.com",
        "https://kit.example.com/",
        "https://kit.example.com:8443/app",
        "https://93.184.215.14/app",
        {"default": "https://kit.example.com", "EU": "https://eu.example.com", "CH": "https://ch.example.com/a"},
    ],
    ids=["name", "slash", "port", "address", "regions"],
)
def test_base_url_that_atlassian_can_call_is_accepted(url: Any):
    assert found(put(BASE_URL, url)) == []


def test_base_url_with_a_password_is_not_repeated_by_the_reason():
    ((_, _, message),) = found(put(BASE_URL, "https://user:secret@kit.example.com"))
    assert "secret" not in message


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"EU": "https://eu.example.com"}, "/remotes/0/baseUrl"),
        ({"default": "https://a.example.com", "MARS": "https://b.example.com"}, "/remotes/0/baseUrl/MARS"),
        ({"default": "https://a.example.com", "eu": "https://b.example.com"}, "/remotes/0/baseUrl/eu"),
        ({"default": 3}, "/remotes/0/baseUrl/default"),
        (None, "/remotes/0/baseUrl"),
        (["https://a.example.com"], "/remotes/0/baseUrl"),
        ("", "/remotes/0/baseUrl"),
    ],
    ids=["no default", "unknown region", "lower case", "number", "empty", "list", "empty text"],
)
def test_base_url_of_another_form_is_an_error(value: Any, pointer: str):
    assert ("error", pointer) in places(put(BASE_URL, value))


def test_remote_without_a_region_of_another_remote_is_an_error():
    other = {
        "key": "other",
        "baseUrl": {"default": "https://kit.example.com", "EU": "https://eu.example.com"},
        "operations": ["compute"],
    }
    assert places(add("remotes", other)) == [("error", "/remotes/0/baseUrl")]


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("target", 3, "/target"),
        ("target", "/panel", "/target"),
        ("target", {"type": "web_panel"}, ""),
        ("name", "Checklist", "/name"),
        ("name", {"text": "Checklist"}, ""),
        ("icon", "/icon.svg", "/icon"),
        ("tooltip", ["x"], "/tooltip"),
        ("conditions", {"condition": "user_is_admin"}, "/conditions"),
        ("jiraNativeAppsEnabled", "yes", "/jiraNativeAppsEnabled"),
        ("target url", "https://elsewhere.example.com/panel", ""),
        ("name value", "x" * 1501, ""),
        ("icon url", "javascript:alert(1)", ""),
    ],
    ids=[
        "target number",
        "target text",
        "target without url",
        "name text",
        "name without value",
        "icon text",
        "tooltip list",
        "conditions object",
        "flag text",
        "foreign url",
        "long name",
        "script",
    ],
)
def test_body_of_a_connect_module_with_a_wrong_value_is_an_error(path: str, value: Any, pointer: str):
    assert places(put(f"{PANEL} {path}", value)) == [("error", PANEL_AT + pointer)]


@pytest.mark.parametrize("type_", sorted(MODULE_TYPES))
def test_body_without_a_required_field_is_an_error_in_every_type(type_: str):
    known = MODULE_TYPES[type_]
    name = f"{min(known.products)}:{type_}"
    required = [field for field in known.required if field != "key"]
    messages = [message for _, pointer, message in found(put(f"connectModules {name}", [{"key": "k"}]))]
    assert [f"'{name}' 'k' lacks '{field}', which the host requires; add it" for field in required] == messages


def test_body_with_several_faults_has_a_finding_for_each():
    change = all_of(put(f"{PANEL} target", 3), put(f"{PANEL} name", 4), drop(f"{PANEL} icon"))
    assert places(change) == [("error", f"{PANEL_AT}/name"), ("error", f"{PANEL_AT}/target"), ("error", PANEL_AT)]


@pytest.mark.parametrize(
    ("field", "near"),
    [
        ("condition", "conditions"),
        ("Conditions", "conditions"),
        ("jiraNativeAppEnabled", "jiraNativeAppsEnabled"),
        ("contentPresentCondition", "contentPresentConditions"),
        ("content_present_conditions", "contentPresentConditions"),
    ],
)
def test_body_with_a_misspelt_field_is_a_warning(field: str, near: str):
    ((level, pointer, message),) = found(put(f"{PANEL} {field}", True))
    assert (level, pointer) == ("warning", f"{PANEL_AT}/{field}")
    assert message.endswith(f"did you mean '{near}'")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (drop("connectModules jira:lifecycle 0 installed"), "/connectModules/jira:lifecycle/0"),
        (put("connectModules jira:lifecycle 0 installed", 3), "/connectModules/jira:lifecycle/0/installed"),
        (put("connectModules jira:lifecycle 0 enabled", "on"), "/connectModules/jira:lifecycle/0/enabled"),
        (put("connectModules jira:lifecycle 0 enabled", "//x.com"), "/connectModules/jira:lifecycle/0/enabled"),
        (
            put("connectModules jira:translations", [{"key": "t", "paths": []}]),
            "/connectModules/jira:translations/0/paths",
        ),
        (add("connectModules jira:lifecycle", {"key": "l", "installed": "/x"}), "/connectModules/jira:lifecycle/1"),
    ],
    ids=["no installed", "number", "relative", "other host", "translations", "twice"],
)
def test_lifecycle_and_translations_are_checked(change: Change, pointer: str):
    assert ("error", pointer) in places(change)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("jira:webPanel", "did you mean 'jira:webPanels'"),
        ("webPanels", "which lacks its product; write 'confluence:webPanels' or 'jira:webPanels'"),
        ("confluence:jiraIssueContents", "which confluence does not have; write 'jira:jiraIssueContents'"),
        ("jira:JiraIssueContent", "did you mean 'jira:jiraIssueContents'"),
        ("lifecycle", "which lacks its product; write 'confluence:lifecycle' or 'jira:lifecycle'"),
        ("bitbucket:webhooks", "which bitbucket does not have; write 'confluence:webhooks' or 'jira:webhooks'"),
        ("zebra", "which Forge does not know; look it up in its documentation"),
    ],
)
def test_unknown_connect_module_is_an_error_with_advice(name: str, advice: str):
    ((level, pointer, message),) = found(put(f"connectModules {name}", [{"key": "k"}]))
    assert (level, pointer) == ("error", f"/connectModules/{name}")
    assert advice in message


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("core:preUninstall", "write 'preUninstall'"),
        ("core:trigger", "write 'trigger'"),
        ("jira:issuePanels", "did you mean 'jira:issuePanel'"),
        ("scheduledTriggers", "did you mean 'scheduledTrigger'"),
        ("jira:webhooks", "write it below connectModules"),
        ("zebra", "look it up in its documentation"),
    ],
)
def test_unknown_forge_module_is_an_error_with_advice(name: str, advice: str):
    findings = found(put(f"modules {name}", [{"key": "k", "endpoint": EVENTS}]))
    (message,) = [message for level, pointer, message in findings if pointer == f"/modules/{name}"]
    assert advice in message


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("connectModules", "jira:webPanels"),
        ("connectModules", "confluence:webhooks"),
        ("modules", "trigger"),
        ("modules", "endpoint"),
        ("modules", "jira:issuePanel"),
    ],
)
@pytest.mark.parametrize("value", [[], None, {}, "x", [3], [[]], 7], ids=repr)
def test_modules_of_another_form_are_an_error(part: str, name: str, value: Any):
    assert any(
        level == "error" and pointer.startswith(f"/{part}/{name}")
        for level, pointer in places(put(f"{part} {name}", value))
    )


@pytest.mark.parametrize("key", ["", "a b", "a.b", "ä", 3, None, ["a"], "a/b"], ids=repr)
@pytest.mark.parametrize("path", ["connectModules jira:webhooks 0 key", "modules trigger 0 key"])
def test_key_of_a_module_with_other_characters_is_an_error(path: str, key: Any):
    assert places(put(path, key)) == [("error", "/" + path.replace(" ", "/"))]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (put("modules trigger 0 key", EVENTS), "/modules/trigger/0/key"),
        (put("modules trigger 0 key", "hook"), "/connectModules/jira:webhooks/0/key"),
        (put("connectModules confluence:webhooks 0 key", "hook"), "/connectModules/confluence:webhooks/0/key"),
        (put("connectModules jira:lifecycle 0 key", "lifecycle-confluence"), "/connectModules/jira:lifecycle/0/key"),
        (add("remotes", BASE["remotes"][0]), "/remotes/1/key"),
        (put("resources", [{"key": "ui", "path": "a"}, {"key": "ui", "path": "b"}]), "/resources/1/key"),
    ],
    ids=["trigger and endpoint", "forge and connect", "two products", "lifecycle", "remotes", "resources"],
)
def test_key_that_is_there_twice_is_an_error(change: Change, pointer: str):
    assert places(change) == [("error", pointer)]


@pytest.mark.parametrize(
    ("event", "advice"),
    [
        ("avi:jira:deleted:isue", "did you mean 'avi:jira:deleted:issue'"),
        ("jira:issue_deleted", "look it up"),
        ("avi:jira:nosuch:thing", "which no product sends"),
        ("avi:forge:enabled:app", "did you mean 'avi:forge:installed:app'"),
        ("avi:forge:uninstalled:app", "preUninstall"),
        ("avi:confluence:removed:page", "did you mean 'avi:confluence:moved:page'"),
        ("", "look it up"),
    ],
)
@pytest.mark.parametrize("filtered", [False, True], ids=["plain", "filtered"])
def test_unknown_event_of_a_trigger_is_an_error_with_advice(event: str, advice: str, filtered: bool):
    entry: Any = {"eventType": event, "filter": {"ignoreSelf": True}} if filtered else event
    ((level, pointer, message),) = found(trigger(entry))
    assert (level, pointer) == ("error", "/modules/trigger/1/events/0")
    assert advice in message


@pytest.mark.parametrize("event", ["avi:newproduct:created:thing", "avi:trello:moved:card"])
def test_event_of_an_unknown_product_is_a_warning(event: str):
    assert places(trigger(event)) == [("warning", "/modules/trigger/1/events/0")]


@pytest.mark.parametrize("event", sorted(read_data("event_scopes")))
def test_event_needs_its_scopes_each_time(event: str):
    scopes = read_data("event_scopes")[event]
    for missing in scopes:
        rest = [scope for scope in scopes if scope != missing]
        ((level, _, message),) = found(all_of(trigger(event), add(SCOPES, *rest)))
        assert level == "error"
        assert f"'{missing}'" in message
    assert found(all_of(trigger(event), add(SCOPES, *scopes))) == []


@pytest.mark.parametrize("event", sorted(read_data("granular_scopes")["events"]))
def test_event_is_sent_with_granular_scopes_too(event: str):
    granular = read_data("granular_scopes")["events"][event]
    assert found(all_of(trigger(event), add(SCOPES, *granular))) == []
    if not set(granular[1:]) >= set(read_data("event_scopes")[event]):
        assert places(all_of(trigger(event), add(SCOPES, *granular[1:]))) == [("error", "/modules/trigger/1/events/0")]


@pytest.mark.parametrize(
    ("scope", "advice"),
    [
        ("READ", "write 'read:connect-jira' or 'read:connect-confluence'"),
        ("act_as_user", "write 'act-as-user:connect-jira'"),
        ("zebra", "look it up"),
        ("READ:connect-jira", "write 'read:connect-jira'"),
        ("act_as_user:connect-jira", "write 'act-as-user:connect-jira'"),
        ("read:jira_work", "write 'read:jira-work'"),
        ("read:jira-wrok", "did you mean 'read:jira-work'"),
        (" read:jira-work", "write 'read:jira-work'"),
        ("read:connect-jirra", "did you mean 'read:connect-jira'"),
        (3, "expected a text"),
    ],
    ids=str,
)
def test_unknown_scope_is_an_error_with_advice(scope: Any, advice: str):
    ((level, pointer, message),) = found(add(SCOPES, scope))
    assert (level, pointer) == ("error", "/permissions/scopes/3")
    assert advice in message


@pytest.mark.parametrize("value", [None, "read:jira-work", 3, True], ids=repr)
def test_scopes_of_another_form_are_an_error(value: Any):
    assert ("error", "/permissions/scopes") in places(put(SCOPES, value))


@pytest.mark.parametrize(
    ("token", "scope"), [("appSystemToken", "read:app-system-token"), ("appUserToken", "read:app-user-token")]
)
@pytest.mark.parametrize("path", ["remotes 0", "modules endpoint 0"])
def test_token_needs_its_scope(token: str, scope: str, path: str):
    wanted = put(f"{path} auth {token} enabled", True)
    change = all_of(wanted, put(SCOPES, ["read:connect-jira", "read:connect-confluence"]))
    assert ("error", f"/{path.replace(' ', '/')}/auth/{token}") in places(change)
    assert found(all_of(wanted, add(SCOPES, *({scope} - {"read:app-system-token"})))) == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (put("modules trigger 0 endpoint", "nothing"), "/modules/trigger/0/endpoint"),
        (
            put("modules scheduledTrigger", [{"key": "s", "function": "f", "interval": "hour"}]),
            "/modules/scheduledTrigger/0/function",
        ),
        (
            native("jira:issuePanel", key="p", resource="other", resolver=RESOLVER),
            "/modules/jira:issuePanel/0/resource",
        ),
        (
            native("jira:issuePanel", key="p", resource="ui", resolver={"endpoint": "x"}),
            "/modules/jira:issuePanel/0/resolver/endpoint",
        ),
        (native("macro", key="m", resource="ui", config={"resource": "x"}), "/modules/macro/0/config/resource"),
        (add("modules endpoint", {"key": "e", "remote": "x"}), "/modules/endpoint/1/remote"),
        (add("modules endpoint", {"key": "e", "service": "x"}), "/modules/endpoint/1/service"),
        (put(EXTERNAL, {"fetch": {"client": [{"remote": "x"}]}}), "/permissions/external/fetch/client/0/remote"),
        (put("app connect remote", "conect"), "/app/connect/remote"),
    ],
    ids=["trigger", "schedule", "resource", "resolver", "config", "endpoint", "service", "fetch", "connect"],
)
def test_name_of_something_that_does_not_exist_is_an_error(change: Change, pointer: str):
    assert places(change) == [("error", pointer)]


@pytest.mark.parametrize("kind", ["fonts", "frames", "images", "media", "navigation", "scripts", "styles"])
@pytest.mark.parametrize(
    ("entry", "pointer"),
    [
        ("https://kit.example.com", ""),
        ({"remote": "connect"}, ""),
        ({"address": "http://kit.example.com"}, "/address"),
        ({"address": "kit"}, "/address"),
        ({"adress": "https://kit.example.com"}, ""),
        ({"address": "https://kit.example.com", "category": "ads"}, "/category"),
        ({"address": "https://kit.example.com", "inScopeEUD": "no"}, "/inScopeEUD"),
        (3, ""),
    ],
    ids=["text", "remote", "http", "one word", "misspelt", "category", "flag", "number"],
)
def test_egress_of_another_form_is_an_error(kind: str, entry: Any, pointer: str):
    assert ("error", f"/permissions/external/{kind}/0{pointer}") in places(put(EXTERNAL, {kind: [entry]}))


@pytest.mark.parametrize(
    "address",
    ["https://kit.example.com", "*.example.com", "kit.example.com/a?b=1", "wss://kit.example.com", "https://a.b:8443"],
)
def test_egress_of_an_address_is_accepted(address: str):
    assert found(put(EXTERNAL, {"images": [{"address": address}], "fetch": {"backend": [{"address": address}]}})) == []


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
    "path",
    [
        "app",
        "app id",
        "app connect",
        "app runtime",
        "remotes",
        "remotes 0",
        "remotes 0 auth",
        "permissions",
        "permissions external",
        "permissions content",
        "connectModules",
        "modules",
        "modules trigger 0 events",
        "resources",
        "environment",
    ],
)
@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [None], [[[]]], {"a": {"b": None}}, True], ids=repr)
def test_manifest_of_any_form_is_checked_without_a_failure(path: str, value: Any, tmp_path: Path):
    document = deepcopy(BASE)
    put(path, value)(document)
    assert isinstance(check_manifest(document, folder=tmp_path), tuple)


@pytest.mark.parametrize("document", [None, 3, "text", [], {}, [{}], {"app": None}, {3: 4, "app": {}}], ids=repr)
def test_document_that_is_no_manifest_is_an_error(document: Any):
    assert any(finding.level == "error" for finding in check_manifest(document))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("conectModules", "did you mean 'connectModules'"),
        ("permission", "did you mean 'permissions'"),
        ("remote", "did you mean 'remotes'"),
        ("resource", "did you mean 'resources'"),
        ("zebra", "remove it"),
    ],
)
def test_unknown_part_of_a_manifest_is_an_error_with_advice(name: str, advice: str):
    document = deepcopy(BASE) | {name: BASE.get(advice.split("'")[1] if "'" in advice else "", [])}
    if "'" in advice:
        document.pop(advice.split("'")[1], None)
    messages = [finding.message for finding in check_manifest(document) if finding.pointer == f"/{name}"]
    assert len(messages) == 1
    assert advice in messages[0]
