"""The page with its scripts, in a browser whose requests are all routed to the add-on in this process."""

import asyncio

import pytest

from tests.support.chromium import fulfill

HOST_SCRIPT = "window.AP = { context: {} };"


@pytest.fixture
async def browser(chromium):
    """A new Chromium context without cookies and storage."""
    context = await chromium.new_context(viewport={"width": 680, "height": 600})
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
        await tab.wait_for_selector("#checklist-new:enabled")
        return tab

    yield show_it
    assert errors == []


async def texts_in(tab):
    return await tab.eval_on_selector_all(".checklist-text", "found => found.map(one => one.textContent)")


async def become(read, wanted):
    """Poll until ``read()`` returns the wanted value; fail after a minute."""
    for _ in range(1200):
        if await read() == wanted:
            return
        await asyncio.sleep(0.05)
    assert await read() == wanted


async def test_item_that_is_typed_is_shown_and_stored(page, show, texts):
    tab = await show(page)
    await tab.fill("#checklist-new", "Buy paint")
    await tab.keyboard.press("Enter")
    await tab.get_by_text("Added “Buy paint”").wait_for()
    assert await texts_in(tab) == await texts(page) == ["Buy paint"]
    assert await tab.input_value("#checklist-new") == ""


async def test_text_that_is_refused_stays_in_its_field(page, show):
    tab = await show(page)
    await tab.fill("#checklist-new", "x" * 501)
    await tab.keyboard.press("Enter")
    await tab.get_by_text("An item can have up to 500 characters, and this one has 501. Shorten it.").wait_for()
    assert await tab.input_value("#checklist-new") == "x" * 501


async def test_tick_is_undone_if_the_server_cannot_be_reached(page, show, add):
    await add(page, "One")
    tab = await show(page)
    await tab.route("**/items/*/done", lambda route: route.abort())
    await tab.get_by_role("checkbox", name="One").click()
    await tab.get_by_text(
        "Nothing was saved: the server cannot be reached. Check your connection and try again."
    ).wait_for()
    assert not await tab.get_by_role("checkbox", name="One").is_checked()


async def test_edit_conflict_keeps_the_typed_text_and_shows_the_current_one(page, show, add, texts):
    item = await add(page, "One")
    tab = await show(page)
    await tab.get_by_label("Edit: One").click(force=True)
    await tab.get_by_label("Text of the item").fill("Mine")
    await page.fetch(f"items/{item['id']}/text", method="PUT", json={"version": 1, "text": "Theirs"})
    await tab.keyboard.press("Enter")
    await tab.get_by_text("Somebody changed this item to “Theirs”").wait_for()
    assert await tab.get_by_label("Text of the item").input_value() == "Mine"
    await tab.keyboard.press("Enter")
    await tab.get_by_label("Text of the item").wait_for(state="detached")
    assert await texts(page) == ["Mine"]


async def test_edit_of_an_item_ticked_meanwhile_succeeds(page, show, add, texts):
    item = await add(page, "One")
    tab = await show(page)
    await tab.get_by_label("Edit: One").click(force=True)
    await tab.get_by_label("Text of the item").fill("Mine")
    await page.fetch(f"items/{item['id']}/done", method="PUT", json={"version": 1, "done": True})
    await tab.keyboard.press("Enter")
    await tab.get_by_label("Text of the item").wait_for(state="detached")
    assert await texts(page) == ["Mine"]


async def test_refresh_keeps_texts_that_are_being_edited(page, show, add):
    item = await add(page, "One", "Two")
    tab = await show(page)
    await tab.get_by_label("Edit: Two").click(force=True)
    await tab.keyboard.type(" and more")
    await add(page, "Three")
    await page.fetch(f"items/{item['id']}/place", method="PUT", json={"version": 1, "before": item["id"] - 1})
    await tab.evaluate("window.dispatchEvent(new Event('focus'))")
    await tab.get_by_text("Three").wait_for()
    assert await texts_in(tab) == ["Two", "One", "Three"]
    assert await tab.evaluate("document.activeElement.value") == "Two and more"


async def test_alt_with_an_arrow_key_moves_the_item_and_keeps_the_focus(page, show, add, texts):
    await add(page, "One", "Two", "Three")
    tab = await show(page)
    await tab.get_by_role("checkbox", name="Three").focus()
    await tab.keyboard.press("Alt+ArrowUp")
    await tab.keyboard.press("Alt+ArrowUp")
    await tab.get_by_text("Moved “Three” to place 1 of 3").wait_for()
    assert (
        await tab.evaluate("document.activeElement.closest('li').querySelector('.checklist-text').textContent")
        == "Three"
    )
    await become(lambda: texts(page), ["Three", "One", "Two"])


async def test_item_is_dragged_by_its_grip(page, show, add, texts):
    await add(page, "One", "Two", "Three")
    tab = await show(page)
    grip = await tab.locator(".checklist-grip").first.bounding_box()
    last = await tab.locator(".checklist-row").last.bounding_box()
    await tab.mouse.move(grip["x"] + 8, grip["y"] + 8)
    await tab.mouse.down()
    await tab.mouse.move(grip["x"] + 8, last["y"] + last["height"] - 2, steps=5)
    await tab.mouse.up()
    await tab.get_by_text("Moved “One” to place 3 of 3").wait_for()
    await become(lambda: texts(page), ["Two", "Three", "One"])
    assert await texts_in(tab) == ["Two", "Three", "One"]


async def test_focus_moves_to_the_next_item_after_a_removal(page, show, add, texts):
    await add(page, "One", "Two")
    tab = await show(page)
    await tab.get_by_label("Remove: One").focus()
    await tab.keyboard.press("Enter")
    await tab.get_by_text("Removed “One”").wait_for()
    assert await tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove: Two"
    assert await texts(page) == ["Two"]


async def test_removed_item_is_put_back_at_its_place(page, show, add, texts):
    await add(page, "One", "Two")
    tab = await show(page)
    await tab.get_by_label("Remove: One").click(force=True)
    await tab.get_by_role("button", name="Put back").click()
    await tab.get_by_text("Added “One”").wait_for()
    assert await texts(page) == ["One", "Two"]


async def test_hide_done_is_stored(page, show, add):
    await add(page, "One", "Two")
    tab = await show(page)
    await tab.get_by_role("checkbox", name="One").check()
    await tab.get_by_role("button", name="Hide done").click()
    assert not await tab.get_by_role("checkbox", name="One").is_visible()
    again = await show(page)
    await again.get_by_text("1 done item is hidden").wait_for()


async def test_paste_adds_one_item_for_each_line(page, show, texts):
    tab = await show(page)
    await tab.focus("#checklist-new")
    await tab.evaluate(
        """() => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", "One\\n\\nTwo\\r\\nThree");
            const paste = new ClipboardEvent("paste", { clipboardData, cancelable: true, bubbles: true });
            document.activeElement.dispatchEvent(paste);
        }"""
    )
    await tab.get_by_text("Added “Three”").wait_for()
    assert await texts(page) == ["One", "Two", "Three"]


async def test_item_text_is_never_markup(page, show, add):
    await add(page, "<img src=x onerror=alert(1)>")
    tab = await show(page)
    assert await texts_in(tab) == ["<img src=x onerror=alert(1)>"]
    assert await tab.locator("li img[src=x]").count() == 0
