"""The requests of benchmarks: many users, issues and sites, so that no cache is warmer than in a deployment."""

from __future__ import annotations

import itertools
from urllib.parse import parse_qs, urlsplit

import pytest
from addon import DESCRIPTOR, ISSUES, Audience
from addonkit.testing import InstallKeys, Site
from addonkit.testing.site import fresh_secret
from tenants import turns

PANEL = {"url": "/page?key={issue.key}&id={issue.id}"}


@pytest.fixture
def audience():
    keys = InstallKeys()
    sites = [
        Site(keys, "jira", "http://127.0.0.1:1/", client_key=f"c{n}", shared_secret=fresh_secret()) for n in range(8)
    ]
    modules = {"webPanels": [{"key": key, **PANEL} for key in ("bench-plain", *ISSUES)]}
    return Audience(sites, {"key": "k", "baseUrl": f"http://127.0.0.1:1{DESCRIPTOR}", "modules": modules})


@pytest.mark.parametrize(
    ("module", "issues"),
    [
        pytest.param("bench-plain", 64, id="a page without content"),
        *(pytest.param(*one, id=one[0]) for one in ISSUES.items()),
    ],
)
def test_pages_are_each_for_another_user_and_of_many_issues(audience, module, issues):
    paths = audience.paths(module, 64)
    assert len(set(paths)) == 64
    assert len({parse_qs(urlsplit(path).query)["key"][0] for path in paths}) == issues


def test_turns_open_each_site_once_before_any_a_second_time(audience):
    def opened(paths):
        return [parse_qs(urlsplit(path).query)["jwt"][0].split(".")[1] for path in paths]

    first, second, third = (opened(paths) for paths in itertools.islice(turns(audience, 4), 3))
    issuers = [payload[:20] for payload in (*first, *second)]
    assert len(set(issuers)) == 8
    assert [payload[:20] for payload in third] == issuers[:4]
