"""Voting: cast a vote, change it, and be refused."""

import asyncio

import pytest


async def test_vote_counts(wiki, results):
    response = await wiki.vote(await wiki.make(), "Tea")
    assert results(response.json()["html"]) == {"Tea": "100%, 1 vote", "Coffee": "0%, 0 votes"}


async def test_vote_cast_twice_counts_once(wiki, results):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea")
    response = await wiki.vote(poll, "Tea")
    assert results(response.json()["html"])["Tea"] == "100%, 1 vote"


async def test_vote_change_replaces_the_former_vote(wiki, results):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea")
    response = await wiki.vote(poll, "Coffee")
    assert results(response.json()["html"]) == {"Tea": "0%, 0 votes", "Coffee": "100%, 1 vote"}


async def test_withdrawal_deletes_the_vote_and_shows_the_ballot(wiki, results):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea")
    page = await wiki.open(poll)
    response = await page.fetch("vote", "DELETE")
    assert 'id="poll-ballot"' in response.json()["html"]
    assert results((await page.fetch("view?part=results")).json()["html"])["Tea"] == "0%, 0 votes"


async def test_withdrawal_without_a_vote_changes_nothing(wiki):
    page = await wiki.open(await wiki.make())
    assert (await page.fetch("vote", "DELETE")).status_code == 200


async def test_votes_of_concurrent_voters_all_count(wiki, results):
    poll = await wiki.make()
    answers = await asyncio.gather(*(wiki.vote(poll, "Tea", account=f"voter-{number}") for number in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert results((await wiki.open(poll, "voter-0")).text)["Tea"] == "100%, 8 votes"


async def test_vote_cast_twice_concurrently_counts_once(wiki, results):
    poll = await wiki.make()
    answers = await asyncio.gather(wiki.vote(poll, "Tea"), wiki.vote(poll, "Coffee"))
    assert {answer.status_code for answer in answers} == {200}
    counts = results((await wiki.open(poll)).text)
    assert sorted(counts.values()) == ["0%, 0 votes", "100%, 1 vote"]


async def test_vote_of_an_anonymous_reader_is_refused(wiki):
    assert (await wiki.vote(await wiki.make(), "Tea", account=None)).status_code == 401


async def test_withdrawal_of_an_anonymous_reader_is_refused(wiki):
    page = await wiki.open(await wiki.make(), account=None)
    assert (await page.fetch("vote", "DELETE")).status_code == 401


async def test_vote_after_closing_is_refused(wiki, let_close, key_of):
    poll = await wiki.make(closes_at="2030-01-01T10:00:00Z")
    page = await wiki.open(poll)
    await let_close(poll)
    response = await page.fetch("vote", "PUT", {"choices": [key_of("Tea")]})
    assert (response.status_code, response.json()["error"]) == (
        409,
        "this poll is closed",
    )


async def test_withdrawal_after_closing_is_refused(wiki, let_close):
    poll = await wiki.make(closes_at="2030-01-01T10:00:00Z")
    await wiki.vote(poll, "Tea")
    await let_close(poll)
    assert (await (await wiki.open(poll)).fetch("vote", "DELETE")).status_code == 409


async def test_vote_without_a_choice_is_refused(wiki):
    response = await wiki.vote(await wiki.make())
    assert (response.status_code, response.json()["error"]) == (
        400,
        "choose an option, or withdraw your vote",
    )


async def test_vote_for_two_options_is_refused_in_a_poll_of_one_choice(wiki):
    response = await wiki.vote(await wiki.make(), "Tea", "Coffee")
    assert (response.status_code, response.json()["error"]) == (400, "choose one option only")


async def test_vote_for_an_unknown_option_is_refused(wiki):
    response = await wiki.vote(await wiki.make(), "Water")
    assert (response.status_code, response.json()["error"]) == (
        409,
        "the options of this poll have changed; check them and vote again",
    )


async def test_vote_goes_to_the_poll_of_the_page_and_not_of_the_body(wiki, key_of, results):
    mine, other = await wiki.make(), await wiki.make(draft=key_of("another"))
    page = await wiki.open(mine)
    await page.fetch("vote", "PUT", {"choices": [key_of("Tea")], "poll": other})
    assert results((await wiki.open(other, account=None)).text)["Tea"] == "0%, 0 votes"


async def test_vote_from_the_editor_page_is_refused(wiki, key_of):
    page = await wiki.open(await wiki.make(), "author", "editor")
    assert (await page.fetch("vote", "PUT", {"choices": [key_of("Tea")]})).status_code == 401


async def test_vote_for_a_deleted_poll_is_refused(wiki, key_of):
    page = await wiki.open("0" * 32)
    response = await page.fetch("vote", "PUT", {"choices": [key_of("Tea")]})
    assert (response.status_code, response.json()["error"]) == (404, "this poll was deleted")


async def test_votes_of_two_sites_are_counted_separately(wiki, other_wiki, results):
    poll, other = await wiki.make(), await other_wiki.make()
    await wiki.vote(poll, "Tea")
    await other_wiki.vote(other, "Coffee")
    assert results((await wiki.open(poll)).text) == {"Tea": "100%, 1 vote", "Coffee": "0%, 0 votes"}
    assert results((await other_wiki.open(other)).text) == {"Tea": "0%, 0 votes", "Coffee": "100%, 1 vote"}


async def test_poll_of_another_site_cannot_be_changed(wiki, other_wiki):
    poll = await wiki.make()
    response = await other_wiki.save(poll, revision=1, question="Mine now")
    assert response.json()["poll"] != poll
    assert "Mine now" not in (await wiki.open(poll)).text


async def test_attack_24_who_may_not_read_the_page_does_not_vote(host, wiki, results, key_of):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea")
    host.rest.resources.deny("read", "stranger")
    page = await wiki.open(poll, "stranger")
    response = await page.fetch("vote", "PUT", {"choices": [key_of("Coffee")]})
    sentence = "your vote was not counted because you do not have access to this page"
    assert (response.status_code, response.json()["error"]) == (403, sentence)
    assert (await page.fetch("vote", "DELETE")).status_code == 403
    assert results((await wiki.open(poll)).text) == {"Tea": "100%, 1 vote", "Coffee": "0%, 0 votes"}


async def test_permission_is_checked_for_the_signed_page(host, wiki, key_of):
    page = await wiki.open(await wiki.make(), content={"id": "98360"})
    await page.fetch("vote", "PUT", {"choices": [key_of("Tea")], "content_id": "1"})
    [call] = [call for call in host.rest.requests if call.path.endswith("/permission/check")]
    assert call.path == "/rest/api/content/98360/permission/check"


async def test_vote_in_a_page_that_was_never_saved_is_refused(wiki, key_of):
    page = await wiki.open(await wiki.make(), content={})
    response = await page.fetch("vote", "PUT", {"choices": [key_of("Tea")]})
    sentence = "this page has not been saved yet; you can vote after it is saved"
    assert (response.status_code, response.json()["error"]) == (409, sentence)


async def test_vote_is_refused_while_confluence_is_unavailable(host, wiki, results, key_of):
    poll = await wiki.make()
    page = await wiki.open(poll, "late")
    host.rest.sites.clear()
    assert (await page.fetch("vote", "PUT", {"choices": [key_of("Tea")]})).status_code == 502
    assert results((await wiki.open(poll, account=None)).text)["Tea"] == "0%, 0 votes"


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("content_id", ["98347", "att98347", "1", "999999999999999999"])
async def test_vote_on_a_page_that_the_app_may_not_see_is_refused_with_a_reason(wiki, status, content_id):
    poll = await wiki.make()
    wiki.host.rest.answer("POST", "/rest/api/content/*/permission/check", {"message": "hidden"}, status=status)
    page = await wiki.open(poll, content={"id": content_id})
    answer = await page.fetch("vote", "PUT", {"choices": []})
    assert answer.status_code == 403
    assert "this app may not see this page" in answer.text
    assert (await page.fetch("vote", "DELETE")).status_code == 403


async def test_vote_of_a_reader_without_access_is_refused(wiki):
    poll = await wiki.make()
    wiki.host.rest.resources.deny("read", "reader")
    answer = await wiki.vote(poll, "Tea")
    assert answer.status_code == 403
    assert "you do not have access to this page" in answer.text


ODD_IDS = ["AB-1", "9" * 30, "\uff11\uff12", "x" * 65, "x" * 128, "x" * 129, "1 2", "1\0", "a/b", "-1"]


@pytest.mark.parametrize("content_id", ODD_IDS)
@pytest.mark.parametrize("part", [None, "editor", "renderModes.pdf"])
async def test_signed_id_of_an_unexpected_form_is_never_a_server_error(wiki, content_id, part):
    poll = await wiki.make()
    page = await wiki.open(poll, part=part, content={"id": content_id})
    assert page.status in (200, 400)
    if page.status == 200 and part is None:
        assert (await page.fetch("view")).status_code == 200
        assert (await page.fetch("vote", "PUT", {"choices": []})).status_code == 400
        assert (await page.fetch("vote", "DELETE")).status_code == 400
