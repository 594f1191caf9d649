"""Single changes: add, tick, edit and remove items, and refusals with a message."""

from datetime import UTC, datetime, timedelta

import pytest


async def test_items_are_listed_in_order_of_addition(page, add, texts):
    await add(page, "One", "Two", "Three")
    assert await texts(page) == ["One", "Two", "Three"]


async def test_item_is_added_before_another(page, add, texts):
    two = await add(page, "One", "Two")
    await page.fetch("items", method="POST", json={"text": "Between", "before": two["id"]})
    assert await texts(page) == ["One", "Between", "Two"]


async def test_item_added_before_a_removed_one_goes_to_the_end(page, add, texts):
    await add(page, "One")
    await page.fetch("items", method="POST", json={"text": "Two", "before": 999})
    assert await texts(page) == ["One", "Two"]


async def test_text_becomes_one_line(page, add):
    item = await add(page, "  Buy\n paint\tand\x00 brushes ")
    assert item["text"] == "Buy paint and brushes"


async def test_text_with_half_a_character_is_refused(page, texts):
    response = await page.client.post(
        page.prefix + "items",
        headers={"authorization": f"Session {page.session}", "content-type": "application/json"},
        content=b'{"text": "a\\ud800b"}',
    )
    assert response.status_code == 400
    assert "not a JSON object" in response.json()["error"]
    assert await texts(page) == []


@pytest.mark.parametrize("text", ["", "  \n", "\x00"])
async def test_text_that_is_empty_is_refused_with_a_message(page, text):
    response = await page.fetch("items", method="POST", json={"text": text})
    assert (response.status_code, response.json()) == (400, {"error": "Enter a text for the item."})


async def test_text_of_501_characters_is_refused_with_a_message(page):
    response = await page.fetch("items", method="POST", json={"text": "x" * 501})
    sentence = "An item can have up to 500 characters, and this one has 501. Shorten it."
    assert (response.status_code, response.json()) == (400, {"error": sentence})


async def test_text_of_500_characters_outside_the_basic_plane_is_stored(page, add, texts):
    await add(page, "🦊" * 500)
    assert await texts(page) == ["🦊" * 500]


async def test_edit_has_the_same_limit_as_an_addition(page, add, texts):
    item = await add(page, "One")
    response = await page.fetch(f"items/{item['id']}/text", method="PUT", json={"version": 1, "text": "x" * 501})
    assert response.status_code == 400
    assert await texts(page) == ["One"]


async def test_tick_shows_who_and_when(page, add):
    item = await add(page, "One")
    response = await page.fetch(f"items/{item['id']}/done", method="PUT", json={"version": 1, "done": True})
    ticked = response.json()
    assert (ticked["done"], ticked["version"]) == (True, 2)
    assert (ticked["stamp"]["verb"], ticked["stamp"]["who"]) == ("Done", "you")
    assert datetime.now(UTC) - datetime.fromisoformat(ticked["stamp"]["at"]) < timedelta(minutes=1)


async def test_item_is_reopened(page, add):
    item = await add(page, "One")
    path = f"items/{item['id']}/done"
    await page.fetch(path, method="PUT", json={"version": 1, "done": True})
    again = (await page.fetch(path, method="PUT", json={"version": 2, "done": False})).json()
    assert (again["done"], again["stamp"]["verb"]) == (False, "Added")


async def test_edit_shows_who_made_it(page, colleague, add):
    item = await add(page, "One")
    response = await page.fetch(f"items/{item['id']}/text", method="PUT", json={"version": 1, "text": "First"})
    assert (response.json()["text"], response.json()["stamp"]["who"]) == ("First", "you")
    (seen,) = (await colleague.fetch("items")).json()["items"]
    assert (seen["stamp"]["verb"], seen["stamp"]["who"]) == ("Edited", "User acc-1")


async def test_removed_item_is_not_listed(page, add, texts):
    item = await add(page, "One", "Two")
    response = await page.fetch(f"items/{item['id']}?version=1", method="DELETE")
    assert response.status_code == 204
    assert await texts(page) == ["One"]


@pytest.mark.parametrize("path", ["items/1/text", "items/1/place", "items/1/done"])
async def test_missing_item_is_reported_as_removed(page, path):
    response = await page.fetch(path, method="PUT", json={"version": 1, "text": "x", "done": True})
    sentence = "This item was removed by somebody else."
    assert (response.status_code, response.json()) == (404, {"error": sentence})


@pytest.mark.parametrize("path", ["items/0", f"items/{2**63}", f"items/{'9' * 40}"])
async def test_item_id_out_of_range_is_refused(page, path):
    response = await page.fetch(f"{path}/done", method="PUT", json={"version": 1, "done": True})
    assert response.status_code == 400
    assert "'item'" in response.json()["error"]


@pytest.mark.parametrize("version", [0, 2**31, "new"])
async def test_version_out_of_range_is_refused(page, add, version):
    item = await add(page, "One")
    path = f"items/{item['id']}/done"
    response = await page.fetch(path, method="PUT", json={"version": version, "done": True})
    assert response.status_code == 400
    assert "'version'" in response.json()["error"]


async def test_change_without_a_version_is_refused(page, add, texts):
    item = await add(page, "One")
    response = await page.fetch(f"items/{item['id']}/text", method="PUT", json={"text": "Two"})
    assert response.status_code == 400
    assert "version" in response.json()["error"]
    assert await texts(page) == ["One"]


class TestWithRoomForTwo:
    @pytest.fixture
    def addonkit_config(self):
        return {"addon": {"plugins": ["issue_panel"]}, "plugin": {"issue_panel": {"max_items": 2}}}

    async def test_full_list_is_an_error(self, page, add, texts):
        await add(page, "One", "Two")
        response = await page.fetch("items", method="POST", json={"text": "Three"})
        sentence = "This checklist has the maximum of 2 items. Remove some to add more."
        assert (response.status_code, response.json()) == (409, {"error": sentence})
        assert await texts(page) == ["One", "Two"]

    async def test_full_list_does_not_limit_another_issue(self, page, open_list, add):
        await add(page, "One", "Two")
        await add(await open_list({"id": "10002", "key": "AB-2"}), "Elsewhere")
