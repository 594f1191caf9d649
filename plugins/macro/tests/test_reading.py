"""What readers see: the ballot, the results, and deleted polls."""

import re

import pytest

SEVERAL = "Voters can choose several options, so percentages can add up to more than 100%."


async def test_ballot_is_shown_to_readers_who_have_not_voted(wiki, key_of):
    page = await wiki.open(await wiki.make("Tea", "Coffee"))
    assert f'<input type="radio" name="choice" value="{key_of("Tea")}">' in page.text


async def test_ballot_options_are_a_group_named_by_the_question(wiki):
    page = await wiki.open(await wiki.make())
    assert page.text.index("<fieldset") < page.text.index("<legend") < page.text.index("Tea or coffee?</legend>")


async def test_ballot_of_several_choices_has_checkboxes(wiki):
    page = await wiki.open(await wiki.make(several=True))
    assert page.text.count('type="checkbox"') == 2


async def test_ballot_shows_no_results(wiki, results):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea", account="somebody else")
    assert results((await wiki.open(poll)).text) == {}


async def test_results_can_be_seen_before_voting(wiki, results):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea", account="somebody else")
    answer = await (await wiki.open(poll)).fetch("view?part=results")
    assert results(answer.json()["html"]) == {"Tea": "100%, 1 vote", "Coffee": "0%, 0 votes"}


async def test_results_show_voters_their_choice(wiki):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea")
    page = await wiki.open(poll)
    assert page.text.index("Tea</span> ") < page.text.index("Your choice") < page.text.index("Coffee</span>")


async def test_ballot_shows_voters_their_choice(wiki, key_of):
    poll = await wiki.make()
    await wiki.vote(poll, "Coffee")
    answer = await (await wiki.open(poll)).fetch("view?part=ballot")
    assert f'value="{key_of("Coffee")}" checked' in answer.json()["html"]


async def test_anonymous_reader_sees_results_and_a_hint_to_log_in(wiki, results):
    page = await wiki.open(await wiki.make(), account=None)
    assert results(page.text).keys() == {"Tea", "Coffee"}
    assert "Log in to vote. You can still see the results." in page.text
    assert "<button" not in page.text


async def test_anonymous_reader_cannot_request_the_ballot(wiki):
    page = await wiki.open(await wiki.make(), account=None)
    assert "<form" not in (await page.fetch("view?part=ballot")).json()["html"]


async def test_percentages_are_of_voters(wiki, results):
    poll = await wiki.make("Tea", "Coffee", several=True)
    await wiki.vote(poll, "Tea", "Coffee", account="one")
    await wiki.vote(poll, "Tea", account="two")
    await wiki.vote(poll, "Tea", account="three")
    page = await wiki.open(poll, "three")
    assert results(page.text) == {"Tea": "100%, 3 votes", "Coffee": "33%, 1 vote"}
    assert f"3 voters. {SEVERAL}" in page.text


async def test_voter_of_several_options_is_counted_once(wiki):
    poll = await wiki.make(several=True)
    await wiki.vote(poll, "Tea", "Coffee")
    assert f"1 voter. {SEVERAL}" in (await wiki.open(poll)).text


async def test_ballot_offers_withdrawal_to_voters_only(wiki):
    poll = await wiki.make()
    assert "Withdraw vote" not in (await wiki.open(poll)).text
    await wiki.vote(poll, "Tea")
    answer = await (await wiki.open(poll)).fetch("view?part=ballot")
    assert "Withdraw vote" in answer.json()["html"]


async def test_closed_poll_shows_results_and_closing_time(wiki, let_close, results):
    poll = await wiki.make(closes_at="2030-01-01T10:00:00Z")
    await let_close(poll)
    page = await wiki.open(poll)
    assert results(page.text).keys() == {"Tea", "Coffee"}
    assert '<span class="ak-lozenge">Closed</span> on <time datetime="2026-01-02T15:00:00Z">' in page.text
    assert "<button" not in page.text


async def test_unknown_poll_is_shown_as_deleted(wiki):
    page = await wiki.open("0" * 32)
    assert (page.status, "This poll was deleted" in page.text) == (200, True)


async def test_macro_without_a_poll_says_what_to_do(wiki):
    assert "Edit this macro to add a question" in (await wiki.open("")).text


async def test_poll_texts_are_never_markup(wiki):
    poll = await wiki.make("<script>alert(1)</script>", "<b>bold</b>", question='<img src=x onerror="alert(1)">')
    for account in ("reader", None):
        page = await wiki.open(poll, account)
        assert "&lt;b&gt;bold&lt;/b&gt;" in page.text
        assert not any(markup in page.text for markup in ("<script>alert", "<b>bold", "<img"))


async def test_copied_page_shows_the_same_poll(wiki, results):
    poll = await wiki.make()
    await wiki.vote(poll, "Tea")
    copy = await wiki.open(poll, content={"id": "99"}, macro={"id": "another"})
    assert results(copy.text)["Tea"] == "100%, 1 vote"


async def test_poll_of_another_site_is_not_found(wiki, other_wiki):
    poll = await wiki.make(question="A secret of the first site")
    page = await other_wiki.open(poll)
    assert "This poll was deleted" in page.text
    assert "secret" not in page.text


LINE = re.compile(r'<li class="poll-line( poll-line--mine)?">(.*?)</li>', re.DOTALL)


def chosen(text):
    """The options that are marked as the reader's choice; a mark is a class and words, never one alone."""
    lines = LINE.findall(text)
    assert len(lines) == 3
    assert all(bool(mine) == ("Your choice" in line) for mine, line in lines)
    return [re.search(r'<span dir="auto">(.*?)</span>', line)[1] for mine, line in lines if mine]


@pytest.mark.parametrize(
    ("several", "votes"),
    [
        (False, ["Tea"]),
        (False, ["Water"]),
        (True, ["Coffee"]),
        (True, ["Tea", "Water"]),
        (True, ["Tea", "Coffee", "Water"]),
    ],
    ids=["first", "last", "middle of several", "two", "all"],
)
async def test_choice_is_shown_on_the_options_that_were_chosen_and_on_no_other(wiki, several, votes):
    poll = await wiki.make("Tea", "Coffee", "Water", several=several)
    await wiki.vote(poll, "Coffee", account="somebody else")
    await wiki.vote(poll, *votes)
    assert chosen((await wiki.open(poll)).text) == votes


async def test_choice_of_others_is_not_shown_as_the_readers(wiki):
    poll = await wiki.make("Tea", "Coffee", "Water")
    await wiki.vote(poll, "Coffee", account="somebody else")
    answer = await (await wiki.open(poll)).fetch("view?part=results")
    assert chosen(answer.json()["html"]) == []
    assert chosen((await wiki.open(poll, account=None)).text) == []
