"""Deletion of a poll after the webhook about its permanently removed page."""

import pytest
from addonkit.testing import databases

PAGE, COPY = {"id": "98347"}, {"id": "98360"}


@pytest.fixture
def remove(host, wiki):
    """Send the webhook of a removed page as Confluence does, and wait until its jobs have run."""

    async def remove_it(page, event="page_removed", site=None, body=None):
        body = {"timestamp": 1, "userAccountId": "author", event.partition("_")[0]: page} if body is None else body
        assert [answer.status_code for answer in await host.fire(event, body, site or wiki.site)] == [204]
        await host.settled()

    return remove_it


@pytest.fixture
async def poll(wiki):
    """The key of a poll with one vote that was opened on the first page."""
    key = await wiki.make()
    await wiki.vote(key, "Tea")
    await wiki.open(key, content=PAGE)
    return key


async def is_there(wiki, poll):
    return "Tea or coffee?" in (await wiki.open(poll, content={})).text


@pytest.mark.parametrize("event", ["page_removed", "blog_removed"])
async def test_poll_is_deleted_with_its_page(wiki, poll, remove, event):
    await remove(PAGE, event)
    assert not await is_there(wiki, poll)


async def test_options_and_votes_are_deleted_with_the_poll(poll, remove, tmp_path):
    await remove(PAGE)
    for table in ("macro_poll", "macro_place", "macro_option", "macro_vote", "macro_choice"):
        assert databases.run_sql(tmp_path, f"SELECT count(*) FROM {table}") == [(0,)]


async def test_page_id_may_be_a_number(wiki, poll, remove):
    await remove({"id": 98347})
    assert not await is_there(wiki, poll)


async def test_poll_is_kept_for_the_copy_of_its_page(wiki, poll, remove, results):
    await wiki.open(poll, content=COPY)
    await remove(PAGE)
    assert results((await wiki.open(poll, content={})).text)["Tea"] == "100%, 1 vote"
    await remove(COPY)
    assert not await is_there(wiki, poll)


async def test_poll_of_another_page_is_kept(wiki, poll, remove):
    await remove(COPY)
    assert await is_there(wiki, poll)


async def test_poll_of_another_site_with_the_same_page_id_is_kept(wiki, other_wiki, poll, remove):
    await remove(PAGE, site=other_wiki.site)
    assert await is_there(wiki, poll)


async def test_poll_of_a_page_in_the_trash_is_kept(host, wiki):
    assert {webhook["event"] for webhook in (await host.descriptor())["modules"]["webhooks"]} == {
        "page_removed",
        "blog_removed",
        "space_removed",
    }


async def test_event_without_a_page_changes_nothing(wiki, poll, remove):
    await remove(PAGE, body={})
    assert await is_there(wiki, poll)


async def test_page_is_stored_once_for_each_poll(wiki, poll, tmp_path):
    await wiki.open(poll, content=PAGE)
    assert databases.run_sql(tmp_path, "SELECT content_id FROM macro_place") == [("98347",)]
