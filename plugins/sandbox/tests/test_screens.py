"""What the simulated products show, and the signed URLs behind their frames."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from addonkit_sandbox.places import on_document, on_issue

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
async def test_an_issue_shows_every_panel_of_the_descriptor(ask, key):
    assert f'data-module="{key}"' in await text_of(await ask("/browse/DEMO-42"))


def test_panels_stand_in_the_product_that_they_name(simulation):
    assert [place.key for place in on_document(simulation.descriptor)] == ["footer"]
    assert [place.key for place in on_issue(simulation.descriptor) if place.is_beside_an_issue()] == [
        "glance",
        "context",
        "right",
    ]


@pytest.mark.parametrize(
    "path",
    ["/", PAGE, f"{PAGE}?edit=1", f"{PAGE}/export/pdf", "/atlassian-connect/all.js", "/wiki/atlassian-connect/all.js"],
)
async def test_each_screen_is_there(ask, path):
    assert await text_of(await ask(path))


@pytest.mark.parametrize(
    "path", ["/browse/NONE-1", "/wiki/spaces/SHOP/pages/1", f"{PAGE}/export/odt", "/plugins/servlet/ac/other/configure"]
)
async def test_what_is_not_there_is_not_found(ask, path):
    assert (await ask(path)).status_code == 404


@pytest.mark.parametrize(("path", "product"), [("/none", "Jira"), ("/wiki/none", "Confluence")])
async def test_an_unknown_address_is_a_screen_that_leads_to_the_start(ask, path, product):
    text = (await (await ask(path)).get_data()).decode()
    assert re.search(rf"<title>No such page . simulated {product}</title>", text)
    assert "A plugin that is switched off takes its pages along" in text
    assert '<a class="button" href="/">' in text


async def test_a_change_at_an_unknown_address_is_refused_in_a_sentence(ask):
    answer = await ask("/wiki/sandbox/pages/1/macros", "PUT", json={"key": "poll"})
    assert answer.status_code == 404
    assert await answer.get_json() == {"error": "there is nothing at '/wiki/sandbox/pages/1/macros'"}


@pytest.mark.parametrize("site", ["", "/wiki"])
async def test_manage_apps_tells_the_licence_that_the_switch_sets(ask, site):
    text = await text_of(await ask(f"{site}/plugins/servlet/upm", headers={"Cookie": "sandbox-licence=none"}))
    assert "<h1>Manage apps</h1>" in text
    assert '<dd><span class="lozenge warning">None</span></dd>' in text
    assert 'name="licence" data-switch' in text


async def test_a_screen_before_the_installation_says_to_wait(ask, simulation):
    simulation.descriptor = {}
    assert (await ask("/")).status_code == 503


async def test_an_anonymous_visitor_reads_and_does_not_edit(ask):
    anonymous = {"Cookie": "sandbox-user=anonymous"}
    for path in (PAGE, f"{PAGE}?edit=1"):
        text = await text_of(await ask(path, headers=anonymous))
        assert "?edit=1" not in text
        assert 'id="insert"' not in text
        assert '"editing": false' in text


@pytest.mark.parametrize(("method", "path"), [("PUT", "macros"), ("DELETE", "macros/1")])
async def test_a_change_by_an_anonymous_visitor_is_refused(ask, method, path):
    anonymous = {"Cookie": "sandbox-user=anonymous"}
    answer = await ask(f"/wiki/sandbox/pages/98347/{path}", method, anonymous, json={"key": "poll"})
    assert (answer.status_code, await answer.get_json()) == (
        403,
        {"error": "you may not edit pages"},
    )


@pytest.mark.parametrize(
    ("told", "zone"), [("Europe/Vienna", "Europe/Vienna"), ("Etc/GMT+2", "Etc/GMT+2"), ("<b>", "UTC"), ("", "UTC")]
)
async def test_the_user_s_time_zone_is_the_browser_s(ask, told, zone):
    cookie = f"sandbox-zone={told}"
    assert (await resolve(ask, Cookie=cookie))["options"]["user"]["timeZone"] == zone
    answer = await ask("/rest/api/3/myself", headers={"AP-Client-Key": "com.example.test", "Cookie": cookie})
    assert (await answer.get_json())["timeZone"] == zone


async def test_a_single_module_has_a_page_of_its_own(ask):
    assert 'data-module="configure"' in await text_of(await ask("/plugins/servlet/ac/com.example.test/configure"))


async def test_a_frame_points_to_the_module_for_what_is_looked_at(ask):
    answer = await resolve(ask)
    assert answer["url"].startswith("http://localhost:8000/contents?key=DEMO-42&xdm_e=http%3A%2F%2F127.0.0.1%3A9000")


async def test_the_licence_follows_the_switch(ask):
    assert query_of(await resolve(ask))["lic"] == ["active"]
    assert query_of(await resolve(ask, Cookie="sandbox-licence=none"))["lic"] == ["none"]


async def test_a_value_that_is_no_choice_is_the_first_choice(ask):
    assert query_of(await resolve(ask, Cookie="sandbox-licence=paid"))["lic"] == ["active"]


async def test_a_switch_is_kept_by_the_browser(ask):
    answer = await ask(
        "/sandbox/visitor", "POST", {"Referer": "http://127.0.0.1:9000/browse/DEMO-42"}, form={"user": "sam"}
    )
    assert (answer.status_code, answer.location) == (302, "/browse/DEMO-42")
    assert answer.headers["Set-Cookie"].startswith("sandbox-user=sam; ")


async def test_an_editor_is_a_part_of_its_macro(ask):
    answer = await resolve(ask, "poll__editor", "/wiki", {"poll": "7"})
    assert urlsplit(answer["url"]).path == "/editor"
    assert (query_of(answer)["poll"], query_of(answer)["cp"]) == (["7"], ["/wiki"])


async def test_a_frame_of_an_unknown_module_is_not_found_with_a_sentence(ask):
    answer = await ask("/plugins/servlet/ac/com.example.test/nothing", "POST", json={})
    assert answer.status_code == 404
    assert "no module 'nothing'" in (await answer.get_json())["error"]


async def test_a_macro_stays_on_its_page_and_can_be_taken_off(ask, simulation):
    answer = await ask("/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll", "parameters": {"poll": "7"}})
    macro = await answer.get_json()
    assert (macro["context"]["poll"], macro["context"]["macro.id"]) == ("7", macro["id"])
    assert [held.id for held in simulation.state.macros["98347"]] == [macro["id"]]
    await ask(f"/wiki/sandbox/pages/98347/macros/{macro['id']}", "DELETE")
    assert simulation.state.macros["98347"] == []


async def test_a_macro_s_parameter_cannot_pose_as_the_page(ask):
    answer = await ask(
        "/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll", "parameters": {"content.id": "1"}}
    )
    assert (await answer.get_json())["context"]["content.id"] == "98347"


async def test_a_macro_that_renders_nothing_statically_is_left_out_of_an_export(ask):
    await ask("/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll"})
    assert "declares no" in await text_of(await ask(f"{PAGE}/export/word"))
