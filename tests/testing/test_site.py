"""What a simulated site signs, held against what the runtime verifies."""

import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from addonkit.protocol.canonical import CONTEXT_QSH, query_matches
from addonkit.protocol.tokens import peek, verify
from addonkit.testing import InstallKeys, Site, Variables

DESCRIPTOR = {
    "key": "com.example.test",
    "baseUrl": "https://kit.example.com/app",
    "enableLicensing": True,
    "lifecycle": {"installed": "/in", "uninstalled": "/un", "enabled": "/on", "disabled": "/off"},
    "modules": {
        "webPanels": [{"key": "panel", "url": "/panel/{issue.key}?id={issue.id}"}],
        "jiraIssueContents": [{"key": "contents", "target": {"type": "web_panel", "url": "/contents"}}],
        "generalPages": [{"key": "open", "url": "/open?x={issue.key}", "cacheable": True}],
        "configurePage": {"key": "configure", "url": "/configure"},
        "dynamicContentMacros": [
            {
                "key": "poll",
                "url": "/poll?poll={poll}",
                "editor": {"url": "/edit"},
                "renderModes": {"pdf": {"url": "/pdf"}},
            }
        ],
    },
}
ISSUE = Variables.of(issue={"id": "1", "key": "A B-1"})


@pytest.fixture
def site():
    return Site(InstallKeys(), "confluence", "http://127.0.0.1:9000/wiki")


def claims_of(site, token, **options):
    return verify(token, site.shared_secret.encode(), "HS256", issuer=site.client_key, audiences=(), **options)


def opened(site, *args, **options):
    return urlsplit(site.page_url(DESCRIPTOR, *args, **options))


@pytest.mark.parametrize(
    ("declared", "path", "fragment"),
    [
        ("panel?id={issue.id}", "/panel", ""),
        ("/panel?id={issue.id}#!/home", "/panel", "!/home"),
        ("a/panel?id={issue.id}#top?x=y", "/a/panel", "top?x=y"),
        ("/?id={issue.id}#!/home", "/", "!/home"),
    ],
)
def test_page_url_may_lack_its_slash_and_have_a_fragment(site, declared, path, fragment):
    descriptor = {**DESCRIPTOR, "modules": {"webPanels": [{"key": "panel", "url": declared}]}}
    url = urlsplit(site.page_url(descriptor, "panel", variables=ISSUE))
    assert (url.path, url.fragment, parse_qs(url.query)["id"]) == (f"/app{path}", fragment, ["1"])
    claims = claims_of(site, parse_qs(url.query)["jwt"][0])
    assert query_matches(claims.qsh, "GET", path, url.query)


def test_page_token_covers_path_and_query(site):
    url = opened(site, "panel", variables=ISSUE, account="acc-1", licence="active")
    claims = claims_of(site, parse_qs(url.query)["jwt"][0])
    assert query_matches(claims.qsh, "GET", url.path, url.query, "/app")


def test_page_token_does_not_cover_a_changed_parameter(site):
    url = opened(site, "panel", variables=ISSUE, licence="none")
    claims = claims_of(site, parse_qs(url.query)["jwt"][0])
    assert not query_matches(claims.qsh, "GET", url.path, url.query.replace("lic=none", "lic=active"), "/app")


def test_page_url_ends_with_the_standard_parameters_and_the_token(site):
    query = parse_qsl(opened(site, "panel", variables=ISSUE, licence="active").query, keep_blank_values=True)
    assert [name for name, _ in query] == [
        "id",
        "xdm_e",
        "xdm_c",
        "cp",
        "xdm_deprecated_addon_key_do_not_use",
        "lic",
        "cv",
        "jwt",
    ]
    assert dict(query)["xdm_e"] == "http://127.0.0.1:9000"
    assert dict(query)["cp"] == "/wiki"
    assert dict(query)["xdm_c"] == "channel-com.example.test__panel"


def test_page_url_percent_encodes_path_variables(site):
    assert opened(site, "panel", variables=ISSUE).path == "/app/panel/A%20B-1"


def test_page_token_of_an_anonymous_visitor_has_no_subject(site):
    assert claims_of(site, parse_qs(opened(site, "panel").query)["jwt"][0]).subject is None


def test_licence_is_sent_only_if_the_descriptor_enables_licensing(site):
    free = {**DESCRIPTOR, "enableLicensing": False}
    assert "lic=" not in site.page_url(free, "panel", licence="active")


def test_cacheable_page_url_is_unchanged(site):
    assert site.page_url(DESCRIPTOR, "open", variables=ISSUE) == "https://kit.example.com/app/open?x={issue.key}"


@pytest.mark.parametrize(
    ("key", "part", "path"),
    [
        ("contents", None, "/app/contents"),
        ("configure", None, "/app/configure"),
        ("poll", None, "/app/poll"),
        ("poll", "editor", "/app/edit"),
        ("poll", "renderModes.pdf", "/app/pdf"),
    ],
)
def test_module_parts_have_their_urls(site, key, part, path):
    assert opened(site, key, part).path == path


def test_module_with_an_unknown_key_is_an_error_with_the_known_keys(site):
    with pytest.raises(
        AssertionError, match="no module 'pannel'; its keys are 'configure', 'contents', 'open', 'panel', 'poll'"
    ):
        site.page_url(DESCRIPTOR, "pannel")


def test_module_part_that_is_missing_is_an_error(site):
    with pytest.raises(AssertionError, match=r"'poll' has no URL at 'renderModes\.word'"):
        site.page_url(DESCRIPTOR, "poll", "renderModes.word")


def test_context_token_is_not_bound_to_a_request(site):
    claims = claims_of(site, site.context_token("acc-1", {"jira": {"issue": {"key": "AB-1"}}}))
    assert (claims.qsh, claims.subject) == (CONTEXT_QSH, "acc-1")
    assert claims.context == {"jira": {"issue": {"key": "AB-1"}}}


def test_installed_is_signed_with_the_install_key_for_this_add_on(site):
    method, url, headers, _ = site.lifecycle_request(DESCRIPTOR, "installed")
    token = headers["authorization"].removeprefix("JWT ")
    assert (method, url, peek(token).key_id) == ("POST", "https://kit.example.com/app/in", site.keys.kid)
    audiences = ("https://kit.example.com/app",)
    claims = verify(
        token, site.keys.public_pem, "RS256", issuer=site.client_key, audiences=audiences, audience_required=True
    )
    assert query_matches(claims.qsh, "POST", "/app/in", "", "/app")


def test_installed_has_a_new_secret_each_time(site):
    bodies = [json.loads(site.lifecycle_request(DESCRIPTOR, "installed")[3]) for _ in range(2)]
    assert bodies[0]["sharedSecret"] != bodies[1]["sharedSecret"] == site.shared_secret
    assert len(site.shared_secret) >= 64


@pytest.mark.parametrize("event", ["enabled", "disabled"])
def test_enabled_and_disabled_are_signed_with_the_shared_secret_and_omit_it(site, event):
    _, _, headers, body = site.lifecycle_request(DESCRIPTOR, event)
    assert claims_of(site, headers["authorization"].removeprefix("JWT ")).qsh
    assert "sharedSecret" not in json.loads(body)


def test_lifecycle_event_missing_in_the_descriptor_is_an_error(site):
    with pytest.raises(AssertionError, match=r"'lifecycle\.disabled'"):
        site.lifecycle_request({**DESCRIPTOR, "lifecycle": {"installed": "/in"}}, "disabled")


def test_site_repr_omits_the_secret(site):
    assert site.shared_secret not in repr(site)


def test_installed_tokens_within_a_second_differ(site, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    tokens = {site.lifecycle_request(DESCRIPTOR, "installed")[2]["authorization"] for _ in range(2)}
    assert len(tokens) == 2


def webhook_request(site, webhook, body, *args, **options):
    method, url, headers, content = site.webhook_request(DESCRIPTOR, webhook, body, *args, **options)
    assert method == "POST"
    return urlsplit(url), headers, content


DELETED = {"event": "jira:issue_deleted", "url": "/webhooks/x/gone?key=${issue.key}&in=${project.key}"}


def test_webhook_token_covers_path_and_filled_query(site):
    url, headers, _ = webhook_request(site, DELETED, {"issue": {"key": "A B-1"}}, Variables.of(issue={"key": "A B-1"}))
    assert (url.path, url.query) == ("/app/webhooks/x/gone", "key=A+B-1&in=")
    claims = claims_of(site, headers["authorization"].removeprefix("JWT "))
    assert query_matches(claims.qsh, "POST", url.path, url.query, "/app")
    assert not query_matches(claims.qsh, "POST", url.path, "key=AB-2&in=", "/app")


def test_webhook_url_is_filled_from_the_body(site):
    body = {"issue": {"id": 7, "key": "AB-1", "fields": {"project": {"key": "AB"}}}}
    url, _, content = webhook_request(site, DELETED, body)
    assert (url.query, json.loads(content)) == ("key=AB-1&in=AB", body)


def test_webhook_has_the_product_s_headers(site):
    _, headers, _ = webhook_request(site, DELETED, b"{}")
    assert headers["content-type"] == "application/json"
    assert headers["x-atlassian-webhook-flow"] == "Primary"
    assert "x-atlassian-webhook-retry" not in headers
    assert (
        headers["x-atlassian-webhook-identifier"]
        != webhook_request(site, DELETED, b"{}")[1]["x-atlassian-webhook-identifier"]
    )


def test_webhook_retry_keeps_the_identifier_and_counts(site):
    _, headers, _ = webhook_request(site, DELETED, {}, identifier="d-1", retry=2)
    assert (headers["x-atlassian-webhook-identifier"], headers["x-atlassian-webhook-retry"]) == ("d-1", "2")


def test_webhook_with_exclude_body_is_sent_without_a_body(site):
    url, _, content = webhook_request(site, {**DELETED, "excludeBody": True}, {"issue": {"key": "AB-1"}})
    assert (url.query, content) == ("key=AB-1&in=", b"")
