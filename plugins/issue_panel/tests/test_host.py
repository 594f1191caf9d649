"""Host calls to Jira: permission to change the list, and names of users."""

import pytest

WRITES = [
    ("POST", "items", {"text": "Mine"}),
    ("PUT", "items/{id}/text", {"version": 1, "text": "Changed"}),
    ("PUT", "items/{id}/done", {"version": 1, "done": True}),
    ("PUT", "items/{id}/place", {"version": 1}),
    ("DELETE", "items/{id}?version=1", None),
]


@pytest.fixture
def down(host):
    """Make Jira unavailable for host calls."""

    def fall():
        host.rest.sites.clear()

    return fall


async def test_list_has_no_controls_without_permission_to_edit_the_issue(host, page, add, open_list):
    await add(page, "One")
    host.rest.resources.deny("EDIT_ISSUES", "acc-2")
    theirs = await open_list(account="acc-2")
    assert "One" in theirs.text
    assert "data-editable" not in theirs.text
    assert "checklist-add" not in theirs.text


async def test_empty_list_says_who_can_add_items(host, open_list):
    host.rest.resources.deny("EDIT_ISSUES", "acc-2")
    assert "Anyone who can edit this issue can add the first item" in (await open_list(account="acc-2")).text


@pytest.mark.parametrize(("method", "path", "json"), WRITES)
async def test_attack_24_who_may_not_edit_the_issue_changes_nothing(host, page, open_list, add, method, path, json):
    item = await add(page, "Ours")
    host.rest.resources.deny("EDIT_ISSUES", "acc-3")
    theirs = await open_list(account="acc-3")
    response = await theirs.fetch(path.format(id=item["id"]), method=method, json=json)
    assert response.status_code == 403
    if json:
        sentence = "this needs the permission 'EDIT_ISSUES', which you do not have here"
        assert response.json()["error"] == sentence
    assert [one["text"] for one in (await page.fetch("items")).json()["items"]] == ["Ours"]


async def test_stamp_shows_name_and_avatar_of_a_colleague(page, colleague, add):
    await add(page, "One")
    [seen] = (await colleague.fetch("items")).json()["items"]
    assert seen["stamp"]["who"] == "User acc-1"
    assert seen["stamp"]["picture"].endswith("/avatars/acc-1.png")


async def test_stamp_shows_someone_for_an_unknown_account(host, page, open_list, add):
    host.rest.resources.names["acc-1"] = ""
    await add(page, "One")
    assert "Added by someone" in (await open_list(account="acc-2")).text


async def test_stamp_shows_no_names_to_anonymous_visitors(page, add, open_list):
    await add(page, "One")
    theirs = await open_list(account=None)
    assert "User acc-1" not in theirs.text
    assert "avatars" not in theirs.text


async def test_list_is_shown_while_jira_is_unavailable(page, add, open_list, down):
    await add(page, "One")
    down()
    theirs = await open_list(account="acc-4")
    assert theirs.status == 200
    assert "Added by" in theirs.text
    assert "data-editable" not in theirs.text


async def test_change_is_refused_while_jira_is_unavailable(page, add, open_list, texts, down):
    await add(page, "One")
    down()
    theirs = await open_list(account="acc-5")
    assert (await theirs.fetch("items", method="POST", json={"text": "Two"})).status_code == 502
    assert await texts(theirs) == ["One"]
