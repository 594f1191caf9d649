"""The poll and its editor with their scripts, in a browser whose requests are all answered by this process."""

import pytest

from tests.support.chromium import fulfill

HOST_SCRIPT = """
window.seen = { submit: [], macro: window.macroData, saved: [] };
seen.whenClosed = new Promise((resolve) => { seen.close = resolve; });
window.AP = {
  context: {},
  dialog: { disableCloseOnSubmit() { seen.keepsOpen = true; }, getButton: () => ({ enable() {}, disable() {} }) },
  events: { on: (name, callback) => name === "dialog.submit" && seen.submit.push(callback) },
  confluence: {
    getMacroData: (callback) => callback(seen.macro),
    saveMacro: (parameters) => seen.saved.push(parameters),
    closeMacroEditor: () => seen.close(),
  },
};
"""
CLICK_TWICE = "() => seen.submit.forEach((callback) => { callback(); callback(); })"


@pytest.fixture
async def browser(chromium):
    """A new Chromium context with a narrow viewport and the time zone of Vienna, without cookies and storage."""
    context = await chromium.new_context(viewport={"width": 320, "height": 600}, timezone_id="Europe/Vienna")
    yield context
    await context.close()


@pytest.fixture
def show(browser):
    """Open a page in a new tab of the browser; an error of its scripts fails the test."""
    errors = []

    async def show_it(page):
        tab = await browser.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        await tab.route("**/*", lambda route: fulfill(page, route, HOST_SCRIPT))
        await tab.goto(page.url)
        return tab

    yield show_it
    assert errors == []


async def test_poll_is_edited_by_keyboard_and_saved_once(wiki, show):
    tab = await show(await wiki.open("", "author", "editor"))
    for key in ("Tea or coffee?", "Tab", "Tea", "Enter", "Water", "Enter", "Coffee", "Alt+ArrowUp"):
        await (tab.keyboard.press(key) if key in ("Tab", "Enter", "Alt+ArrowUp") else tab.keyboard.type(key))
    await tab.evaluate(CLICK_TWICE)
    await tab.evaluate("() => seen.whenClosed")
    [saved] = await tab.evaluate("seen.saved")
    page = await wiki.open(saved["poll"])
    assert page.text.index(">Tea<") < page.text.index(">Coffee<") < page.text.index(">Water<")


async def test_error_is_shown_beside_its_field(wiki, show):
    tab = await show(await wiki.open("", "author", "editor"))
    await tab.evaluate(CLICK_TWICE)
    await tab.get_by_text("Enter a question").wait_for()
    assert await tab.get_attribute("#question", "aria-invalid") == "true"
    assert await tab.evaluate("document.activeElement.id") == "question"


async def test_errors_are_counted_above_the_form(wiki, show):
    tab = await show(await wiki.open("", "author", "editor"))
    await tab.evaluate(CLICK_TWICE)
    await tab.get_by_role("alert").get_by_text("Fix 3 problems to save", exact=True).wait_for()


async def test_error_that_is_single_is_not_counted(wiki, show):
    tab = await show(await wiki.open(await wiki.make(), "author", "editor"))
    await tab.get_by_label("Question").fill("")
    await tab.evaluate(CLICK_TWICE)
    await tab.get_by_text("Enter a question").wait_for()
    assert await tab.locator("#editor-error").is_hidden()


async def test_empty_options_after_the_second_are_omitted(wiki, show):
    tab = await show(await wiki.open("", "author", "editor"))
    for key in ("Tea or coffee?", "Tab", "Tea", "Enter", "Coffee", "Enter"):
        await (tab.keyboard.press(key) if key in ("Tab", "Enter") else tab.keyboard.type(key))
    assert await tab.locator(".editor-option").count() == 3
    await tab.evaluate(CLICK_TWICE)
    await tab.evaluate("() => seen.whenClosed")
    assert len(await tab.evaluate("seen.saved")) == 1


async def test_closing_time_is_shown_with_its_zone(wiki, show):
    tab = await show(await wiki.open(await wiki.make(closes_at="2030-07-01T10:00:00Z")))
    assert await tab.locator("time").text_content() == "Jul 1, 2030, 12:00 PM GMT+2"


async def test_ballot_without_a_choice_says_what_to_do(wiki, show):
    poll = await wiki.make(several=True)
    await wiki.vote(poll, "Tea")
    tab = await show(await wiki.open(poll))
    await tab.get_by_role("button", name="Change vote").click()
    await tab.get_by_role("checkbox", name="Tea").uncheck()
    await tab.get_by_role("button", name="Change vote").click()
    await tab.get_by_text("Choose an option, or withdraw your vote").wait_for()
    await tab.get_by_role("button", name="Withdraw vote").click()
    await tab.get_by_role("button", name="Vote", exact=True).wait_for()


async def test_closing_time_is_entered_in_local_time(wiki, show):
    poll = await wiki.make(closes_at="2030-07-01T10:00:00Z")
    tab = await show(await wiki.open(poll, "author", "editor"))
    assert await tab.input_value("#closes-at") == "2030-07-01T12:00"


async def test_option_with_votes_is_removed_after_confirmation(wiki, show):
    poll = await wiki.make("Tea", "Coffee", "Water")
    await wiki.vote(poll, "Tea")
    tab = await show(await wiki.open(poll, "author", "editor"))
    await tab.get_by_label("Remove option 1").click()
    await tab.get_by_text("deletes its 1 vote when you save").wait_for()
    assert await tab.evaluate("document.activeElement.textContent") == "Keep option"


async def test_editor_does_not_save_if_the_macro_has_another_poll(wiki, browser, show):
    await browser.add_init_script("window.macroData = { poll: 'another' };")
    tab = await show(await wiki.open(await wiki.make(), "author", "editor"))
    await tab.get_by_text("This dialog was opened for a different poll").wait_for()
    await tab.evaluate(CLICK_TWICE)
    assert await tab.evaluate("seen.saved") == []


async def test_vote_by_keyboard_is_announced_and_shown(wiki, show):
    tab = await show(await wiki.open(await wiki.make()))
    await tab.get_by_label("Tea").focus()
    await tab.keyboard.press("Space")
    await tab.keyboard.press("Enter")
    await tab.get_by_text("Your choice").wait_for()
    assert await tab.text_content("#poll-message") == "Your vote was counted."
    assert await tab.evaluate("document.activeElement.id") == "poll-question"


async def test_vote_after_closing_is_explained_and_shows_the_results(wiki, show, let_close):
    poll = await wiki.make(closes_at="2030-01-01T10:00:00Z")
    tab = await show(await wiki.open(poll))
    await let_close(poll)
    await tab.get_by_label("Tea").check()
    await tab.get_by_role("button", name="Vote").click()
    await tab.get_by_text("This poll is closed").wait_for()
    await tab.locator(".poll-results").wait_for()


@pytest.mark.parametrize("part", [None, "editor"])
async def test_poll_fits_320_pixels(wiki, show, part):
    poll = await wiki.make("x" * 120, "W" * 120, question="Donaudampfschifffahrt" * 14)
    tab = await show(await wiki.open(poll, "author", part))
    assert await tab.evaluate("document.documentElement.scrollWidth") == 320
