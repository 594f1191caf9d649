"""Order of items: concurrent and repeated moves and additions are all kept."""

import asyncio

import pytest


def move(page, item, before, version=1):
    place = {"version": version, "before": before and before["id"]}
    return page.fetch(f"items/{item['id']}/place", method="PUT", json=place)


@pytest.fixture
async def four(page, add):
    """Four items A to D on the page."""
    return [await add(page, letter) for letter in "ABCD"]


@pytest.mark.parametrize(
    ("item", "before", "order"),
    [(3, 0, "DABC"), (0, None, "BCDA"), (0, 3, "BCAD"), (2, 1, "ACBD"), (1, 2, "ABCD"), (3, None, "ABCD")],
)
async def test_move_puts_an_item_before_another_or_at_the_end(page, four, texts, item, before, order):
    response = await move(page, four[item], None if before is None else four[before])
    assert response.status_code == 200
    assert "".join(await texts(page)) == order


async def test_concurrent_moves_of_different_items_both_succeed(page, colleague, four, texts):
    # neither move names the other's item: the resulting order does not depend on which is first
    answers = await asyncio.gather(move(page, four[3], four[1]), move(colleague, four[0], None))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert "".join(await texts(page)) == "DBCA"


async def test_concurrent_move_and_addition_both_succeed(page, colleague, four, add, texts):
    moved, _ = await asyncio.gather(move(page, four[0], four[2]), add(colleague, "E"))
    assert moved.status_code == 200
    assert await texts(page) == ["B", "A", "C", "D", "E"]


async def test_concurrent_moves_of_one_item_refuse_the_second(page, colleague, four):
    assert (await move(page, four[3], four[0])).status_code == 200
    response = await move(colleague, four[3], four[1])
    assert (response.status_code, response.json()["item"]["version"]) == (409, 2)


async def test_move_before_a_removed_item_changes_nothing(page, colleague, four, texts):
    await colleague.fetch(f"items/{four[1]['id']}?version=1", method="DELETE")
    response = await move(page, four[3], four[1])
    assert response.status_code == 409
    assert await texts(page) == ["A", "C", "D"]


async def test_move_before_itself_is_refused(page, four, texts):
    assert (await move(page, four[1], four[1])).status_code == 409
    assert "".join(await texts(page)) == "ABCD"


async def test_order_is_kept_when_ranks_are_renumbered(page, four, texts):
    held = {item["id"]: 1 for item in four[1:3]}
    for turn in range(30):
        item, other = (four[1], four[2]) if turn % 2 == 0 else (four[2], four[1])
        assert (await move(page, item, four[3], held[item["id"]])).status_code == 200
        held[item["id"]] += 1
        assert await texts(page) == ["A", other["text"], item["text"], "D"]


async def test_renumbering_keeps_versions(page, four):
    for turn in range(15):
        await page.fetch("items", method="POST", json={"text": f"New {turn}", "before": four[1]["id"]})
    items = (await page.fetch("items")).json()["items"]
    assert [item["text"] for item in items] == ["A", *(f"New {turn}" for turn in range(15)), "B", "C", "D"]
    assert {item["version"] for item in items} == {1}
