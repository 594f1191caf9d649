"""A site on which the add-on is disabled, and the screen that enables and disables it."""

import re

import httpx2
import pytest

PAGE = "/wiki/spaces/SHOP/pages/98347"
OFF = [("disabled", "Test is disabled in Confluence"), ("uninstalled", "Test is uninstalled from Confluence")]


async def text_of(answer):
    return (await answer.get_data()).decode()


@pytest.mark.parametrize(("event", "sentence"), OFF)
async def test_disabled_add_on_is_not_shown_and_the_screen_says_why(ask, simulation, event, sentence):
    simulation.events["confluence"] = event
    for path in (PAGE, "/wiki/plugins/servlet/ac/com.example.test/configure"):
        text = await text_of(await ask(path))
        assert "data-module=" not in text
        assert sentence in text


async def test_macros_of_a_disabled_add_on_are_stored_and_not_shown(ask, simulation):
    await ask("/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll"})
    simulation.events["confluence"] = "disabled"
    assert '"macros": []' in await text_of(await ask(PAGE))
    assert "declares no" not in await text_of(await ask(f"{PAGE}/export/pdf"))
    assert len(simulation.state.macros["98347"]) == 1


async def test_disabled_add_on_is_shown_on_the_other_site(ask, simulation):
    simulation.events["confluence"] = "disabled"
    text = await text_of(await ask("/browse/DEMO-42"))
    assert 'data-module="contents"' in text
    assert "is disabled on" not in text


async def test_frame_of_a_disabled_add_on_is_refused_with_the_reason(ask, simulation):
    simulation.events["jira"] = "disabled"
    answer = await ask("/plugins/servlet/ac/com.example.test/contents", "POST", json={})
    assert (answer.status_code, await answer.get_json()) == (404, {"error": "Test is disabled in Jira"})


@pytest.mark.parametrize("event", ["enabled", "disabled", "uninstalled"])
async def test_lifecycle_event_without_an_url_takes_place_without_a_request(simulation, event):
    simulation.descriptor = {**simulation.descriptor, "lifecycle": {"installed": "/installed"}}
    assert await simulation.notify("jira", event) == 204
    assert simulation.events["jira"] == event


async def test_lifecycle_event_with_an_url_is_sent(simulation):
    simulation.descriptor = {**simulation.descriptor, "baseUrl": "http://127.0.0.1:1"}
    with pytest.raises(httpx2.ConnectError):
        await simulation.notify("jira", "enabled")
    assert "jira" not in simulation.events


@pytest.mark.parametrize(
    ("event", "possible"),
    [
        (None, {"installed"}),
        ("installed", {"installed", "enabled", "disabled", "uninstalled"}),
        ("enabled", {"installed", "disabled", "uninstalled"}),
        ("disabled", {"installed", "enabled", "uninstalled"}),
        ("uninstalled", {"installed"}),
    ],
)
async def test_lifecycle_buttons_are_enabled_for_possible_events_only(ask, simulation, event, possible):
    if event:
        simulation.events.update(jira=event, confluence=event)
    buttons = re.findall(r'name="event" value="(\w+)" (disabled)?>', await text_of(await ask("/")))
    assert len(buttons) == 8
    assert {name for name, disabled in buttons if not disabled} == possible
