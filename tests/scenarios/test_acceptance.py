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


async def test_the_merged_descriptor_of_all_plugins_is_one_that_the_host_takes(host):
    document = await host.descriptor()
    assert set(document["modules"]) == {"jiraIssueContents", "dynamicContentMacros", "webhooks"}
    assert_valid(document)


async def test_a_page_for_sale_opens_with_a_licence(host):
    page = await host.open("issue-panel-panel", issue=ISSUE, licence="active")
    assert page.status == 200


@pytest.mark.parametrize("licence", ["none", None])
async def test_a_page_for_sale_says_what_to_do_without_a_licence(host, licence):
    page = await host.open("issue-panel-panel", issue=ISSUE, licence=licence)
    assert page.status == 403
    assert "no active licence here" in page.text
    assert f'href="{host.site.base_url}/plugins/servlet/upm"' in page.text


async def test_the_page_without_a_licence_is_given_no_session(host):
    page = await host.open("issue-panel-panel", issue=ISSUE, licence="none")
    assert "addonkit-session" not in page.text


async def test_a_program_without_a_licence_is_told_in_one_sentence(host):
    opened = await host.open("issue-panel-panel", issue=ISSUE, licence="active")
    context = host.site.context_token(account="acc-1", context={"jira": {"issue": ISSUE}, "license": {"active": False}})
    headers = {"Authorization": f"JWT {context}", "Accept": "application/json"}
    answer = await opened.client.get(f"{host.base_url}/issue_panel/items", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"].startswith("this site has no active licence")


async def test_what_is_free_stays_open_without_a_licence(host):
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


async def test_the_data_of_a_plugin_that_was_off_is_there_when_it_returns(started):
    async with started(["issue_panel", "macro"]) as host:
        site = await host.install()
        page = await host.open("issue-panel-panel", issue=ISSUE)
        await page.fetch("items", method="POST", json={"text": "Water the plants"})
    async with started(["macro"]) as host:
        assert set((await host.descriptor())["modules"]) == {"dynamicContentMacros", "webhooks"}
    async with started(["issue_panel", "macro"]) as host:
        page = await host.open("issue-panel-panel", site=site, issue=ISSUE)
        assert "Water the plants" in page.text
