"""The page as the server renders it, before any script runs."""

import json
import re

import pytest


def shown_rows(page):
    listed = page.text.partition('id="checklist-items"')[2].partition("</ul>")[0]
    return re.findall(r"<li.*?</li>", listed, re.DOTALL)


async def test_empty_list_says_how_to_begin(page):
    assert page.status == 200
    assert re.search(r'id="checklist-empty">\s*<strong>No items yet', page.text)
    assert shown_rows(page) == []


async def test_item_is_shown_after_a_reload(page, open_list, add):
    await add(page, "Buy paint")
    (row,) = shown_rows(await open_list())
    assert "Buy paint" in row
    assert "Added by you" in row


async def test_item_text_is_escaped(page, open_list, add):
    await add(page, '</script><img src=x onerror="alert(1)">')
    again = await open_list()
    assert "<img src=x" not in again.text
    assert "&lt;img src=x" in shown_rows(again)[0]


async def test_page_data_equals_the_shown_list(page, open_list, add):
    await add(page, "One", "</script>Two")
    data = re.search(r'id="checklist-data">(.*?)</script>', (await open_list()).text, re.DOTALL)
    assert data is not None
    assert [item["text"] for item in json.loads(data[1])["items"]] == ["One", "</script>Two"]


async def test_progress_counts_done_items(page, open_list, add):
    item = await add(page, "One", "Two", "Three")
    await page.fetch(f"items/{item['id']}/done", method="PUT", json={"version": 1, "done": True})
    again = await open_list()
    assert "1 of 3 done" in again.text
    assert re.search(r'<progress [^>]*max="3" value="1"', again.text)


async def test_page_shows_no_account_id(page, open_list, add):
    item = await add(page, "One")
    await page.fetch(f"items/{item['id']}/done", method="PUT", json={"version": 1, "done": True})
    theirs = await open_list(account="acc-2")
    assert "Done by User acc-1" in theirs.text
    shown = theirs.text.replace(theirs.session or "", "").replace("User acc-1", "").replace("/avatars/acc-1.png", "")
    assert "acc-1" not in shown
    [item] = (await theirs.fetch("items")).json()["items"]
    assert item["stamp"].keys() == {"verb", "who", "picture", "at"}


async def test_anonymous_visitor_sees_the_list_without_controls(page, open_list, add):
    await add(page, "One")
    theirs = await open_list(account=None)
    assert "One" in theirs.text
    assert "data-editable" not in theirs.text
    assert "checklist-add" not in theirs.text
    assert "Added by someone" in theirs.text


async def test_page_has_no_inline_script(page):
    scripts = re.findall(r"<script([^>]*)>", page.text)
    assert scripts
    assert all("src=" in script or "application/json" in script for script in scripts)
    assert not re.search(r"\son\w+=", page.text)


async def test_page_files_are_served(page):
    urls = set(re.findall(r'"(/issue_panel/static/[^"]+)"', page.text))
    assert len(urls) == 4
    for url in urls:
        response = await page.client.get(page.base_url + url)
        assert response.status_code == 200, url


class TestWithATitle:
    @pytest.fixture
    def addonkit_config(self):
        return {"addon": {"plugins": ["issue_panel"]}, "plugin": {"issue_panel": {"title": "Steps & checks"}}}

    async def test_title_of_the_deployment_is_shown(self, page):
        assert '<h1 class="checklist-title">Steps &amp; checks</h1>' in page.text


async def test_title_that_the_host_shows_is_hidden(page):
    assert '<h1 class="checklist-title ak-visually-hidden">Checklist</h1>' in page.text


ODD_IDS = ["AB-1", "9" * 30, "\uff11\uff12", "att123", "x" * 65, "x" * 128, "x" * 129, "1 2", "1\0", "a/b", "-1"]


@pytest.mark.parametrize("issue_id", ODD_IDS)
async def test_signed_id_of_an_unexpected_form_is_never_a_server_error(open_list, issue_id):
    page = await open_list({"id": issue_id, "key": "AB-1"})
    assert page.status == 400


@pytest.mark.parametrize("issue_id", ODD_IDS)
async def test_signed_id_of_an_unexpected_form_is_never_a_server_error_for_readers(open_list, issue_id):
    page = await open_list({"id": issue_id, "key": "AB-1"}, account=None)
    assert page.status in (200, 400)
    if page.status == 200:
        assert (await page.fetch("items")).status_code == 200
        assert (await page.fetch("items", "POST", {"text": "x"})).status_code == 401


@pytest.mark.parametrize("issue_id", ODD_IDS)
async def test_webhook_with_an_id_of_an_unexpected_form_is_never_a_server_error(host, addon, issue_id):
    await host.install()
    body = {"issue": {"id": issue_id, "key": "AB-1"}}
    [response] = (await host.fire("jira:issue_deleted", body)) or [None]
    assert response.status_code in (204, 400)
    await addon.settled()
