"""The editor: authors make polls and change them."""

import asyncio
import json
import re

import pytest


def form_of(page):
    return json.loads(re.search(r'id="poll-data">(.*?)</script>', page.text, re.DOTALL)[1])


async def test_macro_has_the_key_that_pages_store(host):
    macro = (await host.descriptor())["modules"]["dynamicContentMacros"][0]
    assert macro["key"] == "addonkit-poll"


async def test_macro_parameter_is_hidden_from_authors(host):
    macro = (await host.descriptor())["modules"]["dynamicContentMacros"][0]
    assert macro["parameters"] == [{"identifier": "poll", "name": {"value": "Poll"}, "type": "string", "hidden": True}]


async def test_editor_of_a_new_macro_is_empty(wiki):
    page = await wiki.open("", "author", "editor")
    assert (page.status, form_of(page)) == (200, None)


async def test_poll_is_shown_in_its_macro_after_a_save(wiki):
    page = await wiki.open(await wiki.make("Tea", "Coffee", question="What shall we drink?"))
    assert "What shall we drink?" in page.text


async def test_editor_shows_the_saved_poll(wiki):
    form = form_of(await wiki.open(await wiki.make("Tea", "Coffee", several=True), "author", "editor"))
    assert (form["question"], form["several"]) == ("Tea or coffee?", True)
    assert [option["text"] for option in form["options"]] == ["Tea", "Coffee"]


async def test_editor_shows_the_number_of_votes(wiki):
    poll = await wiki.make()
    await wiki.vote(poll, "Coffee")
    form = form_of(await wiki.open(poll, "author", "editor"))
    assert [option["votes"] for option in form["options"]] == [0, 1]


async def test_editor_escapes_options(wiki):
    poll = await wiki.make("</script><script>alert(1)</script>", "Coffee")
    page = await wiki.open(poll, "author", "editor")
    assert "<script>alert" not in page.text
    assert form_of(page)["options"][0]["text"] == "</script><script>alert(1)</script>"


async def test_save_without_an_account_is_refused(wiki):
    assert (await wiki.save(account=None)).status_code == 401


async def test_double_click_creates_one_poll(wiki):
    page = await wiki.open("", "author", "editor")
    written = {
        "draft": "d" * 32,
        "question": "Tea?",
        "several": False,
        "options": [{"key": "1" * 32, "text": "Yes"}, {"key": "2" * 32, "text": "No"}],
    }
    first, second = await asyncio.gather(page.fetch("save", "POST", written), page.fetch("save", "POST", written))
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()


async def test_save_from_another_dialog_creates_another_poll(wiki, key_of):
    assert await wiki.make(draft=key_of("one")) != await wiki.make(draft=key_of("two"))


async def test_save_by_another_author_creates_another_poll(wiki):
    assert await wiki.make() != await wiki.make(account="somebody else")


async def test_save_with_an_invalid_draft_key_is_refused(wiki):
    response = await wiki.save(draft="1")
    assert (response.status_code, response.json()["error"]) == (
        400,
        "'draft' is not valid; close the editor and open it again",
    )


async def test_errors_are_returned_by_field(wiki, options, key_of):
    response = await wiki.save(question="", options=options("Tea", ""))
    assert response.status_code == 400
    assert response.json()["fields"].keys() == {"question", f"option-{key_of('')}"}


async def test_closing_time_without_a_zone_is_refused(wiki):
    assert (await wiki.save(closes_at="2030-01-01T10:00")).status_code == 400


async def test_closing_time_is_returned_as_saved(wiki):
    poll = await wiki.make(closes_at="2030-01-01T10:00:00+02:00")
    assert form_of(await wiki.open(poll, "author", "editor"))["closesAt"] == "2030-01-01T08:00:00+00:00"


async def test_change_keeps_the_poll_and_the_votes_of_options_that_stay(wiki, options, key_of, results):
    poll = await wiki.make("Tea", "Coffee")
    await wiki.vote(poll, "Tea")
    reworded = [*options("Water"), {"key": key_of("Tea"), "text": "Green tea"}, *options("Coffee")]
    response = await wiki.save(poll, revision=1, options=reworded)
    assert response.json() == {"poll": poll, "revision": 2}
    assert results((await wiki.open(poll)).text) == {
        "Water": "0%, 0 votes",
        "Green tea": "100%, 1 vote",
        "Coffee": "0%, 0 votes",
    }


async def test_option_with_votes_is_removed_after_confirmation(wiki, options):
    poll = await wiki.make("Tea", "Coffee", "Water")
    await wiki.vote(poll, "Tea", account="one")
    await wiki.vote(poll, "Tea", account="two")
    response = await wiki.save(poll, revision=1, options=options("Coffee", "Water"))
    assert (response.status_code, response.json()["votes"]) == (409, 2)


async def test_option_is_deleted_with_the_votes_that_the_author_confirmed(wiki, options, results):
    poll = await wiki.make("Tea", "Coffee", "Water")
    await wiki.vote(poll, "Tea", account="one")
    await wiki.vote(poll, "Water", account="two")
    response = await wiki.save(poll, revision=1, options=options("Coffee", "Water"), may_lose=1)
    assert response.status_code == 200
    assert results((await wiki.open(poll, "two")).text) == {"Coffee": "0%, 0 votes", "Water": "100%, 1 vote"}


async def test_voter_of_several_options_is_counted_while_any_of_them_stays(wiki, options, results):
    poll = await wiki.make("Tea", "Coffee", "Water", several=True)
    await wiki.vote(poll, "Tea", "Water")
    await wiki.save(poll, revision=1, options=options("Coffee", "Water"), may_lose=1, several=True)
    assert results((await wiki.open(poll)).text) == {"Coffee": "0%, 0 votes", "Water": "100%, 1 vote"}


async def test_poll_of_several_choices_cannot_become_one_choice_while_voters_have_several(wiki):
    poll = await wiki.make(several=True)
    await wiki.vote(poll, "Tea", "Coffee")
    response = await wiki.save(poll, revision=1, several=False)
    assert (response.status_code, response.json()["error"]) == (
        409,
        "some voters have chosen several options; allow several options or remove some",
    )


async def test_change_of_an_outdated_revision_is_refused(wiki):
    poll = await wiki.make()
    await wiki.save(poll, revision=1, question="Tea, or rather coffee?")
    response = await wiki.save(poll, revision=1, question="Coffee or tea?")
    assert (response.status_code, response.json()["error"]) == (
        409,
        "somebody else changed this poll while you were editing; close the editor and open it again",
    )


async def test_save_of_the_same_change_twice_changes_nothing(wiki):
    poll = await wiki.make()
    first = await wiki.save(poll, revision=1, question="Coffee or tea?")
    second = await wiki.save(poll, revision=1, question="Coffee or tea?")
    assert first.json() == second.json() == {"poll": poll, "revision": 2}


@pytest.mark.parametrize("name", ["edited_poll", "poll"])
async def test_poll_named_in_the_body_is_not_changed(wiki, name):
    poll = await wiki.make()
    response = await wiki.save("", draft="d" * 32, question="Mine now", **{name: poll})
    assert response.json()["poll"] != poll
    assert "Mine now" not in (await wiki.open(poll)).text


async def test_editor_of_a_deleted_poll_creates_a_new_one(wiki):
    page = await wiki.open("0" * 32, "author", "editor")
    assert "The poll of this macro was deleted" in page.text
    assert (await wiki.save("0" * 32)).json()["poll"] != "0" * 32


async def test_closed_poll_can_be_edited(wiki, let_close):
    poll = await wiki.make(closes_at="2030-01-01T10:00:00Z")
    await let_close(poll)
    response = await wiki.save(poll, revision=1, closes_at="2026-01-02T15:00:00Z", question="Coffee or tea?")
    assert response.status_code == 200
