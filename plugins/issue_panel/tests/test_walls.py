"""Isolation of checklists between issues and between sites, and refusal of changes by anonymous visitors."""

import pytest

OTHER_ISSUE = {"id": "10002", "key": "AB-2"}
WRITES = [
    ("PUT", "items/{id}/text", {"version": 1, "text": "Changed"}),
    ("PUT", "items/{id}/done", {"version": 1, "done": True}),
    ("PUT", "items/{id}/place", {"version": 1}),
    ("DELETE", "items/{id}?version=1", None),
]


async def test_item_is_not_shown_on_another_issue(page, open_list, add):
    await add(page, "Ours alone")
    other = await open_list(OTHER_ISSUE)
    assert "Ours alone" not in other.text
    assert (await other.fetch("items")).json() == {"items": []}


@pytest.mark.parametrize(("method", "path", "json"), WRITES)
async def test_item_cannot_be_changed_from_another_issue(page, open_list, add, method, path, json):
    item = await add(page, "Ours")
    other = await open_list(OTHER_ISSUE)
    response = await other.fetch(path.format(id=item["id"]), method=method, json=json)
    assert response.status_code == 404
    assert (await page.fetch("items")).json()["items"] == [item]


async def test_issue_id_in_the_request_is_ignored(page, open_list, add):
    await add(page, "Ours alone")
    other = await open_list(OTHER_ISSUE)
    assert "Ours alone" not in (await other.fetch("items?issue_id=10001")).text
    await other.fetch("items", method="POST", json={"text": "Theirs", "issue_id": "10001"})
    assert "Theirs" not in (await page.fetch("items")).text


async def test_item_is_not_shown_on_another_site(host, page, open_list, add):
    await add(page, "Ours alone")
    theirs = await open_list(site=await host.install())
    assert "Ours alone" not in theirs.text
    assert (await theirs.fetch("items")).json() == {"items": []}


@pytest.mark.parametrize(("method", "path", "json"), WRITES)
async def test_item_cannot_be_changed_from_another_site(host, page, open_list, add, method, path, json):
    item = await add(page, "Ours")
    theirs = await open_list(site=await host.install())
    response = await theirs.fetch(path.format(id=item["id"]), method=method, json=json)
    assert response.status_code == 404
    assert (await page.fetch("items")).json()["items"] == [item]


@pytest.mark.parametrize(("method", "path", "json"), [("POST", "items", {"text": "Mine"}), *WRITES])
async def test_anonymous_visitor_cannot_change_the_list(page, open_list, add, method, path, json):
    item = await add(page, "Ours")
    theirs = await open_list(account=None)
    response = await theirs.fetch(path.format(id=item["id"]), method=method, json=json)
    assert response.status_code == 401
    assert (await page.fetch("items")).json()["items"] == [item]


async def test_anonymous_visitor_can_read_the_list(page, open_list, add, texts):
    await add(page, "One")
    assert await texts(await open_list(account=None)) == ["One"]


async def test_request_without_the_page_s_session_is_refused(page, add):
    await add(page, "One")
    response = await page.client.get(page.prefix + "items")
    assert response.status_code == 401


async def test_site_that_uninstalled_cannot_read_the_list(host, page):
    await host.uninstall()
    assert (await page.fetch("items")).status_code == 401


async def test_panel_is_declared_for_issues(host):
    (module,) = (await host.descriptor())["modules"]["jiraIssueContents"]
    assert module["key"] == "issue-panel-panel"
    assert module["name"] == {"value": "Checklist"}
    url = "/issue_panel/panel?issue_id={issue.id}&project_id={project.id}"
    assert module["target"] == {"type": "web_panel", "url": url}
