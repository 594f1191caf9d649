"""addonkit.js in a browser; an add-on in this process answers all requests."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.support.chromium import fulfill

CALL = "addonkit.fetch('items?probe=1').then((response) => response.status)"


@pytest.fixture
def addonkit_config():
    return {"addon": {"plugins": ["issue_panel"]}}


class Tab:
    """One page in a browser, with a record of the requests that its scripts make."""

    def __init__(self, page, context_token, *, refused=0, expires_in=900):
        self.page, self.refused, self.expires_in = page, refused, expires_in
        self.host_script = f"window.AP = {{ context: {{ getToken: (callback) => callback('{context_token}') }} }};"
        self.calls = []

    async def open(self, browser):
        tab = await browser.new_page()
        await tab.route("**/*", self._answer)
        await tab.goto(self.page.url)
        return tab

    async def _answer(self, route):
        target = urlsplit(route.request.url)
        probed = target.query == "probe=1"
        if probed or target.path == "/addonkit/session":
            self.calls.append(target.path)
        if probed and self.refused:
            self.refused -= 1
            await route.fulfill(status=401, body="{}")
        elif route.request.is_navigation_request():
            aged = self.page.text.replace('data-expires-in="900"', f'data-expires-in="{self.expires_in}"')
            await route.fulfill(status=200, headers=dict(self.page.headers), body=aged)
        else:
            await fulfill(self.page, route, self.host_script)


@pytest.fixture
async def opened(host, chromium):
    """Open the page of a plugin; the context token may be for another user than the page."""

    async def open_it(account="acc-1", **options):
        page = await host.open("issue-panel-panel", issue={"id": "10001", "key": "AB-1"})
        record = Tab(page, host.site.context_token(account), **options)
        return record, await record.open(chromium)

    return open_it


async def test_session_that_is_fresh_is_sent_unchanged(opened):
    record, tab = await opened()
    assert await tab.evaluate(CALL) == 200
    assert record.calls == ["/issue_panel/items"]


async def test_session_is_renewed_before_it_expires(opened):
    record, tab = await opened(expires_in=60)
    assert await tab.evaluate(CALL) == 200
    assert record.calls[0] == "/addonkit/session"
    assert record.calls.count("/issue_panel/items") == 1


async def test_fetch_renews_the_session_after_a_401_and_retries_once(opened):
    record, tab = await opened(refused=1)
    assert await tab.evaluate(CALL) == 200
    assert record.calls == ["/issue_panel/items", "/addonkit/session", "/issue_panel/items"]


async def test_fetch_does_not_retry_twice(opened):
    record, tab = await opened(refused=2)
    assert await tab.evaluate(CALL) == 401
    assert record.calls.count("/issue_panel/items") == 2


async def test_session_is_not_renewed_for_another_user(opened):
    _, tab = await opened(account="acc-2", refused=1)
    message = await tab.evaluate(f"{CALL}.catch((error) => error.message)")
    assert message == "this page's session is over; reload the page"


@pytest.mark.parametrize("path", ["/macro/polls", "../addonkit/session", "https://example.com/x"])
async def test_fetch_reaches_only_its_own_plugin(opened, path):
    record, tab = await opened()
    message = await tab.evaluate("(path) => addonkit.fetch(path).catch((error) => error.message)", path)
    assert message == "addonkit.fetch reaches /issue_panel/ and nothing else"
    assert record.calls == []
