"""Deleting and restoring issues and pages, with the webhooks that the add-on receives."""

import json

import jwt
import pytest
from addonkit.testing import bind, query_hash, serving

ISSUE, PAGE = "/browse/DEMO-42", "/wiki/spaces/SHOP/pages/98347"
DELETE, REMOVE = "/sandbox/issues/DEMO-42/delete", "/wiki/sandbox/pages/98347/remove"
GONE = [(DELETE, ISSUE, "DEMO-42 was deleted"), (REMOVE, PAGE, "“Release checklist: web shop 4.2” was removed")]
WEBHOOKS = [
    {"event": "jira:issue_deleted", "url": "/webhooks/x/issue?issue_id=${issue.id}"},
    {"event": "page_removed", "url": "/webhooks/x/page"},
]


async def text_of(answer):
    return (await answer.get_data()).decode()


@pytest.fixture
async def addon(simulation):
    """An add-on with webhooks for both events; ``seen`` records its requests, ``status`` is its response."""
    seen = []

    async def app(scope, receive, send):
        body = (await receive()).get("body", b"")
        seen.append((scope["path"], scope["query_string"].decode(), dict(scope["headers"]), body))
        await send({"type": "http.response.start", "status": app.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app.status, app.seen = 204, seen
    with bind() as sock:
        async with serving(app, sock) as url:
            modules = {**simulation.descriptor["modules"], "webhooks": WEBHOOKS}
            simulation.descriptor = {**simulation.descriptor, "baseUrl": url, "modules": modules}
            yield app


@pytest.mark.parametrize(("action", "screen", "title"), GONE)
async def test_deleted_item_is_not_found_and_can_be_restored(ask, action, screen, title):
    assert action in await text_of(await ask(screen))
    answer = await ask(action, "POST")
    assert (answer.status_code, answer.location) == (302, screen)
    gone = await ask(screen)
    assert gone.status_code == 404
    assert f"<h1>{title}</h1>" in await text_of(gone)
    assert "Test has no webhook for this event." in await text_of(gone)
    assert (await ask(action.rpartition("/")[0] + "/restore", "POST")).location == screen
    assert (await ask(screen)).status_code == 200


async def test_deleted_item_is_not_found_by_the_rest_api(ask):
    own = {"AP-Client-Key": "com.example.test"}
    await ask(DELETE, "POST")
    await ask(REMOVE, "POST")
    for path in ("/rest/api/3/issue/DEMO-42", "/rest/api/3/issue/10042", "/wiki/rest/api/content/98347"):
        assert (await ask(path, headers=own)).status_code == 404
    assert (await ask("/rest/api/3/issue/DEMO-57", headers=own)).status_code == 200


async def test_deleted_page_loses_its_macros(ask, simulation):
    await ask("/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll"})
    await ask(REMOVE, "POST")
    assert "98347" not in simulation.state.macros
    assert (await ask("/wiki/sandbox/pages/98347/macros", "PUT", json={"key": "poll"})).status_code == 404
    assert (await ask(f"{PAGE}/export/pdf")).status_code == 404


async def test_deleted_issue_is_sent_to_the_add_on_as_a_signed_webhook(ask, simulation, addon):
    await ask(DELETE, "POST")
    ((path, query, headers, body),) = addon.seen
    site, token = simulation.state.sites["jira"], headers[b"authorization"].decode().removeprefix("JWT ")
    claims = jwt.decode(token, site.shared_secret, algorithms=["HS256"], issuer=site.client_key)
    assert claims["qsh"] == query_hash("POST", path, query)
    assert (path, query) == ("/webhooks/x/issue", "issue_id=10042")
    event = json.loads(body)
    assert (event["webhookEvent"], event["issue"]["key"]) == ("jira:issue_deleted", "DEMO-42")
    assert event["user"]["displayName"] == "Mia Krystof"


async def test_deleted_page_is_sent_to_the_add_on_as_a_webhook(ask, addon):
    await ask(REMOVE, "POST")
    ((path, _, _, body),) = addon.seen
    assert path == "/webhooks/x/page"
    assert json.loads(body)["page"]["id"] == 98347
    assert "Test received the webhook page_removed and responded 204." in await text_of(await ask(PAGE))


async def test_deleted_item_sends_no_second_webhook(ask, addon):
    await ask(DELETE, "POST")
    await ask(DELETE, "POST")
    assert len(addon.seen) == 1


async def test_deleted_screen_shows_how_the_add_on_refused(ask, addon):
    addon.status = 401
    await ask(DELETE, "POST")
    assert "responded 401; see the add-on&#39;s log for the reason." in await text_of(await ask(ISSUE))


async def test_webhook_is_not_sent_to_a_disabled_add_on(ask, simulation, addon):
    simulation.events["jira"] = "disabled"
    await ask(DELETE, "POST")
    assert addon.seen == []
    assert "Test is disabled in Jira, so no webhook was sent." in await text_of(await ask(ISSUE))


async def test_anonymous_visitor_cannot_delete(ask, simulation):
    anonymous = {"Cookie": "sandbox-user=anonymous"}
    for action, screen, _ in GONE:
        assert action not in await text_of(await ask(screen, headers=anonymous))
        assert (await ask(action, "POST", anonymous)).status_code == 403
    assert simulation.state.removed == {}


async def test_lists_mark_deleted_items(ask):
    await ask(DELETE, "POST")
    await ask(REMOVE, "POST")
    text = await text_of(await ask("/"))
    assert ">Deleted</span>" in text
    assert ">Removed</span>" in text


@pytest.mark.parametrize("action", ["/sandbox/issues/NONE-1/delete", "/wiki/sandbox/pages/1/remove"])
async def test_unknown_item_cannot_be_deleted(ask, action):
    assert (await ask(action, "POST")).status_code == 404
