"""Static output of a poll, which the host requests for print and mail."""

from xml.etree import ElementTree

import pytest

MODES = ["pdf", "word", "email", "default"]


@pytest.mark.parametrize("mode", MODES)
async def test_static_output_shows_question_options_counts_and_percentages(wiki, mode):
    poll = await wiki.make("Tea", "Coffee", question="What shall we drink?")
    await wiki.vote(poll, "Tea")
    page = await wiki.open(poll, account=None, part=f"renderModes.{mode}")
    cells = [cell.text for cell in ElementTree.fromstring(page.text).iter("td")]
    assert "What shall we drink?" in page.text
    assert cells == ["Tea", "1", "100%", "Coffee", "0", "0%"]


@pytest.mark.parametrize("mode", ["pdf", "word"])
async def test_static_output_explains_percentages_over_100(wiki, mode):
    poll = await wiki.make(several=True)
    await wiki.vote(poll, "Tea", "Coffee")
    page = await wiki.open(poll, account=None, part=f"renderModes.{mode}")
    assert "1 voter. Voters can choose several options, so percentages can add up to more than 100%." in page.text


async def test_static_output_has_no_scripts(wiki):
    page = await wiki.open(await wiki.make(), account=None, part="renderModes.pdf")
    assert not any(word in page.text for word in ("<script", "<link", "<meta", "<button", "class="))


async def test_static_output_escapes_texts(wiki):
    poll = await wiki.make("<script>alert(1)</script>", 'Coffee & "cake"', question="</strong><b>'x'")
    page = await wiki.open(poll, account=None, part="renderModes.word")
    root = ElementTree.fromstring(page.text)
    assert root.find("p/strong").text == "</strong><b>'x'"
    assert not list(root.iter("script"))


async def test_static_output_shows_the_closing_time(wiki, let_close):
    poll = await wiki.make(closes_at="2030-01-01T10:00:00Z")
    await let_close(poll)
    page = await wiki.open(poll, account=None, part="renderModes.pdf")
    assert "Closed on 2026-01-02, 15:00 UTC" in page.text


async def test_static_output_of_a_deleted_poll_says_so(wiki):
    page = await wiki.open("0" * 32, account=None, part="renderModes.email")
    assert (page.status, page.text.strip()) == (200, "<p>This poll was deleted.</p>")


async def test_static_output_requires_a_signed_request(host, wiki):
    await wiki.make()
    assert (await host.request("GET", "/macro/static_poll?poll=1")).status_code == 401
