"""Two users change one list at the same time: each change is stored, or its user sees why it is not."""

import asyncio

import pytest
from addonkit.testing import databases
from addonkit_issue_panel import checklist


def put(page, item, part, version=1, **values):
    return page.fetch(f"items/{item['id']}/{part}", method="PUT", json={"version": version, **values})


async def test_concurrent_ticks_of_different_items_both_succeed(page, colleague, add):
    one, two = await add(page, "One"), await add(page, "Two")
    answers = await asyncio.gather(put(page, one, "done", done=True), put(colleague, two, "done", done=True))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(item["done"] for item in (await page.fetch("items")).json()["items"])


async def test_concurrent_edits_of_one_item_let_one_succeed(page, colleague, add, texts):
    item = await add(page, "One")
    answers = await asyncio.gather(put(page, item, "text", text="Mine"), put(colleague, item, "text", text="Yours"))
    winner, loser = sorted(answers, key=lambda answer: answer.status_code)
    assert (winner.status_code, loser.status_code) == (200, 409)
    assert await texts(page) == [winner.json()["text"]] == [loser.json()["item"]["text"]]


async def test_stale_edit_is_refused_with_the_current_item(page, colleague, add, texts):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Theirs")
    answer = (await put(page, item, "text", text="Mine")).json()
    assert answer["error"] == "Somebody changed this item in the meantime. Check it and repeat your change."
    assert (answer["item"]["text"], answer["item"]["version"]) == ("Theirs", 2)
    assert await texts(page) == ["Theirs"]


async def test_edit_repeated_with_the_new_version_succeeds(page, colleague, add, texts):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Theirs")
    answer = (await put(page, item, "text", text="Mine")).json()
    assert (await put(page, item, "text", answer["item"]["version"], text="Mine")).status_code == 200
    assert await texts(page) == ["Mine"]


async def test_stale_tick_changes_nothing(page, colleague, add):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Something else")
    response = await put(page, item, "done", done=True)
    assert (response.status_code, response.json()["item"]["done"]) == (409, False)


async def test_stale_removal_is_refused(page, colleague, add, texts):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Important")
    response = await page.fetch(f"items/{item['id']}?version=1", method="DELETE")
    assert (response.status_code, response.json()["item"]["text"]) == (409, "Important")
    assert await texts(page) == ["Important"]


async def test_conflict_shows_the_item_from_the_requester_s_view(page, colleague, add):
    item = await add(page, "One")
    await put(colleague, item, "text", text="Theirs")
    assert (await put(page, item, "text", text="Mine")).json()["item"]["stamp"]["who"] == "User acc-2"
    assert (await put(colleague, item, "text", text="Mine")).json()["item"]["stamp"]["who"] == "you"


async def test_concurrent_additions_all_succeed(page, colleague, add, texts):
    names = [f"Item {number}" for number in range(20)]
    await asyncio.gather(*(add((page, colleague)[number % 2], name) for number, name in enumerate(names)))
    assert sorted(await texts(page)) == sorted(names)


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def add_another(page, item):
    return page.fetch("items", method="POST", json={"text": "Another"})


def move_to_the_end(page, item):
    return page.fetch(f"items/{item['id']}/place", method="PUT", json={"version": 1, "before": None})


def tick(page, item):
    return put(page, item, "done", done=True)


def remove(page, item):
    return page.fetch(f"items/{item['id']}?version=1", method="DELETE")


@pytest.fixture
def change_while_adding(page, tmp_path, monkeypatch):
    """Begin a change while an addition is being stored; give both answers, and whether the change has waited for it."""

    async def run(change):
        reached, stored, items_of = asyncio.Event(), asyncio.Event(), checklist.items_of

        async def pause(issue_id):
            found = await items_of(issue_id)
            if not reached.is_set():
                reached.set()
                await stored.wait()
            return found

        monkeypatch.setattr(checklist, "items_of", pause)
        adding = asyncio.create_task(add_another(page, None))
        await reached.wait()
        changing = asyncio.create_task(change)
        async with asyncio.timeout(60):
            while not (changing.done() or databases.run_sql(tmp_path, WAITING)[0][0]):  # noqa: ASYNC110 - of the server
                await asyncio.sleep(0.01)
        has_waited = not changing.done()
        stored.set()
        return (await adding).status_code, (await changing).status_code, has_waited

    return run


@pytest.mark.postgresql
@pytest.mark.parametrize("change", [add_another, move_to_the_end, tick, remove])
async def test_addition_locks_the_list_until_it_is_stored(page, colleague, add, change_while_adding, change):
    """The place of a new item follows from the others, which must not change in between."""
    item = await add(page, "One")
    await add(page, "Two")
    added, changed, has_waited = await change_while_adding(change(colleague, item))
    assert (added, changed < 300, has_waited) == (201, True, True)


@pytest.mark.postgresql
async def test_addition_locks_an_empty_list_too(colleague, change_while_adding):
    """It has no row that could be locked."""
    assert await change_while_adding(add_another(colleague, None)) == (201, 201, True)
