"""Two people at once: nobody's change is lost without being told."""

import asyncio


def put(page, item, part, version=1, **values):
    return page.fetch(f"items/{item['id']}/{part}", method="PUT", json={"version": version, **values})


async def test_two_people_ticking_different_items_both_win(page, colleague, add):
    one, two = await add(page, "One"), await add(page, "Two")
    answers = await asyncio.gather(put(page, one, "done", done=True), put(colleague, two, "done", done=True))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(item["done"] for item in (await page.fetch("items")).json()["items"])


async def test_of_two_edits_at_once_one_wins_and_the_other_is_told(page, colleague, add, texts):
    item = await add(page, "One")
    answers = await asyncio.gather(put(page, item, "text", text="Mine"), put(colleague, item, "text", text="Yours"))
    winner, loser = sorted(answers, key=lambda answer: answer.status_code)
    assert (winner.status_code, loser.status_code) == (200, 409)
    assert await texts(page) == [winner.json()["text"]] == [loser.json()["item"]["text"]]


async def test_a_stale_edit_is_answered_with_what_now_stands(page, colleague, add, texts):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Theirs")
    answer = (await put(page, item, "text", text="Mine")).json()
    assert answer["error"] == "Somebody changed this item in the meantime. Check it and repeat your change."
    assert (answer["item"]["text"], answer["item"]["version"]) == ("Theirs", 2)
    assert await texts(page) == ["Theirs"]


async def test_an_edit_repeated_with_the_new_version_goes_through(page, colleague, add, texts):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Theirs")
    answer = (await put(page, item, "text", text="Mine")).json()
    assert (await put(page, item, "text", answer["item"]["version"], text="Mine")).status_code == 200
    assert await texts(page) == ["Mine"]


async def test_a_stale_tick_changes_nothing(page, colleague, add):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Something else")
    response = await put(page, item, "done", done=True)
    assert (response.status_code, response.json()["item"]["done"]) == (409, False)


async def test_words_that_were_not_read_are_not_removed(page, colleague, add, texts):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Important")
    response = await page.fetch(f"items/{item['id']}?version=1", method="DELETE")
    assert (response.status_code, response.json()["item"]["text"]) == (409, "Important")
    assert await texts(page) == ["Important"]


async def test_the_item_in_a_conflict_is_told_from_the_loser_s_view(page, colleague, add):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Theirs")
    assert (await put(page, item, "text", text="Mine")).json()["item"]["stamp"]["who"] == "User acc-2"
    assert (await put(colleague, item, "text", text="Mine")).json()["item"]["stamp"]["who"] == "you"


async def test_items_added_at_once_all_stay(page, colleague, add, texts):
    names = [f"Item {number}" for number in range(20)]
    await asyncio.gather(*(add((page, colleague)[number % 2], name) for number, name in enumerate(names)))
    assert sorted(await texts(page)) == sorted(names)
