"""The products' screens in a browser, with the host's real library and empty pages instead of an add-on."""

from pathlib import Path

import pytest
from addonkit.testing import bind, serving
from addonkit_sandbox.bridge import Bridge, BridgeMissing
from addonkit_sandbox.simulation import Simulation
from addonkit_sandbox.state import State
from addonkit_sandbox.web import create_web

PAGE = "/wiki/spaces/SHOP/pages/98347"
SCREENS = ["/", "/browse/DEMO-42", PAGE, f"{PAGE}?edit=1", f"{PAGE}/export/pdf", "/none", "/plugins/servlet/upm"]


@pytest.fixture
async def host(simulation, tmp_path):
    """The simulated host at its address."""
    try:
        bridge = Bridge.find([Path(__file__).parent])
    except BridgeMissing as missing:
        pytest.skip(str(missing))
    with bind() as sock:
        origin = f"http://127.0.0.1:{sock.getsockname()[1]}"
        state = State(tmp_path / "seen", origin)
        held = Simulation(origin, "http://localhost:8000", state, bridge, simulation.descriptor)
        async with serving(create_web(held), sock):
            yield held


@pytest.fixture
async def tab(chromium, host):
    """A browser page with a narrow viewport and the time zone of Vienna; requests to the add-on get an empty page."""
    context = await chromium.new_context(
        viewport={"width": 320, "height": 640}, timezone_id="Europe/Vienna", base_url=host.origin
    )
    page = await context.new_page()
    await page.route("http://localhost:8000/**", lambda route: route.fulfill(body="", content_type="text/html"))
    yield page
    await context.close()


@pytest.mark.parametrize("path", SCREENS)
async def test_screen_fits_320_pixels(tab, path):
    await tab.goto(path)
    widths = "[document.documentElement.scrollWidth, document.querySelector('main').scrollWidth]"
    assert await tab.evaluate(widths) == [320, 320]
    for control in ("Licence", "User", "Dark theme"):
        box = await tab.get_by_label(control).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 320


async def test_navigation_between_products_works_at_320_pixels(tab):
    await tab.goto("/browse/DEMO-42")
    await tab.get_by_role("navigation", name="Products").get_by_role("link", name="Confluence").click()
    await tab.get_by_role("navigation", name="Navigation").get_by_role("link", name="Team handbook").click()
    await tab.get_by_role("heading", name="Team handbook").wait_for()


async def test_enter_inserts_the_only_matching_macro(tab):
    await tab.goto(f"{PAGE}?edit=1")
    await tab.get_by_role("button", name="Insert macro").click()
    search = tab.get_by_label("Search macros")
    await search.fill("nothing")
    await search.press("Enter")
    await search.fill("pol")
    await search.press("Enter")
    await tab.get_by_role("dialog", name="Insert Poll").wait_for()


async def test_time_zone_of_the_browser_is_stored_in_a_cookie(tab):
    await tab.goto("/")
    [cookie] = [held for held in await tab.context.cookies() if held["name"] == "sandbox-zone"]
    assert cookie["value"] == "Europe/Vienna"
