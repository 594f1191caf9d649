"""The limit of a checklist, with many additions at the same time."""

import asyncio
from collections import Counter

import pytest

LIMIT = 3


@pytest.fixture
def addonkit_config():
    return {"addon": {"plugins": ["issue_panel"]}, "plugin": {"issue_panel": {"max_items": LIMIT}}}


async def post(page, text):
    return (await page.fetch("items", method="POST", json={"text": text})).status_code


@pytest.mark.parametrize(("present", "added"), [(0, 12), (0, 4), (1, 12), (2, 12), (3, 5)])
async def test_simultaneous_additions_do_not_exceed_the_limit(page, colleague, add, texts, present, added):
    if present:
        await add(page, *(f"Present {number}" for number in range(present)))
    statuses = await asyncio.gather(*(post((page, colleague)[number % 2], f"Item {number}") for number in range(added)))
    assert Counter(statuses) == Counter({201: LIMIT - present, 409: added - LIMIT + present})
    assert len(await texts(page)) == LIMIT


async def test_limit_is_of_each_issue(open_list, texts):
    pages = [await open_list({"id": str(number), "key": f"AB-{number}"}) for number in (10001, 10002, 10003)]
    await asyncio.gather(*(post(page, f"Item {number}") for number in range(6) for page in pages))
    assert [len(await texts(page)) for page in pages] == [LIMIT] * 3


async def test_limit_is_of_each_site(host, open_list, texts):
    pages = [await open_list(), await open_list(site=await host.install())]
    await asyncio.gather(*(post(page, f"Item {number}") for number in range(6) for page in pages))
    assert [len(await texts(page)) for page in pages] == [LIMIT] * 2


async def test_items_that_are_added_at_the_same_time_have_places_of_their_own(page, add):
    await asyncio.gather(*(post(page, f"Item {number}") for number in range(LIMIT)))
    items = (await page.fetch("items")).json()["items"]
    assert len({item["rank"] for item in items}) == LIMIT


async def test_list_that_becomes_empty_meanwhile_keeps_its_limit(page, add, texts):
    item = await add(page, "Goes")
    removal = page.fetch(f"items/{item['id']}?version=1", method="DELETE")
    await asyncio.gather(removal, *(post(page, f"Item {number}") for number in range(12)))
    assert LIMIT - 1 <= len(await texts(page)) <= LIMIT
