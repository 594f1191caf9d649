"""What spans packages: all shipped plugins in one add-on, on and off, with a licence and without."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from addonkit.testing import Host
from addonkit.testing.fixtures import BASE_URL, assemble, completed

from tests.support.schema_oracle import assert_valid

ALL = ["issue_panel", "macro", "licensing", "sandbox"]
ISSUE = {"id": "10001", "key": "AB-1"}


@pytest.fixture
def addonkit_config():
    return {"addon": {"plugins": ALL, "licensing": True}}


async def test_descriptor_of_all_plugins_is_valid_for_the_host(host):
    document = await host.descriptor()
    assert set(document["modules"]) == {"jiraIssueContents", "dynamicContentMacros", "webhooks"}
    assert_valid(document)


async def test_licensed_page_opens_with_a_licence(host):
    page = await host.open("issue-panel-panel", issue=ISSUE, licence="active")
    assert page.status == 200


@pytest.mark.parametrize("licence", ["none", None])
async def test_licensed_page_without_a_licence_says_what_to_do(host, licence):
    page = await host.open("issue-panel-panel", issue=ISSUE, licence=licence)
    assert page.status == 403
    assert "no active licence on this site" in page.text
    assert f'href="{host.site.base_url}/plugins/servlet/upm"' in page.text


async def test_unlicensed_page_has_no_session(host):
    page = await host.open("issue-panel-panel", issue=ISSUE, licence="none")
    assert "addonkit-session" not in page.text


async def test_licensed_route_without_a_licence_responds_with_one_sentence(host):
    opened = await host.open("issue-panel-panel", issue=ISSUE, licence="active")
    context = host.site.context_token(account="acc-1", context={"jira": {"issue": ISSUE}, "license": {"active": False}})
    headers = {"Authorization": f"JWT {context}", "Accept": "application/json"}
    answer = await opened.client.get(f"{host.base_url}/issue_panel/items", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"].startswith("this site has no active licence")


async def test_free_page_opens_without_a_licence(host):
    site = await host.install(product="confluence")
    page = await host.open("addonkit-poll", site=site, licence="none", content={"id": "77"}, parameters={"poll": "p1"})
    assert page.status == 200


@pytest.fixture
def started(addonkit_install_keys, addonkit_rest, tmp_path):
    """Starts a host of an add-on with these plugins; the database is the same each time."""

    @asynccontextmanager
    async def start(plugins):
        async with addonkit_rest.serve() as url:
            addon = await assemble(completed({"addon": {"plugins": plugins}}, url, tmp_path), tmp_path)
            async with Host(addon, addonkit_install_keys, BASE_URL, addonkit_rest) as host:
                yield host

    return start


async def test_plugin_data_is_kept_while_the_plugin_is_off(started):
    async with started(["issue_panel", "macro"]) as host:
        site = await host.install()
        page = await host.open("issue-panel-panel", issue=ISSUE)
        await page.fetch("items", method="POST", json={"text": "Water the plants"})
    async with started(["macro"]) as host:
        assert set((await host.descriptor())["modules"]) == {"dynamicContentMacros", "webhooks"}
    async with started(["issue_panel", "macro"]) as host:
        page = await host.open("issue-panel-panel", site=site, issue=ISSUE)
        assert "Water the plants" in page.text
