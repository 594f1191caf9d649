"""What the simulated products show, and the signed URLs behind their frames."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from addonkit_sandbox.places import issue_panels, page_panels

CONTEXT = {"issue.key": "DEMO-42", "issue.id": "10042"}
PAGE = "/wiki/spaces/SHOP/pages/98347"


async def text_of(answer):
    assert answer.status_code == 200
    return (await answer.get_data()).decode()


def query_of(answer):
    return parse_qs(urlsplit(answer["url"]).query)


async def resolve(ask, key="contents", cp="", context=CONTEXT, **headers):
    answer = await ask(
        f"{cp}/plugins/servlet/ac/com.example.test/{key}", "POST", headers, json={"productContext": context}
    )
    assert answer.status_code == 200
    return await answer.get_json()


@pytest.mark.parametrize("key", ["contents", "glance", "context", "right"])
async def test_issue_shows_every_panel_of_the_descriptor(ask, key):
    assert f'data-module="{key}"' in await text_of(await ask("/browse/DEMO-42"))


def test_web_panels_are_shown_in_the_product_of_their_location(simulation):
    assert [place.key for place in page_panels(simulation.descriptor)] == ["footer"]
    assert [place.key for place in issue_panels(simulation.descriptor) if place.is_sidebar_panel()] == [
        "glance",
        "context",
        "right",
    ]


@pytest.mark.parametrize(
    "path",
    ["/", PAGE, f"{PAGE}?edit=1", f"{PAGE}/export/pdf", "/atlassian-connect/all.js", "/wiki/atlassian-connect/all.js"],
)
async def test_screen_is_served(ask, path):
    assert await text_of(await ask(path))


@pytest.mark.parametrize(
    "path", ["/browse/NONE-1", "/wiki/spaces/SHOP/pages/1", f"{PAGE}/export/odt", "/plugins/servlet/ac/other/configure"]
)
async def test_unknown_issue_page_or_module_is_not_found(ask, path):
    assert (await ask(path)).status_code == 404


@pytest.mark.parametrize(("path", "product"), [("/none", "Jira"), ("/wiki/none", "Confluence")])
async def test_unknown_address_shows_a_screen_with_a_link_to_the_start_page(ask, path, product):
    text = (await (await ask(path)).get_data()).decode()
    assert re.search(rf"<title>Page not found . simulated {product}</title>", text)
    assert "If a plugin is turned off, its pages are gone too." in text
    assert '<a class="button" href="/">' in text


async def test_change_at_an_unknown_address_is_refused_with_json(ask):
    answer = await ask("/wiki/sandbox/pages/1/macros", "PUT", json={"key": "poll"})
    assert answer.status_code == 404
    assert await answer.get_json() == {"error": "there is nothing at '/wiki/sandbox/pages/1/macros'"}


@pytest.mark.parametrize("site", ["", "/wiki"])
async def test_manage_apps_shows_the_licence_of_the_switch(ask, site):
    text = await text_of(await ask(f"{site}/plugins/servlet/upm", headers={"Cookie": "sandbox-licence=none"}))
    assert "<h1>Manage apps</h1>" in text
    assert '<dd><span class="lozenge warning">None</span></dd>' in text
    assert 'name="licence" data-switch' in text


async def test_screen_before_the_installation_is_unavailable(ask, simulation):
    simulation.descriptor = {}
    assert (await ask("/")).status_code == 503


async def test_anonymous_visitor_can_read_but_not_edit(ask):
    anonymous = {"Cookie": "sandbox-user=anonymous"}
    for path in (PAGE, f"{PAGE}?edit=1"):
        text = await text_of(await ask(path, headers=anonymous))
        assert "?edit=1" not in text
        assert 'id="insert"' not in text
        assert '"editing": false' in text


@pytest.mark.parametrize(("method", "path"), [("PUT", "macros"), ("DELETE", "macros/1")])
async def test_anonymous_visitor_cannot_change_macros(ask, method, path):
    anonymous = {"Cookie": "sandbox-user=anonymous"}
    answer = await ask(f"/wiki/sandbox/pages/98347/{path}", method, anonymous, json={"key": "poll"})
    assert (answer.status_code, await answer.get_json()) == (
        403,
        {"error": "you do not have permission to edit pages"},
    )


@pytest.mark.parametrize(
    ("claimed", "zone"), [("Europe/Vienna", "Europe/Vienna"), ("Etc/GMT+2", "Etc/GMT+2"), ("<b>", "UTC"), ("", "UTC")]
)
async def test_time_zone_of_the_user_is_the_browser_s(ask, claimed, zone):
    cookie = f"sandbox-zone={claimed}"
    assert (await resolve(ask, Cookie=cookie))["options"]["user"]["timeZone"] == zone
    answer = await ask("/rest/api/3/myself", headers={"AP-Client-Key": "com.example.test", "Cookie": cookie})
    assert (await answer.get_json())["timeZone"] == zone


async def test_module_that_is_no_list_has_a_page(ask):
    assert 'data-module="configure"' in await text_of(await ask("/plugins/servlet/ac/com.example.test/configure"))


async def test_frame_url_has_the_host_variables(ask):
    answer = await resolve(ask)
    assert answer["url"].startswith("http://localhost:8000/contents?key=DEMO-42&xdm_e=http%3A%2F%2F127.0.0.1%3A9000")


async def test_licence_in_the_frame_url_follows_the_switch(ask):
    assert query_of(await resolve(ask))["lic"] == ["active"]
    assert query_of(await resolve(ask, Cookie="sandbox-licence=none"))["lic"] == ["none"]


async def test_switch_with_an_unknown_value_is_the_first_choice(ask):
    assert query_of(await resolve(ask, Cookie="sandbox-licence=paid"))["lic"] == ["active"]


async def test_switch_is_stored_in_a_cookie(ask):
    answer = await ask(
        "/sandbox/visitor", "POST", {"Referer": "http://127.0.0.1:9000/browse/DEMO-42"}, form={"user": "sam"}
    )
    assert (answer.status_code, answer.location) == (302, "/browse/DEMO-42")
    assert answer.headers["Set-Cookie"].startswith("sandbox-user=sam; ")


async def test_editor_frame_is_a_part_of_its_macro(ask):
    answer = await resolve(ask, "poll__editor", "/wiki", {"poll": "7"})
    assert urlsplit(answer["url"]).path == "/editor"
    assert (query_of(answer)["poll"], query_of(answer)["cp"]) == (["7"], ["/wiki"])


async def test_frame_of_an_unknown_module_is_not_found(ask):
    answer = await ask("/plugins/servlet/ac/com.example.test/nothing", "POST", json={})
    assert answer.status_code == 404
    assert "no module 'nothing'" in (await answer.get_json())["error"]


async def test_macro_is_stored_on_its_page_and_can_be_removed(ask, simulation):
    answer = await ask("/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll", "parameters": {"poll": "7"}})
    macro = await answer.get_json()
    assert (macro["context"]["poll"], macro["context"]["macro.id"]) == ("7", macro["id"])
    assert [held.id for held in simulation.state.macros["98347"]] == [macro["id"]]
    await ask(f"/wiki/sandbox/pages/98347/macros/{macro['id']}", "DELETE")
    assert simulation.state.macros["98347"] == []


async def test_macro_parameter_cannot_replace_a_host_variable(ask):
    answer = await ask(
        "/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll", "parameters": {"content.id": "1"}}
    )
    assert (await answer.get_json())["context"]["content.id"] == "98347"


async def test_export_omits_a_macro_without_static_output(ask):
    await ask("/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll"})
    assert "does not declare" in await text_of(await ask(f"{PAGE}/export/word"))
