"""The merging of headers of the application and the runtime, and the headers that responses share."""

import pytest
from addonkit.context import Tenant, TenantState
from addonkit.edge.response import SecurityHeaders, merged

SECURITY = SecurityHeaders("https://kit.example.com", ["*.atlassian.net"], "https://cdn.example/all.js")
SITES = {
    "a site": ("https://a.atlassian.net", "https://a.atlassian.net", None),
    "another site": ("https://b.atlassian.net", "https://b.atlassian.net", None),
    "a site with its own domain": ("https://a.atlassian.net", "https://issues.example.com", None),
    "a site with a help center": ("https://a.atlassian.net", "https://a.atlassian.net", "https://help.example.com"),
    "a Confluence site": ("https://a.atlassian.net/wiki", "https://a.atlassian.net/wiki", None),
    "a simulated site": ("http://127.0.0.1:9000", "http://127.0.0.1:9000", None),
}


def tenant(base_url, display_url, help_center_url, number=1):
    key = f"client-{number}"
    return Tenant(number, key, "jira", base_url, display_url, TenantState.ENABLED, key, help_center_url)


def policy(headers):
    return dict(headers)[b"content-security-policy"].decode()


@pytest.mark.parametrize("name", SITES)
def test_headers_of_a_site_are_the_same_for_each_request_and_those_of_no_other_site(name):
    first = SECURITY.for_page(tenant(*SITES[name]))
    others = {other: SECURITY.for_page(tenant(*urls, 2)) for other, urls in SITES.items()}
    fresh = SecurityHeaders("https://kit.example.com", ["*.atlassian.net"], "https://cdn.example/all.js")
    assert first == others[name] == fresh.for_page(tenant(*SITES[name]))
    host = SITES[name][0].removesuffix("/wiki")
    for other, headers in others.items():
        assert (host in policy(headers)) == SITES[other][0].startswith(host)


def test_headers_that_responses_share_cannot_be_changed():
    for shared in (SECURITY.plain(), SECURITY.for_page(None), SECURITY.for_page(tenant(*SITES["a site"]))):
        assert type(shared) is tuple
        assert all(type(pair) is tuple for pair in shared)


def test_merged_headers_are_a_list_of_their_own():
    own = [*SECURITY.plain()]
    first, _ = merged([(b"x-a", b"1")], own)
    first.append((b"x-leaked", b"1"))
    assert merged([(b"x-a", b"1")], own)[0] == first[:-1]
    assert own == [*SECURITY.plain()]


@pytest.mark.parametrize("kind", [tuple, list, iter])
def test_merged_headers_take_every_iterable_of_the_application(kind):
    assert merged(kind([(b"x-a", b"1"), (b"X-Own", b"2")]), [(b"x-own", b"ours")])[0] == [
        (b"x-a", b"1"),
        (b"X-Own", b"2"),
        (b"cache-control", b"no-store"),
        (b"x-own", b"ours"),
    ]


def test_merged_headers_prefer_the_runtime_and_drop_forbidden_ones():
    application = [(b"x-a", b"1"), (b"set-cookie", b"a=b"), (b"cache-control", b"public"), (b"x-own", b"theirs")]
    headers, dropped = merged(application, [(b"x-own", b"ours")])
    assert headers == [(b"x-a", b"1"), (b"cache-control", b"no-store"), (b"x-own", b"ours")]
    assert dropped == [b"set-cookie"]
