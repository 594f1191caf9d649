"""Fixtures: a simulated Confluence site on which users make, read and vote in polls."""

import asyncio
import hashlib
import html
import re
from typing import Any

import httpx2
import pytest
from addonkit.testing import Host, Page, Site, databases

LINE = re.compile(
    r'poll-text"><span dir="auto">(.*?)</span>.*?poll-percent">(.*?)</span> <span class="poll-count">(.*?)</span>',
    re.DOTALL,
)


def key_of(text: str) -> str:
    """Return the key that the editor in these tests assigns to a text, derived by SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


PAGE = {"id": "98347"}


class Wiki:
    """A Confluence site with methods to make polls, open them and vote."""

    def __init__(self, host: Host, site: Site) -> None:
        self.host, self.site = host, site

    async def open(self, poll: str, account: str | None = "reader", part: str | None = None, **more: Any) -> Page:
        shown = {"content": PAGE, "parameters": {"poll": poll}, **more}
        return await self.host.open("addonkit-poll", site=self.site, account=account, part=part, **shown)

    async def save(self, edited: str = "", account: str | None = "author", **changes: Any) -> httpx2.Response:
        written = {
            "draft": key_of("dialog"),
            "question": "Tea or coffee?",
            "options": options("Tea", "Coffee"),
            "several": False,
            **changes,
        }
        editor = await self.open(edited, account, "editor")
        return await editor.fetch("save", "POST", written)

    async def make(self, *texts: str, **changes: Any) -> str:
        response = await self.save(options=options(*(texts or ("Tea", "Coffee"))), **changes)
        assert response.status_code == 200, response.text
        return str(response.json()["poll"])

    async def vote(self, poll: str, *texts: str, account: str | None = "reader") -> httpx2.Response:
        page = await self.open(poll, account)
        return await page.fetch("vote", "PUT", {"choices": [key_of(text) for text in texts]})


def options(*texts: str) -> list[dict[str, str]]:
    return [{"key": key_of(text), "text": text} for text in texts]


@pytest.fixture
def addonkit_config():
    return {"addon": {"plugins": ["macro"]}}


@pytest.fixture
async def wiki(host):
    return Wiki(host, await host.install(product="confluence"))


@pytest.fixture
async def other_wiki(host, wiki):
    return Wiki(host, await host.install(product="confluence"))


@pytest.fixture
def let_close(tmp_path):
    """Set a poll's closing time to the past, in the database."""

    async def let(poll: str) -> None:
        past = "UPDATE macro_poll SET closes_at = '2026-01-02 15:00:00+00:00' WHERE key = ? RETURNING key"
        # In a thread, because a job of the add-on may hold the lock of the database until the event loop goes on.
        assert await asyncio.to_thread(databases.run_sql, tmp_path, past, poll) == [(poll,)]

    return let


@pytest.fixture(name="key_of")
def _key_of():
    return key_of


@pytest.fixture(name="options")
def _options():
    return options


@pytest.fixture
def results():
    """Read the result of each option from HTML: ``{"Tea": "50%, 1 vote"}``."""

    def read(text: str) -> dict[str, str]:
        return {html.unescape(option): f"{percent}, {count}" for option, percent, count in LINE.findall(text)}

    return read
