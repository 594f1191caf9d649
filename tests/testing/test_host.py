"""The simulated host, driving an add-on of a dozen lines that writes down what it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
import pytest
from addonkit.protocol.canonical import query_matches
from addonkit.protocol.tokens import verify
from addonkit.server.head_limit import MAX_HEAD_BYTES
from addonkit.testing import Host, InstallKeys
from addonkit.testing.loopback import StartFailed, bind, serving

BASE_URL = "http://localhost:8000/kit"
DESCRIPTOR = {
    "key": "com.example.test",
    "baseUrl": BASE_URL,
    "lifecycle": {name: f"/{name}" for name in ("installed", "uninstalled", "enabled", "disabled")},
    "modules": {
        "webPanels": [{"key": "panel", "url": "/notes/panel?issue={issue.key}"}],
        "webhooks": [
            {"event": "jira:issue_deleted", "url": "/webhooks/notes/gone?issue_id=${issue.id}"},
            {"event": "jira:issue_deleted", "url": "/webhooks/other/gone"},
            {"event": "page_removed", "url": "/webhooks/notes/page"},
        ],
    },
}
PAGE = '<meta content="t&amp;k" name="addonkit-session">'


class Recorder:
    """An add-on that takes everything, unless ``refusing``."""

    def __init__(self):
        self.seen, self.refusing, self.life = [], False, []
        self.lifecycle = DESCRIPTOR["lifecycle"]

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while len(self.life) < 2:
                self.life.append((await receive())["type"])
                await send({"type": f"{self.life[-1]}.complete"})
            return
        body = (await receive()).get("body", b"")
        self.seen.append((scope["method"], scope["path"], scope["query_string"].decode(), dict(scope["headers"]), body))
        status, answer = self.answer(scope["path"])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer.encode()})

    def answer(self, path):
        if path.endswith("/atlassian-connect.json"):
            return 200, json.dumps({**DESCRIPTOR, "lifecycle": self.lifecycle})
        if path == "/kit/addonkit/session":
            return 200, json.dumps({"session": "renewed"})
        return (401 if self.refusing else 200), PAGE

    def asked(self, path):
        return [request for request in self.seen if request[1] == path]


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
async def driven(recorder) -> AsyncIterator[Host]:
    async with Host(recorder, InstallKeys(), BASE_URL) as driven:
        yield driven


async def test_host_starts_and_stops_the_add_on_with_its_block(recorder):
    async with Host(recorder, InstallKeys(), BASE_URL):
        assert recorder.life == ["lifespan.startup"]
    assert recorder.life == ["lifespan.startup", "lifespan.shutdown"]


async def test_install_is_followed_by_enable(driven, recorder):
    await driven.install()
    assert [path for method, path, *_ in recorder.seen if method == "POST"] == ["/kit/installed", "/kit/enabled"]


@pytest.mark.parametrize(
    ("events", "sent"),
    [
        (("installed",), ["/kit/installed"]),
        (("installed", "uninstalled"), ["/kit/installed"]),
        (("installed", "disabled"), ["/kit/installed"]),
        (("enabled", "installed"), ["/kit/installed", "/kit/enabled"]),
    ],
)
async def test_install_sends_the_events_that_the_descriptor_declares(driven, recorder, events, sent):
    recorder.lifecycle = {name: f"/{name}" for name in events}
    site = await driven.install()
    assert [path for method, path, *_ in recorder.seen if method == "POST"] == sent
    assert driven.site is site


@pytest.mark.parametrize("lifecycle", [{}, {"enabled": "/enabled"}, {"installed": ""}, {"installed": None}])
async def test_install_without_an_url_for_it_is_an_error(driven, recorder, lifecycle):
    recorder.lifecycle = lifecycle
    with pytest.raises(AssertionError, match=r"has no URL at 'lifecycle\.installed'"):
        await driven.install()


async def test_install_with_an_installation_names_it_and_is_not_followed_by_enable(driven, recorder):
    site = await driven.install("confluence", installation_id="ari:1")
    [installed] = recorder.asked("/kit/installed")
    assert json.loads(installed[4])["installationId"] == site.installation_id == "ari:1"
    assert recorder.asked("/kit/enabled") == []


async def test_install_that_is_refused_is_an_error(driven, recorder):
    recorder.refusing = True
    with pytest.raises(AssertionError, match="answered 401 to 'installed' of a jira site, expected 204"):
        await driven.install()
    assert driven.sites == []


async def test_secret_of_a_refused_installation_is_discarded(driven, recorder):
    site = await driven.install()
    secret, recorder.refusing = site.shared_secret, True
    assert (await driven.notify(site, "installed")).status_code == 401
    assert site.shared_secret == secret


async def test_reinstall_brings_a_new_secret(driven):
    site = await driven.install()
    secret = site.shared_secret
    assert (await driven.reinstall(site)).shared_secret != secret


async def test_module_is_opened_at_its_declared_url(driven, recorder):
    await driven.install()
    page = await driven.open("panel", issue={"key": "AB-1"})
    ((method, _, query, _, _),) = recorder.asked("/kit/notes/panel")
    assert (page.status, method) == (200, "GET")
    assert query.startswith("issue=AB-1&xdm_e=")


async def test_module_missing_in_the_descriptor_is_an_error(driven):
    await driven.install()
    with pytest.raises(AssertionError, match="no module 'other'; its keys are 'panel'"):
        await driven.open("other")


async def test_module_cannot_be_opened_before_an_installation(driven):
    with pytest.raises(AssertionError, match="not installed on any site"):
        await driven.open("panel")


async def test_page_fetches_routes_of_its_plugin_with_its_session(driven, recorder):
    await driven.install()
    page = await driven.open("panel")
    await page.fetch("items/3", method="PUT", json={"done": True})
    ((method, _, _, headers, body),) = recorder.asked("/kit/notes/items/3")
    assert (method, headers[b"authorization"], json.loads(body)) == ("PUT", b"Session t&k", {"done": True})


async def test_page_without_a_session_cannot_fetch(driven, recorder):
    await driven.install()
    page = await driven.open("panel")
    page.session = None
    with pytest.raises(AssertionError, match="no meta tag 'addonkit-session'"):
        await page.fetch("items")


async def test_session_is_replaced_by_the_renewed_one(driven, recorder):
    await driven.install()
    page = await driven.open("panel")
    await page.renew()
    ((*_, headers, body),) = recorder.asked("/kit/addonkit/session")
    assert (page.session, json.loads(body)) == ("renewed", {"session": "t&k"})
    assert headers[b"authorization"].startswith(b"JWT ")


async def test_request_is_sent_unchanged(driven, recorder):
    await driven.request("DELETE", "/x?y=%2F", headers={"authorization": "JWT a"})
    assert recorder.seen[-1][:3] == ("DELETE", "/kit/x", "y=%2F")


async def test_host_reaches_an_add_on_over_http(recorder, monkeypatch):
    async with serving(recorder, bind()) as url:
        monkeypatch.setitem(DESCRIPTOR, "baseUrl", f"{url}/kit")
        async with Host(None, InstallKeys(), f"{url}/kit") as driven:
            await driven.install("confluence")
            assert (await driven.open("panel")).status == 200
            assert driven.site.base_url.endswith("/wiki")


async def test_serving_an_application_that_cannot_start_raises_its_reason():
    async def broken(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartFailed, match="no database"):
        async with serving(broken, bind()):
            raise AssertionError("the block was entered")


async def test_host_of_an_application_that_cannot_start_raises_its_reason():
    async def broken(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        async with Host(broken, InstallKeys()):
            raise AssertionError("the block was entered")


async def test_serving_cancels_requests_that_are_in_progress_at_its_end():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(scope, receive, send):
        await receive()
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(60):
        async with serving(endless, bind()) as url, httpx2.AsyncClient() as client:
            request = asyncio.create_task(client.get(url))
            await begun.wait()
            request.cancel()
        assert ended.is_set()


async def test_event_is_sent_to_each_of_its_webhooks(driven, recorder):
    site = await driven.install()
    answers = await driven.fire("jira:issue_deleted", issue={"id": "7"})
    assert [answer.status_code for answer in answers] == [200, 200]
    ((method, path, query, headers, body),) = recorder.asked("/kit/webhooks/notes/gone")
    token = headers[b"authorization"].decode().removeprefix("JWT ")
    claims = verify(token, site.shared_secret.encode(), "HS256", issuer=site.client_key, audiences=())
    assert query_matches(claims.qsh, method, path, query, "/kit")
    assert query == "issue_id=7"
    assert {**json.loads(body), "timestamp": 0} == {
        "timestamp": 0,
        "webhookEvent": "jira:issue_deleted",
        "issue": {"id": "7"},
    }
    assert len(recorder.asked("/kit/webhooks/other/gone")) == 1


async def test_event_body_is_sent_unchanged(driven, recorder):
    await driven.install("confluence")
    await driven.fire("page_removed", b"no json", identifier="d-1", retry=1)
    ((*_, headers, body),) = recorder.asked("/kit/webhooks/notes/page")
    assert body == b"no json"
    assert (headers[b"x-atlassian-webhook-identifier"], headers[b"x-atlassian-webhook-retry"]) == (b"d-1", b"1")


async def test_event_without_a_webhook_is_an_error_with_the_known_events(driven):
    await driven.install()
    with pytest.raises(AssertionError, match="no webhook for 'x'; its events are 'jira:issue_deleted', 'page_removed'"):
        await driven.fire("x")


async def test_settled_waits_for_the_add_on(driven, recorder):
    waited = asyncio.Event()

    async def settled():
        waited.set()

    recorder.settled = settled
    await driven.settled()
    assert waited.is_set()


async def test_settled_raises_after_its_timeout(driven, recorder):
    recorder.settled = asyncio.Event().wait
    with pytest.raises(AssertionError, match=r"ready jobs were not finished within 0\.01 s"):
        await driven.settled(timeout_s=0.01)


async def test_settled_raises_for_an_application_without_jobs(driven):
    with pytest.raises(AssertionError, match="no method 'settled' in this process"):
        await driven.settled()


async def test_serving_uses_the_server_of_addonkit_serve():
    """So the sandbox and the browser tests meet the limits and the shutdown of a deployment."""
    async with serving(Recorder(), bind()) as url, httpx2.AsyncClient() as client:
        large = await client.get(url, headers={"x-large": "a" * MAX_HEAD_BYTES})
        assert (large.status_code, "server" in large.headers) == (431, False)


@pytest.mark.parametrize("way", ["raises", "returns"])
async def test_serving_takes_an_application_without_a_lifespan(way):
    recorder = Recorder()

    async def plain(scope, receive, send):
        if scope["type"] == "lifespan":
            if way == "returns":
                return
            raise KeyError("path")
        await recorder(scope, receive, send)

    async with serving(plain, bind()) as url, httpx2.AsyncClient() as client:
        assert (await client.get(url)).status_code == 200


async def test_serving_closes_its_socket_at_the_end_and_after_a_failed_start():
    async def broken(scope, receive, send):
        await send({"type": "lifespan.startup.failed"})

    for app in (Recorder(), broken):
        sock = bind()
        with suppress(StartFailed):
            async with serving(app, sock):
                pass
        assert sock.fileno() == -1
