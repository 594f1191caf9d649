import logging

import pytest
from addonkit.context import Module
from addonkit.descriptor.checks import check_module, fields_at, hints, module_faults
from addonkit.errors import DescriptorInvalid

PANEL = {
    "key": "panel",
    "name": {"value": "Panel"},
    "location": "atl.jira.view.issue.right.context",
    "url": "/kit/panel",
}
MACRO = {"key": "poll", "name": {"value": "Poll"}, "url": "/kit/poll?id={macro.id}"}
ITEM = {"key": "item", "name": {"value": "Item"}, "location": "system.top.navigation.bar"}


def refusal(type_, body, *, strict=False):
    with pytest.raises(DescriptorInvalid) as caught:
        check_module(Module(type_, "kit", body), strict=strict)
    assert caught.value.plugin == "kit"
    assert str(caught.value).startswith("plugin 'kit': ")
    assert not str(caught.value).endswith(".")
    return str(caught.value)


def accepted(type_, body):
    check_module(Module(type_, "kit", body))
    return True


def test_module_that_is_valid_passes():
    assert accepted("webPanels", PANEL)


UNKNOWN = [
    ("webPanel", "did you mean 'webPanels'"),
    ("jiraIssueContent", "did you mean 'jiraIssueContents' or 'jiraIssueContexts' or 'jiraIssueTypes'"),
    ("zebra", "look its name up in the host's documentation"),
    ("profilePages", "is not a module type of the host"),
    ("WEBPANELS", "did you mean 'webPanels'"),
    ("", "is not a module type of the host"),
]


@pytest.mark.parametrize(("type_", "meant"), UNKNOWN)
def test_module_type_that_is_unknown_passes_with_a_warning(type_, meant, caplog):
    with caplog.at_level(logging.WARNING):
        assert accepted(type_, PANEL)
    [record] = caplog.records
    message = record.getMessage()
    assert message.startswith(f"plugin 'kit': '{type_}' 'panel' is not a module type of the host; ")
    assert meant in message


@pytest.mark.parametrize(("type_", "meant"), UNKNOWN)
def test_module_type_that_is_unknown_is_an_error_if_strict(type_, meant):
    assert meant in refusal(type_, PANEL, strict=True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"key": "x", "url": {"path": 7}, "name": "any", "target": [1]},
        {"key": "x", "url": "https://elsewhere.example"},
        {"key": "x", "target": {"url": "/kit/page?issue={issue.key}"}},
        {"key": "x", "context": "page", "url": "/kit/page"},
    ],
    ids=range(5),
)
def test_module_of_an_unknown_type_may_have_any_fields(body):
    assert accepted("profilePages", body)


@pytest.mark.parametrize(
    "body",
    [
        *(PANEL | {"key": "no key"}, PANEL | {"url": "javascript:alert(1)"}, PANEL | {"url": "//evil.example.com/"}),
        *(PANEL | {"target": {"url": "/kit/../x"}}, PANEL | {"url": "/kit/x?jwt=x"}, [PANEL], "text"),
    ],
    ids=range(7),
)
def test_module_of_an_unknown_type_is_refused_for_its_key_and_urls(body):
    refusal("profilePages", body)


def test_lifecycle_is_refused_with_what_to_use():
    assert "a descriptor has 'lifecycle' at its top, which the runtime fills" in refusal("lifecycle", {"key": "x"})


@pytest.mark.parametrize("field", ["name", "location", "url", "key"])
def test_required_field_that_is_missing_is_named(field):
    body = {name: value for name, value in PANEL.items() if name != field}
    assert f"lacks '{field}'" in refusal("webPanels", body)


def test_required_field_that_is_empty_counts_as_missing():
    assert "lacks 'url'" in refusal("webPanels", PANEL | {"url": ""})


def test_webhook_needs_no_key():
    assert accepted("webhooks", {"event": "jira:issue_created", "url": "/webhooks/kit/created"})


def test_webhooks_url_may_hold_variables_with_a_dollar():
    assert accepted("webhooks", {"event": "jira:issue_created", "url": "/webhooks/kit/created?key=${issue.key}"})


@pytest.mark.parametrize("key", ["my_panel", "my.panel", "päneel", "panel ", "panel\n", 7])
def test_key_outside_the_hosts_alphabet_is_refused(key):
    assert "only letters, digits and '-'" in refusal("webPanels", PANEL | {"key": key})


def test_key_of_a_hundred_characters_passes():
    assert accepted("webPanels", PANEL | {"key": "k" * 100})


def test_key_of_more_than_a_hundred_characters_is_refused():
    assert "101 characters" in refusal("webPanels", PANEL | {"key": "k" * 101})


@pytest.mark.parametrize(
    "url", ["https://kit.example.com/panel", "//evil.example.com/panel", "mailto:panel", "javascript:alert(1)"]
)
def test_url_that_is_not_relative_to_the_base_url_is_refused(url):
    assert "'url' that is" in refusal("webPanels", PANEL | {"url": url})


@pytest.mark.parametrize("url", ["/kit//panel", "/kit/../panel", "/kit/./panel", "/kit/%2e%2e/panel"])
def test_path_that_is_never_served_is_refused(url):
    assert "empty or a dot segment" in refusal("webPanels", PANEL | {"url": url})


@pytest.mark.parametrize("url", ["/kit/a b", "/kit/ä", "/kit\\a", "/kit/a\r\nx: y", '/kit/"'])
def test_url_with_a_character_that_no_url_has_is_refused(url):
    assert "percent-encode it" in refusal("webPanels", PANEL | {"url": url})


@pytest.mark.parametrize("url", ["/kit/{issue.key", "/kit/issue.key}", "/kit/{}", "/kit/{issue key}"])
def test_braces_without_a_variable_are_refused(url):
    refusal("webPanels", PANEL | {"url": url})


@pytest.mark.parametrize("url", ["kit/panel", "kit/panel?issue={issue.key}", "kit/", "panel", "kit/a:b"])
def test_url_without_a_leading_slash_is_relative_to_the_base_url(url):
    assert accepted("webPanels", PANEL | {"url": url})


@pytest.mark.parametrize("url", ["kit//panel", "../panel", "kit/%2e%2e/panel", "./panel", "kit/panel/..#x"])
def test_path_without_a_leading_slash_that_is_never_served_is_refused(url):
    assert "empty or a dot segment" in refusal("webPanels", PANEL | {"url": url})


@pytest.mark.parametrize(
    "url", ["/kit/panel#top", "/kit/#!/home", "kit/panel#", "/kit/panel?a=1#b?jwt=x", "/kit/panel#/{issue.key}"]
)
def test_fragment_passes(url):
    assert accepted("webPanels", PANEL | {"url": url})


def test_fragment_hides_no_query_parameter_of_the_host():
    assert "has 'jwt' in its query" in refusal("webPanels", PANEL | {"url": "/kit/panel?jwt=x#top"})


@pytest.mark.parametrize("name", ["jwt", "lic", "xdm_e", "cp"])
def test_query_parameter_of_the_host_is_refused(name):
    assert f"has '{name}' in its query" in refusal("webPanels", PANEL | {"url": f"/kit/panel?a=1&{name}=x"})


def test_query_parameter_of_the_host_is_refused_percent_encoded():
    assert "has 'jwt' in its query" in refusal("webPanels", PANEL | {"url": "/kit/panel?j%77t=x"})


def test_url_longer_than_the_limit_is_refused():
    assert accepted("webPanels", PANEL | {"url": "/" + "u" * 1999})
    assert "2001 characters" in refusal("webPanels", PANEL | {"url": "/" + "u" * 2000})


@pytest.mark.parametrize("url", [None, 7, ["/kit/editor"]])
def test_url_that_is_not_a_string_is_refused(url):
    assert "is not a URL" in refusal("dynamicContentMacros", MACRO | {"editor": {"url": url}})


@pytest.mark.parametrize(
    ("type_", "body", "place"),
    [
        ("dynamicContentMacros", MACRO | {"editor": {"url": "https://x.example"}}, "editor.url"),
        ("dynamicContentMacros", MACRO | {"renderModes": {"pdf": {"url": "//x.example"}}}, "renderModes.pdf.url"),
        (
            "jiraIssueContents",
            {
                "key": "p",
                "name": {"value": "P"},
                "tooltip": {"value": "P"},
                "icon": {"url": "/i.svg"},
                "target": {"url": "//p.example"},
            },
            "target.url",
        ),
        (
            "jiraWorkflowPostFunctions",
            {"key": "f", "name": {"value": "F"}, "triggered": {"url": "https://x.example"}},
            "triggered.url",
        ),
        (
            "confluenceThemes",
            {"key": "t", "name": {"value": "T"}, "routes": {"spaceview": {"url": "x:y"}}},
            "routes.spaceview.url",
        ),
    ],
)
def test_url_is_checked_wherever_the_type_keeps_one(type_, body, place):
    assert f"'{place}' that" in refusal(type_, body)


@pytest.mark.parametrize(
    "url",
    ["/kit/static/icon.svg", "image/logo.png", "logo.png", "i.svg#part", "?icon=1", "https://cdn.example.com/icon.svg"],
)
def test_icon_url_is_relative_or_https(url):
    assert accepted("webItems", ITEM | {"icon": {"url": url}})


@pytest.mark.parametrize(
    "url", ["http://cdn.example.com/i.svg", "//cdn.example.com/i.svg", "data:image/png;base64,x", "javascript:x", ""]
)
def test_icon_url_that_is_neither_relative_nor_https_is_refused(url):
    assert "'icon.url' that" in refusal("webItems", ITEM | {"icon": {"url": url}})


def test_home_url_of_a_development_tool_may_be_absolute():
    body = {
        "key": "tool",
        "name": {"value": "Tool"},
        "application": {"value": "Tool"},
        "capabilities": ["commit"],
        "url": "https://tool.example.com",
        "logoUrl": "https://tool.example.com/logo.svg",
    }
    assert accepted("jiraDevelopmentTool", body)


@pytest.mark.parametrize("url", ["https://kit.example.com/branch?jwt={jwt}", "/kit/branch?issue={issue.key}&jwt={jwt}"])
def test_providers_action_url_may_be_absolute_and_carry_the_token(url):
    body = {"key": "flags", "name": {"value": "Flags"}, "homeUrl": "https://kit.example.com"}
    assert accepted("jiraFeatureFlagInfoProvider", body | {"actions": {"createFlag": {"templateUrl": url}}})


def test_remote_links_action_is_checked_in_its_list():
    body = {"key": "links", "name": {"value": "Links"}, "homeUrl": "https://kit.example.com"}
    actions = [{"actionId": "a", "templateUrl": "ftp://kit.example.com"}]
    assert "'actions.0.templateUrl' that" in refusal("jiraRemoteLinkInfoProvider", body | {"actions": actions})


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"url": "/kit/item"},
        {"url": "https://docs.example.com/guide"},
        {"url": "http://docs.example.com/guide#top"},
        {"url": "HTTP://docs.example.com"},
        {"url": "http://192.0.2.7:8080/x?a=b"},
        {"url": "http://docs.example.com", "context": "product"},
        {"url": "item"},
        {"url": "kit/item?issue={issue.key}#top"},
        {"url": "/browse/{issue.key}", "context": "product"},
        {"url": "secure/Dashboard.jspa", "context": "product"},
        {"url": "other-page", "context": "page"},
    ],
)
def test_web_item_url_may_be_all_that_its_context_allows(extra):
    assert accepted("webItems", ITEM | extra)


@pytest.mark.parametrize(
    "extra",
    [
        {"url": "//evil.example.com/"},
        {"url": "http://"},
        {"url": "http:docs.example.com"},
        {"url": "ftp://docs.example.com"},
        {"url": "data:text/html,x"},
        {"url": "//evil.example.com/", "context": "product"},
        {"url": "javascript:alert(1)", "context": "product"},
        {"url": "/kit/item", "context": "page"},
    ],
)
def test_web_item_url_outside_of_its_context_is_refused(extra):
    refusal("webItems", ITEM | extra)


def test_name_of_fifteen_hundred_characters_passes():
    assert accepted("webPanels", PANEL | {"name": {"value": "n" * 1500}})


def test_name_of_more_than_fifteen_hundred_characters_is_refused():
    assert "1501 characters" in refusal("webPanels", PANEL | {"name": {"value": "n" * 1501}})


@pytest.mark.parametrize("name", ["Panel", {"i18n": "panel.name"}, {"value": 7}])
def test_name_that_is_not_a_text_for_users_is_refused(name):
    assert "not a text for users" in refusal("webPanels", PANEL | {"name": name})


def test_jql_functions_name_is_plain_text():
    body = {
        "key": "f",
        "name": "kitIssues",
        "url": "/kit/jql",
        "types": ["issue"],
        "operators": ["in"],
        "arguments": [],
    }
    assert accepted("jiraJqlFunctions", body)


def test_single_module_given_as_a_list_is_refused():
    assert "is given as a list" in refusal("configurePage", [{"key": "a", "name": {"value": "A"}, "url": "/kit/a"}])


def test_field_that_is_misspelt_is_logged_and_passes(caplog):
    with caplog.at_level(logging.WARNING):
        assert accepted("webPanels", PANEL | {"tooltp": {"value": "x"}})
    assert "'tooltp', which the host does not read; did you mean 'tooltip'" in caplog.text


def test_unknown_field_without_a_near_match_passes_without_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert accepted("webPanels", PANEL | {"zebra": 1})
    assert caplog.text == ""


def test_wildcard_finds_each_key_and_each_place():
    body = {"a": {"x": {"u": 1}, "y": [{"u": 2}], "z": 3}}
    assert list(fields_at(body, "a.*.u")) == [("a.x.u", 1)]
    assert list(fields_at(body, "a.y.*.u")) == [("a.y.0.u", 2)]


RESERVED = [
    *("webPanels", "generalPages", "adminPages", "webItems", "dialogs", "webhooks", "jiraIssueContents"),
    *("jiraReports", "spaceToolsTabs", "contentBylineItems", "jiraDevelopmentTool", "serviceDeskQueues"),
]
STORED = [
    *("dynamicContentMacros", "staticContentMacros", "customContent", "jiraIssueFields", "jiraIssueTypes"),
    *("jiraGlobalPermissions", "jiraProjectPermissions", "jiraDashboardItems", "jiraWorkflowConditions"),
    *("jiraWorkflowPostFunctions", "jiraWorkflowValidators", "automationActions", "jiraTimeTrackingProviders"),
    *("confluenceThemes", "blueprints"),
]


@pytest.mark.parametrize("type_", RESERVED)
def test_key_that_begins_as_the_runtimes_is_warned_about(type_):
    [hint] = hints(Module(type_, "kit", {"key": "addonkit-x"}))
    assert hint == (
        f"plugin 'kit': '{type_}' 'addonkit-x' has a key that begins with 'addonkit-', as the runtime's own modules do "
        "in a Forge manifest; rename it"
    )


@pytest.mark.parametrize("type_", STORED)
def test_key_that_nobody_can_rename_is_not_warned_about(type_):
    assert hints(Module(type_, "kit", {"key": "addonkit-x"})) == ()


@pytest.mark.parametrize("key", ["addonkit", "addonkitty-x", "my-addonkit-x", "ADDONKIT-x", "kit-panel"])
def test_key_that_only_resembles_those_of_the_runtime_is_not_warned_about(key):
    assert hints(Module("webPanels", "kit", {"key": key})) == ()


@pytest.mark.parametrize(
    ("type_", "body", "words"),
    [
        ("translations", {}, "lacks 'paths'"),
        ("translations", {"paths": {}}, "do not map languages to URLs"),
        ("translations", {"paths": ["/kit/static/en.json"]}, "do not map languages to URLs"),
        ("translations", {"paths": "/kit/static/en.json"}, "do not map languages to URLs"),
        ("translations", {"paths": {"en-US": 7}}, "has a 'paths.en-US' that is not a URL"),
        ("translations", {"paths": {"en-US": "http://kit.example.com/en.json"}}, "neither https nor relative"),
        ("translations", {"paths": {"en-US": "/kit/en.json"}, "key": "x"}, "has none; remove the key"),
        ("translations", [{"paths": {"en-US": "/kit/en.json"}}], "pass the object itself"),
        ("cloudAppMigration", {}, "lacks 'migrationWebhookPath'"),
        ("cloudAppMigration", {"migrationWebhookPath": ""}, "lacks 'migrationWebhookPath'"),
        ("cloudAppMigration", {"migrationWebhookPath": "https://kit.example.com/m"}, "not relative to the base URL"),
        ("cloudAppMigration", {"migrationWebhookPath": "/kit/../m"}, "a dot segment"),
        ("cloudAppMigration", {"migrationWebhookPath": "/kit/m", "key": "x"}, "has none; remove the key"),
    ],
    ids=range(13),
)
def test_field_of_the_descriptor_is_checked(type_, body, words):
    assert words in refusal(type_, body)


def test_fields_of_the_descriptor_are_accepted():
    assert accepted("translations", {"paths": {"en-US": "/kit/static/en.json", "de-DE": "https://kit.example.com/de"}})
    assert accepted("cloudAppMigration", {"migrationWebhookPath": "/kit/migrated"})
    assert "did you mean 'translations'" in refusal("translation", {"paths": {}}, strict=True)


@pytest.mark.parametrize(
    ("type_", "product"),
    [
        ("spaceToolsTabs", "jira"),
        ("jiraReports", "confluence"),
        ("generalPages", "bitbucket"),
        ("webhooks", "Jira"),
        ("translations", ""),
    ],
)
def test_product_that_does_not_have_the_type_is_refused(type_, product):
    module = Module(type_, "kit", {"key": "x"} if type_ != "translations" else {"paths": {"en-US": "/kit/x"}}, product)
    assert any(f"has product={product!r}" in fault for fault in module_faults(module))
