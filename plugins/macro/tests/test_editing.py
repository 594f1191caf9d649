"""Who may create and change polls: only the editor's page, and only users who may edit each page with the poll."""

import asyncio

import pytest
from addonkit.testing import databases
from addonkit_macro import polls

PAGE, COPY = {"id": "98347"}, {"id": "98360"}


@pytest.fixture
def written(options):
    """A request of the editor that would create or change a poll."""
    return {
        "draft": "d" * 32,
        "question": "Mine now",
        "options": options("Tea", "Coffee"),
        "several": False,
        "revision": 1,
        "may_lose": 99,
    }


@pytest.fixture
def deny_update(host):
    """Deny the permission to edit pages with these ids, whoever asks; the other pages can be edited."""

    def deny(*ids, status=200):
        body = {"hasPermission": False} if status == 200 else {"message": "no such content"}
        for content_id in ids:
            path = f"/rest/api/content/{content_id}/permission/check"
            host.rest.answer("POST", path, body, status=status)

    return deny


@pytest.fixture
def stored(tmp_path):
    """Read the questions of all polls from the database."""

    def read():
        return sorted(question for (question,) in databases.run_sql(tmp_path, "SELECT question FROM macro_poll"))

    return read


def reader_of_the_poll(wiki, poll):
    return wiki.open(poll, "mallory")


def reader_of_an_unsaved_page(wiki, poll):
    return wiki.open(poll, "mallory", content={})


def reader_of_a_copy(wiki, poll):
    return wiki.open(poll, "mallory", content=COPY)


def reader_of_an_empty_macro(wiki, poll):
    return wiki.open("", "mallory")


def reader_of_an_unknown_poll(wiki, poll):
    return wiki.open("0" * 32, "mallory")


def author_as_reader(wiki, poll):
    return wiki.open(poll, "author")


READERS = [
    reader_of_the_poll,
    reader_of_an_unsaved_page,
    reader_of_a_copy,
    reader_of_an_empty_macro,
    reader_of_an_unknown_poll,
    author_as_reader,
]


@pytest.mark.parametrize("open_page", READERS, ids=lambda made: made.__name__)
async def test_reader_s_session_neither_creates_nor_changes_a_poll(wiki, written, stored, open_page):
    poll = await wiki.make()
    page = await open_page(wiki, poll)
    for name in (None, "poll", "edited_poll"):
        body = written if name is None else {**written, name: poll}
        assert (await page.fetch("save", "POST", body)).status_code == 401
        assert (await page.fetch(f"save?{name}={poll}", "POST", written)).status_code == 401
    assert stored() == ["Tea or coffee?"]


@pytest.mark.parametrize("open_page", READERS, ids=lambda made: made.__name__)
async def test_renewed_session_of_a_reader_is_refused_too(wiki, written, stored, open_page):
    page = await open_page(wiki, await wiki.make())
    assert (await page.renew()).status_code == 200
    assert (await page.fetch("save", "POST", written)).status_code == 401
    assert stored() == ["Tea or coffee?"]


@pytest.mark.parametrize("open_page", READERS, ids=lambda made: made.__name__)
async def test_context_token_creates_no_poll(wiki, written, stored, open_page):
    page = await open_page(wiki, await wiki.make())
    token = wiki.site.context_token("mallory", page.context)
    response = await page.client.post(page.prefix + "save", json=written, headers={"authorization": f"JWT {token}"})
    assert response.status_code == 401
    assert stored() == ["Tea or coffee?"]


async def test_renewed_session_of_the_editor_saves(wiki, written, stored):
    editor = await wiki.open("", "author", "editor")
    await editor.renew()
    assert (await editor.fetch("save", "POST", written)).status_code == 200
    assert stored() == ["Mine now"]


async def test_session_of_another_site_s_editor_changes_nothing(wiki, other_wiki, written, stored):
    poll = await wiki.make()
    editor = await other_wiki.open(poll, "author", "editor")
    response = await editor.fetch("save", "POST", written)
    assert response.json()["poll"] != poll
    assert stored() == ["Mine now", "Tea or coffee?"]


async def test_editor_s_session_reads_and_casts_no_votes(wiki, key_of):
    editor = await wiki.open(await wiki.make(), "author", "editor")
    assert (await editor.fetch("view")).status_code == 401
    assert (await editor.fetch("vote", "PUT", {"choices": [key_of("Tea")]})).status_code == 401
    assert (await editor.fetch("vote", "DELETE")).status_code == 401


@pytest.mark.parametrize(
    ("shown_on", "denied"),
    [
        ([PAGE], ["98347"]),
        ([PAGE, COPY], ["98347"]),
        ([PAGE, COPY], ["98360"]),
        ([PAGE, COPY], ["98347", "98360"]),
        ([{"id": str(number)} for number in range(1, 31)], ["30"]),
    ],
    ids=["the page", "the page of a copy", "a copy", "both", "one of thirty"],
)
async def test_poll_is_not_changed_by_a_user_who_may_not_edit_each_page(wiki, deny_update, stored, shown_on, denied):
    poll = await wiki.make()
    for page in shown_on:
        await wiki.open(poll, content=page)
    deny_update(*denied)
    for account in ("mallory", "author"):
        response = await wiki.save(poll, account, revision=1, question="Mine now", may_lose=99)
        assert response.status_code == 403
        assert response.json()["error"].startswith("this poll is shown on a page that you cannot edit")
    assert stored() == ["Tea or coffee?"]


@pytest.mark.parametrize("status", [403, 404])
async def test_poll_is_not_changed_if_the_add_on_cannot_see_a_page(wiki, deny_update, stored, status):
    poll = await wiki.make()
    await wiki.open(poll)
    deny_update("98347", status=status)
    assert (await wiki.save(poll, revision=1, question="Mine now")).status_code == 403
    assert stored() == ["Tea or coffee?"]


async def test_poll_is_not_changed_while_confluence_does_not_answer(host, wiki, stored):
    poll = await wiki.make()
    await wiki.open(poll)
    host.rest.status = 501
    assert (await wiki.save(poll, revision=1, question="Mine now")).status_code == 502
    assert stored() == ["Tea or coffee?"]


async def test_page_that_was_removed_is_not_asked_about(host, wiki, deny_update, stored):
    poll = await wiki.make()
    await wiki.open(poll)
    await wiki.open(poll, content=COPY)
    deny_update("98360")
    await host.fire("page_removed", {"page": COPY}, wiki.site)
    await host.settled()
    assert (await wiki.save(poll, revision=1, question="Tea?")).status_code == 200


async def test_poll_that_is_shown_on_no_known_page_is_changed_by_its_author_only(wiki, stored):
    poll = await wiki.make()
    response = await wiki.save(poll, "mallory", revision=1, question="Mine now")
    assert response.status_code == 403
    assert "only its author can edit this poll" in response.json()["error"]
    assert (await wiki.save(poll, revision=1, question="Tea?")).status_code == 200
    assert stored() == ["Tea?"]


async def test_editor_of_a_poll_that_cannot_be_changed_says_so(wiki, deny_update):
    poll = await wiki.make()
    await wiki.open(poll)
    deny_update("98347")
    page = await wiki.open(poll, "mallory", "editor")
    assert page.status == 200
    assert "You cannot edit this poll" in page.text
    assert "This poll is shown on a page that you cannot edit" in page.text
    assert "Tea or coffee?" not in page.text


async def test_editor_opens_while_confluence_does_not_answer(host, wiki):
    poll = await wiki.make()
    await wiki.open(poll)
    host.rest.status = 501
    assert "Tea or coffee?" in (await wiki.open(poll, "author", "editor")).text


@pytest.fixture
def few(monkeypatch):
    """Let an author make three polls in a day that nobody opens."""
    monkeypatch.setattr(polls, "MAX_UNSHOWN", 3)


async def test_editor_s_session_creates_polls_up_to_a_limit(few, wiki, written, key_of, stored):
    editor = await wiki.open("", "author", "editor")
    statuses = []
    for number in range(6):
        response = await editor.fetch("save", "POST", {**written, "draft": key_of(str(number))})
        statuses.append(response.status_code)
    assert statuses == [200, 200, 200, 409, 409, 409]
    assert response.json()["error"].startswith("you have made 3 polls today that nobody has opened on a page")
    assert len(stored()) == 3


async def test_simultaneous_saves_create_polls_up_to_a_limit(few, wiki, written, key_of, stored):
    editors = [await wiki.open("", "author", "editor") for _ in range(3)]
    saves = [
        editors[number % 3].fetch("save", "POST", {**written, "draft": key_of(str(number))}) for number in range(12)
    ]
    statuses = [response.status_code for response in await asyncio.gather(*saves)]
    assert sorted(statuses) == [200] * 3 + [409] * 9
    assert len(stored()) == 3


async def test_double_click_at_the_limit_creates_one_poll(few, wiki, written, key_of, stored):
    for number in range(2):
        await wiki.make(draft=key_of(str(number)))
    editor = await wiki.open("", "author", "editor")
    saves = await asyncio.gather(*(editor.fetch("save", "POST", written) for _ in range(4)))
    assert {response.status_code for response in saves} == {200}
    assert len({response.json()["poll"] for response in saves}) == 1
    assert len(stored()) == 3


async def test_limit_does_not_count_polls_on_pages_nor_those_of_others_nor_old_ones(few, wiki, key_of, tmp_path):
    for number in range(3):
        await wiki.make(draft=key_of(f"others {number}"), account="somebody else")
        await wiki.open(await wiki.make(draft=key_of(f"shown {number}")))
        await wiki.make(draft=key_of(f"old {number}"))
        age = "UPDATE macro_poll SET created_at = '2026-01-02 15:00:00+00:00' WHERE draft = ?"
        databases.run_sql(tmp_path, age, key_of(f"old {number}"))
    assert (await wiki.save(draft=key_of("new"))).status_code == 200


async def test_repeated_save_is_answered_at_the_limit(few, wiki, key_of):
    for number in range(3):
        poll = await wiki.make(draft=key_of(str(number)))
    assert (await wiki.save(draft=key_of("2"))).json()["poll"] == poll
    assert (await wiki.save(poll, revision=1, question="Tea?")).status_code == 200
