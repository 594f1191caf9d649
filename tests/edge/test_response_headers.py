"""Response headers: those on every response, and those that none may have."""

import base64

import pytest
import structlog
from addonkit.context import Tenant, TenantState
from addonkit.edge.response import SecurityHeaders

from tests.support.plugin_under_test import addon_of, deployment
from tests.support.wire import PAGE, Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOMAINS = ["*.atlassian.net", "*.jira.com"]
EVERYWHERE = [PAGE, "/nowhere", "//", "/atlassian-connect.json", "/under_test/open", "/lifecycle/installed"]


def policy(answer):
    """Return the directives of a response's policy by name."""
    parts = answer.header("content-security-policy").split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def frame_ancestors(tenant):
    headers = dict(SecurityHeaders("https://kit.example.com", DOMAINS, "https://cdn.example/all.js").for_page(tenant))
    return headers[b"content-security-policy"].decode().partition("frame-ancestors ")[2]


async def shown_as(wire, display_url):
    """Return who may frame a page of a site with this display URL."""
    site = await wire.host.install()
    token, body = wire.installed(site, body={"displayUrl": display_url})
    assert (await wire.send_lifecycle("installed", token, body)).status == 204
    return policy(await wire.open(PAGE, site=site))["frame-ancestors"]


async def framed_by(wire, help_center):
    """Return who may frame a page of a site with this help center."""
    site = await wire.host.install()
    token, body = wire.installed(site, body={"displayUrlServicedeskHelpCenter": help_center})
    assert (await wire.send_lifecycle("installed", token, body)).status == 204
    return policy(await wire.open(PAGE, site=site))["frame-ancestors"].split()


@pytest.mark.parametrize(
    ("help_center", "named"),
    [
        ("https://support.example.com", "https://support.example.com"),
        ("https://Support.Example.com:443/", "https://support.example.com"),
        ("https://support.example.com/servicedesk/customer/portals", "https://support.example.com"),
        ("https://help.example:8443", "https://help.example:8443"),
    ],
)
async def test_help_center_may_frame_pages(wire, help_center, named):
    assert await framed_by(wire, help_center) == ["http://127.0.0.1:9000", named]


@pytest.mark.parametrize(
    "help_center",
    [
        *(None, "", 7, True, ["https://support.example.com"], {}, "http://support.example.com", "support.example.com"),
        *("https://*.example.com", "https://a.example; script-src *", "https://a.example https://b.example", "*"),
        *("https://me:secret@a.example", "data:text/html,x", "javascript:alert(1)", "https://a.example\0", "'self'"),
        *("https://a.example\n", "https://" + "a" * 3000, "https://a_b.example", "//a.example", "https://"),
        *("https://a.example\ud83d", "https://\ud83d.example", "https://\u00e4.example"),
    ],
    ids=range(25),
)
async def test_help_center_that_is_no_https_url_is_ignored(wire, help_center):
    assert await framed_by(wire, help_center) == ["http://127.0.0.1:9000"]


async def test_help_center_that_an_install_no_longer_names_may_not_frame_pages(wire):
    site = await wire.host.install()
    for url in ("https://support.example.com", None):
        site.help_center_url = url
        await wire.host.reinstall(site)
        framers = policy(await wire.open(PAGE, site=site))["frame-ancestors"]
        assert ("support.example.com" in framers) == bool(url)


@pytest.mark.parametrize("target", EVERYWHERE)
async def test_headers_nosniff_and_no_referrer_are_on_every_response(wire, target):
    answer = await wire.ask("GET", target)
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("content-security-policy")


@pytest.mark.parametrize("target", [PAGE, "/nowhere", "//", "/under_test/open", "/lifecycle/installed"])
async def test_cache_control_is_no_store_except_for_descriptor_and_static_files(wire, target):
    assert (await wire.ask("GET", target)).header("cache-control") == "no-store"


@pytest.mark.parametrize("target", [PAGE, "/nowhere", "//", "/under_test/open", "/lifecycle/installed"])
async def test_request_id_is_on_every_response(wire, target):
    assert len((await wire.ask("GET", target)).header("x-request-id")) == 16


async def test_request_id_is_in_the_body_of_a_refusal(wire):
    answer = await wire.ask("GET", PAGE, [("accept", "application/json")])
    assert answer.json() == {"error": "Unauthorized", "status": 401, "request_id": answer.header("x-request-id")}


@pytest.mark.parametrize("name", ["set-cookie", "access-control-allow-origin", "x-frame-options"])
async def test_forbidden_header_of_a_plugin_is_dropped(wire, name):
    answer = await wire.open("/under_test/baking")
    assert (answer.text, answer.all(name)) == ("baked", [])


async def test_forbidden_header_is_logged_by_name(wire):
    with structlog.testing.capture_logs() as logs:
        await wire.open("/under_test/baking")
    dropped = {entry["header"] for entry in logs if entry["event"] == "response.header_dropped"}
    assert dropped == {"set-cookie", "access-control-allow-origin", "x-frame-options"}


async def test_handler_cannot_replace_policy_caching_or_request_id(wire):
    answer = await wire.open("/under_test/baking")
    assert policy(answer)["default-src"] == "'none'"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-request-id") != "mine"


@pytest.mark.parametrize("target", [PAGE, "/under_test/open", "/atlassian-connect.json"])
async def test_cors_headers_are_never_sent(wire, target):
    answer = await wire.ask("GET", target, [("origin", "https://evil.example")])
    assert not [name for name, _ in answer.headers if name.startswith(b"access-control-")]


async def test_cors_preflight_is_refused(wire):
    headers = [("origin", "https://evil.example"), ("access-control-request-method", "POST")]
    answer = await wire.ask("OPTIONS", "/under_test/notes", headers)
    assert (answer.status, answer.all("access-control-allow-origin")) == (405, [])


async def test_content_security_policy_lets_the_site_frame_its_page(wire):
    assert policy(await wire.open(PAGE))["frame-ancestors"] == "http://127.0.0.1:9000"


async def test_content_security_policy_of_a_refusal_forbids_framing(wire):
    assert policy(await wire.ask("GET", "//"))["frame-ancestors"] == "'none'"


async def test_content_security_policy_allows_own_scripts_and_the_hosts(wire):
    assert policy(await wire.open(PAGE))["script-src"] == "'self' http://127.0.0.1:9000"


async def test_content_security_policy_allows_the_display_url(wire):
    assert await shown_as(wire, "https://Issues.Example.com/x?y") == "http://127.0.0.1:9000 https://issues.example.com"


@pytest.mark.parametrize(
    "display_url",
    [
        "https://a.example; script-src *",
        "https://a.example;",
        "https://a.example *",
        "https://*.example",
        "https://*",
        "*",
        "'self'",
        "https://'self'",
        'https://"a".example',
        "javascript:alert(1)",
        "data:text/html,x",
        "http://a.example",
        "//a.example",
        "https://",
        "https://user@a.example",
        "https://user:pass@a.example",
        "https://a.example\\@b.example",
        "https://a.example\n",
        "https://a.exa\tmple",
        "https://a.example,https://b.example",
        "https://a.example:99999",
        "https://[::2]",
        "https://ä.example",
        "",
        "x" * 255,
    ],
)
async def test_content_security_policy_ignores_an_invalid_display_url(wire, display_url):
    assert await shown_as(wire, display_url) == "http://127.0.0.1:9000"


async def test_content_security_policy_omits_the_path_of_a_display_url(wire):
    found = await shown_as(wire, "https://a.example/;script-src%20*")
    assert found == "http://127.0.0.1:9000 https://a.example"


async def test_content_security_policy_without_a_site_allows_all_installable_domains():
    assert frame_ancestors(None) == "https://*.atlassian.net https://*.jira.com"


async def test_content_security_policy_allows_both_origins_of_a_site():
    base, shown = "https://x.atlassian.net/wiki", "https://wiki.example.com"
    tenant = Tenant(1, "k", "confluence", base, shown, TenantState.ENABLED)
    assert frame_ancestors(tenant) == "https://x.atlassian.net https://wiki.example.com"


@pytest.mark.parametrize(("base_url", "count"), [("https://kit.example.com", 1), ("http://localhost:8000", 0)])
async def test_hsts_is_sent_for_an_https_base_url(base_url, count):
    headers = SecurityHeaders(base_url, DOMAINS, "https://cdn.example/all.js").plain()
    found = [value for name, value in headers if name == b"strict-transport-security"]
    assert found == [b"max-age=31536000; includeSubDomains"] * count


async def test_refusal_is_sent_by_a_public_add_on_to_an_unknown_caller(wire, tmp_path):
    key = "a:" + base64.b64encode(b"k" * 32).decode()
    made_of = deployment(
        tmp_path,
        "https://keys.example.com",
        addon={"base_url": "https://kit.example.com"},
        host={"domains": DOMAINS, "install_keys": ["https://keys.example.com"]},
        security={"encryption_keys": [key]},
    )
    abroad = Wire(await addon_of(made_of), wire.host)
    answer = await abroad.ask("GET", "/nowhere")
    assert (answer.status, policy(answer)["frame-ancestors"]) == (404, "https://*.atlassian.net https://*.jira.com")
    assert answer.header("strict-transport-security")
